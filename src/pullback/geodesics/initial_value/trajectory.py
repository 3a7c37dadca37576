"""The answer of an initial value problem: geodesics that were followed from their start."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import jacobian, jvp
from pullback.display import as_html, as_line
from pullback.errors import (
    ConvergenceError,
    InvalidParameterError,
    check_integer,
    check_number,
)
from pullback.geodesics.base import Status
from pullback.geodesics.batch import Batch
from pullback.geodesics.initial_value.flow import geodesic_flow
from pullback.geodesics.initial_value.hermite import hermite, shifted
from pullback.geodesics.initial_value.runge_kutta import runge_kutta_step
from pullback.metrics import Metric
from pullback.shapes import Latent, Mask, MetricMatrix, Points, Scalars, Tangent

__all__ = ["Trajectory"]


@dataclass(frozen=True, eq=False)
class Trajectory(Batch):
    """Geodesics c: [0, 1] -> R^d from given points with given velocities.

    Each is known at the ends of its own steps, the knots, and between them by the polynomial of
    degree 7 that has its position, velocity, acceleration and third derivative at both: its error
    falls with the eighth power of the step, as that of the integration does. A trajectory that
    could not be followed to t = 1 is NaN after the time it reached. `print(trajectory)` shows a
    summary.

    Attributes:
        metric: the Riemannian metric.
        times: t at the knots, increasing, shape `(*batch, K)`; infinite where there are fewer.
        knots: c, shape `(*batch, K, d)`; this and what follows are NaN where there are fewer.
        velocities: c', shape `(*batch, K, d)`.
        accelerations: c'', shape `(*batch, K, d)`.
        reached: the time t up to which the curve was followed, 1 if it converged, `(*batch,)`.
        speed_variation: the largest relative deviation of |c'| from its start, shape `(*batch,)`.
        n_steps: steps that were kept, shape `(*batch,)`.
        n_evaluations: evaluations of the acceleration, shape `(*batch,)`.
        status: `Status` codes, shape `(*batch,)`.

    Example:
        >>> import math
        >>> from pullback.geodesics import shoot
        >>> from pullback.manifolds.reference import HalfPlane
        >>> up = shoot(HalfPlane(), [0.0, 1.0], [0.0, math.log(4)])
        >>> up.at(torch.tensor([0.5, 1.0])).round(decimals=6).tolist()
        [[0.0, 2.0], [0.0, 4.0]]
    """

    metric: Metric
    times: Tensor
    knots: Points
    velocities: Points
    accelerations: Points
    reached: Scalars
    speed_variation: Scalars
    n_steps: Tensor
    n_evaluations: Tensor
    status: Tensor

    @property
    def converged(self) -> Mask:
        """Which trajectories were followed to t = 1, shape `(*batch,)`."""
        return self.status == Status.CONVERGED

    @property
    def start(self) -> Latent:
        """The points c(0), shape `(*batch, d)`."""
        return self.knots[..., 0, :]

    @property
    def end(self) -> Latent:
        """The points c(1), exp of the initial velocity, shape `(*batch, d)`: NaN if not reached."""
        return self._last(self.knots)

    @property
    def end_velocity(self) -> Tangent:
        """The velocities c'(1), shape `(*batch, d)`: NaN if not reached."""
        return self._last(self.velocities)

    def at(self, t: Tensor) -> Points:
        """Evaluate c(t).

        Args:
            t: times in [0, 1], shape `(n,)`.

        Returns:
            Points, shape `(*batch, n, d)`: NaN after the time that was reached.

        Raises:
            InvalidParameterError: a time lies outside [0, 1].
        """
        s, h, ends = self._between(t)
        # Differences to the nearer end are interpolated, so that the ends themselves, and a curve
        # that stays at one point, are not rounded.
        nearer = torch.where(s < 0.5, ends[..., 0, 0, :], ends[..., 1, 0, :])
        bend = hermite(s, h, shifted(ends, nearer))
        return self._reaching(t, nearer + torch.where(h == 0, 0, bend))

    def velocity(self, t: Tensor) -> Points:
        """Evaluate c'(t) at times t of shape `(n,)`: tangent vectors `(*batch, n, d)`, see `at`."""
        s, h, ends = self._between(t)
        ends = shifted(ends, ends[..., 0, 0, :])
        _, slope = jvp(lambda s: hermite(s, h, ends), s, torch.ones_like(s))
        return self._reaching(t, torch.where(h == 0, ends[..., 0, 1, :], slope / h))

    def points(self, n: int) -> Points:
        """Evaluate the curves at n equally spaced times, ends included: shape `(*batch, n, d)`."""
        check_integer("n", n, low=2)
        return self.at(torch.linspace(0, 1, n, dtype=self.times.dtype, device=self.times.device))

    def differential(self) -> MetricMatrix:
        """Differentiate the end points by the initial velocities: d exp(a, v) / dv.

        The columns are the Jacobi fields J(1) with J(0) = 0 and J'(0) a unit vector. They solve the
        variational equation, by the steps of the trajectory itself: the exact derivative of the
        computed end point, all d directions at once.

        Returns:
            Matrices, shape `(*batch, d, d)`: NaN if t = 1 was not reached, singular if the end is
            conjugate to the start.

        Source:
            Stoer and Bulirsch, Introduction to Numerical Analysis (2002), section 7.3.

        Example:
            >>> from pullback.geodesics import shoot
            >>> from pullback.metrics import PullbackMetric
            >>> flat = shoot(PullbackMetric(lambda z: 2 * z), [0.0, 0.0], [1.0, 1.0])
            >>> flat.differential().round(decimals=9).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        d = self.knots.shape[-1]
        flat = self.with_batch_shape(self.status.numel())
        result = flat.knots.new_full((len(flat.status), d, d), torch.nan)
        order = flat.n_steps.argsort(descending=True)
        order = order[flat.converged[order]]
        with torch.no_grad():
            result[order] = flat.where(order)._differential()
        return result.reshape(*self.status.shape, d, d)

    def _differential(self) -> Tensor:
        """As above, for trajectories that all converged, those with most steps first."""
        d = self.knots.shape[-1]
        return jacobian(lambda v: self.replay(self.start, v)[:, :d], self.velocities[:, 0])[1]

    def quotients(self, step: float, *, by_start: bool = False) -> MetricMatrix:
        """Approximate `differential` by quotients of differences: (exp(a, v + h e_i) - c(1)) / h.

        For who needs no more than a few digits, at a fraction of the price: all geodesics are
        followed at once, without derivatives of the metric's derivatives.

        Args:
            step: h > 0, relative to |v| in the coordinates.
            by_start: differentiate (c(1), c'(1)) by (a, v), rather than c(1) by v alone.

        Returns:
            Matrices, shape `(*batch, d, d)`, or `(*batch, 2 d, 2 d)`: NaN if t = 1 was not reached.

        Raises:
            InvalidParameterError: `step` is not positive.

        Example:
            >>> from pullback.geodesics import shoot
            >>> from pullback.metrics import PullbackMetric
            >>> flat = shoot(PullbackMetric(lambda z: 2 * z), [0.0, 0.0], [1.0, 1.0])
            >>> flat.quotients(1e-6).round(decimals=6).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        check_number("step", step, 0, open_low=True)
        d = self.knots.shape[-1]
        flat = self.with_batch_shape(self.status.numel())
        axes = torch.eye(2 * d).to(self.knots)[0 if by_start else d :]
        k, rows = len(axes), slice(None) if by_start else slice(d)
        result = flat.knots.new_full((len(flat.status), k, k), torch.nan)
        order = flat.n_steps.argsort(descending=True)
        order = order[flat.converged[order]]
        with torch.no_grad():
            chosen = flat.where(order.repeat_interleave(k + 1))
            y = torch.cat([chosen.start, chosen.velocities[:, 0]], -1)
            h = step * y[:, d:].norm(dim=-1, keepdim=True)
            moves = torch.cat([torch.zeros_like(axes[:1]), axes]).repeat(len(order), 1)
            ends = chosen.replay(*(y + h * moves).chunk(2, -1)).reshape(-1, k + 1, 2 * d)
            h = h.reshape(-1, k + 1, 1)[:, 1:]
            result[order] = ((ends[:, 1:] - ends[:, :1]) / h).mT[:, rows]
        return result.reshape(*self.status.shape, k, k)

    def replay(self, start: Latent, velocity: Tangent) -> Tensor:
        """Follow geodesics from other starts by the steps of these: a smooth function of the start.

        Args:
            start: points a, shape `(n, d)`, for n trajectories that all reached t = 1, those with
                most steps first.
            velocity: velocities v there, shape `(n, d)`.

        Returns:
            c(1) and c'(1), side by side, shape `(n, 2 d)`.

        Example:
            >>> from pullback.geodesics import shoot
            >>> from pullback.metrics import PullbackMetric
            >>> z, v = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
            >>> path = shoot(PullbackMetric(lambda z: 2 * z), z, v)
            >>> path.replay(z + 1, v).round(decimals=9).tolist()
            [[2.0, 2.0, 1.0, 1.0]]
        """
        flow = geodesic_flow(self.metric)
        steps = self.times.diff(dim=-1)
        n_steps = int(self.n_steps.max()) if len(self.n_steps) > 0 else 0
        y = torch.cat([start, velocity], -1)
        slope = flow(y)
        for k in range(n_steps):
            n = int((self.n_steps > k).sum())
            stages = runge_kutta_step(flow, y[:n], slope[:n], steps[:n, k])
            y, slope = torch.cat([stages.end, y[n:]]), torch.cat([stages.slope, slope[n:]])
        return y

    def where(self, chosen: Tensor) -> "Trajectory":
        """Return some of the trajectories: `chosen` is a mask or indices over the first axis."""
        chosen_values: dict[str, Any] = {k: x[chosen] for k, x in self._tensors().items()}
        return replace(self, **chosen_values)

    def _at(self, places: Tensor) -> "Trajectory":
        return self.with_batch_shape(self.status.numel()).where(places)

    def with_batch_shape(self, *batch: int) -> "Trajectory":
        """Return the same trajectories in a batch of another shape."""
        n = self.status.ndim
        shaped: dict[str, Any] = {
            k: x.reshape((*batch, *x.shape[n:])) for k, x in self._tensors().items()
        }
        return replace(self, **shaped)

    def raise_if_failed(self) -> "Trajectory":
        """Return the trajectory itself if all of it reached t = 1.

        Raises:
            ConvergenceError: some did not; the message says how many, which and why.
        """
        failed = ~self.converged.flatten()
        if bool(failed.any()):
            raise ConvergenceError(
                f"{int(failed.sum())} of {failed.numel()} geodesics could not be followed to their "
                "end: " + "; ".join(self._failures()) + "."
            )
        return self

    __repr__ = as_line
    _repr_html_ = as_html

    def __str__(self) -> str:
        """Say how many reached their end, what it cost, and why others did not."""
        lines = [
            f"{int(self.converged.sum())} of {self.status.numel()} geodesics reached t = 1",
            f"  steps        {_span(self.n_steps)}",
            f"  evaluations  {_span(self.n_evaluations)}",
            f"  speed        varied by {_span(self.speed_variation)}",
        ]
        return "\n".join(lines + [f"  {failure}" for failure in self._failures()])

    def _failures(self) -> list[str]:
        status, reached = self.status.flatten(), self.reached.flatten()
        lines = []
        for code in status.unique().tolist():
            if code != Status.CONVERGED:
                where = (status == code).nonzero().flatten()
                shown = ", ".join(f"{i} at t = {reached[i]:.3g}" for i in where[:10].tolist())
                more = ", ..." if len(where) > 10 else ""
                lines.append(f"{Status(code).message} (geodesic {shown}{more})")
        return lines

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _last(self, values: Tensor) -> Tensor:
        index = self.n_steps[..., None, None].expand(*self.n_steps.shape, 1, values.shape[-1])
        last = values.gather(-2, index).squeeze(-2)
        return torch.where(self.converged.unsqueeze(-1), last, torch.nan)

    def _reaching(self, t: Tensor, values: Tensor) -> Tensor:
        reached = t.to(self.times) <= self.reached.unsqueeze(-1)
        return torch.where(reached.unsqueeze(-1), values, torch.nan)

    def _between(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the knots around each time: where between them, how far apart, what is known there.

        Returns:
            s in [0, 1] and h, 0 where it stopped at once, both `(*batch, n, 1)`, and c and its
            derivatives at both knots, `(*batch, n, 2, 4, d)`.
        """
        if t.ndim != 1 or not bool(((t >= 0) & (t <= 1)).all()):
            raise InvalidParameterError("t", "times in [0, 1] of shape (n,)", t)
        wanted = t.to(self.times).expand(*self.times.shape[:-1], -1).contiguous()
        last = self.n_steps.unsqueeze(-1)
        left = torch.searchsorted(self.times, wanted, right=True) - 1
        left = left.minimum((last - 1).clamp(min=0))
        right = (left + 1).minimum(last)
        begin, end = self.times.gather(-1, left), self.times.gather(-1, right)
        h = end - begin
        s = torch.where(h > 0, (wanted - begin) / h, torch.zeros_like(h)).clamp(0, 1)
        known = self._derivatives
        ends = [
            known.gather(-3, i[..., None, None].expand(*i.shape, *known.shape[-2:]))
            for i in (left, right)
        ]
        return s.unsqueeze(-1), h.unsqueeze(-1), torch.stack(ends, -3)

    @cached_property
    def _derivatives(self) -> Tensor:
        """Stack c and its first three derivatives at the knots, shape `(*batch, K, 4, d)`."""
        known = torch.isfinite(self.times)
        third = torch.full_like(self.knots, torch.nan)
        y = torch.cat([self.knots, self.velocities], -1)
        slope = torch.cat([self.velocities, self.accelerations], -1)
        with torch.no_grad():
            _, bend = jvp(geodesic_flow(self.metric), y[known], slope[known])
        third[known] = bend.chunk(2, -1)[1]
        return torch.stack([self.knots, self.velocities, self.accelerations, third], -2)


def _span(values: Tensor) -> str:
    if values.numel() == 0:
        return "none"
    low, high = (f"{float(x):.3g}" for x in values.aminmax())
    return low if low == high else f"{low} to {high}"
