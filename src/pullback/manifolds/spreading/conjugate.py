"""Conjugate points: where neighbouring geodesics from one point meet again."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import jacobian
from pullback.display import as_html, as_line
from pullback.geodesics import Status, Trajectory, shoot
from pullback.geodesics.initial_value.flow import geodesic_flow
from pullback.geodesics.initial_value.runge_kutta import runge_kutta_step
from pullback.manifolds.spreading.jacobi import JacobiLift, broadcast_points
from pullback.metrics import Metric
from pullback.shapes import Mask, Scalars, StatusCodes

__all__ = ["ConjugatePoints", "conjugate_points"]

# The most steps of the search for a zero. The regula falsi of Illinois gains digits faster than
# halving, by which 40 steps would reach 1e-12.
_MOST = 40
# The search ends where the function, which is 1 at the start of the interval, is at most this.
_PRECISION = 1e-8


class ConjugatePoints(NamedTuple):
    """The first conjugate points along geodesics.

    Attributes:
        distance: their distances along the geodesics, shape `(*batch,)`: infinite where there is
            none as far as the geodesic was followed.
        followed: how far the geodesics were followed, shape `(*batch,)`.
        status: `Status` codes: converged where a conjugate point was found, or the whole geodesic
            is free of them, shape `(*batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> found = conjugate_points(PullbackMetric(lambda z: z), [0.0, 0.0], [3.0, 4.0])
        >>> found.distance.item(), found.followed.item()
        (inf, 5.0)
    """

    distance: Scalars
    followed: Scalars
    status: StatusCodes

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def found(self) -> Mask:
        """Which geodesics have one, shape `(*batch,)`."""
        return self.distance.isfinite()


def conjugate_points(
    metric: Metric, point: Any, tangent_vector: Any, *, rtol: float = 1e-8, max_steps: int = 1000
) -> ConjugatePoints:
    r"""Find the first conjugate point along each geodesic exp(a, t v), 0 < t <= 1.

    There d exp is singular: a Jacobi field that is zero at the start is zero again, and beyond it
    no geodesic is the shortest way. With S = J' J^-1 of the fields that are zero at the start, and
    J(s) = A(s) J + B(s) J' over a step of length s, the step holds as many conjugate points as the
    symmetric matrix B^-1 A + S has negative eigenvalues: none is missed in any dimension, nor
    where fields grow by many orders of magnitude.

    Args:
        metric: the Riemannian metric.
        point: a, shape `(*batch, d)`.
        tangent_vector: v, shape `(*batch, d)`: the search goes as far as it is long.
        rtol: the accuracy of the integration, see `shoot`.
        max_steps: the most steps along one geodesic.

    Returns:
        The distances, with a status for each.

    Raises:
        InvalidDataError: points or vectors are not finite, or of shapes that do not fit.

    Source:
        do Carmo, Riemannian Geometry (1992), chapters 5 and 11.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> from pullback.metrics import PullbackMetric
        >>> a, v = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 4.0]).double()
        >>> found = conjugate_points(PullbackMetric(stereographic), a, v)
        >>> round(found.distance.item(), 6)  # pi
        3.141593
    """
    z, v = broadcast_points(metric, point=point, tangent_vector=tangent_vector)
    batch, d = z.shape[:-1], z.shape[-1]
    flight = _fields(metric, z.reshape(-1, d), v.reshape(-1, d), rtol, max_steps)
    y = torch.cat([flight.knots[..., :d], flight.velocities[..., :d]], -1)
    with torch.no_grad():
        time = _first_time(metric, y, flight.times.diff(dim=-1), flight.n_steps)
        time = torch.where(time.isfinite(), time, torch.inf)
        speed = metric.norm(*y[:, 0].chunk(2, -1))
    status = torch.where(time.isfinite(), int(Status.CONVERGED), flight.status)
    distance = torch.where(time.isfinite(), time * speed, torch.inf)
    parts = (distance, flight.reached * speed, status)
    return ConjugatePoints(*(part.reshape(batch) for part in parts))


def _fields(metric: Metric, z: Tensor, v: Tensor, rtol: float, max_steps: int) -> Trajectory:
    """Follow geodesics with all the fields that are zero at the start, so that steps suit them."""
    d = z.shape[-1]
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    ways = (v.norm(dim=-1)[..., None, None] * eye).flatten(-2)
    begin, velocity = torch.cat([z, torch.zeros_like(ways)], -1), torch.cat([v, ways], -1)
    lift = JacobiLift(metric, d)
    return shoot(lift, begin, velocity, rtol=rtol, atol=rtol / 100, max_steps=max_steps)


def _first_time(metric: Metric, y: Tensor, h: Tensor, n_steps: Tensor) -> Tensor:
    """Find the time of the first conjugate point: infinite if there is none.

    Args:
        metric: the Riemannian metric.
        y: the geodesics (c, c') at their knots, shape `(batch, K, 2 d)`.
        h: the steps between, shape `(batch, K - 1)`.
        n_steps: how many of them there are, shape `(batch,)`.
    """
    known = torch.arange(h.shape[1], device=h.device) < n_steps.unsqueeze(-1)
    d = y.shape[-1] // 2
    steps = y.new_full((*h.shape, 2 * d, 2 * d), torch.nan)
    steps[known] = _propagators(metric, y[:, :-1][known], h[known])
    S = y.new_zeros(len(y), d, d)
    # The step in which the first conjugate point lies (0 if none was found), and S at its
    # beginning.
    step_of, S_of = torch.zeros_like(n_steps), S.clone()
    for k in range(steps.shape[1]):
        A, B, C, D = _blocks(steps[:, k])
        # The Jacobi fields are 0 at the start, which is no conjugate point, and the first step is
        # too short to hold one.
        if k == 0:
            S = torch.linalg.solve_ex(B, D, left=False)[0]
            continue
        hit = known[:, k] & (step_of == 0) & (_lowest(A, B, S) <= 0)
        step_of, S_of = torch.where(hit, k, step_of), torch.where(hit[:, None, None], S, S_of)
        S = torch.linalg.solve_ex(A + B @ S, C + D @ S, left=False)[0]
    time = y.new_full((len(y),), torch.inf)
    row = step_of.nonzero().squeeze(-1)
    if len(row) > 0:
        step = step_of[row]
        begin = (h.cumsum(-1) - h)[row, step]
        time[row] = begin + _zero(metric, y[row, step], h[row, step], S_of[row])
    return time


def _propagators(metric: Metric, y: Tensor, h: Tensor) -> Tensor:
    """Compute what takes (J, J') over steps of the geodesics, in orthonormal frames at both ends.

    Args:
        metric: the Riemannian metric.
        y: (c, c') at the start of the steps, shape `(n, 2 d)`.
        h: the steps, shape `(n,)`.

    Returns:
        Matrices, shape `(n, 2 d, 2 d)`.
    """
    flow = geodesic_flow(metric)
    end, matrix = jacobian(lambda y: runge_kutta_step(flow, y, flow(y), h).end, y)
    into, out = _covariant(metric, end), _covariant(metric, y)
    turned: Tensor = torch.linalg.solve_ex(out, into @ matrix, left=False)[0]
    return turned


def _covariant(metric: Metric, y: Tensor) -> Tensor:
    """Compute what takes (J, dJ/dt) in coordinates to (J, J') in an orthonormal frame."""
    z, w = y.chunk(2, -1)
    half = jacobian(lambda w: metric.acceleration(z, w), w)[1] / 2
    frame = linalg.cholesky(metric.metric_matrix(z))[0].mT
    top = torch.cat([frame, torch.zeros_like(frame)], -1)
    return torch.cat([top, torch.cat([-frame @ half, frame], -1)], -2)


def _blocks(step: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (A, B), (C, D) = (rows.chunk(2, -1) for rows in step.chunk(2, -2))
    return A, B, C, D


def _lowest(A: Tensor, B: Tensor, S: Tensor) -> Tensor:
    """Compute the lowest eigenvalue of B^-1 A + S: NaN where that is not finite."""
    H = torch.linalg.solve_ex(B, A)[0] + S
    finite = H.isfinite().flatten(-2).all(-1)
    H = torch.where(finite[..., None, None], (H + H.mT) / 2, 0)
    return torch.where(finite, torch.linalg.eigvalsh(H)[..., 0], torch.nan)


def _zero(metric: Metric, y: Tensor, h: Tensor, S: Tensor) -> Tensor:
    """Find s in (0, h] where s times the lowest eigenvalue, which is 1 at 0, is 0.

    By the regula falsi of Illinois: on a straight line it would hit at once.
    """
    low, high = torch.zeros_like(h), h
    at_low, at_high = torch.ones_like(h), h * _value(metric, y, h, S)
    side = torch.zeros_like(h)
    for _ in range(_MOST):
        s = low + (high - low) * at_low / (at_low - at_high)
        value = s * _value(metric, y, s, S)
        above, before = value > 0, side
        side = torch.where(above, 1.0, -1.0).to(h)
        kept = torch.where(side == before, 0.5, 1.0).to(h)  # an end kept twice counts half
        at_high = torch.where(above, at_high * kept, value)
        at_low = torch.where(above, value, at_low * kept)
        low, high = torch.where(above, s, low), torch.where(above, high, s)
        if bool((value.abs() <= _PRECISION).all()):
            break
    return low + (high - low) * at_low / (at_low - at_high)


def _value(metric: Metric, y: Tensor, s: Tensor, S: Tensor) -> Tensor:
    A, B, _, _ = _blocks(_propagators(metric, y, s))
    return _lowest(A, B, S)
