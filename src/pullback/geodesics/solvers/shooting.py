"""The boundary problem by shooting: the initial velocity with which a geodesic hits its end."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.errors import check_number
from pullback.geodesics.base import Solver, Status, select
from pullback.geodesics.initial_value.initial_value import follow
from pullback.geodesics.initial_value.trajectory import Trajectory
from pullback.metrics import Metric
from pullback.shapes import Latent, Points, Scalars, StatusCodes, Tangent

__all__ = ["Shooting", "refine_velocity"]

# The share of a Newton step below which a search is given up: ten halvings without coming nearer.
_SMALLEST_DAMPING = 2.0**-10
# No velocity is tried whose geodesic is longer than the curve it began with by more than this
# factor: the shortest geodesic is not longer, and longer ones take long to follow.
_LONGEST = 1.1
# The derivative D of the end by the velocity is computed again where a step leaves more than this
# share of the miss. Where it leaves less the old D still serves, at no cost.
_FAST = 0.05
# The longest Newton step, as a share of the velocity's length: beyond it the linear model of where
# a geodesic ends is not trusted.
_REACH = 0.5
# The relative tolerance of integration while aiming for the first time, and for derivatives,
# neither of which has to be exact for the answer to be.
_ROUGH = 1e-5
# Segments of the straight line whose length bounds that of the geodesic from above.
_N_SEGMENTS = 16
# A start whose speed at its first node differs from its mean speed by more than this share is taken
# as unevenly spaced, and its velocity scaled to constant speed.
_CONSTANT = 0.1


class _Aim(NamedTuple):
    """Where the search for each velocity stands."""

    nodes: Tensor
    velocity: Tensor  # the best so far
    differential: Tensor  # of exp, there or near there; NaN where it is not known
    direction: Tensor  # the Newton step
    damping: Tensor  # the share of it that is tried next
    miss: Tensor  # |c(1) - b| of the best so far
    longest: Tensor  # the most that a geodesic may measure
    status: Tensor


@dataclass(frozen=True)
class Shooting(Solver):
    r"""Newton's method on the initial velocity: find v with exp(a, v) = b.

    A step follows the geodesics from a with the velocities that are to be tried. Where the end came
    nearer to b than before, the next velocity is v + dv with D dv = b - c(1), where D is the
    differential of exp, kept while it serves well; where it did not, half of the last dv is tried.
    Of a curve that is given, only its length and its direction at a are used; the nodes that come
    back lie on the geodesic at equal times.

    Its geodesics are as exact as the integration, in few steps, once a start is good enough. But a
    small change of v grows along the curve as fast as neighbouring geodesics part: along a steep
    wall of the decoder's variance, or in strong negative curvature, by many orders of magnitude, so
    that single shooting is ill-conditioned there and b may be missed whatever the velocity. Relax
    the nodes of a curve by `Newton` first, and polish the outcome by this.

    Args:
        max_steps: the most geodesics that are followed for one pair.
        tol: converged when |c(1) - b| is at most this share of |b - a|, in the coordinates; no
            less than what single or double precision can attain.
        rtol: the accuracy of the integration, see `shoot`; no more than a tenth of `tol` is asked.

    Source:
        Stoer and Bulirsch, Introduction to Numerical Analysis (2002), section 7.3.

    Example:
        >>> from pullback.curves import straight_line
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-0.6, 0.8]], [[0.6, 0.8]]], dtype=torch.float64)
        >>> relaxation = Shooting().relax(HalfPlane(), straight_line(a, b, 2))
        >>> relaxation.nodes[0, 1].abs().round(decimals=6).tolist()  # on the half-circle about 0
        [0.0, 1.0]
    """

    rtol: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rtol", self.rtol, 0, open_low=True)

    def init(self, metric: Metric, nodes: Points) -> _Aim:
        """Aim along the curves `(batch, n, d)`, see `Solver.init`."""
        velocity, length = _initial_velocity(metric, nodes)
        return _Aim(
            nodes=nodes,
            velocity=velocity,
            differential=velocity.new_full((*velocity.shape, nodes.shape[-1]), torch.nan),
            direction=torch.zeros_like(velocity),
            damping=torch.ones_like(length),
            miss=torch.full_like(length, torch.inf),
            longest=_LONGEST * length,
            status=torch.full_like(length, int(Status.RUNNING), dtype=torch.long),
        )

    def step(self, metric: Metric, state: _Aim, tol: float) -> _Aim:
        """Follow one geodesic for each pair, see `Solver.step`."""
        a, b = state.nodes[:, 0], state.nodes[:, -1]
        tried = state.velocity + state.damping.unsqueeze(-1) * state.direction
        tried = _shorten(tried, metric.norm(a, tried), state.longest)
        rtol = max(self.rtol, tol / 10)
        flight = follow(metric, a, tried, rtol=rtol, atol=rtol / 100)
        gap = b - flight.end
        miss = gap.norm(dim=-1)
        nearer = miss < state.miss
        hit = nearer & (miss <= _attainable(tol, a, b))
        nodes, differential = state.nodes.clone(), state.differential.clone()
        nodes[hit] = _through(flight.where(hit), b[hit], nodes.shape[1])
        slow = (miss > _FAST * state.miss) | differential.isnan().flatten(1).any(-1)
        slow = slow & nearer & ~hit
        differential[slow] = _differential(flight.where(slow), rtol)
        newton = _newton(metric, a, tried, differential, gap)
        damping = state.damping * torch.where(nearer, 4, 0.5)
        return state._replace(
            nodes=nodes,
            velocity=torch.where(nearer.unsqueeze(-1), tried, state.velocity),
            differential=differential,
            direction=torch.where(nearer.unsqueeze(-1), newton, state.direction),
            damping=damping.clamp(max=1),
            miss=torch.where(nearer, miss, state.miss),
            status=_judge(state, flight, nearer, hit, newton),
        )


def refine_velocity(
    metric: Metric,
    point_a: Latent,
    point_b: Latent,
    velocity: Tangent,
    *,
    tol: float = 1e-9,
    max_steps: int = 20,
) -> tuple[Tangent, StatusCodes, Scalars]:
    """Polish initial velocities until exp(a, v) = b, by `Shooting`.

    They are found roughly first, by geodesics that are followed roughly, and then exactly.

    Args:
        metric: the Riemannian metric.
        point_a: start points a, shape `(*batch, d)`.
        point_b: end points b, shape `(*batch, d)`.
        velocity: v to begin with, shape `(*batch, d)`.
        tol: converged when |exp(a, v) - b| is at most this share of |b - a|.
        max_steps: the most geodesics that are followed for one pair, roughly and exactly each.

    Returns:
        The best velocities found, shape `(*batch, d)`, how each search ended, `Status` codes
        `(*batch,)`, and by how much they miss, |exp(a, v) - b| in the coordinates, `(*batch,)`.

    Raises:
        InvalidParameterError: `tol` or `max_steps` is out of range.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[0.0, 1.0], [0.0, 4.0]], dtype=torch.float64)
        >>> rough = torch.tensor([0.0, 1.4], dtype=torch.float64)
        >>> velocity, status, miss = refine_velocity(HalfPlane(), a, b, rough)
        >>> velocity.round(decimals=8).tolist()  # log 4
        [0.0, 1.38629436]
    """
    solver = Shooting(max_steps=max_steps, tol=tol, rtol=tol / 10)
    batch = point_a.shape[:-1]
    with torch.no_grad():
        a, b, velocity = (x.reshape(-1, x.shape[-1]) for x in (point_a, point_b, velocity))
        aim = solver.init(metric, straight_line(a, b, _N_SEGMENTS))
        longest = aim.longest.maximum(_LONGEST * metric.norm(a, velocity))
        aim = aim._replace(velocity=velocity.clone(), longest=longest)
        aim = _search(solver, metric, aim, max(tol, 10 * _ROUGH))
        aim = _search(solver, metric, _renewed(aim), tol)
    status = torch.where(aim.status == Status.RUNNING, int(Status.MAX_STEPS), aim.status)
    return aim.velocity.reshape(*batch, -1), status.reshape(batch), aim.miss.reshape(batch)


def _search(solver: Shooting, metric: Metric, aim: _Aim, tol: float) -> _Aim:
    """Step until every search is over, or `max_steps` were taken."""
    for _ in range(solver.max_steps):
        active = (aim.status == Status.RUNNING).nonzero().squeeze(-1)
        if len(active) == 0:
            break
        tried = solver.step(metric, select(aim, active), tol)
        for whole, part in zip(aim, tried, strict=True):
            whole[active] = part
    return aim


def _renewed(aim: _Aim) -> _Aim:
    """Aim again where the target was hit, with what is known of the differential."""
    hit = aim.status == Status.CONVERGED
    return aim._replace(
        direction=torch.where(hit.unsqueeze(-1), 0, aim.direction),
        miss=torch.where(hit, torch.inf, aim.miss),
        status=torch.where(hit, int(Status.RUNNING), aim.status),
    )


def _initial_velocity(metric: Metric, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the velocities at the start of curves, at constant speed, and their lengths.

    The polynomial through the first five nodes, or all if there are fewer, is differentiated.
    """
    q = min(5, nodes.shape[1]) - 1
    ahead = nodes[:, 1 : q + 1] - nodes[:, :1]
    weights = [(-1) ** (j - 1) * math.comb(q, j) / j for j in range(1, q + 1)]
    velocity = torch.einsum("j,bjd->bd", nodes.new_tensor(weights), ahead) * (nodes.shape[1] - 1)
    length = metric.chords(nodes).sum(-1)
    factor = length / metric.norm(nodes[:, 0], velocity)
    uneven = ((factor - 1).abs() > _CONSTANT) & factor.isfinite()
    return velocity * torch.where(uneven, factor, 1).unsqueeze(-1), length


def _differential(flight: Trajectory, rtol: float) -> Tensor:
    """Differentiate exp: Newton's method needs no exact derivative, so a quotient will do."""
    if rtol < _ROUGH:
        start, velocity = flight.start, flight.velocities[:, 0]
        flight = follow(flight.metric, start, velocity, rtol=_ROUGH, atol=_ROUGH / 100)
    return flight.quotients(torch.finfo(flight.knots.dtype).eps ** 0.5)


def _newton(metric: Metric, a: Tensor, v: Tensor, differential: Tensor, gap: Tensor) -> Tensor:
    """Solve D dv = b - c(1), and cut dv: not finite where the end is conjugate to the start."""
    step = torch.linalg.solve_ex(differential, gap.unsqueeze(-1))[0].squeeze(-1)
    return _shorten(step, metric.norm(a, step), _REACH * metric.norm(a, v))


def _judge(state: _Aim, flight: Trajectory, nearer: Tensor, hit: Tensor, newton: Tensor) -> Tensor:
    """Say which searches are over, and how they ended."""
    helpless = nearer & ~newton.isfinite().all(-1)
    hopeless = ~nearer & (state.miss.isinf() | (state.damping < _SMALLEST_DAMPING))
    why = torch.where(flight.converged, int(Status.STALLED), flight.status)
    status = torch.where(helpless | hopeless, why, state.status)
    return torch.where(hit, int(Status.CONVERGED), status)


def _shorten(velocity: Tensor, speed: Tensor, longest: Tensor) -> Tensor:
    factor = torch.where(speed > longest, longest / speed, 1)
    return velocity * factor.unsqueeze(-1)


def _attainable(tol: float, a: Tensor, b: Tensor) -> Tensor:
    """How far from b an end point may lie: `tol` of |b - a|, or some units of rounding."""
    eps = torch.finfo(b.dtype).eps
    size = torch.maximum(a.norm(dim=-1), b.norm(dim=-1))
    allowed: Tensor = max(tol, 100 * eps) * (b - a).norm(dim=-1) + 4 * eps * size
    return allowed


def _through(flight: Trajectory, b: Tensor, n_nodes: int) -> Tensor:
    """Place nodes on the geodesics at equal times, the last one on b."""
    nodes = flight.points(n_nodes)
    nodes[:, -1] = b
    return nodes
