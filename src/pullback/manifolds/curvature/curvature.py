r"""Curvature: the Riemann, Ricci and scalar curvature of a metric, and that of single planes.

All of them come from one symmetric form S of pairs of directions, whose alternation is the Riemann
tensor: R_ijkl = S_ik,jl - S_il,jk.

- Of a metric that is pulled back from a flat space, S_ij,kl = <II(e_i, e_j), II(e_k, e_l)> with the
  second fundamental form II: the Gauss equation, for which two derivatives of the immersion do.
- Of any other, S_ij,kl = -(d_i d_j M_kl + d_k d_l M_ij) / 2 - Gamma_ij^T M^-1 Gamma_kl, with the
  Christoffel symbols of the first kind.

The curvature of a table is that of the exact metric that it stands in for: the second derivatives
of a spline are not those of what it interpolates.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from pullback import linalg
from pullback.autodiff import Map
from pullback.manifolds.curvature.christoffels import lowered_christoffels
from pullback.manifolds.curvature.jet import ENTRY, blocks, jet
from pullback.manifolds.curvature.second_fundamental_form import (
    flat_immersion,
    image_size,
    second_fundamental_form,
)
from pullback.metrics import Metric
from pullback.shapes import Latent, MetricMatrix, Scalars

__all__ = ["RiemannTensor", "ricci", "riemann", "scalar_curvature"]

RiemannTensor = Float[Tensor, "*batch d d d d"]
"""Riemann tensors with all indices lowered."""


def riemann(metric: Metric, z: Latent) -> RiemannTensor:
    r"""Compute the Riemann tensor R_ijkl, all indices lowered.

    The sign is such that u^i v^j u^k v^l R_ijkl > 0 on a sphere: it is the sectional curvature of
    the plane of u and v times the square of their area. R^i_jkl is M^-1 times it, from the left.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`.

    Returns:
        R_ijkl at entry (i, j, k, l), shape `(*batch, d, d, d, d)`: NaN where the metric is singular
        or not finite.

    Source:
        do Carmo, Riemannian Geometry (1992), chapters 4 and 6.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> riemann(HalfPlane(), torch.tensor([0.0, 1.0]))[0, 1]  # -1, in a plane of area 1
        tensor([[ 0., -1.],
                [ 1.,  0.]])
    """
    return _of_points(metric, z, lambda R, L: R)


def ricci(metric: Metric, z: Latent) -> MetricMatrix:
    r"""Compute the Ricci tensor Ric_jl = M^ik R_ijkl.

    Ric(u, u) for |u| = 1 is the sum of the sectional curvatures of d - 1 orthogonal planes through
    u: positive where the volume of a cone of geodesics around u grows more slowly than in a flat
    space.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`.

    Returns:
        Symmetric matrices, shape `(*batch, d, d)`: NaN where the metric is singular or not finite.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 4.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> ricci(HalfPlane(), torch.tensor([0.0, 2.0])).diagonal()  # -1 / y^2
        tensor([-0.2500, -0.2500])
    """
    return _of_points(metric, z, _ricci)


def scalar_curvature(metric: Metric, z: Latent) -> Scalars:
    r"""Compute the scalar curvature M^ik M^jl R_ijkl.

    It is the sum of the sectional curvatures of all d (d - 1) ordered pairs of orthonormal
    directions: twice the Gaussian curvature for d = 2, and 0 for d = 1. A geodesic ball of small
    radius r has a volume smaller than in a flat space by the share scalar r^2 / (6 (d + 2)).

    It takes d^4 numbers a point; in many dimensions see `estimate_scalar_curvature`.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`.

    Returns:
        Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular or not
        finite.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 4.

    Example:
        >>> from pullback.manifolds.reference import paraboloid
        >>> from pullback.metrics import PullbackMetric
        >>> scalar_curvature(PullbackMetric(paraboloid), torch.zeros(3, 2))  # twice 2 * 2
        tensor([8., 8., 8.])
    """
    return _of_points(metric, z, _scalar)


def _of_points(metric: Metric, z: Tensor, contract: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    metric, d = metric.exact, z.shape[-1]
    flat = z.reshape(-1, d)
    immersion = flat_immersion(metric)
    pair_form: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    if immersion is None:
        pair_form, n_numbers = partial(_of_metric, metric), ENTRY * d**2 * (d + 1) ** 2
    else:
        pair_form = partial(_of_immersion, immersion)
        n_numbers = image_size(immersion, flat) * (d + 1) ** 2 + d**4

    def measured(z: Tensor) -> Tensor:
        S, L, positive = pair_form(z)
        found = contract(_alternated(S), L)
        return torch.where(positive[(...,) + (None,) * (found.ndim - 1)], found, torch.nan)

    found = torch.cat([measured(part) for part in blocks(flat, n_numbers)])
    return found.reshape(z.shape[:-1] + found.shape[1:])


def _of_immersion(immersion: Map, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The form S of pairs of axes, shape `(n, d, d, d, d)`, and the factor of the metric."""
    normal, L, positive = second_fundamental_form(immersion, z)
    return _products(normal), L, positive


def _of_metric(metric: Metric, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    change, bend = jet(metric.metric_matrix, z)
    L, positive = linalg.cholesky(metric.metric_matrix(z))
    lowered = lowered_christoffels(change.movedim(0, 1))
    gamma = torch.linalg.solve_triangular(L, lowered.flatten(-2), upper=False)
    bend = bend.movedim((0, 1), (1, 2))
    both = bend + bend.movedim((1, 2), (3, 4))
    return -both / 2 - _products(gamma.mT.unflatten(1, z.shape[-1:] * 2)), L, positive


def _products(vectors: Tensor) -> Tensor:
    """Inner products of all `(n, d, d, m)` with each other: shape `(n, d, d, d, d)`."""
    n, d, rows = *vectors.shape[:2], vectors.flatten(1, 2)
    return (rows @ rows.mT).reshape(n, d, d, d, d)


def _alternated(S: Tensor) -> Tensor:
    return torch.einsum("nikjl->nijkl", S) - torch.einsum("niljk->nijkl", S)


def _ricci(R: Tensor, L: Tensor) -> Tensor:
    raised = torch.cholesky_solve(R.flatten(2), L).reshape(R.shape)
    found = torch.einsum("nijil->njl", raised)
    return (found + found.mT) / 2


def _scalar(R: Tensor, L: Tensor) -> Tensor:
    return torch.cholesky_solve(_ricci(R, L), L).diagonal(dim1=-2, dim2=-1).sum(-1)
