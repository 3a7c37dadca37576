"""The curvature of single planes, and what planes at random tell of all of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import Map, differentiable, gradient, jvp
from pullback.display import as_html, as_line
from pullback.errors import InvalidParameterError, check_integer
from pullback.manifolds.curvature.jet import ENTRY, blocks, jet, push_along
from pullback.manifolds.curvature.second_fundamental_form import (
    flat_immersion,
    image_size,
    normal_part,
)
from pullback.metrics import Metric
from pullback.shapes import Latent, Scalars, Tangent

__all__ = [
    "CurvatureEstimate",
    "estimate_ricci",
    "estimate_scalar_curvature",
    "sectional_curvature",
]

# Two vectors span a plane if they differ in direction by more than this many units of rounding:
# below it their sectional curvature is the quotient of two roundings.
_PARALLEL = 64


class CurvatureEstimate(NamedTuple):
    """A mean over random planes.

    Attributes:
        value: the estimate, without bias, shape `(*batch,)`.
        standard_error: its standard deviation, as the planes differ, shape `(*batch,)`.

    Example:
        >>> CurvatureEstimate(torch.ones(5), torch.zeros(5)).value.shape
        torch.Size([5])
    """

    value: Tensor
    standard_error: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def sectional_curvature(metric: Metric, z: Latent, u: Tangent, v: Tangent) -> Scalars:
    r"""Compute the sectional curvature K of the plane that u and v span.

    K(u, v) = R(u, v, u, v) / (|u|^2 |v|^2 - <u, v>^2), the Gaussian curvature of the surface that
    the geodesics in the plane form. For a pull-back, with orthonormal u and v, it is
    <II(u, u), II(v, v)> - |II(u, v)|^2: three second derivatives, in any number of dimensions.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`, d >= 2.
        u: tangent vectors at z, shape `(*batch, d)`.
        v: tangent vectors at z, shape `(*batch, d)`.

    Returns:
        Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular or not
        finite, or u and v are parallel.

    Raises:
        InvalidParameterError: there is no plane in one dimension.

    Source:
        do Carmo, Riemannian Geometry (1992), chapters 4 and 6.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z, u, v = torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]).double()
        >>> round(sectional_curvature(HalfPlane(), z, u, v).item(), 6)
        -1.0
    """
    metric, d = metric.exact, _check_dim(z)
    flat, u, v = (part.reshape(-1, d) for part in (z, u, v))
    L, positive = linalg.cholesky(metric.metric_matrix(flat))
    in_frame = torch.stack([u, v], 1) @ L
    found = _of_planes(metric, flat, in_frame.unsqueeze(1), L).squeeze(1)
    return torch.where(positive, found, torch.nan).reshape(z.shape[:-1])


def estimate_scalar_curvature(
    metric: Metric,
    z: Latent,
    *,
    n_planes: int = 64,
    generator: torch.Generator | None = None,
) -> CurvatureEstimate:
    r"""Estimate the scalar curvature by planes at random: d (d - 1) times their mean curvature.

    Three second derivatives for each plane, where `scalar_curvature` takes d^2 of them: for large
    d. It does not depend on d how many planes are needed, but on how much they differ: where all
    are curved alike, one does.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`, d >= 2.
        n_planes: planes at each point, 2 or more, drawn uniformly.
        generator: draws the planes; PyTorch's own if None.

    Returns:
        The estimate and its standard error: NaN where the metric is singular or not finite.

    Raises:
        InvalidParameterError: there is no plane in one dimension, or `n_planes` is out of range.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> from pullback.metrics import PullbackMetric
        >>> z = torch.zeros(20, dtype=torch.float64)
        >>> found = estimate_scalar_curvature(PullbackMetric(stereographic), z, n_planes=2)
        >>> round(found.value.item(), 6), found.standard_error.item() < 1e-6  # 20 * 19
        (380.0, True)
    """
    metric, d = metric.exact, _check_dim(z)
    flat = z.reshape(-1, d)
    L, positive = linalg.cholesky(metric.metric_matrix(flat))
    normal = _draw(flat, check_integer("n_planes", n_planes, 2), 2, generator)
    K = torch.where(positive[:, None], _of_planes(metric, flat, normal, L), torch.nan)
    return _mean(d * (d - 1) * K, z)


def estimate_ricci(
    metric: Metric,
    z: Latent,
    u: Tangent,
    *,
    n_planes: int = 64,
    generator: torch.Generator | None = None,
) -> CurvatureEstimate:
    r"""Estimate Ric(u, u) by planes at random through u: (d - 1) |u|^2 times their mean curvature.

    Args:
        metric: M; of a table, the exact metric is taken.
        z: points, shape `(*batch, d)`, d >= 2.
        u: tangent vectors at z, shape `(*batch, d)`.
        n_planes: planes through each vector, 2 or more, drawn uniformly.
        generator: draws the planes; PyTorch's own if None.

    Returns:
        The estimate and its standard error: NaN where the metric is singular or not finite, or
        u is zero.

    Raises:
        InvalidParameterError: there is no plane in one dimension, or `n_planes` is out of range.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> from pullback.metrics import PullbackMetric
        >>> u = torch.eye(20, dtype=torch.float64)[0] / 2  # of length 1 at the south pole
        >>> found = estimate_ricci(PullbackMetric(stereographic), torch.zeros_like(u), u)
        >>> round(found.value.item(), 6)
        19.0
    """
    metric, d = metric.exact, _check_dim(z)
    flat, u = z.reshape(-1, d), u.reshape(-1, 1, d)
    L, positive = linalg.cholesky(metric.metric_matrix(flat))
    normal = _draw(flat, check_integer("n_planes", n_planes, 2), 1, generator)
    of_u = (u @ L).unsqueeze(1)
    planes = torch.cat([of_u.expand_as(normal), normal], 2)
    K = torch.where(positive[:, None], _of_planes(metric, flat, planes, L), torch.nan)
    return _mean((d - 1) * of_u.square().sum((-1, -2)) * K, z)


def _check_dim(z: Tensor) -> int:
    if z.shape[-1] < 2:
        cure = "A curve has no curvature of its own."
        allowed = "of two or more dimensions, which a plane takes"
        raise InvalidParameterError("z", allowed, f"{z.shape[-1]} dimension", cure)
    return z.shape[-1]


def _draw(z: Tensor, n_planes: int, k: int, generator: torch.Generator | None) -> Tensor:
    """Gaussian vectors `(n, n_planes, k, d)` in an orthonormal frame: what they span is uniform."""
    device = z.device if generator is None else generator.device
    shape = (len(z), n_planes, k, z.shape[-1])
    return torch.randn(shape, generator=generator, dtype=z.dtype, device=device).to(z.device)


def _mean(samples: Tensor, z: Tensor) -> CurvatureEstimate:
    error = samples.std(-1) / samples.shape[-1] ** 0.5
    return CurvatureEstimate(*(part.reshape(z.shape[:-1]) for part in (samples.mean(-1), error)))


def _of_planes(metric: Metric, z: Tensor, in_frame: Tensor, L: Tensor) -> Tensor:
    """Curvatures `(n, s)` of planes `(n, s, 2, d)`, each given by two vectors in the frame L^-T."""
    frames = _orthonormal(in_frame).flatten(1, 2)
    vectors = torch.linalg.solve_triangular(L.mT, frames.mT, upper=True).mT
    items = torch.cat([z.unsqueeze(1), vectors], 1)
    immersion, (n_vectors, d) = flat_immersion(metric), vectors.shape[1:]
    if immersion is None:
        parts = blocks(items, ENTRY * n_vectors * d**2)
        return torch.cat([_of_metric(metric, part) for part in parts])
    parts = blocks(items, (6 * n_vectors + d) * image_size(immersion, z))
    return torch.cat([_of_immersion(immersion, part) for part in parts])


def _orthonormal(pairs: Tensor) -> Tensor:
    """Orthonormalise pairs of vectors `(*batch, 2, d)`: NaN where they are parallel."""
    a, b = pairs.unbind(-2)
    a = a / a.norm(dim=-1, keepdim=True)
    rest = b - (a * b).sum(-1, keepdim=True) * a
    size = rest.norm(dim=-1, keepdim=True)
    small = _PARALLEL * torch.finfo(b.dtype).eps * b.norm(dim=-1, keepdim=True)
    return torch.stack([a, rest / torch.where(size > small, size, torch.nan)], -2)


def _of_immersion(immersion: Map, items: Tensor) -> Tensor:
    """K = <II(a, a), II(b, b)> - |II(a, b)|^2 for points and orthonormal a, b, a, b, ..."""
    z, (a, b) = items[:, 0], (items[:, first::2].movedim(1, 0) for first in (1, 2))

    def bend(a: Tensor, b: Tensor) -> Tensor:
        return jvp(lambda z: jvp(immersion, z, a)[1], z, b)[1]

    axes = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    columns = push_along(immersion, z, axes)[1].movedim(0, 1)
    L, _ = linalg.cholesky(columns @ columns.mT)
    with differentiable():
        bends = torch.func.vmap(bend)(torch.cat([a, a, b]), torch.cat([a, b, b]))
    aa, ab, bb = normal_part(bends.movedim(0, 1), columns, L).chunk(3, 1)
    K: Tensor = torch.sum(aa * bb - ab.square(), -1)
    return K


def _of_metric(metric: Metric, items: Tensor) -> Tensor:
    """K = S_aa,bb - S_ab,ab, see `curvature`, with derivatives along a and b alone."""
    planes = items[:, 1:].unflatten(1, (-1, 2))
    n, s, _, d = planes.shape
    z = items[:, :1].expand(n, s, d).reshape(-1, d)
    vectors = planes.reshape(-1, 2, d)

    def gram(z: Tensor) -> Tensor:
        M = metric.metric_matrix(z)
        return torch.flatten(vectors @ M @ vectors.mT, 1)

    along = vectors.movedim(1, 0).contiguous()
    _, bend = jet(gram, z, along)
    bend = bend.flatten(0, 1).movedim(0, 1)
    M, change = push_along(metric.metric_matrix, z, along)
    change = vectors.unsqueeze(1) @ change.movedim(0, 1)  # (D_a M) b at entry (a, b)
    rows = torch.eye(4, dtype=z.dtype, device=z.device).unsqueeze(1).expand(4, len(z), 4)
    with differentiable():
        pull = torch.func.vmap(lambda row: gradient(gram, z, row)[1])(rows).movedim(0, 1)
    lowered = (change + change.transpose(1, 2)).flatten(1, 2) / 2 - pull / 2
    L, _ = linalg.cholesky(M)
    gamma = torch.linalg.solve_triangular(L, lowered.mT, upper=False)
    S = -(bend + bend.mT) / 2 - gamma.mT @ gamma
    K: Tensor = S[:, 0, 3] - S[:, 1, 1]
    return K.reshape(n, s)
