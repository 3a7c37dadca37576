"""The initial value problem: geodesics from given points with given velocities."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import InvalidDataError, check_integer, check_number, check_points
from pullback.geodesics.base import Status, select
from pullback.geodesics.initial_value.flow import geodesic_flow
from pullback.geodesics.initial_value.runge_kutta import (
    N_EVALUATIONS,
    ORDER,
    Stages,
    runge_kutta_step,
)
from pullback.geodesics.initial_value.trajectory import Trajectory
from pullback.geodesics.tally import note
from pullback.metrics import Metric
from pullback.shapes import Latent, Tangent

__all__ = ["follow", "shoot"]

# How the next step of the integrator follows from the error of the last one: 0.9 of the step that
# would have just met the tolerance, but at least a fifth and at most five times the last step. The
# values of textbooks (Hairer, Norsett and Wanner, section II.4).
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0
# The longest step, in units of the whole geodesic's time of 1. A longer one could jump over a thin
# wall of the metric that none of its stages meets.
_LONGEST = 0.25
# The shortest step, in the same unit. Where the tolerance asks for a still shorter one the curve
# cannot be followed: it has come to a point where the metric is singular or not finite.
_SHORTEST = 1e-8
# Tolerances are raised to this many units of rounding: what is asked for below that is lost in the
# rounding of the right side, and the steps would shrink without end.
_ATTAINABLE = 100


def shoot(
    metric: Metric,
    point: Any,
    tangent_vector: Any,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    max_steps: int = 1000,
    throw: bool = False,
) -> Trajectory:
    r"""Follow the geodesics that leave points a with velocities v, thousands at once.

    Solves c'' = acceleration(c, c') with c(0) = a, c'(0) = v for t in [0, 1], so that c(1) is
    exp(a, v). Each curve has its own steps, by a Runge-Kutta method of order 8: the local error of
    (c, c') is held below rtol |c'| + atol |v|, in the norm of the coordinates, which no shift,
    rotation or scale of them changes. That the speed stays constant is checked, not used.

    Args:
        metric: the Riemannian metric.
        point: start points a, shape `(*batch, d)`: a tensor, an array or nested sequences.
        tangent_vector: initial velocities v, shape `(*batch, d)`; broadcast against a.
        rtol: the error of a step relative to the velocity; what single or double precision cannot
            attain is raised to what it can, 100 units of its rounding.
        atol: the error of a step relative to the initial velocity.
        max_steps: the most steps for one curve, those that had to be repeated included.
        throw: raise if a curve cannot be followed to t = 1, rather than say so in the result.

    Returns:
        The curves, as far as they could be followed, with a status for each.

    Raises:
        InvalidDataError: points or vectors are not finite, or of shapes that do not fit.
        InvalidParameterError: `rtol`, `atol` or `max_steps` is out of range.
        ConvergenceError: `throw` is true and a curve could not be followed to t = 1.

    Source:
        Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), section II.4.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> sideways = shoot(HalfPlane(), [0.0, 1.0], [1.0, 0.0])  # along a half-circle
        >>> sideways.end.round(decimals=4).tolist(), sideways.end.norm().round(decimals=8).item()
        ([0.7616, 0.6481], 1.0)
    """
    rtol = check_number("rtol", rtol, 0, open_low=True)
    atol = check_number("atol", atol, 0)
    check_integer("max_steps", max_steps)
    z, v = _check_start(metric, point, tangent_vector)
    flat_z, flat_v = (x.reshape(-1, x.shape[-1]) for x in (z, v))
    note(shot=len(flat_z))
    trajectory = follow(metric, flat_z, flat_v, rtol=rtol, atol=atol, max_steps=max_steps)
    trajectory = trajectory.with_batch_shape(*z.shape[:-1])
    return trajectory.raise_if_failed() if throw else trajectory


@torch.no_grad()
def follow(
    metric: Metric, z: Latent, v: Tangent, *, rtol: float, atol: float, max_steps: int = 1000
) -> Trajectory:
    """Follow geodesics as `shoot` does, without its checks: what is not finite gets that status.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> z, v = torch.zeros(1, 2), torch.full((1, 2), torch.nan)
        >>> path = follow(PullbackMetric(lambda z: z), z, v, rtol=1e-6, atol=1e-8)
        >>> Status(path.status.item()).name
        'NOT_FINITE'
    """
    rtol = max(rtol, _ATTAINABLE * torch.finfo(z.dtype).eps)
    return _Integration(metric, rtol, atol).run(z, v, max_steps)


class _Flight(NamedTuple):
    """Where each curve stands: a state, as solvers have it."""

    n_steps: Tensor
    t: Tensor
    y: Tensor  # c and c', side by side
    # The derivative of y by t, from the geodesic equation.
    slope: Tensor
    h: Tensor  # the next step
    # Whether the last step was refused, so that it is taken again with a shorter h.
    repeats: Tensor
    # |c'(0)| in the metric, which a geodesic keeps.
    speed: Tensor
    # |c'(0)| in the coordinates.
    size: Tensor
    variation: Tensor
    n_evaluations: Tensor
    status: Tensor


class _Integration(NamedTuple):
    """The data and the hyper-parameters of one call."""

    metric: Metric
    rtol: float
    atol: float

    def run(self, z: Tensor, v: Tensor, max_steps: int) -> Trajectory:
        flight = self._begin(z, v)
        every = torch.arange(len(z), device=z.device)
        knots = [(every, *(part.clone() for part in flight[:4]))]
        for _ in range(max_steps):
            active = (flight.status == Status.RUNNING).nonzero().squeeze(-1)
            if len(active) == 0:
                break
            tried = self._advance(select(flight, active))
            moved = tried.n_steps > flight.n_steps[active]
            knots.append(tuple(part[moved] for part in (active, *tried[:4])))
            for whole, part in zip(flight, tried, strict=True):
                whole[active] = part
        flight.status[flight.status == Status.RUNNING] = Status.MAX_STEPS
        return self._assemble(flight, knots)

    def _begin(self, z: Tensor, v: Tensor) -> _Flight:
        y = torch.cat([z, v], -1)
        slope = geodesic_flow(self.metric)(y)
        size = v.norm(dim=-1)
        count = torch.zeros(len(z), dtype=torch.long, device=z.device)
        usable = self._is_usable(y.unsqueeze(0), slope.unsqueeze(0))
        status = torch.where(usable, int(Status.RUNNING), count)
        status[~usable] = self._why_not(y[~usable].unsqueeze(0))
        # Turning at the rate |c''| / |c'|, a step of this length makes about the allowed error.
        rate = slope.chunk(2, -1)[1].norm(dim=-1) / size
        h = self.rtol ** (1 / ORDER) / torch.where(rate > 1, rate, 1)
        return _Flight(
            n_steps=count,
            t=torch.zeros_like(size),
            y=y,
            slope=slope,
            h=h.clamp(max=_LONGEST),
            repeats=torch.zeros_like(usable),
            speed=self.metric.norm(z, v),
            size=size,
            variation=torch.zeros_like(size),
            n_evaluations=count + 1,
            status=status,
        )

    def _advance(self, now: _Flight) -> _Flight:
        """Try one step on every curve, and keep it where it is good."""
        left = 1 - now.t
        n_left = (left / now.h).ceil()
        h = left / n_left  # so that the last step is no shorter than those before
        stages = runge_kutta_step(geodesic_flow(self.metric), now.y, now.slope, h)
        error = self._relative_error(now, stages, h)
        usable = self._is_usable(stages.states, stages.slopes) & error.isfinite()
        good = usable & (error <= 1)
        variation = torch.where(good, self._speed_variation(now, stages.end), 0)
        moved = good & (variation <= self.rtol**0.5)
        arrived = moved & (n_left == 1)
        next_h = _next_step(h, error, usable, now.repeats)
        status = torch.where(arrived, int(Status.CONVERGED), now.status)
        status = torch.where(good & ~moved, int(Status.SPEED_CHANGED), status)
        stuck = ~good & (next_h < max(_SHORTEST, 10 * torch.finfo(h.dtype).eps))
        if bool(stuck.any()):
            here = select(now._replace(h=next_h), stuck)
            status[stuck] = self._why_stuck(here, stages.states[:, stuck], usable[stuck])
        return now._replace(
            n_steps=now.n_steps + moved,
            t=torch.where(arrived, 1, torch.where(moved, now.t + h, now.t)),
            y=torch.where(moved.unsqueeze(-1), stages.end, now.y),
            slope=torch.where(moved.unsqueeze(-1), stages.slope, now.slope),
            h=next_h,
            repeats=~good,
            variation=torch.maximum(variation, now.variation),
            n_evaluations=now.n_evaluations + N_EVALUATIONS,
            status=status,
        )

    def _relative_error(self, now: _Flight, stages: Stages, h: Tensor) -> Tensor:
        """Compare the error of the step with what is allowed: NaN where it is not finite."""
        size = torch.maximum(*(y.chunk(2, -1)[1].norm(dim=-1) for y in (now.y, stages.end)))
        allowed = self.rtol * size + self.atol * now.size
        error = stages.error(h)
        return torch.where(error > 0, error / allowed, error)

    def _speed_variation(self, now: _Flight, y: Tensor) -> Tensor:
        change = (self.metric.norm(*y.chunk(2, -1)) - now.speed).abs()
        return torch.where(change > 0, change / now.speed, change)

    def _is_usable(self, states: Tensor, slopes: Tensor) -> Tensor:
        """Mark the curves of which all states `(k, batch, p)` lie where the metric is defined."""
        inside = self.metric.contains(states.chunk(2, -1)[0])
        return (inside & states.isfinite().all(-1) & slopes.isfinite().all(-1)).all(0)

    def _why_not(self, states: Tensor) -> Tensor:
        """Say why states `(k, batch, p)` are not usable, by what the metric is there."""
        z = states.chunk(2, -1)[0]
        # A state that is not finite says nothing of the metric.
        asked = states.isfinite().all(-1)
        outside = asked & ~self.metric.contains(z)
        M = self.metric.metric_matrix(z)
        singular = asked & M.isfinite().all(-1).all(-1) & ~linalg.cholesky(M)[1]
        reason = torch.where(singular.any(0), int(Status.DEGENERATE), int(Status.NOT_FINITE))
        return torch.where(outside.any(0), int(Status.LEFT_DOMAIN), reason)

    def _why_stuck(self, now: _Flight, states: Tensor, usable: Tensor) -> Tensor:
        """Say why no step is short enough: from a state, through others `(k, batch, p)`."""
        z, v = now.y.chunk(2, -1)
        M = self.metric.metric_matrix(z)
        floor = torch.finfo(z.dtype).eps ** (1 / 3) * M.diagonal(dim1=-2, dim2=-1).amax(-1)
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        _, regular = linalg.cholesky(M - floor[..., None, None] * eye)
        why = torch.where(regular, int(Status.STALLED), int(Status.DEGENERATE))
        why = torch.where(usable, why, self._why_not(states))
        # The curve runs off to infinity if the shortest step would take it further, in the
        # coordinates, than its first velocity would in the whole time of 1.
        escapes = v.norm(dim=-1) * now.h > now.size
        return torch.where(escapes, int(Status.LEFT_DOMAIN), why)

    def _assemble(self, flight: _Flight, knots: list[tuple[Tensor, ...]]) -> Trajectory:
        """Put the knots, (curve, step, t, y, slope) of some curves, in one row for each curve."""
        curve, step, t, y, slope = (torch.cat(parts) for parts in zip(*knots, strict=True))
        n_rows = int(flight.n_steps.max()) + 1 if len(flight.t) > 0 else 1
        times = t.new_full((len(flight.t), n_rows), torch.inf)
        states = y.new_full((*times.shape, y.shape[-1]), torch.nan)
        slopes = torch.full_like(states, torch.nan)
        times[curve, step], states[curve, step], slopes[curve, step] = t, y, slope
        (z, v), (_, a) = (parts.chunk(2, -1) for parts in (states, slopes))
        return Trajectory(
            metric=self.metric,
            times=times,
            knots=z,
            velocities=v,
            accelerations=a,
            reached=flight.t,
            speed_variation=flight.variation,
            n_steps=flight.n_steps,
            n_evaluations=flight.n_evaluations,
            status=flight.status,
        )


def _next_step(h: Tensor, error: Tensor, usable: Tensor, repeats: Tensor) -> Tensor:
    """Choose the next step by the relative error of the last, of which the order is known."""
    factor = (_SAFETY * error ** (-1 / ORDER)).clamp(_SHRINK, _GROW)
    factor = torch.where(usable, factor, _SHRINK)
    factor = torch.where(repeats, factor.clamp(max=1), factor)
    return (h * factor).clamp(max=_LONGEST)


def _check_start(metric: Metric, point: Any, tangent_vector: Any) -> tuple[Tensor, Tensor]:
    z = check_points("point", point, metric.dim)
    v = check_points("tangent_vector", tangent_vector, z.shape[-1]).to(z)
    try:
        z, v = torch.broadcast_tensors(z, v)
    except RuntimeError as error:
        raise InvalidDataError(
            f"`point` and `tangent_vector` must have shapes that broadcast, but got "
            f"{tuple(z.shape)} and {tuple(v.shape)}. Give one vector for each point, or one point."
        ) from error
    return z, v
