"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds import reference
from pullback.manifolds.analogy import Analogy, AttributeVector
from pullback.manifolds.balls import GeodesicBall, geodesic_ball
from pullback.manifolds.conjugate import ConjugatePoints, conjugate_points
from pullback.manifolds.decorrelated import DecorrelatedGeodesics, decorrelated_geodesic
from pullback.manifolds.holonomy import holonomy
from pullback.manifolds.injectivity import InjectivityRadius
from pullback.manifolds.jacobi import JacobiField
from pullback.manifolds.manifold import Manifold
from pullback.manifolds.pole_ladder import pole_ladder
from pullback.manifolds.posterior import GeometryPosterior, Interval, interval
from pullback.manifolds.sectional_curvature import CurvatureEstimate
from pullback.manifolds.transport import Transport
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
