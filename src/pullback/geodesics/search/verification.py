"""A second look at curves that seem to be geodesics: measured by more points, and attacked."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import GradedSpline, graded_durations
from pullback.geodesics.result import through
from pullback.geodesics.search.certificate import excess_on
from pullback.geodesics.search.measure import chords_of_steps, from_chords, resample
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.thresholds import THRESHOLDS, Thresholds
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.metrics import Metric
from pullback.shapes import Mask, Points, Scalars

__all__ = ["Measurement", "SecondLook", "attacked", "look_again", "measure_densely"]


class SecondLook(NamedTuple):
    """What was found about curves that a search ended on.

    Attributes:
        measured: what many points say of them.
        nodes: the curves that a descent from them led to, shape `(n, nodes, d)`.
        descended: the lengths of these, shape `(n,)`.
        spoiled: where the exact equation says that the approximate metric has led astray, so that
            the answer is to be relaxed on the exact one, shape `(n,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> bent = torch.tensor([[[0.0, 0.0], [0.5, 0.1], [1.0, 0.0]]], dtype=torch.float64)
        >>> look = attacked(PullbackMetric(lambda z: z), bent, rtol=1e-4)
        >>> bool(look.descended < look.measured.length)
        True
    """

    measured: "Measurement"
    nodes: Points
    descended: Scalars
    spoiled: Mask


class Measurement(NamedTuple):
    """Lengths of curves that were measured until more points changed nothing.

    Attributes:
        length: the length, shape `(n,)`.
        energy: 1/2 int |c'|^2 dt, shape `(n,)`.
        speed_variation: standard deviation of the speed over its mean, shape `(n,)`.
        error: by which share the length last changed with the number of points, shape `(n,)`.
        speed_error: by how much the variation of the speed last changed so, shape `(n,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
        >>> measure_densely(PullbackMetric(lambda z: z), line, rtol=1e-4).length.item()
        5.0
    """

    length: Scalars
    energy: Scalars
    speed_variation: Scalars
    error: Scalars
    speed_error: Scalars


def look_again(search: Search, nodes: Points) -> SecondLook:
    """Measure answers by many points and attack them, on the exact metric.

    Answers of an approximate metric are attacked only where the exact equation says that it pays.

    Args:
        search: what the search was told.
        nodes: nodes of the answers, shape `(n, nodes, d)`, d >= 2.

    Returns:
        Lengths of the curves and of those that they were brought to.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> look_again(search, line).measured.length.item()
        5.0
    """
    exact, thresholds = search.metric.exact, search.thresholds
    if not search.is_approximate or nodes.shape[-1] > thresholds.small_dim:
        graded = search.is_graded(nodes.shape[-1])
        return attacked(exact, nodes, rtol=search.rtol, graded=graded, thresholds=thresholds)
    n_segments = thresholds.dense_on_tables
    measured = measure_densely(
        exact, nodes, rtol=search.rtol, n_segments=n_segments, thresholds=thresholds
    )
    none = torch.zeros_like(measured.length, dtype=torch.bool)
    look = SecondLook(measured, nodes, measured.length.clone(), none)
    rows, excess = _spoiled(search, nodes)
    if len(rows) == 0:
        return look
    attack = attacked(exact, nodes[rows], rtol=search.rtol, thresholds=thresholds)
    promised = measured.length[rows] * (1 - excess.clamp(max=1.0))
    descended = torch.minimum(attack.descended, promised)
    # A promise is to be kept from where the answer is, a descent from where it led.
    led = (attack.descended <= promised)[:, None, None]
    start = resample(nodes, attack.nodes.shape[1])
    moved = start.index_put((rows,), torch.where(led, attack.nodes, start[rows]))
    spoiled = none.index_put((rows,), excess > thresholds.misled)
    return SecondLook(measured, moved, look.descended.index_put((rows,), descended), spoiled)


def _spoiled(search: Search, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Find the answers of a table that the exact equation says to be off, and by how much.

    The Hessian of the table is cheap; where it promises something, that of the decoder decides.
    """
    exact, thresholds = search.metric.exact, search.thresholds
    few = resample(nodes, thresholds.screened)
    spoiled = excess_on(exact, search.metric, few, rough=True) > thresholds.spoiled
    rows = spoiled.nonzero().squeeze(-1)
    if len(rows) == 0:
        return rows, nodes.new_zeros(0)
    excess = excess_on(exact, exact, nodes[rows])
    off = excess > thresholds.spoiled
    return rows[off], excess[off]


def attacked(
    metric: Metric,
    nodes: Points,
    *,
    rtol: float,
    graded: bool = False,
    thresholds: Thresholds = THRESHOLDS,
) -> SecondLook:
    """Measure curves by many points, and try to shorten them by a method that did not make them.

    The attack is L-BFGS on a chain of another number of nodes: it uses no second derivatives, which
    mislead where a decoder has kinks, and no table of the metric.

    Args:
        metric: the exact metric.
        nodes: nodes of the curves, shape `(n, nodes, d)`, d >= 2.
        rtol: the relative error that the lengths are to keep to.
        graded: whether the nodes crowd near both ends; those of the attack never do.
        thresholds: with how many points, nodes and steps.

    Returns:
        Lengths of the curves and of those that they were brought to.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
        >>> look = attacked(PullbackMetric(lambda z: z), line, rtol=1e-4)
        >>> look.measured.length.item(), look.descended.item()
        (5.0, 5.0)
    """
    measured = measure_densely(metric, nodes, rtol=rtol, graded=graded, thresholds=thresholds)
    rough = metric if metric.single is None else metric.single
    fewest = thresholds.attack_nodes
    n_nodes = min(max(nodes.shape[1], fewest), 2 * fewest - 1)
    start = GradedSpline(nodes).points(n_nodes) if graded else resample(nodes, n_nodes)
    start = start if rough is metric else start.float()
    attack = LBFGS(max_steps=thresholds.attack_steps, tol=rtol / 2)
    found = attack.relax(rough, start).nodes.to(nodes)
    found = torch.cat([nodes[:, :1], found[:, 1:-1], nodes[:, -1:]], 1)
    descended = _measure(metric, found, thresholds.dense, thresholds.rounding).length
    return SecondLook(measured, found, descended, torch.zeros_like(descended, dtype=torch.bool))


def measure_densely(
    metric: Metric,
    nodes: Points,
    *,
    rtol: float,
    speed_tol: float = float("inf"),
    n_segments: int | None = None,
    graded: bool = False,
    thresholds: Thresholds = THRESHOLDS,
) -> Measurement:
    """Measure the curves through nodes by more and more points, until their lengths settle.

    Args:
        metric: the metric.
        nodes: nodes of the curves, shape `(n, nodes, d)`.
        rtol: the share by which a length may change with the number of points.
        speed_tol: by how much the variation of the speed may change so.
        n_segments: segments of the first measurement, a multiple of 4; `thresholds.dense` if None.
        graded: whether the nodes crowd near both ends, and the points that measure too.
        thresholds: how many segments at most, and up to which rounding in single precision.

    Returns:
        The lengths, and by how much they last changed.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> wave = PullbackMetric(lambda z: torch.cat([z, (90 * z).sin()], -1))
        >>> line = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
        >>> round(measure_densely(wave, line, rtol=1e-4).length.item(), 2)  # int |c'| dt by SciPy
        57.13
    """
    n_segments = n_segments or thresholds.dense
    # Of many short chords near the ends the rounding adds up.
    rounding = 0.0 if graded else thresholds.rounding
    found = _measure(metric, nodes, n_segments, rounding, graded=graded)
    while n_segments < thresholds.densest:
        n_segments *= 2
        settled = (found.error <= rtol) & ~(found.speed_error > speed_tol)
        rows = (~settled).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        finer = _measure(metric, nodes[rows], n_segments, rounding, graded=graded)
        found = Measurement(
            *(part.index_put((rows,), new) for part, new in zip(found, finer, strict=True))
        )
    return found


def _measure(
    metric: Metric, nodes: Points, n_segments: int, rounding: float, *, graded: bool = False
) -> Measurement:
    """Measure by chords of one step, of two and of four: what the last two say is the error."""
    points = through(nodes).points(n_segments + 1)
    narrow, wide, widest = chords_of_steps(metric, points, rounding)
    durations = graded_durations(n_segments).to(points) if graded else None
    length, energy, speed_variation = from_chords(narrow, wide, durations)
    coarser, _, coarser_variation = from_chords(wide, widest)
    # Two extrapolations agree by chance where a wall is not resolved yet, but then what they add to
    # the chords is not small.
    error = torch.maximum((coarser - length).abs(), (length - narrow.sum(-1)).abs() / 2)
    speed_error = (coarser_variation - speed_variation).abs()
    return Measurement(length, energy, speed_variation, error / length, speed_error)
