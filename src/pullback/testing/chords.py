"""Laws of chords: what a metric measures them by, and how they change with the nodes."""

import torch
from torch import Tensor

from pullback.metrics import Metric
from pullback.testing.trials import (
    NODES,
    REACH,
    SAME,
    MetricTrial,
    agree,
    difference,
    size,
    unit,
    within,
)

__all__ = ["check_chord_expansions", "check_chord_gradients", "check_chords"]

# The length of the short chords that are tried, as a share of the metric's `scale`.
_STEP = 1e-3


def check_chords(case: MetricTrial) -> None:
    """Hold that short chords are as long as the norm says, however they are asked for.

    Raises:
        AssertionError: a law is broken.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z = torch.ones(1, 2).double()
        >>> check_chords(MetricTrial(HalfPlane(), z, z, z, 1.0, 1e-4, True))
    """
    metric, z, chain = case.metric, case.z, case.chain()
    step = _STEP * case.scale * unit(case.v)
    squared = metric.norm(z, step).square()
    # The square of a chord is off by the fourth power of its length: two lengths extrapolate.
    wide, narrow = (
        metric.chords(torch.stack([z - step / n, z + step / n], 1)).squeeze(1).square() * n**2 / 4
        for n in (1, 2)
    )
    longest = size(metric.metric_matrix(z)) * step.square().sum(-1)
    rounding = 16 * (metric.chord_rounding(z) * longest.sqrt() + metric.chord_rounding(z).square())
    error = (4 * narrow - wide).div(3).sub(squared).abs()
    within("chords", error, case.rtol * longest + rounding, z)
    chords = metric.chords(chain)
    tolerance = SAME * chords.amax(-1) + metric.chord_rounding(chain).amax(-1)
    for step_size, of_step in zip((1, 2), metric.chords_by_step(chain), strict=True):
        again = metric.chords(chain[:, ::step_size])
        agree("chords by step", of_step, again, tolerance, z)
    nodes = chain[:, [0, -1]].reshape(-1, z.shape[-1])
    pairs = torch.arange(len(nodes), device=z.device).reshape(-1, 2)
    across = metric.chords(chain[:, [0, -1]]).squeeze(1)
    agree("chords between", metric.chords_between(nodes, pairs), across, tolerance, z)
    total, parts = metric.squared_chord_sum(chain), chords.square().sum(-1)
    slack = tolerance * chords.sum(-1)
    agree("chord sum", total, parts, slack, z)
    fine = torch.lerp(chain[:, :1], chain[:, -1:], torch.linspace(0, 1, 65).to(z)[:, None])
    floor = metric.chord_floor(chain[:, 0], chain[:, -1])
    length = metric.chords(fine).sum(-1)
    within("chord floor", floor - length, case.rtol * length + 64 * tolerance, z)
    bounds = metric.lower_bounds(chain[:, 0], chain[:, -1]).diagonal()
    within("lower bounds", bounds - floor, SAME * floor + 64 * tolerance, z)


def check_chord_gradients(case: MetricTrial) -> None:
    """Hold that gradients of sums of squared chords are their derivatives.

    Raises:
        AssertionError: a law is broken.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z = torch.ones(1, 2).double()
        >>> check_chord_gradients(MetricTrial(HalfPlane(), z, z, z, 1.0, 1e-4, True))
    """
    metric, chain = case.metric, case.chain()
    along = _directions(case, chain)
    value, gradient = metric.chord_gradient(chain)
    longest = metric.chords(chain).amax(-1)
    total = metric.squared_chord_sum(chain)
    agree("chord gradient: value", value, total, SAME * longest.square(), case.z)
    slope = difference(metric.squared_chord_sum, chain, along)
    found = (gradient * along[:, 1:-1]).sum((-1, -2))
    agree("chord gradient", found, slope, _slack(case, chain), case.z)
    value, gradient = metric.energy_gradient(chain)
    # A metric may compute it by a rule of its own, of fourth order in the step as the default: the
    # two may differ by as much as each is off.
    agree("energy gradient: value", value, total, REACH * total, case.z)
    off = gradient - Metric.energy_gradient(metric, chain)[1]
    within("energy gradient", (off * along[:, 1:-1]).abs(), 10 * _slack(case, chain), case.z)


def check_chord_expansions(case: MetricTrial) -> None:
    """Hold that expansions are the derivatives of the gradients, and agree by nodes and by ends.

    Raises:
        AssertionError: a law is broken.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z = torch.ones(1, 2).double()
        >>> check_chord_expansions(MetricTrial(HalfPlane(), z, z, z, 1.0, 1e-4, True))
    """
    metric, chain, z = case.metric, case.chain(), case.z
    along, slack = _directions(case, chain), _slack(case, chain)
    at = metric.expand_chords(chain)
    inner = along[:, 1:-1]
    value, gradient = metric.chord_gradient(chain)
    agree("chord expansion: value", at.value, value, slack, z)
    off = (at.gradient - gradient) * inner
    within("chord expansion: gradient", off.abs(), slack, z)
    product = (at.diagonal @ inner.unsqueeze(-1)).squeeze(-1)
    product[:, :-1] += (at.off_diagonal @ inner[:, 1:].unsqueeze(-1)).squeeze(-1)
    product[:, 1:] += (at.off_diagonal.mT @ inner[:, :-1].unsqueeze(-1)).squeeze(-1)
    truth = difference(lambda nodes: metric.chord_gradient(nodes)[1], chain, along)
    within("chord expansion: Hessian", ((product - truth) * inner).abs(), slack, z)
    M = metric.metric_matrix(chain[:, 1:-1])
    agree("chord expansion: metric", at.metric, M, 0.1 * size(M), z)
    ends = metric.expand_ends(torch.cat([chain[:, :-1], chain[:, 1:]], -1))
    own = Metric.expand_chords(metric, chain)
    agree("end expansion: value", ends.value.sum(-1), value, slack, z)
    within("end expansion: gradient", ((own.gradient - gradient) * inner).abs(), slack, z)
    curvature = torch.einsum("nkd,nkde,nke->n", inner, own.diagonal - at.diagonal, inner)
    within("end expansion: Hessian", curvature.abs(), slack, z)


def _directions(case: MetricTrial, chain: Tensor) -> Tensor:
    """Moves of the interior nodes, as long as the steps of the chain; the ends are held."""
    way, bend = (unit(w).unsqueeze(1) for w in (case.u, case.v))
    wave = torch.arange(NODES, dtype=chain.dtype, device=chain.device)[:, None]
    along = case.scale * REACH / NODES * (way * (3 * wave).cos() + bend * (2 * wave).sin())
    along[:, 0] = along[:, -1] = 0
    return along


def _slack(case: MetricTrial, chain: Tensor) -> Tensor:
    """What finite differences of sums of squared chords may be off by."""
    step = case.scale * REACH / NODES
    scale = size(case.metric.metric_matrix(chain))
    rounding = case.metric.chord_rounding(chain).amax(-1) * scale.sqrt() * step / _STEP
    return case.rtol * scale * step**2 + rounding
