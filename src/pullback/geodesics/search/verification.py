"""A second look at curves that seem to be geodesics: measured by more points, and attacked."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.geodesics.result import through
from pullback.geodesics.search.measure import from_chords, resample
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.metrics import Metric
from pullback.shapes import Points, Scalars

__all__ = ["Measurement", "SecondLook", "look_again", "measure_densely"]

# Segments of the first and of the densest measurement. A wall narrower than a segment is stepped
# over: with 64 to 128, 2 of 270 answers among sharp walls were wrong by more than 0.1 %, with these
# none (benchmarks/honesty.py).
_DENSE, _DENSEST = 512, 4096
# Nodes of the chain that attacks a curve (up to twice as many for a curve of as many), and its
# steps. That so few will do was found by the same campaign, whose own attacks take four times as
# many steps.
_NODES, _STEPS = 65, 12
# Rounding of chords, as a share of a chord, up to which single precision serves: a chord that is
# rounded by a share s is longer by s^2 / 2 on average, which adds up.
_ROUNDING = 0.005


class SecondLook(NamedTuple):
    """What was found about curves that a search ended on.

    Attributes:
        measured: what many points say of them.
        nodes: the curves that a descent from them led to, shape `(n, nodes, d)`.
        descended: the lengths of these, shape `(n,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> bent = torch.tensor([[[0.0, 0.0], [0.5, 0.1], [1.0, 0.0]]], dtype=torch.float64)
        >>> look = look_again(PullbackMetric(lambda z: z), bent, rtol=1e-4)
        >>> bool(look.descended < look.measured.length)
        True
    """

    measured: "Measurement"
    nodes: Points
    descended: Scalars


class Measurement(NamedTuple):
    """Lengths of curves that were measured until more points changed nothing.

    Attributes:
        length: the length, shape `(n,)`.
        energy: 1/2 int |c'|^2 dt, shape `(n,)`.
        speed_variation: standard deviation of the speed over its mean, shape `(n,)`.
        error: by which share the length last changed with the number of points, shape `(n,)`.

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


def look_again(metric: Metric, nodes: Points, *, rtol: float) -> SecondLook:
    """Measure curves by many points, and try to shorten them by a method that did not make them.

    The attack is L-BFGS on a chain of another number of nodes: it uses no second derivatives, which
    mislead where a decoder has kinks, and no table of the metric.

    Args:
        metric: the exact metric.
        nodes: nodes of the curves, shape `(n, nodes, d)`, d >= 2.
        rtol: the relative error that the lengths are to keep to.

    Returns:
        Lengths of the curves and of those that they were brought to.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
        >>> look = look_again(PullbackMetric(lambda z: z), line, rtol=1e-4)
        >>> look.measured.length.item(), look.descended.item()
        (5.0, 5.0)
    """
    measured = measure_densely(metric, nodes, rtol=rtol)
    rough = metric if metric.single is None else metric.single
    start = resample(nodes, min(max(nodes.shape[1], _NODES), 2 * _NODES - 1))
    start = start if rough is metric else start.float()
    found = LBFGS(max_steps=_STEPS, tol=rtol / 2).relax(rough, start).nodes.to(nodes)
    found = torch.cat([nodes[:, :1], found[:, 1:-1], nodes[:, -1:]], 1)
    return SecondLook(measured, found, _measure(metric, found, _DENSE).length)


def measure_densely(
    metric: Metric, nodes: Points, *, rtol: float, n_segments: int = _DENSE
) -> Measurement:
    """Measure the curves through nodes by more and more points, until their lengths settle.

    Args:
        metric: the metric.
        nodes: nodes of the curves, shape `(n, nodes, d)`.
        rtol: the share by which a length may change with the number of points.
        n_segments: segments of the first measurement, a multiple of 4.

    Returns:
        The lengths, and by how much they last changed.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> wave = PullbackMetric(lambda z: torch.cat([z, (90 * z).sin()], -1))
        >>> line = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
        >>> round(measure_densely(wave, line, rtol=1e-4).length.item(), 2)  # int |c'| dt by SciPy
        57.13
    """
    found = _measure(metric, nodes, n_segments)
    while n_segments < _DENSEST:
        n_segments *= 2
        rows = (~(found.error <= rtol)).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        finer = _measure(metric, nodes[rows], n_segments)
        found = Measurement(
            *(part.index_put((rows,), new) for part, new in zip(found, finer, strict=True))
        )
    return found


def _measure(metric: Metric, nodes: Points, n_segments: int) -> Measurement:
    """Measure by chords of one step, of two and of four: what the last two say is the error."""
    points = through(nodes).points(n_segments + 1)
    narrow, wide, widest = _chords(metric, points)
    length, energy, speed_variation = from_chords(narrow, wide)
    coarser, _, _ = from_chords(wide, widest)
    # Two extrapolations agree by chance where a wall is not resolved yet, but then what they add to
    # the chords is not small.
    error = torch.maximum((coarser - length).abs(), (length - narrow.sum(-1)).abs() / 2)
    return Measurement(length, energy, speed_variation, error / length)


def _chords(metric: Metric, points: Points) -> tuple[Tensor, ...]:
    """Measure chords, in single precision where its rounding is nothing to them."""
    steps, single = (1, 2, 4), metric.single
    if single is None:
        return metric.chords_by_step(points, steps)
    chords = [part.to(points) for part in single.chords_by_step(points.float(), steps)]
    rounding = single.chord_rounding(points[:, [0, -1]].float()).amax(-1)
    rows = ~(rounding < _ROUNDING * chords[0].mean(-1))
    if bool(rows.any()):
        exact = metric.chords_by_step(points[rows], steps)
        chords = [p.index_put((rows,), new) for p, new in zip(chords, exact, strict=True)]
    return tuple(chords)
