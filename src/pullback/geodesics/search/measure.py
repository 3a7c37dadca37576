"""Curves placed and measured: nodes at equal distances, lengths and energies to fourth order."""

import torch
from torch import Tensor

from pullback.curves import Curve, Polyline
from pullback.geodesics.result import through
from pullback.metrics import Metric
from pullback.metrics.chords import Refine, RefinedChords
from pullback.shapes import Points, Scalars

__all__ = [
    "at_constant_speed",
    "chords_of_steps",
    "evenly",
    "fine_points",
    "from_chords",
    "measure",
    "none_if",
    "refined_chords_of_steps",
    "resample",
    "rough_chords",
]

# Segments that measure a curve, if they are at least two for each that was solved. With 64 the
# fourth order errs by 1e-7 on a great circle of 2 (tests/geodesics/search/test_measure.py), and the
# second look measures with `thresholds.dense` and more.
_MEASURED = 64


def at_constant_speed(
    points: Points, chords: Tensor, n_nodes: int, times: Tensor | None = None
) -> Tensor:
    """Place nodes along curves at equal distances, or at given shares of the length.

    Args:
        points: points along the curves, shape `(batch, n, d)`.
        chords: lengths between them, shape `(batch, n - 1)`.
        n_nodes: how many nodes.
        times: the shares of the length at which they stand, shape `(n_nodes,)`; equal if None.

    Returns:
        Nodes with the same ends, shape `(batch, n_nodes, d)`.

    Example:
        >>> points = torch.tensor([[[0.0], [1.0], [4.0]]])
        >>> at_constant_speed(points, torch.tensor([[1.0, 3.0]]), 5).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    # A trace of the latent length keeps nodes apart where the metric is zero.
    steps = points.diff(dim=1).norm(dim=-1)
    share = chords / chords.sum(-1, keepdim=True) + 1e-6 * steps / steps.sum(-1, keepdim=True)
    share = torch.where(share.isfinite(), share, torch.ones_like(share))
    position = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(-1)], -1)
    t = torch.linspace(0, 1, n_nodes, dtype=points.dtype, device=points.device)
    t = t if times is None else times.to(points)
    wanted = t * position[:, -1:]
    right = torch.searchsorted(position, wanted).clamp(1, position.shape[1] - 1)
    before, after = position.gather(1, right - 1), position.gather(1, right)
    fraction = ((wanted - before) / (after - before)).clamp(0, 1).unsqueeze(-1)
    row = torch.arange(len(points), device=points.device).unsqueeze(1)
    start, end = points[row, right - 1], points[row, right]
    moved = torch.lerp(start, end, fraction.expand_as(start))
    return torch.cat([points[:, :1], moved[:, 1:-1], points[:, -1:]], 1)


def evenly(metric: Metric, nodes: Points, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Space nodes evenly along the straight segments between them, and measure these roughly.

    Args:
        metric: the metric.
        nodes: nodes along curves, shape `(batch, n, d)`.
        times: the shares of the length at which they shall stand, shape `(n,)`; equal if None.

    Returns:
        As many nodes at equal distances, `(batch, n, d)`, and how long the curves are, `(batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.tensor([[[0.0], [1.0], [4.0]]], dtype=torch.float64)
        >>> spaced, length = evenly(PullbackMetric(lambda z: 2 * z), nodes)
        >>> spaced.flatten().round(decimals=4).tolist(), length.item()
        ([0.0, 2.0, 4.0], 8.0)
    """
    points = fine_points(Polyline(nodes))
    chords = rough_chords(metric, points).to(points)
    return at_constant_speed(points, chords, nodes.shape[1], times), chords.sum(-1)


def rough_chords(metric: Metric, points: Points) -> Tensor:
    """Measure chords between points `(..., n, d)`, in single precision where there is one.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> rough_chords(PullbackMetric(lambda z: 2 * z), torch.tensor([[[0.0], [1.0]]])).tolist()
        [[2.0]]
    """
    single = metric.single
    return metric.chords(points) if single is None else single.chords(points.float())


def measure(
    metric: Metric, points: Points, durations: Tensor | None = None
) -> tuple[Scalars, Scalars, Scalars]:
    """Measure curves by points at equal times, or at given ones.

    Args:
        metric: the metric.
        points: an odd number n of points along the curves, shape `(batch, n, d)`.
        durations: the times between them, which add up to 1, shape `(n - 1,)`; equal if None.

    Returns:
        Length and energy to fourth order in the step, and the standard deviation of the speed over
        its mean, each `(batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> arc = torch.linspace(0, torch.pi, 33, dtype=torch.float64).reshape(1, 33, 1)
        >>> circle = PullbackMetric(lambda z: torch.cat([z.cos(), z.sin()], -1))
        >>> round(measure(circle, arc)[0].item(), 5)
        3.14159
    """
    narrow, wide = metric.chords_by_step(points)
    return from_chords(narrow, wide, durations)


def from_chords(
    narrow: Tensor, wide: Tensor, durations: Tensor | None = None
) -> tuple[Scalars, Scalars, Scalars]:
    """Measure curves by their chords of one and of two steps, see `measure`.

    Example:
        >>> from_chords(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.9]]))[0].round(decimals=4)
        tensor([2.0333])
    """
    n = narrow.shape[-1]
    length = (4 * narrow.sum(-1) - wide.sum(-1)) / 3
    if durations is None:
        energy = (4 * n * narrow.square().sum(-1) - n / 2 * wide.square().sum(-1)) / 6
        deviation, mean = torch.std_mean(narrow, -1)
        variation = deviation / mean
    else:
        squared = (narrow.square() / durations).sum(-1)  # the mean of the squared speed
        twice = durations[0::2] + durations[1::2]
        energy = (4 * squared - (wide.square() / twice).sum(-1)) / 6
        variation = (squared / narrow.sum(-1).square() - 1).clamp(min=0).sqrt()
    energy = torch.maximum(energy, length.square() / 2)  # as for every curve, but for rounding
    return length, energy, variation


def none_if(same: Tensor, lengths: Tensor) -> Tensor:
    """Put 0 where both ends are one point: rounding may place its images apart, row by row.

    Example:
        >>> none_if(torch.tensor([True, False]), torch.tensor([1e-14, 2.0])).tolist()
        [0.0, 2.0]
    """
    return torch.where(same & lengths.isfinite(), 0.0, lengths)


def chords_of_steps(metric: Metric, points: Points, rounding: float) -> tuple[Tensor, ...]:
    """Measure chords of one step, of two and of four, in single precision where that is enough.

    Args:
        metric: the metric.
        points: points along curves, shape `(batch, n, d)`, n - 1 a multiple of 4.
        rounding: the share of a chord up to which single precision may round it.

    Returns:
        Chord lengths, shapes `(batch, (n - 1) / s)` for the steps s.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 5, dtype=torch.float64).reshape(1, 5, 1)
        >>> [c.tolist() for c in chords_of_steps(PullbackMetric(lambda z: z), line, 0.01)[1:]]
        [[[0.5, 0.5]], [[1.0]]]
    """
    steps, single = (1, 2, 4), metric.single
    if single is None or rounding == 0:
        return metric.chords_by_step(points, steps)
    chords = [part.to(points) for part in single.chords_by_step(points.float(), steps)]
    lost = single.chord_rounding(points[:, [0, -1]].float()).amax(-1)
    rows = ~(lost < rounding * chords[0].mean(-1))
    if bool(rows.any()):
        exact = metric.chords_by_step(points[rows], steps)
        chords = [p.index_put((rows,), new) for p, new in zip(chords, exact, strict=True)]
    return tuple(chords)


def refined_chords_of_steps(
    metric: Metric, points: Points, rounding: float, refine: Refine
) -> RefinedChords:
    """Measure chords of one step, of two and of four by few points, and by more where in doubt.

    Args:
        metric: the metric.
        points: points along curves, shape `(batch, n, d)`, n - 1 a multiple of 4.
        rounding: the share of a chord up to which single precision may round it.
        refine: says which curves to measure by more points, and by which, see
            `Metric.refined_chords`; it is asked again of curves that single precision rounds.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 5, dtype=torch.float64).reshape(1, 5, 1)
        >>> nobody = lambda chords, at: (torch.arange(0), line[:0, 1:])
        >>> metric = PullbackMetric(lambda z: z)
        >>> [c.tolist() for c in refined_chords_of_steps(metric, line, 0.01, nobody).coarse[1:]]
        [[[0.5, 0.5]], [[1.0]]]
    """
    n_steps, single = 3, metric.single
    if single is None or rounding == 0:
        return metric.refined_chords(points, n_steps, refine)
    rough = single.refined_chords(points.float(), n_steps, refine)
    lost = ~(rough.rounding < rounding * rough.coarse[0].mean(-1))
    if len(rough.rows) > 0:
        lost[rough.rows] |= ~(rough.rounding[rough.rows] < rounding * rough.fine[0].mean(-1))
    if not bool(lost.any()):
        return rough.to(points)
    rows = lost.nonzero().squeeze(-1)

    def refine_lost(chords: tuple[Tensor, ...], at: slice | Tensor) -> tuple[Tensor, Points]:
        return refine(chords, rows[at])

    return rough.to(points).put(rows, metric.refined_chords(points[rows], n_steps, refine_lost))


def fine_points(curve: Curve) -> Points:
    """Take points along curves by which they are measured: 64 segments, or two for each of theirs.

    Args:
        curve: curves with batch shape `(batch,)`.

    Returns:
        Points, shape `(batch, n, d)` with n odd; every node is among them.

    Example:
        >>> fine_points(through(torch.zeros(1, 6, 2))).shape
        torch.Size([1, 71, 2])
    """
    n_segments = curve.nodes.shape[-2] - 1
    fineness = 2 * max(1, -(-_MEASURED // (2 * n_segments)))
    return curve.points(fineness * n_segments + 1)


def resample(nodes: Points, n_nodes: int) -> Tensor:
    """Place another number of nodes on the curves through nodes `(batch, n, d)`.

    Example:
        >>> resample(torch.tensor([[[0.0], [2.0]]]), 3).flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    return nodes if nodes.shape[1] == n_nodes else through(nodes).points(n_nodes)
