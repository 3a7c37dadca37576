"""The density that a chain samples from, and what its steps need to know about it at a point."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import differentiable, gradient, jacobian
from pullback.errors import InvalidDataError, check_choice
from pullback.manifolds import Manifold
from pullback.metrics import Metric
from pullback.sampling.base import check_manifold
from pullback.shapes import Latent, Mask, MetricMatrix, Scalars, Tangent

__all__ = ["LocalTarget", "Target", "log_density_at", "region_mask"]

_MEASURES = ("lebesgue", "riemannian")


class LocalTarget(NamedTuple):
    """A density and the metric at points, with their first derivatives.

    Attributes:
        log_density: log p with respect to the Riemannian volume, up to a constant, shape
            `(*batch,)`: -inf where p is 0, unknown, or the metric is singular.
        gradient: d log p / dz, shape `(*batch, d)`; 0 where it is not finite.
        factor: L with M = L L^T, shape `(*batch, d, d)`; that of the identity where M is singular.
        log_volume: log sqrt det M, shape `(*batch,)`.
        slope: M^-1 dM / dz_k with k last, shape `(*batch, d, d, d)`.
        change: dM / dz_k with k last, shape `(*batch, d, d, d)`.
        regular: where the metric is defined, positive definite and smooth, shape `(*batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> M = Manifold(PullbackMetric(torch.exp, dim=1))
        >>> Target(M).at(torch.zeros(1, 1).double()).slope.item()  # M = exp(2 z)
        2.0
    """

    log_density: Scalars
    gradient: Tangent
    factor: MetricMatrix
    log_volume: Scalars
    slope: Tensor
    change: Tensor
    regular: Mask

    def replace(self, chosen: Mask, other: "LocalTarget") -> "LocalTarget":
        """Take the values of `other` where chosen, shape `(*batch,)`."""
        return LocalTarget(
            *(
                torch.where(chosen.reshape(*chosen.shape, *[1] * (x.ndim - chosen.ndim)), y, x)
                for x, y in zip(self, other, strict=True)
            )
        )


class Target:
    r"""A density p on a manifold, known up to a constant, and zero outside a region.

    Args:
        manifold: the latent space.
        log_density: maps points `(n, d)` to log p, shape `(n,)`, by differentiable operations; None
            for the uniform density. Where it is NaN or infinite, p counts as 0.
        measure: what `log_density` is a density with respect to: `"riemannian"`, the volume
            sqrt(det M) dz of the manifold, or `"lebesgue"`, that of the coordinates dz.
        region: where p may differ from 0: an object with `contains(z)`, such as a `Support`, or a
            function from points `(n, d)` to a mask `(n,)`; None for everywhere.

    Raises:
        InvalidParameterError: not a manifold, or an unknown measure.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> target = Target(Manifold(HalfPlane()), lambda z: 0 * z[:, 1], measure="lebesgue")
        >>> target.at(torch.tensor([[0.0, 2.0]]).double()).log_density.exp().item()  # y^2
        4.0
    """

    def __init__(
        self,
        manifold: Manifold,
        log_density: Callable[[Tensor], Tensor] | None = None,
        *,
        measure: str = "riemannian",
        region: Any = None,
    ) -> None:
        self.metric: Metric = check_manifold(manifold).metric
        self.log_density = log_density
        self.measure = check_choice("measure", measure, _MEASURES)
        self.region = region

    def at(self, z: Latent) -> LocalTarget:
        """Evaluate the density, the metric and their derivatives at points z `(n, d)`.

        Raises:
            InvalidDataError: `log_density` returned anything but one number for each point.
        """
        d = z.shape[-1]
        value, change = jacobian(lambda z: self.metric.metric_matrix(z).flatten(-2), z)
        change = change.unflatten(-2, (d, d))
        factor, positive = linalg.cholesky(value.unflatten(-1, (d, d)))
        regular = positive & change.isfinite().flatten(1).all(1) & self.metric.contains(z)
        change = torch.where(regular[:, None, None, None], change, 0)
        slope = torch.cholesky_solve(change.flatten(-2), factor).unflatten(-1, (d, d))
        log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_p, gradient_p = self._log_density(z)
        if self.measure == "lebesgue":
            log_p = log_p - log_volume
            gradient_p = gradient_p - torch.einsum("...iik->...k", slope) / 2
        allowed = regular & log_p.isfinite() & region_mask(self.region, z)
        log_p = torch.where(allowed, log_p, -torch.inf)
        gradient_p = torch.where(gradient_p.isfinite().all(-1, keepdim=True), gradient_p, 0)
        return LocalTarget(log_p, gradient_p, factor, log_volume, slope, change, regular)

    def _log_density(self, z: Tensor) -> tuple[Tensor, Tensor]:
        function = self.log_density
        if function is None:
            return torch.zeros_like(z[:, 0]), torch.zeros_like(z)
        return gradient(lambda z: log_density_at(function, z), z)


def log_density_at(function: Callable[[Tensor], Tensor], z: Latent) -> Scalars:
    """Evaluate a density that was given by its user, and check the shape of what it returns.

    Args:
        function: maps points `(n, d)` to numbers `(n,)`.
        z: points, shape `(n, d)`.

    Raises:
        InvalidDataError: it returned anything else.

    Example:
        >>> log_density_at(lambda z: -z.square().sum(-1), torch.ones(3, 2)).tolist()
        [-2.0, -2.0, -2.0]
    """
    with differentiable():
        value = function(z)
    if not isinstance(value, Tensor) or value.shape != z.shape[:-1]:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InvalidDataError(
            f"`log_density` must return one number for each point, a tensor of shape "
            f"{tuple(z.shape[:-1])}, but returned {got}. Sum over the last axis."
        )
    return value


def region_mask(region: Any, z: Latent) -> Mask:
    """Say which points z `(n, d)` lie in a region, see `Target`; without one, all do.

    Raises:
        InvalidDataError: the region does not answer with one truth value for each point.

    Example:
        >>> region_mask(lambda z: z[:, 0] > 0, torch.tensor([[1.0], [-1.0]])).tolist()
        [True, False]
    """
    if region is None:
        return torch.ones_like(z[..., 0], dtype=torch.bool)
    mask = getattr(region, "contains", region)(z)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != z.shape[:-1]:
        raise InvalidDataError(
            "`region` must say of each point whether it lies inside, by a tensor of truth values "
            f"of shape {tuple(z.shape[:-1])}, but returned {type(mask).__name__} "
            f"{getattr(mask, 'dtype', '')} {tuple(getattr(mask, 'shape', ()))}."
        )
    return mask
