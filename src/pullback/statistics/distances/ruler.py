"""Geodesic distances to a set of points by one method, with what could not be measured."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import InvalidDataError, InvalidParameterError, check_choice
from pullback.geodesics import LatentGraph, search_shortly
from pullback.manifolds import Manifold
from pullback.metrics import Metric, PullbackMetric, TabulatedMetric
from pullback.shapes import Codes, Nodes

__all__ = ["METHODS", "Lengths", "Ruler", "lower_bounds"]

METHODS = ("auto", "graph", "newton", "table")
"""How distances can be measured."""

_BLOCK = 512  # pairs that are solved at once
_SHORT_BLOCK = 4096
_NODES = 65  # of the curves that are returned
_MANY = 64  # points between which there are so many pairs that a table pays
_TABLE_RESOLUTION = 96  # of the graph on a table, whose edges are cheap to measure
_BOUNDS = 2**20  # bounds that are taken at once where images are not shared
_ROUNDING = 1e-7  # of a distance between images, as a share of their size


class Lengths(NamedTuple):
    """Lengths of geodesics, and how they were found.

    Attributes:
        length: d(a, b), or an upper bound where the search did not converge; infinite where there
            is no finite curve.
        converged: where the search converged; a short search and a path on a graph only say whether
            they found a finite curve.
        nodes: nodes along the curves, shape `(k, nodes, d)`, or None for a matrix of lengths.

    Example:
        >>> lengths = Ruler(Manifold(lambda z: 2 * z, dim=1), torch.zeros(1, 1).double()).among()
        >>> lengths.length.tolist(), lengths.n_failed
        ([[0.0]], 0)
    """

    length: Tensor
    converged: Tensor
    nodes: Tensor | None = None

    @property
    def n_failed(self) -> int:
        """How many did not converge."""
        return int((~self.converged).sum())


class Ruler:
    """Measures from any points to given ones.

    Searches start from the straight line and from a graph over the given points and the manifold's
    data, which is made once: a distance does not depend on what else is measured with it.

    Args:
        manifold: the latent space.
        Z: the given points, shape `(n, d)`.
        method: `"newton"` solves every pair as `Manifold.dist` does; `"table"` (d <= 3) makes a
            table of the metric, unless the manifold has one, and takes a short search on it, right
            to about 0.2 %; `"graph"` takes shortest paths on the graph, a few per cent longer for
            d <= 2; `"auto"` takes the table where there are many points, a metric that is finite
            all around them and d <= 3, else `"newton"`.

    Raises:
        InvalidParameterError: unknown method, or a table of more than three dimensions.
        InvalidDataError: the metric is not finite where a table or graph needs it.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> Z = torch.tensor([[0.0, 1.0]]).double()
        >>> ruler = Ruler(Manifold(HalfPlane(), dim=2), Z, "newton")
        >>> ruler.to(2 * Z).length.round(decimals=6)  # log 2
        tensor([[0.6931]], dtype=torch.float64)
    """

    def __init__(self, manifold: Manifold, Z: Codes, method: str = "auto") -> None:
        check_choice("method", method, METHODS)
        nodes = Z if manifold.data is None else torch.cat([Z, manifold.data.to(Z)])
        self.Z = Z
        self.space, self.method = _space(manifold, nodes, method)
        cheap = isinstance(self.space.metric, TabulatedMetric) and Z.shape[1] == 2
        resolution = _TABLE_RESOLUTION if cheap else None
        self.graph = LatentGraph.build(
            self.space.metric, nodes.unique(dim=0), resolution=resolution
        )

    def to(self, points: Codes) -> Lengths:
        """Measure from points to all given ones: lengths `(n_points, n)`."""
        if self.method == "graph":
            distances = self.graph.dist(points, self.Z)
            return Lengths(distances, distances.isfinite())
        n = len(self.Z)
        a, b = points.repeat_interleave(n, 0), self.Z.repeat(len(points), 1)
        found = self.pairs(a, b)
        shape = (len(points), n)
        return Lengths(found.length.reshape(shape), found.converged.reshape(shape))

    def among(self) -> Lengths:
        """Measure between the given points: lengths `(n, n)`, symmetric with a zero diagonal.

        Each pair is counted as failed once.
        """
        n = len(self.Z)
        if self.method == "graph":
            distances = self.graph.dist(self.Z, self.Z)
            length = torch.minimum(distances, distances.T).fill_diagonal_(0)
            below = torch.ones_like(length, dtype=torch.bool).tril()
            return Lengths(length, length.isfinite() | below)
        i, j = torch.triu_indices(n, n, offset=1, device=self.Z.device)
        found = self.pairs(self.Z[i], self.Z[j])
        length, converged = self.Z.new_zeros(n, n), self.Z.new_ones(n, n, dtype=torch.bool)
        length[i, j], converged[i, j] = found.length, found.converged
        return Lengths(length + length.T, converged)

    def pairs(self, point_a: Codes, point_b: Codes, *, curves: bool = False) -> Lengths:
        """Measure from each a to its b, with the curves if asked for.

        Args:
            point_a: points, shape `(k, d)`.
            point_b: points, shape `(k, d)`.
            curves: whether to return nodes along the geodesics.

        Raises:
            InvalidParameterError: the method is `"graph"`, which has no curves.
        """
        if self.method == "graph":
            raise InvalidParameterError("method", "one that finds curves", "'graph'")
        short = self.method == "table"
        find, size = (self._search, _SHORT_BLOCK) if short else (self._solve, _BLOCK)
        d = self.Z.shape[1]
        lengths = [point_a.new_zeros(0)]
        converged = [point_a.new_zeros(0, dtype=torch.bool)]
        nodes: list[Tensor] = []
        for k in range(0, len(point_a), size):
            found = find(point_a[k : k + size], point_b[k : k + size])
            lengths.append(found.length.nan_to_num(nan=torch.inf))
            converged.append(found.converged & found.length.isfinite())
            if curves and found.nodes is not None:
                nodes.append(found.nodes)
        if curves and not nodes:
            nodes = [point_a.new_zeros(0, 2, d)]
        along = torch.cat(nodes) if nodes else None
        return Lengths(torch.cat(lengths), torch.cat(converged), along)

    def bounds(self, points: Codes) -> Tensor:
        """Bound the lengths from points to all given ones from below: see `lower_bounds`."""
        return lower_bounds(self.space.metric.exact, points, self.Z)

    def _search(self, a: Tensor, b: Tensor) -> Lengths:
        found = search_shortly(self.space.metric, a, b, graph=self.graph)
        return Lengths(found.length, found.length.isfinite(), found.nodes)

    def _solve(self, a: Tensor, b: Tensor) -> Lengths:
        found = self.space.geodesic(a, b, graph=self.graph)
        length = found.length.detach()
        return Lengths(length, found.converged, found.curve.points(_NODES).detach())


@torch.no_grad()
def lower_bounds(metric: Metric, point_a: Codes, point_b: Nodes) -> Tensor:
    """Bound all distances between two sets from below, see `Metric.chord_floor`.

    For a pull-back these are the distances between the images, less what they may be off by
    rounding; a metric with no immersion gives 0.

    Args:
        metric: the exact metric.
        point_a: points a, shape `(n_a, d)`.
        point_b: points b, shape `(n_b, d)`.

    Returns:
        Bounds, shape `(n_a, n_b)`.

    Example:
        >>> z = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).double()
        >>> lower_bounds(PullbackMetric(lambda z: 2 * z), z[:1], z).round(decimals=4).tolist()
        [[0.0, 10.0]]
    """
    if type(metric).chord_floor is PullbackMetric.chord_floor:
        assert isinstance(metric, PullbackMetric)
        image_a, image_b = metric.immersion(point_a), metric.immersion(point_b)
        floor = torch.cdist(image_a, image_b)
        size = image_a.norm(dim=-1, keepdim=True) + image_b.norm(dim=-1)
        floor = floor - _ROUNDING * size
    else:  # each pair by itself: a sum of metrics has no image of a point
        rows = max(1, _BOUNDS // len(point_b))
        parts = []
        for block in point_a.split(rows):
            a = block.repeat_interleave(len(point_b), 0)
            parts.append(metric.chord_floor(a, point_b.repeat(len(block), 1)))
        floor = (1 - _ROUNDING) * torch.cat(parts).reshape(len(point_a), len(point_b))
    return floor.nan_to_num(nan=0.0, posinf=0.0).clamp(min=0)


def _space(manifold: Manifold, nodes: Tensor, method: str) -> tuple[Manifold, str]:
    """Choose the method and make the table that it needs."""
    tabulated = isinstance(manifold.metric, TabulatedMetric)
    if method == "table":
        return manifold if tabulated else manifold.tabulated(nodes), method
    if method != "auto":
        return manifold, method
    if tabulated:
        return manifold, "table"
    if nodes.shape[1] <= 3 and len(nodes) >= _MANY:
        try:
            return manifold.tabulated(nodes), "table"
        except InvalidDataError:  # not finite all around the points, but maybe between them
            return manifold, "newton"
    return manifold, "newton"
