"""Geodesic balls: what lies within a given distance of a point."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.display import as_html, as_line
from pullback.errors import InvalidParameterError, check_integer, check_number, check_points
from pullback.geodesics import shoot
from pullback.manifolds.spreading.conjugate import conjugate_points
from pullback.metrics import Metric
from pullback.shapes import Latent, Mask, Points, StatusCodes

__all__ = ["GeodesicBall", "geodesic_ball", "unit_vectors"]


class GeodesicBall(NamedTuple):
    """The boundaries of balls around points of a latent plane.

    Attributes:
        center: the centres a, shape `(*batch, 2)`.
        boundary: exp(a, r u) for unit vectors u in order of their angle, shape `(*batch, n, 2)`:
            NaN where the geodesic could not be followed so far.
        tangent_vectors: r u, shape `(*batch, n, 2)`.
        past_conjugate: where the geodesic had passed a conjugate point, so that its end lies inside
            the ball: shape `(*batch, n)`; all false if that was not looked at.
        status: `Status` codes of the geodesics, shape `(*batch, n)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> ball = geodesic_ball(HalfPlane(), [0.0, 1.0], 1.0, n=4)
        >>> ball.boundary[1].round(decimals=4).tolist()  # up, to the height e
        [0.0, 2.7183]
    """

    center: Latent
    boundary: Points
    tangent_vectors: Points
    past_conjugate: Mask
    status: StatusCodes

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def geodesic_ball(
    metric: Metric, point: Any, radius: float, *, n: int = 100, conjugate: bool = False
) -> GeodesicBall:
    r"""Draw the boundaries of geodesic balls, the curves exp(a, r u) over unit vectors u (d = 2).

    Up to the injectivity radius that is the boundary of the ball. Beyond it the curve crosses
    itself, and parts of it lie inside; those past a conjugate point can be marked.

    Args:
        metric: the Riemannian metric, d = 2.
        point: the centres a, shape `(*batch, 2)`.
        radius: r > 0.
        n: how many directions, at equal angles in the metric.
        conjugate: mark geodesics that passed a conjugate point, which costs some ten times more.

    Returns:
        The boundaries, with a status for each of their points.

    Raises:
        InvalidParameterError: d is not 2, or `radius` or `n` is out of range.
        InvalidDataError: points are not finite.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 3.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> ball = geodesic_ball(PullbackMetric(lambda z: 2 * z), [0.0, 0.0], 1.0, n=7)
        >>> ball.boundary.norm(dim=-1).round(decimals=9).tolist()
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    check_number("radius", radius, 0, open_low=True)
    check_integer("n", n, low=3)
    z = check_points("point", point, metric.dim).detach()
    if z.shape[-1] != 2:
        raise InvalidParameterError("point", "in two dimensions", z.shape[-1])
    angle = torch.arange(n, dtype=z.dtype, device=z.device) * (2 * math.pi / n)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    v = radius * unit_vectors(metric, z, circle)
    center = z.unsqueeze(-2).expand_as(v)
    flight = shoot(metric, center, v)
    past = torch.zeros_like(flight.status, dtype=torch.bool)
    if conjugate:
        past = conjugate_points(metric, center, v).distance < radius
    return GeodesicBall(z, flight.end, v, past, flight.status)


def unit_vectors(metric: Metric, z: Latent, directions: Tensor) -> Points:
    """Turn Euclidean unit vectors x into those of the metric, u = L^-T x with M = L L^T.

    Args:
        metric: the Riemannian metric.
        z: points, shape `(*batch, d)`.
        directions: x, shape `(n, d)`.

    Returns:
        Tangent vectors of norm 1, shape `(*batch, n, d)`; zero where the metric is singular.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> unit_vectors(PullbackMetric(lambda z: 2 * z), torch.zeros(2), torch.eye(2)).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    with torch.no_grad():
        L, positive = linalg.cholesky(metric.metric_matrix(z))
        columns = directions.mT.expand(*z.shape[:-1], -1, -1)
        u = torch.linalg.solve_triangular(L.mT, columns, upper=True).mT
    return torch.where(positive[..., None, None], u, 0)
