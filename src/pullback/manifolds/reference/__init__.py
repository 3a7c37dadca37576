"""Spaces whose geometry is known in closed form: truth to hold a solver, or a new metric, against.

`stereographic`, `paraboloid`, `torus` and `curved_plane` are immersions, so
`Manifold(paraboloid, dim=2)` or `PullbackMetric(paraboloid)` makes a space of one; `HalfPlane` is a
metric with no immersion.
"""

from pullback.manifolds.reference.half_plane import HalfPlane
from pullback.manifolds.reference.sphere import (
    great_circle_dist,
    great_circle_exp,
    great_circle_log,
    stereographic,
)
from pullback.manifolds.reference.surfaces import (
    curved_plane,
    curved_plane_inverse,
    meridian_length,
    paraboloid,
    torus,
)

__all__ = [
    "HalfPlane",
    "curved_plane",
    "curved_plane_inverse",
    "great_circle_dist",
    "great_circle_exp",
    "great_circle_log",
    "meridian_length",
    "paraboloid",
    "stereographic",
    "torus",
]
