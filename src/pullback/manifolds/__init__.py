"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds import reference
from pullback.manifolds.analogy import Analogy, AttributeVector
from pullback.manifolds.curvature.sectional_curvature import CurvatureEstimate
from pullback.manifolds.decorrelated import DecorrelatedGeodesics, decorrelated_geodesic
from pullback.manifolds.manifold import Manifold
from pullback.manifolds.posterior import GeometryPosterior, Interval, interval
from pullback.manifolds.spreading.balls import GeodesicBall, geodesic_ball
from pullback.manifolds.spreading.conjugate import ConjugatePoints, conjugate_points
from pullback.manifolds.spreading.injectivity import InjectivityRadius
from pullback.manifolds.spreading.jacobi import JacobiField
from pullback.manifolds.transport.holonomy import holonomy
from pullback.manifolds.transport.pole_ladder import pole_ladder
from pullback.manifolds.transport.transport import Transport
from pullback.manifolds.voronoi import VoronoiCells, voronoi_cells

__all__ = [
    "Analogy",
    "AttributeVector",
    "ConjugatePoints",
    "CurvatureEstimate",
    "DecorrelatedGeodesics",
    "GeodesicBall",
    "GeometryPosterior",
    "InjectivityRadius",
    "Interval",
    "JacobiField",
    "Manifold",
    "Transport",
    "VoronoiCells",
    "conjugate_points",
    "decorrelated_geodesic",
    "geodesic_ball",
    "holonomy",
    "interval",
    "pole_ladder",
    "reference",
    "voronoi_cells",
]
