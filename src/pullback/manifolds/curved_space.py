"""A latent space whose curvature can be asked for, point by point."""

from typing import Any

import torch

from pullback.manifolds.curvature.christoffels import Symbols, christoffels
from pullback.manifolds.curvature.curvature import RiemannTensor, ricci, riemann, scalar_curvature
from pullback.manifolds.curvature.sectional_curvature import (
    CurvatureEstimate,
    estimate_ricci,
    estimate_scalar_curvature,
    sectional_curvature,
)
from pullback.manifolds.latent_space import LatentSpace
from pullback.shapes import MetricMatrix, Scalars

__all__ = ["CurvedSpace"]


class CurvedSpace(LatentSpace):
    """What follows from derivatives of the metric at single points: a base of `Manifold`.

    Of a manifold with a table the curvature is that of the exact metric.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> M = CurvedSpace(HalfPlane())
        >>> round(M.scalar_curvature([0.0, 2.0]).item(), 6)
        -2.0
        >>> round(M.sectional_curvature([0.0, 2.0], [1.0, 0.0], [1.0, 1.0]).item(), 6)
        -1.0
    """

    def christoffels(self, point: Any) -> Symbols:
        """Compute the Christoffel symbols Gamma^k_ij, see `christoffels.christoffels`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Gamma^k_ij at entry (k, i, j), shape `(*batch, d, d, d)`: NaN where the metric is
            singular.
        """
        return christoffels(self.metric, self._points("point", point))

    def riemann(self, point: Any) -> RiemannTensor:
        """Compute the Riemann tensor, all indices lowered, see `curvature.riemann`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            R_ijkl, with R(u, v, u, v) > 0 on a sphere, shape `(*batch, d, d, d, d)`: NaN where the
            metric is singular.
        """
        return riemann(self.metric, self._points("point", point))

    def ricci(self, point: Any) -> MetricMatrix:
        """Compute the Ricci tensor, see `curvature.ricci`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Ric_jl, shape `(*batch, d, d)`: NaN where the metric is singular.
        """
        return ricci(self.metric, self._points("point", point))

    def scalar_curvature(self, point: Any) -> Scalars:
        """Compute the scalar curvature, for d = 2 twice the Gaussian curvature.

        See `curvature.scalar_curvature`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular.
        """
        return scalar_curvature(self.metric, self._points("point", point))

    def sectional_curvature(
        self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any
    ) -> Scalars:
        """Compute the curvature of planes, see `manifolds.sectional_curvature`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            tangent_vector_a: u, shape `(*batch, d)`.
            tangent_vector_b: v, shape `(*batch, d)`.

        Returns:
            Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular, or u
            and v are parallel.

        Raises:
            InvalidParameterError: there is no plane in one dimension.
        """
        z, u, v = self._broadcast(
            point=point, tangent_vector_a=tangent_vector_a, tangent_vector_b=tangent_vector_b
        )
        return sectional_curvature(self.metric, z, u, v)

    def estimate_scalar_curvature(
        self, point: Any, *, n_planes: int = 64, generator: torch.Generator | None = None
    ) -> CurvatureEstimate:
        """Estimate the scalar curvature in many dimensions by planes at random.

        See `manifolds.estimate_scalar_curvature`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            n_planes: planes at each point, 2 or more.
            generator: draws the planes; PyTorch's own if None.

        Returns:
            The estimate and its standard error, each of shape `(*batch,)`.

        Raises:
            InvalidParameterError: there is no plane in one dimension, or too few are asked for.
        """
        z = self._points("point", point)
        return estimate_scalar_curvature(self.metric, z, n_planes=n_planes, generator=generator)

    def estimate_ricci(
        self,
        point: Any,
        tangent_vector: Any,
        *,
        n_planes: int = 64,
        generator: torch.Generator | None = None,
    ) -> CurvatureEstimate:
        """Estimate Ric(u, u) in many dimensions by planes at random through u.

        See `manifolds.estimate_ricci`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            tangent_vector: u, shape `(*batch, d)`.
            n_planes: planes through each vector, 2 or more.
            generator: draws the planes; PyTorch's own if None.

        Returns:
            The estimate and its standard error, each of shape `(*batch,)`.

        Raises:
            InvalidParameterError: there is no plane in one dimension, or too few are asked for.
        """
        z, u = self._broadcast(point=point, tangent_vector=tangent_vector)
        return estimate_ricci(self.metric, z, u, n_planes=n_planes, generator=generator)
