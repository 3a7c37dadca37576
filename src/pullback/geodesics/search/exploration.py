"""Other ways than the one that was found: beyond the plane no graph sees them all."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics.result import through
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.candidates import apart
from pullback.geodesics.search.graph import LatentGraph, fine_enough
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
        (torch.Size([1, 65, 3]), [inf])
    """

    nodes: Points
    length: Scalars
    rival_length: Scalars


def other_ways(search: Search, nodes: Points, *, turn: int = 0, finer: bool = False) -> OtherWays:
    """Descend from bends of curves, and from straight lines, to other curves between their ends.

    Descents by L-BFGS on few nodes, whose first steps are long, leave a valley that Newton's method
    stays in.

    Args:
        search: what the search was told.
        nodes: nodes of the answers, shape `(n, nodes, d)`, d >= 2.
        turn: how often was looked before: each turn bends curves in directions of its own.
        finer: begin from the shortest paths on grids instead, a fine one over each answer; d = 2.

    Returns:
        The shortest curve of each pair, and how long the shortest is that runs apart.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> bent = torch.tensor([[[0.0, 0, 0], [1.0, 1, 0], [2.0, 0, 0]]], dtype=torch.float64)
        >>> ways = other_ways(Search(PullbackMetric(lambda z: z), None, (32,), 1e-4), bent)
        >>> round(ways.length.item(), 6)
        2.0
    """
    metric, n_nodes = search.metric, search.thresholds.scout_nodes
    graded = search.is_graded(nodes.shape[-1])
    nodes = search.curve(nodes).points(n_nodes) if graded else resample(nodes, n_nodes)
    starts = [_fine_paths(search, nodes)] if finer else _bends_and_line(search, nodes, turn)
    relaxed = _relaxed(search, torch.cat(starts))
    length = measure(metric, fine_points(through(relaxed)))[0].nan_to_num(nan=torch.inf)
    n_starts = len(starts)
    other = apart(relaxed, nodes.repeat(n_starts, 1, 1), search.thresholds.another)
    rivals = torch.where(other, length, torch.inf).reshape(n_starts, -1)
    best = length.reshape(n_starts, -1).argmin(0)
    row = torch.arange(len(nodes), device=nodes.device)
    shortest = relaxed.unflatten(0, (n_starts, -1))[best, row]
    shortest = torch.cat([nodes[:, :1], shortest[:, 1:-1], nodes[:, -1:]], 1)
    return OtherWays(shortest, length.reshape(n_starts, -1)[best, row], rivals.amin(0))


def _bends_and_line(search: Search, nodes: Tensor, turn: int) -> list[Tensor]:
    """Bend curves aside, and draw the straight line between their ends."""
    thresholds = search.thresholds
    bends = shortest_bends(
        search.metric,
        nodes,
        height=thresholds.scout_arch,
        kept=thresholds.scout_bends[turn],
        directions=thresholds.directions,
        turn=turn,
    )
    return [*bends, straight_line(nodes[:, 0], nodes[:, -1], nodes.shape[1] - 1)]


def _fine_paths(search: Search, nodes: Tensor) -> Tensor:
    """Follow the shortest path on a grid over each curve alone, whatever others it comes with."""
    paths = torch.cat([_fine_path(search, curve) for curve in nodes.split(1)])
    return torch.cat([nodes[:, :1], paths[:, 1:-1], nodes[:, -1:]], 1)


def _fine_path(search: Search, curve: Tensor) -> Tensor:
    """Follow the shortest path between the ends of one curve `(1, nodes, 2)` on a grid over it."""
    metric, corners = search.metric, torch.cat([curve.amin(1), curve.amax(1)])
    resolution, margin = search.thresholds.finer_grid, search.thresholds.finer_margin
    if not fine_enough(metric, corners, resolution, margin=margin):
        resolution *= 2
    graph = LatentGraph.build(metric, corners, resolution=resolution, margin=margin)
    return graph.paths(curve[:, 0], curve[:, -1], curve.shape[1] - 1)


def _relaxed(search: Search, starts: Tensor) -> Tensor:
    """Take a few steps of L-BFGS, in single precision where there is one."""
    scout = LBFGS(max_steps=search.thresholds.scout_steps, tol=search.thresholds.scout_tol)
    single = search.metric.single
    if single is None:
        return scout.relax(search.metric, starts).nodes
    return scout.relax(single, starts.float()).nodes.to(starts)
