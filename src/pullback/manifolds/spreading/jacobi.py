"""Jacobi fields: how a geodesic moves when its start and its velocity change."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import jacobian, jvp
from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_number, check_points
from pullback.geodesics import Trajectory, shoot
from pullback.metrics import Metric
from pullback.shapes import Latent, Mask, MetricMatrix, Points, Scalars, StatusCodes, Tangent

__all__ = ["JacobiField", "JacobiLift", "broadcast_points", "connection_term", "jacobi_field"]


@dataclass(frozen=True, eq=False)
class JacobiField:
    """Vector fields J along geodesics c: [0, 1] -> R^d, with J'' + R(J, c') c' = 0.

    Attributes:
        metric: the Riemannian metric.
        flight: the curves (c, J) in 2 d coordinates, as far as they could be followed.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> J = jacobi_field(HalfPlane(), [0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0])
        >>> end = torch.ones(1, dtype=torch.float64)
        >>> round(HalfPlane().norm(J.points(end), J.at(end)).item(), 6)  # sinh 1
        1.175201
    """

    metric: Metric
    flight: Trajectory

    __repr__ = as_line
    _repr_html_ = as_html

    @property
    def status(self) -> StatusCodes:
        """`Status` codes of the geodesics, shape `(*batch,)`."""
        return self.flight.status

    @property
    def converged(self) -> Mask:
        """Which geodesics were followed to t = 1, shape `(*batch,)`."""
        return self.flight.converged

    def points(self, t: Tensor) -> Points:
        """Evaluate c at times `(n,)` in [0, 1]: points `(*batch, n, d)`."""
        return self.flight.at(t).chunk(2, -1)[0]

    def at(self, t: Tensor) -> Points:
        """Evaluate J at times `(n,)` in [0, 1]: vectors at c, `(*batch, n, d)`; NaN if not reached.

        Raises:
            InvalidParameterError: a time lies outside [0, 1].
        """
        return self.flight.at(t).chunk(2, -1)[1]

    def derivative(self, t: Tensor) -> Points:
        """Evaluate the covariant derivative J' at times `(n,)`: vectors at c, `(*batch, n, d)`."""
        c, J = self.flight.at(t).chunk(2, -1)
        velocity, change = self.flight.velocity(t).chunk(2, -1)
        return change + connection_term(self.metric, c, velocity, J)


def jacobi_field(
    metric: Metric,
    point: Any,
    tangent_vector: Any,
    field: Any,
    derivative: Any,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> JacobiField:
    r"""Solve for the Jacobi fields with J(0) and J'(0) given, along the geodesics from a with v.

    Solved together with the geodesic, of which it is the derivative. With J(0) = 0 it is that of
    exp: J(1) = d exp(a, v) J'(0). On a surface of curvature K its part across the geodesic, of unit
    speed, solves J'' + K J = 0.

    Args:
        metric: the Riemannian metric.
        point: start points a, shape `(*batch, d)`.
        tangent_vector: initial velocities v, shape `(*batch, d)`.
        field: J(0), shape `(*batch, d)`.
        derivative: J'(0), the covariant derivative by t, shape `(*batch, d)`.
        rtol: the accuracy of the integration, see `shoot`.
        atol: likewise.

    Returns:
        The fields, with a status for each.

    Raises:
        InvalidDataError: points or vectors are not finite, or of shapes that do not fit.
        InvalidParameterError: `rtol` or `atol` is out of range.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 5.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> J = jacobi_field(PullbackMetric(lambda z: z), [0.0], [1.0], [2.0], [3.0])
        >>> J.at(torch.tensor([0.0, 0.5, 1.0])).flatten().round(decimals=9).tolist()
        [2.0, 3.5, 5.0]
    """
    check_number("rtol", rtol, 0, open_low=True)
    check_number("atol", atol, 0)
    z, v, J, change = broadcast_points(
        metric, point=point, tangent_vector=tangent_vector, field=field, derivative=derivative
    )
    with torch.no_grad():
        change = change - connection_term(metric, z, v, J)
    known = change.isfinite().all(-1, keepdim=True)  # else the status says what is wrong there
    start, velocity = torch.cat([z, J], -1), torch.cat([v, torch.where(known, change, 0)], -1)
    flight = shoot(JacobiLift(metric, z.shape[-1]), start, velocity, rtol=rtol, atol=atol)
    return JacobiField(metric, flight)


class JacobiLift(Metric):
    """The space of points c and vectors J_1, ..., J_k at them, whose geodesics are Jacobi fields.

    Its geodesic equation is that of a metric together with its derivative: the complete lift. It
    measures only how c moves.

    Args:
        metric: the metric of c.
        dim: the dimension d of c; the lift is asked at points (c, J_1, ..., J_k) of (1 + k) d.

    Source:
        Yano and Ishihara, Tangent and Cotangent Bundles (1973), chapter I.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> lift = JacobiLift(PullbackMetric(lambda z: 2 * z), 1)
        >>> lift.norm(torch.zeros(3), torch.ones(3)).item()
        2.0
    """

    def __init__(self, metric: Metric, dim: int) -> None:
        super().__init__()
        self._base, self._d = metric, dim

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Repeat M(c) for each vector, shape `(*batch, (1 + k) d, (1 + k) d)`."""
        M = self._base.metric_matrix(z[..., : self._d])
        eye = torch.eye(z.shape[-1] // self._d, dtype=z.dtype, device=z.device)
        blocks = eye[:, None, :, None] * M[..., None, :, None, :]
        return blocks.flatten(-4, -3).flatten(-2)

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute that of the velocities of c, shape `(*batch,)`."""
        return self._base.inner_product(*(x[..., : self._d] for x in (z, u, v)))

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute that of the velocity of c, shape `(*batch,)`."""
        return self._base.norm(z[..., : self._d], v[..., : self._d])

    def contains(self, z: Latent) -> Mask:
        """Say where c lies where the metric is defined, shape `(*batch,)`."""
        return self._base.contains(z[..., : self._d])

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Compute c'', and its change as (c, c') changes by each (J, J'), `(*batch, (1 + k) d)`."""
        (c, *J), (w, *change) = (x.split(self._d, -1) for x in (z, v))
        y = torch.cat([c, w], -1)
        ways = torch.cat([torch.stack(J, -1), torch.stack(change, -1)], -2)

        def moved(s: Tensor) -> Tensor:
            here = y + (ways @ s.unsqueeze(-1)).squeeze(-1)
            return self._base.acceleration(*here.chunk(2, -1))

        value, columns = jacobian(moved, torch.zeros_like(ways[..., 0, :]))
        return torch.cat([value, columns.mT.flatten(-2)], -1)


def connection_term(metric: Metric, z: Latent, velocity: Tangent, field: Tangent) -> Tangent:
    """Compute Gamma(c', J), by which a covariant derivative differs from that of coordinates.

    Args:
        metric: the Riemannian metric.
        z: c, shape `(*batch, d)`.
        velocity: c', shape `(*batch, d)`.
        field: J, shape `(*batch, d)`.

    Returns:
        Vectors, shape `(*batch, d)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> right = torch.tensor([1.0, 0.0])
        >>> connection_term(HalfPlane(), torch.tensor([0.0, 2.0]), right, right)[1].item()  # 1 / y
        0.5
    """
    _, change = jvp(lambda w: metric.acceleration(z, w), velocity, field)
    return -change / 2


def broadcast_points(metric: Metric, **points: Any) -> list[Tensor]:
    """Return points and vectors that belong to them in one shape `(*batch, d)`, or raise.

    Raises:
        InvalidDataError: they are not finite, or of shapes that do not fit.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z, v = broadcast_points(HalfPlane(), point=[[0, 1], [0, 2]], tangent_vector=[1, 0])
        >>> v.tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    checked: list[Tensor] = []
    for name, value in points.items():
        dim = checked[0].shape[-1] if checked else metric.dim
        found = check_points(name, value, dim).detach()
        checked.append(found.to(checked[0]) if checked else found)
    try:
        return list(torch.broadcast_tensors(*checked))
    except RuntimeError as error:
        shapes = ", ".join(
            f"`{name}` {tuple(x.shape)}" for name, x in zip(points, checked, strict=True)
        )
        raise InvalidDataError(
            f"Points and their vectors must have shapes that broadcast, but got {shapes}. Give one "
            "vector for each point, or one point."
        ) from error
