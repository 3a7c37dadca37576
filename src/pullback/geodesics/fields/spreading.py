"""How distances spread from a point over a grid: what the march begins with, and the march."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.geodesics.fields.grid import Cells, FieldGrid, inverse
from pullback.metrics import TabulatedMetric
from pullback.shapes import Codes

__all__ = ["Cone", "Spread", "spread"]

# The march begins from seeds: nodes near the source, to which the distance is taken as the length
# of the straight line, an error of third order. Of n nodes along an axis those are seeds that lie
# within this times the root of n, in cells: eight cells where n is 257. A fixed number of cells
# would leave an error of first order in the step, even where the metric is constant.
_SEEDS = 0.5
# Cells around the source within which every node is a seed, whatever `_STRAIGHT` says: the march
# needs neighbours on all sides to begin from.
_LEAST_SEEDS = 2
# Farther out a node is a seed only if its line is as long as by the metric at the source, up to
# this share of it: where the metric changes more, the straight line is not the shortest way.
_STRAIGHT = 0.02
# What a step is longer in the metric somewhere than in the metric at the source, squared and on the
# average over d directions, or the inverse of that: below this the metric counts as nearly
# constant, and the distance is told as the cone and a rest. In the half-plane 2 reaches about a
# third of the source's height away.
_CONSTANT = 2.0
# Gauss's rule of three points on [0, 1]: places and weights.
_RULE = ((0.5 - 0.15**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.15**0.5, 5 / 18))


class Cone(NamedTuple):
    """The distance from a point if the metric were everywhere what it is there.

    Near the point the distance has its shape: no grid resolves the tip, but the difference.

    Attributes:
        source: the point, shape `(d,)`.
        matrix: M there, shape `(d, d)`.
        reach: up to which value the cone stands for the distance.

    Example:
        >>> cone = Cone(torch.zeros(2), 4 * torch.eye(2), 1.0)
        >>> cone.at(torch.tensor([[3.0, 4.0]]))
        (tensor([10.]), tensor([[1.2000, 1.6000]]))
    """

    source: Tensor
    matrix: Tensor
    reach: float

    def at(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value at points `(*batch, d)`, and its gradient, 0 at the tip."""
        away = z - self.source
        covector = away @ self.matrix
        value = (covector * away).sum(-1).clamp(min=0).sqrt()
        slope = covector / value.unsqueeze(-1)
        return value, torch.where(value.unsqueeze(-1) > 0, slope, 0.0)


class Spread(NamedTuple):
    """Distances from a point, known at the nodes of a grid.

    Attributes:
        grid: the grid.
        cone: the shape that the distance has near the point.
        distance: u, shape `(nodes,)`.
        velocity: M^-1 grad u, of length 1, by which one leaves the point, shape `(nodes, d)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> codes = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(PullbackMetric(lambda z: 2 * z), codes)
        >>> found = spread(table, FieldGrid.over(table, 8), codes[0])
        >>> found.value_at(codes).round(decimals=9), found.slope_at(codes[1:]).round(decimals=9)
        (tensor([0., 2.], dtype=torch.float64), tensor([[2.]], dtype=torch.float64))
    """

    grid: FieldGrid
    cone: Cone
    distance: Tensor
    velocity: Tensor

    def value_at(self, z: Codes) -> Tensor:
        """Read u at points of the grid's box `(n, d)`: exactly where u less the cone is quadratic.

        Each node around a point says what u is there, by its own u and half its gradient times the
        way; the mean of what they say, by their shares of the cell, has no error of second order.
        """
        cells = self.grid.cells(z)
        rest, slope = self._rest(cells, z)
        told = rest + 0.5 * (slope * cells.away).sum(-1)
        return ((cells.share * told).sum(-1) + self._cone_at(z)[0]).clamp(min=0)

    def slope_at(self, z: Codes) -> Tensor:
        """Read grad u at points of the grid's box `(n, d)`, linear between the nodes."""
        cells = self.grid.cells(z)
        _, slope = self._rest(cells, z)
        return (cells.share.unsqueeze(-1) * slope).sum(1) + self._cone_at(z)[1]

    def _cone_at(self, z: Codes) -> tuple[Tensor, Tensor]:
        value, slope = self.cone.at(z)
        far = value >= self.cone.reach
        return value.masked_fill(far, 0.0), slope.masked_fill(far.unsqueeze(-1), 0.0)

    def _rest(self, cells: Cells, z: Codes) -> tuple[Tensor, Tensor]:
        """Return u and grad u at the nodes around points, less the cone where it is near."""
        node = cells.node
        slope = torch.einsum("ncab,ncb->nca", self.grid.matrix[node], self.velocity[node])
        value, lean = self.cone.at(self.grid.nodes[node])
        near = (self.cone.at(z)[0] < self.cone.reach).unsqueeze(-1)
        return (
            self.distance[node] - value * near,
            slope - lean * near.unsqueeze(-1),
        )


def spread(table: TabulatedMetric, grid: FieldGrid, point: Tensor) -> Spread:
    """Measure from a point `(d,)` to the nodes of a grid, by the eikonal equation |grad u| = 1.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[-1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-2)
        >>> found = spread(table, FieldGrid.over(table, 8), codes.mean(0))
        >>> found.distance.argmin().item()  # of 81, in the middle
        40
    """
    matrix = _matrices(table, point.unsqueeze(0))[0]
    cone = Cone(point, matrix, _reach(grid, point, matrix))
    march = _along_line if len(grid.size) == 1 else _march
    return Spread(grid, cone, *march(table, grid, cone))


def _reach(grid: FieldGrid, point: Tensor, matrix: Tensor) -> float:
    """Up to which distance the metric is nearly constant."""
    value, _ = Cone(point, matrix, 0.0).at(grid.nodes)
    stretch = torch.einsum("ab,nba->n", inverse(matrix), grid.matrix)
    shrink = torch.einsum("nab,ba->n", grid.inverse, matrix)
    other = torch.maximum(stretch, shrink) > _CONSTANT * len(grid.size)
    return float(value[other].min()) if bool(other.any()) else torch.inf


def _march(table: TabulatedMetric, grid: FieldGrid, cone: Cone) -> tuple[Tensor, Tensor]:
    from pullback.geodesics.kernels.fields.entries import FIELD

    value, slope = cone.at(grid.nodes)
    distance = torch.full_like(value, torch.inf)
    velocity = torch.zeros_like(slope)
    seeds, lengths = _seeds(table, grid, cone)
    distance[seeds] = lengths
    away = (grid.nodes[seeds] - cone.source) / lengths.unsqueeze(-1)
    velocity[seeds] = away.nan_to_num(0.0) / grid.step
    edge = grid.matrix.diagonal(dim1=-2, dim2=-1).sqrt() * grid.step
    modelled = value < cone.reach
    front = (distance, velocity, value, slope * grid.step, modelled, edge)
    FIELD.march(grid.stencils, tuple(part.contiguous().numpy() for part in front), grid.size)
    return distance, velocity * grid.step


def _seeds(table: TabulatedMetric, grid: FieldGrid, cone: Cone) -> tuple[Tensor, Tensor]:
    """The nodes that the march begins from, and the lengths of the straight lines to them."""
    cells = ((grid.nodes - cone.source) / grid.step).abs().amax(-1)
    near = max(_SEEDS * grid.size[0] ** 0.5, _LEAST_SEEDS)
    seeds = (cells <= near).nonzero().squeeze(-1)
    start = cone.source.expand(len(seeds), -1)
    lengths = _straight(table, start, grid.nodes[seeds])
    straight = (lengths - cone.at(grid.nodes[seeds])[0]).abs() <= _STRAIGHT * lengths
    kept = straight | (cells[seeds] <= _LEAST_SEEDS)
    return seeds[kept], lengths[kept]


def _along_line(table: TabulatedMetric, grid: FieldGrid, cone: Cone) -> tuple[Tensor, Tensor]:
    """On a line the distance is the length of the way: add up what lies between the nodes."""
    nodes = grid.nodes
    steps = _straight(table, nodes[:-1], nodes[1:])
    place = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    first = int(grid.cells(cone.source.unsqueeze(0)).node[0, 0])
    offset = _straight(table, nodes[first : first + 1], cone.source.unsqueeze(0))
    away = place - place[first] - offset
    speed = grid.matrix.squeeze(-1).rsqrt()
    return away.abs(), away.sign().unsqueeze(-1) * speed


def _straight(table: TabulatedMetric, a: Codes, b: Codes) -> Tensor:
    """Measure straight lines from each a to its b, by Gauss's rule."""
    total, step = a.new_zeros(len(a)), b - a
    for t, weight in _RULE:
        matrix = _matrices(table, a + t * step)
        total += weight * torch.einsum("na,nab,nb->n", step, matrix, step).sqrt()
    return total


def _matrices(table: TabulatedMetric, z: Codes) -> Tensor:
    with torch.no_grad():
        return table.metric_matrix(z.to(table.low)).double().cpu()
