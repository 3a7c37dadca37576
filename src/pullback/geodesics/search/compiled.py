"""Compiled searches on tables: what they find, as a search hands it on, and a verdict as brief."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.geodesics.base import Status
from pullback.geodesics.kernels.table_search import CurvesOnTable, table_search
from pullback.geodesics.result import GeodesicResult, through
from pullback.geodesics.search.candidates import Candidates, Found
from pullback.geodesics.search.certificate import excess_on
from pullback.geodesics.search.measure import from_chords, refined_chords_of_steps, resample
from pullback.geodesics.search.search import Search
from pullback.metrics import TabulatedMetric
from pullback.shapes import Codes, Points, Scalars

__all__ = ["bounded", "find_compiled", "may_vouch", "vouch"]

# The levels that compiled searches take; others are PyTorch's.
_LEVELS = (32, 64, 128, 256)
_STARTS = ("straight", "graph", "detour", "bent")
# Segments that measure an answer on the decoder first; twice as many where that leaves a doubt. On
# the common problem, of 200 answers, the error of the length was 8e-7 / 1.8e-4 / 6.4e-4 (median,
# 95 %, largest) with 64, and 1e-7 / 7e-6 / 2e-5 with 128, but for one pair that the table spoils.
# Twelve speeds at Gauss nodes, as dear as 40 images, err by 1e-4 / 9e-4 / 2e-3 there, and 48 by
# 1e-5 / 3e-4 / 1e-3: the table's own error wobbles from cell to cell, so that no speed is smooth.
_SEGMENTS = 64
# Variation of the exact speed from which a table's answer is not vouched for: standard deviation
# over the mean. It is 1e-3 / 4e-3 (median, 95 %) on the common problem, and 0.05 on the pair that
# the table spoils there.
_UNEVEN = 0.02


def find_compiled(
    search: Search, point_a: Codes, point_b: Codes, *, only_straight: bool = False
) -> tuple[Found, Tensor] | None:
    """Find curves by compiled kernels, where there are some for the metric.

    Args:
        search: what the search is told.
        point_a: start points a, shape `(n_pairs, d)`.
        point_b: end points b, shape `(n_pairs, d)`.
        only_straight: start from the straight line only.

    Returns:
        What was found, and the pairs that it was found for, shape `(n,)`: the others left the
        table, or stopped where no shortest curve is. None where a search is not compiled: on other
        metrics and devices, with a solver or levels of one's own, and without numba.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> search = Search(HalfPlane(), None, (32, 64, 128, 256), 1e-4)
        >>> find_compiled(search, torch.ones(1, 2), torch.ones(1, 2)) is None  # it is no table
        True
    """
    if search.given_solver is not None or search.levels != _LEVELS:
        return None
    kernels = table_search(search.metric)
    if kernels is None:
        return None
    curves = kernels.find(point_a, point_b, rtol=search.rtol, only_straight=only_straight)
    taken = curves.resolved & curves.minimal
    taken &= curves.length <= search.thresholds.longer * curves.straight_length
    rows = taken.nonzero().squeeze(-1)
    if len(rows) == len(taken):
        return _as_found(search, curves, point_a, point_b), rows
    return _as_found(search, curves.take(rows), point_a[rows], point_b[rows]), rows


def _as_found(search: Search, curves: CurvesOnTable, a: Tensor, b: Tensor) -> Found:
    parts, levels = [], sorted(set(curves.n_segments.tolist()))
    for n in levels:
        rows = (curves.n_segments == n).nonzero().squeeze(-1)
        some = curves if len(levels) == 1 else curves.take(rows)
        ends = (a, b) if len(levels) == 1 else (a[rows], b[rows])
        parts.append(_as_candidates(some, rows, ends, int(n)))
    return Found(
        parts,
        straight_length=curves.straight_length.to(a),
        lower_bound=torch.full_like(a[:, 0], torch.nan),  # for whoever measures to say
        start_lengths=curves.start_lengths.to(a),
        rival_length=curves.rival_length.to(a),
        starts=_STARTS[: curves.start_lengths.shape[1]],
    )


def _as_candidates(
    curves: CurvesOnTable, pair: Tensor, ends: tuple[Tensor, Tensor], n: int
) -> Candidates:
    """Hand on curves of n segments each."""
    a, b = ends
    nodes = curves.nodes[:, : n + 1].to(a, copy=True)
    nodes[:, 0], nodes[:, -1] = a, b  # else off by rounding in single precision
    return Candidates(
        nodes=nodes,
        origin=nodes,
        pair=pair,
        start=curves.start,
        length=curves.length.to(a),
        chain=torch.full_like(a[:, 0], torch.nan),
        mismatch=curves.mismatch.to(a),
        excess=curves.excess.to(a),
        residual=curves.residual.to(a),
        regular=torch.ones_like(pair, dtype=torch.bool),
        second_variation=curves.minimal.to(a),
        status=torch.full_like(pair, int(Status.CONVERGED)),
        n_steps=curves.n_steps,
    )


def bounded(search: Search, found: Found) -> Found:
    """Bound the lengths of curves from below, which compiled searches leave to the verdict.

    Args:
        search: what the search was told.
        found: curves, one for each pair.

    Example:
        >>> from pullback.geodesics.search.refinement import find
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: 2 * z), None, (32, 64), 1e-4)
        >>> a, b = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64)
        >>> bounded(search, find(search, a, b)).lower_bound.tolist()
        [10.0]
    """
    order = torch.cat([part.pair for part in found.parts]).argsort()
    ends = torch.cat([part.nodes[:, [0, -1]] for part in found.parts])[order]
    return found._replace(lower_bound=search.metric.chord_floor(*ends.unbind(1)))


def may_vouch(search: Search, dim: int) -> bool:
    """Say whether answers of a table can be vouched for: in the plane, of a table near enough.

    On a line lengths are measured until they settle, and in space there are ways that no grid sees.
    A decoder with kinks has a table that is off by 7 % here and there, and lengths that 65 images
    do not tell: 2 of 40 would have been wrong by 0.1 % (`benchmarks/honesty.py`, relu).

    Args:
        search: what the search is told.
        dim: the latent dimension d.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> may_vouch(Search(HalfPlane(), None, (32, 64), 1e-4), 2)  # it is no table
        False
    """
    table = search.metric
    return (
        dim == 2
        and isinstance(table, TabulatedMetric)
        and table.error() <= search.thresholds.inexact
    )


def vouch(search: Search, found: Found) -> tuple[GeodesicResult, Tensor]:
    """Measure curves of a table on the exact metric, and say which answers need no second look.

    That is where the exact length is that of the table, within what is called wrong, and run
    through as evenly: then the table has been right all along the curve. Where it is longer or
    shorter, by less than a table may be off, the exact geodesic equation decides. An answer that is
    not sure is no answer: it is to be polished, and looked at again.

    Args:
        search: what the search was told.
        found: curves on a table, one for each pair, in the plane.

    Returns:
        Answers in the order of the pairs, and where they are sure, shape `(n_pairs,)`.

    Example:
        >>> from pullback.geodesics.search.refinement import find
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: 2 * z), None, (32, 64), 1e-4)
        >>> a, b = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64)
        >>> result, sure = vouch(search, find(search, a, b))
        >>> result.length.tolist(), sure.tolist()
        ([10.0], [True])
    """
    answers = [_vouch(search, part, found) for part in found.parts]
    if len(answers) == 1:
        return answers[0]
    order = torch.cat([part.pair for part in found.parts]).argsort()
    result = GeodesicResult.cat([result for result, _ in answers]).take(order)
    return result, torch.cat([sure for _, sure in answers])[order]


class _Measured(NamedTuple):
    length: Scalars
    energy: Scalars
    speed_variation: Scalars
    error: Scalars  # estimated share of the length by which it is off

    def off(self, length: Tensor) -> Tensor:
        """By what share the lengths differ from those on the table."""
        return (self.length / length - 1).abs()


def _vouch(search: Search, curves: Candidates, found: Found) -> tuple[GeodesicResult, Tensor]:
    thresholds = search.thresholds
    allowed = max(thresholds.wrong, thresholds.wrong_times * search.rtol)
    points = _points(curves.nodes, _SEGMENTS)
    measured, floor = _measure(search, curves, points)
    measured = measured._replace(error=torch.fmax(measured.error, curves.refinement))
    off = measured.off(curves.length)
    sure = (off <= thresholds.inexact) & (measured.error <= search.rtol)
    sure &= (measured.speed_variation <= _UNEVEN) & search.metric.exact.contains(points).all(-1)
    rows = (sure & (off > allowed)).nonzero().squeeze(-1)
    if len(rows) > 0:
        few = resample(curves.nodes[rows], thresholds.screened)
        excess = excess_on(search.metric.exact, search.metric, few, rough=True)
        sure[rows] = excess <= thresholds.misled
    return _answer(curves, found, measured, floor), sure


def _points(nodes: Tensor, n: int) -> Tensor:
    """Take points at equal times along curves: nodes, where there are enough."""
    n_segments = nodes.shape[1] - 1
    if n_segments % n == 0:
        return nodes[:, :: n_segments // n]
    return through(nodes).points(n + 1)


def _measure(search: Search, curves: Candidates, points: Points) -> tuple[_Measured, Scalars]:
    """Measure by some points, and by twice as many where that leaves a doubt; bound from below."""
    seen: list[_Measured] = []

    def refine(chords: tuple[Tensor, ...], at: slice | Tensor) -> tuple[Tensor, Points]:
        seen.append(_measured(chords, points))
        off = seen[-1].off(curves.length[at])
        doubtful = ~(torch.fmax(off, seen[-1].error) <= search.rtol)
        rows = doubtful.nonzero().squeeze(-1)
        if len(rows) == 0:
            return rows, points[:0, 1:]
        return rows, _points(curves.nodes[at][rows], 2 * _SEGMENTS)[:, 1::2]

    exact, rounding = search.metric.exact, search.thresholds.rounding
    chords = refined_chords_of_steps(exact, points, rounding, refine)
    measured = seen[0] if len(seen) == 1 else _measured(chords.coarse, points)
    if len(chords.rows) > 0:
        parts = zip(measured, _measured(chords.fine, points), strict=True)
        measured = _Measured(*(part.index_put((chords.rows,), new) for part, new in parts))
    return measured, chords.floor


def _measured(chords: tuple[Tensor, ...], points: Points) -> _Measured:
    """Measure by chords of one step, of two and of four together: to sixth order in the step."""
    narrow, wide, widest = (part.to(points) for part in chords)
    fourth, energy, speed_variation = from_chords(narrow, wide)
    coarser = (4 * wide.sum(-1) - widest.sum(-1)) / 3
    gained = (fourth - coarser) / 15
    length = fourth + gained
    energy = torch.maximum(energy, length.square() / 2)
    return _Measured(length, energy, speed_variation, gained.abs() / length)


def _answer(
    curves: Candidates, found: Found, measured: _Measured, floor: Scalars
) -> GeodesicResult:
    pair = curves.pair
    return GeodesicResult(
        curve=through(curves.nodes),
        length=measured.length,
        energy=measured.energy,
        straight_length=found.straight_length[pair],
        lower_bound=floor,
        residual=curves.residual.nan_to_num(nan=0.0),
        speed_variation=measured.speed_variation,
        refinement=measured.error,
        second_variation=curves.second_variation,
        n_segments=torch.full_like(pair, curves.nodes.shape[1] - 1),
        n_steps=curves.n_steps,
        status=curves.status,
        start=curves.start,
        start_lengths=found.start_lengths[pair],
        rival_length=found.rival_length[pair],
        starts=found.starts,
    )
