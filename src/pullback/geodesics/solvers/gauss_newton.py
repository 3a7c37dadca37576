"""Quasi-Newton steps on graded chains, preconditioned by Gauss-Newton, for many dimensions."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pullback.curves import graded_durations
from pullback.errors import check_integer, check_number
from pullback.geodesics.base import Solver, Status, rounding_of
from pullback.geodesics.solvers.line_search import backtrack
from pullback.geodesics.solvers.preconditioner import gauss_newton_factor, mean_metric_factor
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["GaussNewtonLBFGS", "graded_weights", "precondition"]


class _State(NamedTuple):
    nodes: Tensor
    status: Tensor
    rounding: Tensor  # how far off S may be
    value: Tensor  # S
    gradient: Tensor  # (batch, n, d)
    direction: Tensor  # the full step, (batch, n, d)
    share: Tensor  # of the full step, to be tried next
    steps: Tensor  # the last moves, oldest first, zero where empty: (batch, memory, n, d)
    changes: Tensor  # what they did to the gradient, (batch, memory, n, d)
    damping: Tensor  # lambda of the preconditioner
    age: Tensor  # steps since the preconditioner was made
    refused: Tensor  # how many of them were refused
    preconditioner: Any  # rows of it are taken out as of a tensor


@dataclass(frozen=True)
class GaussNewtonLBFGS(Solver):
    r"""Limited-memory BFGS on a graded chain, preconditioned by its Gauss-Newton matrix.

    It minimises S = sum_i w_i |chord_i|^2, w_i = 1 / (N dt_i), over nodes at the times
    t_i of `pullback.curves.graded_times`, which crowd near both ends: see `GradedSpline` for what
    equal steps do where a decoder hardly depends on some latent directions. There, with metrics
    whose eigenvalues span ten decades, neither coordinates nor one metric for the whole curve tell
    how far a step may go. The Gauss-Newton matrix J_i^T J_k of neighbouring nodes does; it is made
    anew every few steps, damped by lambda as Levenberg did, which grows while steps are refused
    and falls while they are not. A step costs one gradient.

    In more than `most_dense` dimensions the H1 inner product in the mean metric of each curve
    stands in for it, for the Jacobian at every node would cost d sweeps.

    Args:
        max_steps: the most steps for one curve at one number of nodes, each one gradient.
        tol: converged when the next full step promises to lower S by less than this share.
        memory: how many steps are remembered, >= 1.
        max_age: how many steps a preconditioner serves, >= 1.
        initial_damping: lambda to begin with, > 0.
        most_dense: the most latent dimensions in which a Jacobian is made at every node.

    Raises:
        InvalidParameterError: a hyper-parameter is out of range.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), chapters 7 and 10. Levenberg, A method
        for the solution of certain non-linear problems in least squares (1944).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 3 * z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> GaussNewtonLBFGS().relax(flat, bent).nodes[0, 1].round(decimals=4).abs().tolist()
        [0.5, 0.0]
    """

    graded: ClassVar[bool] = True
    max_steps: int = 600
    tol: float = 5e-6
    memory: int = 20
    max_age: int = 20
    initial_damping: float = 1.0
    most_dense: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("memory", self.memory)
        check_integer("max_age", self.max_age)
        check_number("initial_damping", self.initial_damping, 0, open_low=True)
        check_integer("most_dense", self.most_dense, 0)

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Begin along the preconditioned gradient, see `Solver.init`."""
        weights = graded_weights(nodes)
        value, gradient = metric.weighted_chord_gradient(nodes, weights)
        memory = gradient.new_zeros(len(nodes), self.memory, *gradient.shape[1:])
        count = torch.zeros_like(value, dtype=torch.long)
        damping = torch.full_like(value, self.initial_damping)
        state = _State(
            nodes=nodes,
            status=torch.full_like(count, Status.RUNNING),
            rounding=rounding_of(metric, nodes, value),
            value=value,
            gradient=gradient,
            direction=torch.zeros_like(gradient),
            share=torch.ones_like(value),
            steps=memory,
            changes=memory,
            damping=damping,
            age=count,
            refused=count,
            preconditioner=precondition(
                metric, nodes, weights, value, damping, most_dense=self.most_dense
            ),
        )
        return state._replace(direction=_direction(state))

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Try one step on each curve, a shorter one where the last was refused: `Solver.step`."""
        weights = graded_weights(state.nodes)
        move = state.share[:, None, None] * state.direction
        nodes = state.nodes.clone()
        nodes[:, 1:-1] += move
        value, gradient = metric.weighted_chord_gradient(nodes, weights)
        slope = _dot(state.gradient, move)
        finite = value.isfinite() & gradient.isfinite().flatten(1).all(-1)
        accepted, shorter = backtrack(state.value, value, slope, finite)
        state = _remember(state, move, gradient - state.gradient, accepted)
        state = state._replace(
            nodes=torch.where(accepted[:, None, None], nodes, state.nodes),
            value=torch.where(accepted, value, state.value),
            gradient=torch.where(accepted[:, None, None], gradient, state.gradient),
            share=torch.where(accepted, torch.ones_like(value), state.share * shorter),
            age=state.age + 1,
            refused=state.refused + ~accepted,
        )
        state = self._renewed(metric, state, weights, tol)
        fresh = (accepted | (state.age == 0))[:, None, None]
        direction = torch.where(fresh, _direction(state), state.direction)
        share = torch.where(state.age == 0, torch.ones_like(value), state.share)
        return self._judged(state._replace(direction=direction, share=share), tol)

    def _renewed(self, metric: Metric, state: _State, weights: Tensor, tol: float) -> _State:
        """Make preconditioners anew that are old, or whose damping may hide what is to gain."""
        if state.nodes.shape[-1] > self.most_dense:
            return state  # the mean metric hardly changes, and knows no damping
        hidden = _promised(state) <= tol * state.value + state.rounding
        hidden = hidden & (state.damping > _FREE)
        rows = ((state.age >= self.max_age) | hidden).nonzero().squeeze(-1)
        if len(rows) == 0:
            return state
        refused = state.refused[rows] / state.age[rows]
        factor = torch.where(refused > _MANY, _CHANGE, torch.where(refused < _FEW, 1 / _CHANGE, 1))
        factor = torch.where(hidden[rows], 1 / _CHANGE, factor)
        damping = (factor * state.damping[rows]).clamp(*_DAMPINGS).to(state.damping)
        made = precondition(
            metric,
            state.nodes[rows],
            weights,
            state.value[rows],
            damping,
            most_dense=self.most_dense,
        )
        return state._replace(
            damping=state.damping.index_put((rows,), damping),
            age=state.age.index_fill(0, rows, 0),
            refused=state.refused.index_fill(0, rows, 0),
            preconditioner=state.preconditioner.put(rows, made),
        )

    def _judged(self, state: _State, tol: float) -> _State:
        """Mark what converged, by the decrease that the next full step promises, and what not."""
        finite = state.value.isfinite() & state.gradient.isfinite().flatten(1).all(-1)
        small = _promised(state) <= tol * state.value + state.rounding
        free = (state.damping <= _FREE) | (state.nodes.shape[-1] > self.most_dense)
        status = torch.where(state.share < _SHORTEST, int(Status.STALLED), state.status)
        status = torch.where(small & free, int(Status.CONVERGED), status)
        status = torch.where(state.preconditioner.positive, status, int(Status.DEGENERATE))
        return state._replace(status=torch.where(finite, status, int(Status.NOT_FINITE)))


_SHORTEST = 1e-8  # share of a step below which a search along it is given up
_CURVED = 1e-10  # curvature of a remembered step, as a share of the slope along it, at least
# With more damping than this, a small promise may only mean that steps were held back.
_FREE = 0.1
# Shares of refused steps above and below which the damping changes by this factor: 1 in 4 is what
# the fastest runs refused, on RBF decoders of digits with d = 20 and 50 (29 November 2026).
_MANY, _FEW, _CHANGE = 0.35, 0.15, 8.0
_DAMPINGS = (1e-6, 1e6)  # between them the Gauss-Newton matrix decides, or the identity


def graded_weights(nodes: Points) -> Tensor:
    """Return w_i = 1 / (N dt_i) of graded chains `(batch, N + 1, d)`, shape `(N,)`.

    Example:
        >>> weights = graded_weights(torch.zeros(1, 33, 2))
        >>> round(float((1 / weights).mean()), 6), bool(weights[0] > 600)
        (1.0, True)
    """
    n_segments = nodes.shape[1] - 1
    return (1 / (n_segments * graded_durations(n_segments))).to(nodes)


def precondition(
    metric: Metric,
    nodes: Points,
    weights: Tensor,
    value: Tensor,
    damping: Tensor,
    *,
    most_dense: int,
) -> Any:
    """Choose a preconditioner: Gauss-Newton's, or the mean metric in many dimensions.

    Args:
        metric: the metric.
        nodes: chains with fixed ends, shape `(batch, n + 2, d)`.
        weights: of the squared chords, shape `(n + 1,)`.
        value: S, shape `(batch,)`.
        damping: lambda of Gauss-Newton's, shape `(batch,)`.
        most_dense: the most latent dimensions for Gauss-Newton's.

    Returns:
        What `gauss_newton_factor` or `mean_metric_factor` returns.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes, one = torch.tensor([[[0.0], [1.0], [4.0]]]).double(), torch.ones(1).double()
        >>> flat, weights = PullbackMetric(lambda z: z), torch.ones(2).double()
        >>> type(precondition(flat, nodes, weights, one, one, most_dense=0)).__name__
        'MeanMetric'
    """
    if nodes.shape[-1] > most_dense:
        return mean_metric_factor(metric, nodes, weights)
    return gauss_newton_factor(metric, nodes, weights, value, damping)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2))


def _promised(state: _State) -> Tensor:
    """What a full step gains by the quadratic model that made it."""
    return -_dot(state.gradient, state.direction) / 2


def _remember(state: _State, move: Tensor, change: Tensor, accepted: Tensor) -> _State:
    curvature = _dot(move, change)
    kept = accepted & (curvature > -_CURVED * _dot(state.gradient, move))

    def push(memory: Tensor, newest: Tensor) -> Tensor:
        pushed = torch.cat([memory[:, 1:], newest.unsqueeze(1)], 1)
        return torch.where(kept[:, None, None, None], pushed, memory)

    return state._replace(steps=push(state.steps, move), changes=push(state.changes, change))


def _direction(state: _State) -> Tensor:
    """Compute -H g by the recursion over the remembered steps, with the preconditioner amidst."""
    curvature = (state.steps * state.changes).sum((-1, -2))
    inverse = torch.where(curvature > 0, 1 / curvature, 0.0)
    pulled, shares = state.gradient, []
    for k in reversed(range(curvature.shape[1])):
        share = inverse[:, k] * _dot(state.steps[:, k], pulled)
        pulled = pulled - share[:, None, None] * state.changes[:, k]
        shares.append(share)
    step = state.preconditioner.solve(pulled)
    for k, share in enumerate(reversed(shares)):
        rest = share - inverse[:, k] * _dot(state.changes[:, k], step)
        step = step + rest[:, None, None] * state.steps[:, k]
    return torch.where(state.preconditioner.positive[:, None, None], -step, 0.0)
