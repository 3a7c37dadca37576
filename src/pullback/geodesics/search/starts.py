"""Starts: where the search for each pair begins, and which of its beginnings are followed."""

import torch
from torch import Tensor

from pullback import linalg
from pullback.curves import Polyline, straight_line
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.candidates import Candidates, Starts
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.measure import (
    evenly,
    fine_points,
    measure,
    none_if,
    resample,
    rough_chords,
)
from pullback.geodesics.search.search import Search
from pullback.metrics import Metric
from pullback.shapes import Codes, Points, Scalars

__all__ = ["choose"]


def choose(
    search: Search,
    point_a: Codes,
    point_b: Codes,
    *,
    graph: LatentGraph | None = None,
    given: dict[str, Points] | None = None,
    only_given: bool = False,
) -> Starts:
    """Choose where curves begin: the line, the path on the graph, given curves and bent lines.

    A start is dropped that is hopelessly longer than another one of its pair, or runs beside a
    shorter one. A line whose image is straight needs no search at all.

    Args:
        search: what the search is told.
        point_a: start points a, shape `(n_pairs, d)`.
        point_b: end points b, shape `(n_pairs, d)`.
        graph: a graph over the region, or None.
        given: curves to start from, by name, each `(n_pairs, nodes, d)`.
        only_given: begin from these alone, as where an answer is searched again.

    Returns:
        The starts on the coarsest number of nodes, evenly spaced.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> flat = choose(Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4), a, b)
        >>> len(flat.certain.pair), len(flat.followed.pair)
        (1, 0)
    """
    line = straight_line(point_a, point_b, search.levels[0])
    straight, lower_bound, certain = _straight(search, line, (point_a == point_b).all(-1))
    regular = _regular(search.metric, straight.where(certain))
    ends = regular.nodes[:, 0], regular.nodes[:, -1]
    regular = regular._replace(nodes=search.line(*ends, search.levels[0]))
    sought = straight.pair[~certain]
    given = {name: curve[sought] for name, curve in (given or {}).items()}
    if only_given:
        starts = {name: resample(curve, line.shape[1]) for name, curve in given.items()}
    else:
        starts = _proposed(search, line[sought], straight.length[sought], graph, given)
    curves = Candidates.of_starts(list(starts.values()))
    nodes, length = evenly(search.metric, curves.nodes, search.times(curves.nodes))
    curves = curves._replace(nodes=nodes, length=length, pair=sought[curves.pair])
    followed, left_out, ahead = _pruned(search, curves)
    return Starts(regular, followed, left_out, ahead, straight.length, lower_bound, tuple(starts))


def _straight(search: Search, line: Tensor, same: Tensor) -> tuple[Candidates, Scalars, Tensor]:
    """Measure straight lines, and mark those that no curve can beat."""
    metric, points = search.metric, fine_points(Polyline(line))
    length, _, speed_variation = measure(metric, points)
    length = none_if(same, length)
    ends = line[:, [0, -1]]
    lower_bound = none_if(same, metric.chord_floor(*ends.unbind(1)))
    scatter = metric.chord_rounding(ends).amax(-1) * points.shape[1]
    # Rounding moves points off that line, and so lengthens chords in its square.
    excess = torch.fmin(scatter, scatter.square() / (2 * lower_bound))
    shortest = length <= lower_bound * (1 + 1e-12) + scatter + excess
    even = ~(speed_variation > search.thresholds.steady + scatter / lower_bound)
    straight = Candidates.of_starts([line])._replace(length=length)
    return straight, lower_bound, shortest & even


def _regular(metric: Metric, lines: Candidates) -> Candidates:
    """Look at the metric half-way along lines whose image is straight."""
    if len(lines.pair) == 0:
        return lines
    middle = lines.nodes[:, lines.nodes.shape[1] // 2]
    _, regular = linalg.cholesky(metric.metric_matrix(middle))
    return lines._replace(regular=regular)


def _proposed(
    search: Search,
    line: Tensor,
    length: Tensor,
    graph: LatentGraph | None,
    given: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Propose starts for lines of some length that are not straight: all by name."""
    starts, thresholds, n_segments = {"straight": line}, search.thresholds, line.shape[1] - 1
    if graph is not None:
        limit = thresholds.detour * length
        starts["graph"] = graph.paths(line[:, 0], line[:, -1], n_segments, limit=limit)
    starts |= {name: resample(curve, n_segments + 1) for name, curve in given.items()}
    if search.explores and line.shape[-1] > 2:  # of a plane, the graph sees all of it
        aside = shortest_bends(
            search.metric,
            line,
            height=thresholds.arch,
            kept=thresholds.bends,
            directions=thresholds.directions,
        )
        starts |= {f"bent {i}": curve for i, curve in enumerate(aside)}
    return starts


def _pruned(search: Search, curves: Candidates) -> tuple[Candidates, Candidates, Tensor]:
    """Drop the hopeless, and set aside those beside a shorter one, with that one's start."""
    curves = curves.where(curves.close(search.thresholds.hopeless))
    beside = ~curves.best() & _beside_best(search, curves)
    ahead = curves.start[curves.leader()[beside]]
    return curves.where(~beside), curves.where(beside), ahead


def _beside_best(search: Search, curves: Candidates) -> Tensor:
    """Mark starts so close to the shortest of their pair that both would end on one curve."""
    thresholds, leader = search.thresholds, curves.leader()
    nodes = curves.nodes[:, :: max(1, search.levels[0] // thresholds.looks)]
    between = torch.stack([nodes, nodes[leader]], -2)
    gap = rough_chords(search.metric, between).squeeze(-1).amax(-1) / curves.length
    clearly = curves.length > thresholds.clearly * curves.length[leader]
    return gap < torch.where(clearly, thresholds.beside, thresholds.on)
