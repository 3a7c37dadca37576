"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds import reference
from pullback.manifolds.decorrelated import DecorrelatedGeodesics, decorrelated_geodesic
from pullback.manifolds.manifold import Manifold
from pullback.manifolds.posterior import GeometryPosterior, Interval, interval
from pullback.manifolds.sectional_curvature import CurvatureEstimate

__all__ = [
    "CurvatureEstimate",
    "DecorrelatedGeodesics",
    "GeometryPosterior",
    "Interval",
    "Manifold",
    "decorrelated_geodesic",
    "interval",
    "reference",
]
