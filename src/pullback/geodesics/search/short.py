"""Short searches: thousands of geodesics on few nodes, to a thousandth, without a certificate."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.display import as_html, as_line
from pullback.geodesics.fields.refinement import follow
from pullback.geodesics.kernels.table_search import table_search
from pullback.geodesics.result import through
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.measure import at_constant_speed, fine_points, measure, resample
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.geodesics.solvers.newton import Newton
from pullback.geodesics.tally import note
from pullback.metrics import Metric, TabulatedMetric
from pullback.shapes import Codes, Points, Scalars, Tangent

__all__ = ["ShortGeodesics", "search_shortly", "with_ends"]

_BLOCK = 2048  # pairs that are searched at once
# Segments of the straight line and of the path on the graph, when the shorter of them is chosen. By
# judgement: a fourth more than those of the first level.
_STARTED = 40
# Segments of the chains of the first level, and of the second, which only curves go on to that were
# not seen well on the first.
_LEVELS = (32, 64)
# A curve was not seen well if it is longer than its chain by more than this factor: its nodes may
# have stepped over something. By judgement, in the ratio of both lengths.
_SEEN = 1.025
# Newton's method, until its next step promises less than 1 % of the energy: it squares what is
# left, so that lengths are right to about a thousandth. Of 240 logs on the sphere the worst is off
# by 1 %, with 1.5 % by 3 %. A Hessian serves for one step only.
_SOLVER = Newton(tol=1e-2, max_steps=7, max_age=1)


class ShortGeodesics(NamedTuple):
    """What short searches found.

    Attributes:
        length: lengths of the curves, upper bounds of the distances, shape `(n,)`; NaN or infinite
            where the metric is not finite along a curve.
        nodes: nodes along the curves at equal distances, shape `(n, nodes, d)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> a, b = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
        >>> found = search_shortly(PullbackMetric(lambda z: 2 * z), a, b)
        >>> found.length.item(), found.velocity().round(decimals=9)
        (10.0, tensor([[3., 4.]], dtype=torch.float64))
    """

    length: Scalars
    nodes: Points

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def velocity(self) -> Tangent:
        """Return the initial velocities of the curves, to third order in the step: `(n, d)`."""
        ahead = self.nodes[:, 1:4] - self.nodes[:, :1]
        weights = ahead.new_tensor([3.0, -1.5, 1 / 3])
        return torch.einsum("j,njd->nd", weights, ahead) * (self.nodes.shape[1] - 1)


@torch.no_grad()
def search_shortly(
    metric: Metric,
    point_a: Codes,
    point_b: Codes,
    *,
    graph: LatentGraph | None = None,
    initial: Points | None = None,
) -> ShortGeodesics:
    """Search geodesics from each a to its b, by a few Newton steps on few nodes.

    Of the straight line and the shortest path on the graph, or the given curve, the shorter is
    followed; only curves that are longer than their chains, and so may have something between two
    nodes, take more of them. There is no certificate. On a table given curves are followed by
    compiled kernels where there are some, and by PyTorch what these leave.

    Args:
        metric: the metric, best one that is cheap to evaluate, such as a table.
        point_a: start points, shape `(n, d)`.
        point_b: end points, shape `(n, d)`.
        graph: a graph over the region, or None.
        initial: curves to start from, such as those between other ends nearby, shape
            `(n, nodes, d)`: they are moved to the ends, and stand in for the graph.

    Returns:
        Lengths and nodes.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.0, 2.0]]).double()
        >>> search_shortly(HalfPlane(), a, b).length.round(decimals=4)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    note(geodesics=len(point_a))
    if initial is not None and isinstance(metric, TabulatedMetric) and table_search(metric):
        return _follow(metric, point_a, point_b, initial)
    return _search_all(metric, point_a, point_b, graph, initial)


def _follow(metric: TabulatedMetric, a: Tensor, b: Tensor, initial: Points) -> ShortGeodesics:
    """Follow given curves by compiled kernels, and by PyTorch those that these leave."""
    length, nodes = follow(metric, with_ends(resample(initial, _LEVELS[-1] + 1), a, b))
    found = ShortGeodesics(length.to(a), nodes.to(a))
    found.nodes[:, 0], found.nodes[:, -1] = a, b
    rows = length.isnan().nonzero().squeeze(-1)
    if len(rows) > 0:
        rest = _search_all(metric, a[rows], b[rows], None, initial[rows])
        found.length[rows], found.nodes[rows] = rest.length, rest.nodes
    return found


def _search_all(
    metric: Metric,
    point_a: Tensor,
    point_b: Tensor,
    graph: LatentGraph | None,
    initial: Points | None,
) -> ShortGeodesics:
    blocks = []
    for k in range(0, len(point_a), _BLOCK):
        block = slice(k, k + _BLOCK)
        a, b = point_a[block], point_b[block]
        start = None if initial is None else with_ends(resample(initial[block], _STARTED + 1), a, b)
        if start is None and graph is not None:
            limit = THRESHOLDS.detour * _rough(metric).chords(_line(metric, a, b)).sum(-1).to(a)
            start = graph.paths(a, b, _STARTED, limit=limit)
        blocks.append(_search(metric, a, b, start))
    return ShortGeodesics(*(torch.cat(part) for part in zip(*blocks, strict=True)))


def with_ends(curves: Points, point_a: Codes, point_b: Codes) -> Points:
    """Move curves to other ends, each node by its share of both gaps.

    Args:
        curves: nodes along curves, shape `(n, nodes, d)`.
        point_a: where the curves shall begin, shape `(n, d)`.
        point_b: where they shall end, shape `(n, d)`.

    Returns:
        The moved nodes, shape `(n, nodes, d)`.

    Example:
        >>> curves = torch.tensor([[[0.0], [0.625], [1.0]]])
        >>> with_ends(curves, torch.tensor([[1.0]]), torch.tensor([[1.0]])).flatten().tolist()
        [1.0, 1.125, 1.0]
    """
    t = torch.linspace(0, 1, curves.shape[1], dtype=curves.dtype, device=curves.device)[:, None]
    before, after = point_a - curves[:, 0], point_b - curves[:, -1]
    return curves + (1 - t) * before.unsqueeze(1) + t * after.unsqueeze(1)


def _search(metric: Metric, a: Tensor, b: Tensor, start: Tensor | None) -> ShortGeodesics:
    rough = _rough(metric)
    nodes = _line(metric, a, b)
    chords = rough.chords(nodes)
    if start is not None:
        start = start.to(nodes)
        start_chords = rough.chords(start)
        shorter = start_chords.sum(-1) < chords.sum(-1)
        nodes = torch.where(shorter[:, None, None], start, nodes)
        chords = torch.where(shorter[:, None], start_chords, chords)
    length = chords.sum(-1)
    # Rounding may place the images of one point apart, row by row.
    length = torch.where((a == b).all(-1) & length.isfinite(), 0.0, length)
    nodes = at_constant_speed(nodes, chords, _LEVELS[0] + 1)
    found = resample(nodes, _LEVELS[-1] + 1)
    rows = (length > 0).nonzero().squeeze(-1)
    nodes = nodes[rows]
    for level in _LEVELS:
        if len(rows) == 0:
            break
        nodes = _SOLVER.relax(rough, resample(nodes, level + 1)).nodes
        length[rows] = measured = measure(rough, fine_points(through(nodes)))[0]
        found[rows] = resample(nodes, _LEVELS[-1] + 1)
        unseen = measured > _SEEN * rough.chords(nodes).sum(-1)
        rows, nodes = rows[unseen], nodes[unseen]
    found = found.to(a)
    found[:, 0], found[:, -1] = a, b
    return ShortGeodesics(length.to(a), found)


def _rough(metric: Metric) -> Metric:
    return metric if metric.single is None else metric.single


def _line(metric: Metric, a: Tensor, b: Tensor) -> Tensor:
    return straight_line(a, b, _STARTED).to(a.dtype if metric.single is None else torch.float32)
