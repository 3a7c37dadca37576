"""Multiple shooting: a geodesic as short arcs that are followed exactly, and fit together."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import check_integer, check_number
from pullback.geodesics.base import Status
from pullback.geodesics.initial_value.initial_value import follow
from pullback.geodesics.initial_value.trajectory import Trajectory
from pullback.metrics import Metric
from pullback.shapes import Points, Scalars, StatusCodes, Tangent

__all__ = ["fit_arcs", "n_arcs"]

# A change of velocity grows along a whole geodesic as fast as neighbouring ones part, but along a
# sixteenth of it only by the sixteenth root: factors of 1e8 become 3. In many dimensions the linear
# systems, of 2 d unknowns an arc, would cost more than they save, so there are fewer arcs.
_N_ARCS, _FEW_ARCS, _MANY_DIMENSIONS = 16, 4, 8
# The tolerance of a first pass: nearly all of the way is gone at low accuracy, at which integration
# takes a third of the steps.
_ROUGH = 1e-5
# The derivatives of the arcs' ends are computed again where a step leaves more than this share of
# the gaps. Where it leaves less the old ones serve again, at no cost.
_FAST = 0.05
# A Newton step is halved as long as it does not lower the gaps, down to this share of it.
_SMALLEST_STEP = 1 / 8


class _Arcs(NamedTuple):
    """The state of n searches: K arcs each, of which arc i is left at z_i with velocity w_i."""

    states: Tensor  # (z_i, w_i) side by side, shape (n, K, 2 d); w_i for an arc's own time of 1
    gaps: Tensor  # where the arcs end, less where the next begin, shape (n, K, 2 d)
    derivatives: Tensor  # of the arcs' ends by their starts, shape (n, K, 2 d, 2 d)
    miss: Tensor  # the largest gap in units of what is allowed, shape (n,)
    status: Tensor


def fit_arcs(
    metric: Metric,
    points: Points,
    velocities: Points,
    *,
    tol: float = 1e-9,
    max_steps: int = 12,
) -> tuple[Tangent, StatusCodes, Scalars]:
    r"""Polish curves that are nearly geodesics, and return their exact initial velocities.

    The curve is cut into K arcs. Each is followed by the geodesic equation from where it begins,
    and Newton's method moves beginnings and velocities until every arc ends where, and with the
    velocity with which, the next one begins:

        Phi(z_i, w_i) = (z_{i+1}, w_{i+1}),   z_0 = a,   the last arc ends in b.

    That is single shooting, as by `refine_velocity`, without its weakness: no error is carried
    further than an arc. All arcs of all curves are followed at once.

    Args:
        metric: the Riemannian metric.
        points: points at K + 1 equal times of each curve, both ends included,
            shape `(n, K + 1, d)`; `n_arcs(d)` says how large K should be.
        velocities: c' there, for the time of 1 along the whole curve, shape `(n, K + 1, d)`.
        tol: converged when no gap is more than this share of |b - a|, or of the velocity.
        max_steps: the most Newton steps.

    Returns:
        The initial velocities, shape `(n, d)`, how each search ended, `Status` codes `(n,)`, and
        the largest gap in the coordinates, as a share of |b - a|, `(n,)`.

    Raises:
        InvalidParameterError: `tol` or `max_steps` is out of range.

    Source:
        Stoer and Bulirsch, Introduction to Numerical Analysis (2002), section 7.3.5.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> t = torch.linspace(0, 1, 17, dtype=torch.float64)
        >>> points = torch.stack([0 * t, 1 + 3 * t], -1).unsqueeze(0)  # not at constant speed
        >>> velocities = torch.tensor([0.0, 3.0]).double().expand(1, 17, 2)
        >>> fit_arcs(HalfPlane(), points, velocities)[0].round(decimals=6).tolist()  # log 4
        [[0.0, 1.386294]]
    """
    check_number("tol", tol, 0, open_low=True)
    check_integer("max_steps", max_steps)
    with torch.no_grad():
        problem = _Problem(metric, points[:, 0], points[:, -1], tol)
        k = points.shape[1] - 1
        states = torch.cat([points, velocities / k], -1)[:, :-1]
        if tol < _ROUGH:
            states = problem._replace(tol=_ROUGH).solve(states, max_steps).states
        arcs = problem.solve(states, max_steps)
        status = torch.where(arcs.status == Status.RUNNING, int(Status.MAX_STEPS), arcs.status)
        d = points.shape[-1]
        return k * arcs.states[:, 0, d:], status, tol * arcs.miss


def n_arcs(dim: int) -> int:
    """How many arcs geodesics in d dimensions are cut into.

    Example:
        >>> n_arcs(2), n_arcs(50)
        (16, 4)
    """
    return _N_ARCS if dim <= _MANY_DIMENSIONS else _FEW_ARCS


class _Problem(NamedTuple):
    """What does not change during a search: the metric, the ends, and what is asked for."""

    metric: Metric
    a: Tensor
    b: Tensor
    tol: float

    def of(self, rows: Tensor) -> "_Problem":
        return self._replace(a=self.a[rows], b=self.b[rows])

    def solve(self, states: Tensor, max_steps: int) -> _Arcs:
        """Take Newton steps until every search is over, or `max_steps` were taken."""
        arcs = self.begin(states)
        for _ in range(max_steps):
            rows = (arcs.status == Status.RUNNING).nonzero().squeeze(-1)
            if len(rows) == 0:
                break
            moved = self.of(rows).step(_Arcs(*(part[rows] for part in arcs)))
            for whole, part in zip(arcs, moved, strict=True):
                whole[rows] = part
        return arcs

    def begin(self, states: Tensor) -> _Arcs:
        flight, gaps, miss = self._fly(states)
        status = torch.full_like(miss, int(Status.RUNNING), dtype=torch.long)
        status = torch.where(miss <= 1, int(Status.CONVERGED), status)
        lost = ~flight.converged.reshape(len(states), -1).all(-1)
        status = torch.where(lost, flight.status.reshape(len(states), -1).amax(-1), status)
        derivatives = states.new_full((*states.shape, states.shape[-1]), torch.nan)
        running = (status == Status.RUNNING).nonzero().squeeze(-1)
        derivatives[running] = self._derivatives(flight, running, states.shape)
        return _Arcs(states, gaps, derivatives, miss, status)

    def step(self, now: _Arcs) -> _Arcs:
        """Take one Newton step, as long as it lowers the gaps."""
        move = self._newton(now)
        share = torch.ones_like(now.miss)
        states, gaps, miss = now.states, now.gaps, now.miss
        derivatives, best = now.derivatives.clone(), torch.zeros_like(miss, dtype=torch.bool)
        while bool((~best & (share >= _SMALLEST_STEP)).any()):
            rows = (~best & (share >= _SMALLEST_STEP)).nonzero().squeeze(-1)
            tried = now.states[rows] + share[rows, None, None] * move[rows]
            flight, new_gaps, new_miss = self.of(rows)._fly(tried)
            nearer = new_miss < now.miss[rows]
            kept = rows[nearer]
            states = states.index_copy(0, kept, tried[nearer])
            gaps = gaps.index_copy(0, kept, new_gaps[nearer])
            miss = miss.index_copy(0, kept, new_miss[nearer])
            best[kept] = True
            slow = nearer & (new_miss > _FAST * now.miss[rows]) & (new_miss > 1)
            chosen = slow.nonzero().squeeze(-1)
            derivatives[rows[chosen]] = self._derivatives(flight, chosen, tried.shape)
            share[rows[~nearer]] /= 2
        status = torch.where(best, now.status, int(Status.STALLED))
        status = torch.where(miss <= 1, int(Status.CONVERGED), status)
        return _Arcs(states, gaps, derivatives, miss, status)

    def _fly(self, states: Tensor) -> tuple[Trajectory, Tensor, Tensor]:
        """Follow all arcs: their flights, the gaps between them, and the largest of each curve."""
        n, k, _ = states.shape
        z, w = states.flatten(0, 1).chunk(2, -1)
        rtol = self.tol / 10
        flight = follow(self.metric, z, w, rtol=rtol, atol=rtol / 100)
        ends = torch.cat([flight.end, flight.end_velocity], -1).reshape(n, k, -1)
        d = z.shape[-1]
        last = torch.cat([self.b, ends[:, -1, d:]], -1).unsqueeze(1)  # no velocity is asked for
        gaps = ends - torch.cat([states[:, 1:], last], 1)
        reach = (self.b - self.a).norm(dim=-1)
        allowed = torch.finfo(z.dtype).eps * (self.a.norm(dim=-1) + self.b.norm(dim=-1))
        speed = states[..., d:].norm(dim=-1).amax(-1)
        bounds = (self.tol * reach + 8 * allowed, self.tol * speed)
        shares = [
            torch.where(gap == 0, 0.0, gap / bound)
            for part, bound in zip(gaps.chunk(2, -1), bounds, strict=True)
            for gap in [part.norm(dim=-1).amax(-1)]
        ]
        return flight, gaps, torch.maximum(*shares).nan_to_num(nan=torch.inf)

    def _derivatives(self, flight: Trajectory, rows: Tensor, shape: torch.Size) -> Tensor:
        """Differentiate the ends of arcs by their starts, by quotients of differences."""
        _, k, width = shape
        arcs = (rows.unsqueeze(-1) * k + torch.arange(k, device=rows.device)).flatten()
        step = torch.finfo(flight.knots.dtype).eps ** 0.5
        quotients = flight.where(arcs).quotients(step, by_start=True)
        return quotients.reshape(len(rows), k, width, width)

    def _newton(self, now: _Arcs) -> Tensor:
        """Solve for the moves of all arcs of a curve together."""
        n, k, width = now.states.shape
        d = width // 2
        system = now.states.new_zeros(n, k, width, k, width)
        arc = torch.arange(k, device=now.states.device)
        system[:, arc, :, arc] = now.derivatives.movedim(1, 0)
        system[:, arc[:-1], :, arc[1:]] = -torch.eye(width).to(now.states)
        matrix = system.reshape(n, k * width, k * width)
        # z_0 = a does not move, and of the last arc only the place is asked for.
        matrix = matrix[:, : k * width - d, d:]
        right = -now.gaps.reshape(n, -1)[:, : k * width - d]
        move = torch.linalg.solve_ex(matrix, right.unsqueeze(-1))[0].squeeze(-1)
        moves: Tensor = torch.cat([move.new_zeros(n, d), move], -1).nan_to_num()
        return moves.reshape(n, k, width)
