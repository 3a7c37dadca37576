"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds import reference
from pullback.manifolds.decorrelated import DecorrelatedGeodesics, decorrelated_geodesic
from pullback.manifolds.manifold import Manifold
from pullback.manifolds.posterior import GeometryPosterior, Interval, interval

__all__ = [
    "DecorrelatedGeodesics",
    "GeometryPosterior",
    "Interval",
    "Manifold",
    "decorrelated_geodesic",
    "interval",
    "reference",
]
