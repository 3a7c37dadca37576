"""Second derivatives of geodesic distances by their ends: the second variation of a chain."""

import torch
from torch import Tensor

from pullback.geodesics.search.measure import resample
from pullback.linalg import block_tridiagonal_solve
from pullback.metrics import ChordExpansion, Metric
from pullback.shapes import Points

__all__ = ["distance_hessian"]

# Segments of the two chains whose second derivatives are extrapolated: the error of each is of
# second order in the step, so it cancels in 4/3 of the finer minus 1/3 of the coarser. On the
# sphere, the half-plane and the paraboloid 1e-6 of the derivative or less is left.
_SEGMENTS = (64, 128)
# Newton steps that bring the nodes of a geodesic to where the energy of the chain with just so many
# segments is stationary. They start within the discretisation error, so 4 steps, each squaring it,
# end in rounding.
_STEPS = 4


def distance_hessian(metric: Metric, nodes: Points) -> Tensor:
    r"""Differentiate the lengths of geodesics twice by both their ends.

    A chain of N segments has the energy N S / 2. At a stationary one the interior nodes x follow
    the ends e = (a, b), so the second derivative of S is S_ee - S_ex S_xx^-1 S_xe, and that of the
    distance D = sqrt(N S) is N S'' / (2 D) - D' D'^T / D.

    Args:
        metric: the metric.
        nodes: nodes along geodesics of positive length, shape `(batch, n, d)`.

    Returns:
        The derivatives, shape `(batch, 2 d, 2 d)`: NaN where the second variation is not positive,
        as beyond a conjugate point, where the distance need not have any.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 9.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
        >>> found = distance_hessian(PullbackMetric(lambda z: z), line)
        >>> found[0, :2, 2:].round(decimals=6)  # (u u^T - 1) / 5 along u = (3, 4) / 5
        tensor([[-0.1280,  0.0960],
                [ 0.0960, -0.0720]], dtype=torch.float64)
    """
    coarse, fine = (_squared_length(metric, resample(nodes, n + 1)) for n in _SEGMENTS)
    value, gradient, hessian = ((4 * f - c) / 3 for c, f in zip(coarse, fine, strict=True))
    length = value.sqrt()[:, None, None]
    slope = gradient.unsqueeze(-1) / (2 * length)
    return hessian / (2 * length) - slope @ slope.mT / length


def _squared_length(metric: Metric, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiate N S of the stationary chain near the nodes twice by its ends."""
    n_segments, d = nodes.shape[1] - 1, nodes.shape[2]
    for _ in range(_STEPS):
        inner = metric.expand_chords(nodes)
        step, positive = _solve(inner, -inner.gradient)
        moved = nodes[:, 1:-1] + torch.where(positive[:, None, None], step, 0.0)
        nodes = torch.cat([nodes[:, :1], moved, nodes[:, -1:]], 1)
    inner = metric.expand_chords(nodes)
    outer = metric.expand_ends(torch.stack([nodes[:, :2], nodes[:, -2:]], 1).flatten(2))
    first, last = outer.hessian.unbind(1)
    coupling = nodes.new_zeros(*inner.gradient.shape, 2 * d)
    coupling[:, 0, :, :d] = first[:, d:, :d]
    coupling[:, -1, :, d:] = last[:, :d, d:]
    columns = [_solve(inner, column.contiguous()) for column in coupling.unbind(-1)]
    follow = torch.stack([column for column, _ in columns], -1)
    hessian = -torch.einsum("bnik,bnil->bkl", coupling, follow)
    hessian[:, :d, :d] += first[:, :d, :d]
    hessian[:, d:, d:] += last[:, d:, d:]
    hessian = torch.where(columns[0][1][:, None, None], (hessian + hessian.mT) / 2, torch.nan)
    gradient = torch.cat([outer.gradient[:, 0, :d], outer.gradient[:, 1, d:]], -1)
    return n_segments * inner.value, n_segments * gradient, n_segments * hessian


def _solve(at: ChordExpansion, rhs: Tensor) -> tuple[Tensor, Tensor]:
    return block_tridiagonal_solve(at.diagonal, at.off_diagonal, rhs)
