"""What can be said for a curve: does it solve its equation, and is it the shortest near by?"""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.curves import graded_durations
from pullback.geodesics.kernels.table_search import table_search
from pullback.geodesics.search.thresholds import THRESHOLDS, Thresholds
from pullback.geodesics.solvers.krylov import graded_excess
from pullback.metrics import ChordExpansion, Metric
from pullback.shapes import Points, Scalars

__all__ = ["Certificate", "certify", "excess_on"]


class Certificate(NamedTuple):
    """What was found about a batch of chains.

    Attributes:
        nodes: the chains, corrected to fourth order if that was asked for, `(batch, n, d)`.
        excess: estimated share of the energy by which the chain lies above the geodesic that it
            approximates, `(batch,)`; NaN if it was not looked at.
        residual: the largest geodesic curvature in units of 1 / L, `(batch,)`.
        regular: where the metric is positive definite at the nodes, `(batch,)`.
        second_variation: 1 where every small change makes the curve longer, 0 where one does not,
            NaN where it was not looked at, `(batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1) * torch.ones(2)
        >>> certificate = certify(PullbackMetric(lambda z: z), line)
        >>> certificate.residual.item() < 1e-9, certificate.second_variation.item()
        (True, 1.0)
    """

    nodes: Tensor
    excess: Tensor
    residual: Tensor
    regular: Tensor
    second_variation: Tensor


def certify(
    metric: Metric,
    nodes: Points,
    *,
    correct: bool = False,
    accuracy: float = 0.0,
    graded: bool = False,
    thresholds: Thresholds = THRESHOLDS,
) -> Certificate:
    r"""Check chains of nodes against the geodesic equation by a formula of fourth order.

    The chain solves its own discrete problem to second order in the step h. The gradient of the
    sum of squared chords with steps h and 2 h together, 4/3 g_h - 1/12 g_2h, is that of the energy
    to fourth order: what it leaves is an honest residual, and the Hessian turns it into an estimate
    of how far the curve is off and into a correction (deferred correction).

    Args:
        metric: the Riemannian metric.
        nodes: chains at constant speed, shape `(batch, n, d)`.
        correct: take corrections, where they lower the residual.
        accuracy: take no more of them for curves whose `excess` is below this.
        graded: whether the nodes crowd near both ends, see `GradedSpline`: then `excess` comes from
            conjugate gradients, see `graded_excess`.
        thresholds: what counts as conjugate, as a small correction and as few dimensions.

    Returns:
        The certificate. In more than 8 dimensions the residual is taken at up to 4 of the nodes,
        and the second variation is not looked at.

    Source:
        Pereyra, Iterated deferred corrections for nonlinear boundary value problems (1968). do
        Carmo, Riemannian Geometry (1992), chapter 9, for the second variation.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1) * torch.ones(2)
        >>> bool(certify(PullbackMetric(stereographic), line).residual < 1e-2)
        True
    """
    if graded:
        return _certify_graded(metric, nodes, thresholds)
    if nodes.shape[-1] > thresholds.small_dim:
        return _certify_sampled(metric, nodes, thresholds.sampled)
    expansion, force = _expand(metric, nodes)
    residual, regular = _residual(_along(nodes), expansion.metric, force, expansion.value)
    regular = _recheck(metric, nodes, expansion.metric, regular)
    hessian, variation = _second_variation(expansion, thresholds)
    step = _correction(hessian, force)
    excess = _excess(step, force, expansion.value)
    found = _Corrected(nodes, step, excess, residual)
    if correct:
        for _ in range(thresholds.corrections):
            rows = (found.excess > accuracy).nonzero().squeeze(-1)
            if len(rows) == 0:
                break
            found = _correct(metric, found, rows, expansion, hessian, thresholds.largest)
    return Certificate(found.nodes, found.excess, found.residual, regular, variation)


def excess_on(exact: Metric, metric: Metric, nodes: Points, *, rough: bool = False) -> Scalars:
    """Estimate how far geodesics of an approximate metric lie above those of the exact one.

    The gradient is that of the exact energy, to fourth order; the Hessian, which has to be near
    only, is that of the approximate metric.

    Args:
        exact: the exact metric.
        metric: the approximate metric, which is cheap.
        nodes: chains at constant speed, shape `(batch, n, d)`.
        rough: take the gradient in single precision where there is one.

    Returns:
        The estimated share of the energy that is to be gained, shape `(batch,)`; infinite where the
        gradient is not finite.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z)
        >>> line = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1) * torch.ones(2)
        >>> excess_on(flat, flat, line).item() < 1e-20
        True
    """
    single = exact.single if rough else None
    value, force = (
        exact.energy_gradient(nodes) if single is None else single.energy_gradient(nodes.float())
    )
    value, force = value.to(nodes), force.to(nodes)
    kernels = table_search(metric)
    if kernels is None:
        excess = _excess_by_hessian(metric, nodes, value, force)
    else:
        excess = kernels.excess(nodes, value, force).to(nodes)
        rows = excess.isnan().nonzero().squeeze(-1)
        if len(rows) > 0:
            parts = (part[rows] for part in (nodes, value, force))
            excess[rows] = _excess_by_hessian(metric, *parts)
    return torch.where(excess.isfinite(), excess, torch.where(value > 0, torch.inf, 0.0))


def _excess_by_hessian(metric: Metric, nodes: Tensor, value: Tensor, force: Tensor) -> Tensor:
    hessian, _ = _second_variation(_roughly_expanded(metric, nodes))
    return _excess(_correction(hessian, force), force, value)


def _roughly_expanded(metric: Metric, nodes: Tensor) -> ChordExpansion:
    """Expand in single precision where there is one, for a Hessian only has to be near."""
    single = metric.single
    rough = metric.expand_chords(nodes) if single is None else single.expand_chords(nodes.float())
    return ChordExpansion(*(part.to(nodes) for part in rough))


def _expand(metric: Metric, nodes: Tensor) -> tuple[ChordExpansion, Tensor]:
    value, force = metric.energy_gradient(nodes)
    return _roughly_expanded(metric, nodes)._replace(value=value), force


class _Corrected(NamedTuple):
    nodes: Tensor
    step: Tensor  # the next correction
    excess: Tensor
    residual: Tensor


def _correct(
    metric: Metric,
    found: _Corrected,
    rows: Tensor,
    here: ChordExpansion,
    hessian: "_Hessian",
    largest: float,
) -> _Corrected:
    """Take the corrections of some chains, where they are small and lower the residual."""
    before = _Corrected(*(part[rows] for part in found))
    matrix, value = here.metric[rows], here.value[rows]
    size = torch.einsum("bni,bnij,bnj->bn", before.step, matrix, before.step).amax(-1)
    small = size <= largest**2 * value * (before.nodes.shape[1] - 1)
    moved = before.nodes.clone()
    moved[:, 1:-1] += torch.where(small[:, None, None], before.step, 0.0)
    value, force = metric.energy_gradient(moved)
    residual, _ = _residual(_along(moved), matrix, force, value)
    step = _correction(_Hessian(*(part[rows] for part in hessian)), force)
    after = _Corrected(moved, step, _excess(step, force, value), residual)
    better = small & (residual <= before.residual)
    whole = [part.clone() for part in found]
    for part, new in zip(whole, after, strict=True):
        part[rows[better]] = new[better]
    whole[1][rows[~better]] = 0.0  # so that it is not tried again to the same end
    return _Corrected(*whole)


def _recheck(metric: Metric, nodes: Tensor, matrix: Tensor, regular: Tensor) -> Tensor:
    """Look again, exactly, where single precision cannot tell a thin metric from a singular one."""
    if metric.single is None:
        return regular
    _, clear = linalg.cholesky(matrix.float())
    rows = (~clear.all(-1)).nonzero().squeeze(-1)
    if len(rows) > 0:
        _, positive = linalg.cholesky(metric.metric_matrix(nodes[rows, 1:-1]))
        regular = regular.clone()
        regular[rows] = positive.all(-1)
    return regular


def _certify_sampled(metric: Metric, nodes: Tensor, sampled: int) -> Certificate:
    value, force = metric.energy_gradient(nodes)
    n = force.shape[1]
    chosen = torch.linspace(0, n - 1, min(n, sampled), device=nodes.device).round().long()
    force = _of_some(force, chosen)
    matrix = metric.metric_matrix(nodes[:, 1 + chosen])
    residual, regular = _residual(_along(nodes)[:, chosen], matrix, force, value)
    unknown = torch.full_like(value, torch.nan)
    return Certificate(nodes, unknown, residual, regular, unknown)


def _certify_graded(metric: Metric, nodes: Tensor, thresholds: Thresholds) -> Certificate:
    value, force, excess, variation = graded_excess(
        metric, nodes, most_products=thresholds.krylov, tol=thresholds.krylov_tol
    )
    chosen, n_segments = _inside(nodes, thresholds.sampled), nodes.shape[1] - 1
    # In the unit of a chain with equal steps, whose force grows with the time between its nodes.
    time = graded_durations(n_segments).to(nodes).unfold(0, 2, 1).mean(-1)
    force = _of_some(force / (n_segments * time).unsqueeze(-1), chosen)
    matrix = metric.metric_matrix(nodes[:, 1 + chosen])
    residual, regular = _residual(_along(nodes)[:, chosen], matrix, force, value)
    return Certificate(nodes, excess, residual, regular, variation)


def _of_some(force: Tensor, chosen: Tensor) -> Tensor:
    """Take the force at some nodes, in the unit of a chain that has no others."""
    n_segments = force.shape[1] + 1
    some: Tensor = force[:, chosen] * (n_segments / (len(chosen) + 1)) ** 1.5
    return some


def _inside(nodes: Tensor, sampled: int) -> Tensor:
    """Choose interior nodes, evenly between the layers at both ends."""
    n = nodes.shape[1] - 2
    share = torch.linspace(0, 1, min(n, sampled) + 2, device=nodes.device)[1:-1]
    return (share * (n - 1)).round().long()


def _along(nodes: Tensor) -> Tensor:
    return nodes[:, 2:] - nodes[:, :-2]


def _residual(along: Tensor, matrix: Tensor, force: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The largest normal part of the force at the n nodes of a chain, and where M is regular."""
    acceleration, regular = linalg.solve(matrix, force)
    size = torch.einsum("bni,bnij,bnj->bn", along, matrix, along)
    whole = (force * acceleration).sum(-1)
    # The part along the curve only changes the speed.
    part = (force * along).sum(-1).square() / size
    normal = (whole - torch.where(size > 0, part, torch.zeros_like(part))).clamp(min=0)
    n_segments = force.shape[1] + 1
    residual = n_segments**1.5 / 2 * (normal.amax(-1) / value).sqrt()
    return torch.where(value > 0, residual, torch.zeros_like(residual)), regular.all(-1)


class _Hessian(NamedTuple):
    diagonal: Tensor
    off_diagonal: Tensor


def _second_variation(
    here: ChordExpansion, thresholds: Thresholds = THRESHOLDS
) -> tuple[_Hessian, Tensor]:
    """A positive definite Hessian for corrections, and where the true one is positive."""
    diagonal, off_diagonal = linalg.h1_inner_product(here.metric)
    H, U = here.diagonal, here.off_diagonal
    least, damping = thresholds.conjugate, thresholds.caution
    _, positive = linalg.block_tridiagonal_solve(
        H - least * diagonal, U - least * off_diagonal, here.gradient
    )
    # Where the second variation is not positive, its leading part must serve.
    safe = positive[:, None, None, None]
    hessian = _Hessian(
        torch.where(safe, H + damping * diagonal, 2 * diagonal),
        torch.where(safe, U + damping * off_diagonal, 2 * off_diagonal),
    )
    return hessian, positive.to(here.gradient)


def _correction(hessian: _Hessian, force: Tensor) -> Tensor:
    step, solved = linalg.block_tridiagonal_solve(*hessian, -force)
    return torch.where(solved[:, None, None], step, torch.nan)


def _excess(step: Tensor, force: Tensor, value: Tensor) -> Tensor:
    return (force * step).sum((-1, -2)).abs() / (2 * value)
