"""The Christoffel symbols of a metric: how its coordinates bend."""

import torch
from jaxtyping import Float
from torch import Tensor

from pullback import linalg
from pullback.autodiff import Map
from pullback.manifolds.curvature.jet import ENTRY, blocks, jet, push_along
from pullback.manifolds.curvature.second_fundamental_form import flat_immersion, image_size
from pullback.metrics import Metric
from pullback.shapes import Latent

__all__ = ["Symbols", "christoffels", "lowered_christoffels"]

Symbols = Float[Tensor, "*batch d d d"]
"""Christoffel symbols: the first index is that of the result."""


def christoffels(metric: Metric, z: Latent) -> Symbols:
    r"""Compute the Christoffel symbols Gamma^k_ij of the metric's connection.

    Gamma^k_ij = M^kl (d_i M_jl + d_j M_il - d_l M_ij) / 2; of a pull-back M = J^T J it is
    M^-1 J^T d^2 phi / dz_i dz_j. The geodesic equation is c''^k = -Gamma^k_ij c'^i c'^j.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`.

    Returns:
        Gamma^k_ij at entry (k, i, j), shape `(*batch, d, d, d)`: NaN where the metric is singular
        or not finite.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 2.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> christoffels(HalfPlane(), torch.tensor([0.0, 2.0]))  # -1 / y, 1 / y, -1 / y
        tensor([[[ 0.0000, -0.5000],
                 [-0.5000,  0.0000]],
        <BLANKLINE>
                [[ 0.5000,  0.0000],
                 [ 0.0000, -0.5000]]])
    """
    metric, d = metric.exact, z.shape[-1]
    flat = z.reshape(-1, d)
    immersion = flat_immersion(metric)
    if immersion is None:
        parts = [_of_metric(metric, part) for part in blocks(flat, ENTRY * d**2 * (d + 1))]
    else:
        n_numbers = image_size(immersion, flat) * (d + 1) ** 2
        parts = [_of_immersion(immersion, part) for part in blocks(flat, n_numbers)]
    return torch.cat(parts).reshape(*z.shape, d, d)


def lowered_christoffels(change: Tensor) -> Symbols:
    """Compute Gamma_l,ij = (d_i M_jl + d_j M_il - d_l M_ij) / 2, the symbols of the first kind.

    Args:
        change: d_l M_ij at entry (l, i, j), shape `(*batch, d, d, d)`.

    Returns:
        Gamma_l,ij at entry (l, i, j), shape `(*batch, d, d, d)`.

    Example:
        >>> lowered_christoffels(torch.full((1, 1, 1), 4.0)).item()
        2.0
    """
    by_i = change.movedim(-1, -3)
    return (by_i + by_i.mT - change) / 2


def _of_immersion(immersion: Map, z: Tensor) -> Tensor:
    J, H = jet(immersion, z)
    columns = J.movedim(0, 1)
    return _raised(columns @ columns.mT, columns @ H.flatten(0, 1).movedim(0, 1).mT)


def _of_metric(metric: Metric, z: Tensor) -> Tensor:
    axes = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    M, change = push_along(metric.metric_matrix, z, axes)
    return _raised(M, lowered_christoffels(change.movedim(0, 1)).flatten(-2))


def _raised(M: Tensor, lowered: Tensor) -> Tensor:
    """Raise the first index by M^-1: from symbols `(n, d, d^2)` of the first kind to the second."""
    L, positive = linalg.cholesky(M)
    symbols = torch.cholesky_solve(lowered, L).unflatten(-1, M.shape[-2:])
    return torch.where(positive[:, None, None, None], symbols, torch.nan)
