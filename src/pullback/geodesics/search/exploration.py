"""Other ways than the one that was found: beyond the plane no graph sees them all."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics.result import through
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.candidates import apart
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.measure import fine_points, measure, resample
from pullback.geodesics.search.search import Search
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.shapes import Points, Scalars

__all__ = ["OtherWays", "other_ways"]


class OtherWays(NamedTuple):
    """What was found beside answers, before a search with all care.

    Attributes:
        nodes: the shortest curve between the same ends, shape `(n, nodes, d)`.
        length: its length, shape `(n,)`; infinite where it has none.
        rival_length: of the shortest curve that runs apart from the answer, or inf, shape `(n,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 33, dtype=torch.float64).reshape(1, 33, 1) * torch.ones(3)
        >>> ways = other_ways(Search(PullbackMetric(lambda z: z), None, (32,), 1e-4), line)
        >>> ways.nodes.shape, ways.rival_length.tolist()
        (torch.Size([1, 33, 3]), [inf])
    """

    nodes: Points
    length: Scalars
    rival_length: Scalars


def other_ways(search: Search, nodes: Points, *, finer: bool = False) -> OtherWays:
    """Descend from bends of curves, and from straight lines, to other curves between their ends.

    Descents by L-BFGS on few nodes, whose first steps are long, leave a valley that Newton's method
    stays in.

    Args:
        search: what the search was told.
        nodes: nodes of the answers, shape `(n, nodes, d)`, d >= 2.
        finer: in the plane, follow the shortest paths on a grid over the answers too.

    Returns:
        The shortest curve of each pair, and how long the shortest is that runs apart.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> bent = torch.tensor([[[0.0, 0, 0], [1.0, 1, 0], [2.0, 0, 0]]], dtype=torch.float64)
        >>> ways = other_ways(Search(PullbackMetric(lambda z: z), None, (32,), 1e-4), bent)
        >>> round(ways.length.item(), 6)
        2.0
    """
    metric, thresholds, n_nodes = search.metric, search.thresholds, search.thresholds.scout_nodes
    graded = search.is_graded(nodes.shape[-1])
    nodes = search.curve(nodes).points(n_nodes) if graded else resample(nodes, n_nodes)
    line = straight_line(nodes[:, 0], nodes[:, -1], n_nodes - 1)
    bends = shortest_bends(
        metric,
        nodes,
        height=thresholds.scout_arch,
        kept=thresholds.scout_bends,
        directions=thresholds.directions,
    )
    starts = [*bends, line]
    if finer and nodes.shape[-1] == 2:
        starts.append(_paths(search, nodes))
    relaxed = _relaxed(search, torch.cat(starts))
    length = measure(metric, fine_points(through(relaxed)))[0].nan_to_num(nan=torch.inf)
    n_starts = len(starts)
    other = apart(relaxed, nodes.repeat(n_starts, 1, 1), thresholds.another)
    rivals = torch.where(other, length, torch.inf).reshape(n_starts, -1)
    best = length.reshape(n_starts, -1).argmin(0)
    row = torch.arange(len(nodes), device=nodes.device)
    shortest = relaxed.unflatten(0, (n_starts, -1))[best, row]
    shortest = torch.cat([nodes[:, :1], shortest[:, 1:-1], nodes[:, -1:]], 1)
    return OtherWays(shortest, length.reshape(n_starts, -1)[best, row], rivals.amin(0))


def _paths(search: Search, nodes: Tensor) -> Tensor:
    """Follow the shortest paths on a grid over these curves alone, finer than a search's."""
    thresholds, points = search.thresholds, nodes.flatten(0, 1)
    corners = torch.stack([points.amin(0), points.amax(0)])
    graph = LatentGraph.build(
        search.metric,
        corners,
        resolution=thresholds.finer_grid,
        margin=thresholds.finer_margin,
    )
    return graph.paths(nodes[:, 0], nodes[:, -1], nodes.shape[1] - 1)


def _relaxed(search: Search, starts: Tensor) -> Tensor:
    """Take a few steps of L-BFGS, in single precision where there is one."""
    scout = LBFGS(max_steps=search.thresholds.scout_steps, tol=search.thresholds.scout_tol)
    single = search.metric.single
    if single is None:
        return scout.relax(search.metric, starts).nodes
    return scout.relax(single, starts.float()).nodes.to(starts)
