"""Limited-memory quasi-Newton steps on the nodes of a curve, for many latent dimensions."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import check_integer
from pullback.geodesics.base import Solver, Status, rounding_of
from pullback.geodesics.solvers.line_search import backtrack
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["LBFGS"]


class _State(NamedTuple):
    """Gradient, direction and memory are flat, in coordinates that are orthonormal for H1."""

    nodes: Tensor
    status: Tensor
    rounding: Tensor  # how far off S may be
    value: Tensor  # S
    gradient: Tensor  # (batch, k) with k = (n - 2) d
    direction: Tensor  # the full step, (batch, k)
    share: Tensor  # of the full step, to be tried next
    steps: Tensor  # the last moves of the nodes, oldest first, zero where empty: (batch, memory, k)
    changes: Tensor  # what they did to the gradient, (batch, memory, k)
    factor: Tensor  # L L^T = mean metric of the start, (batch, d, d)


@dataclass(frozen=True)
class LBFGS(Solver):
    r"""Limited-memory BFGS on the sum of squared chords S, in the H1 inner product of the chain.

    It needs S and dS/dz only, one reverse sweep for each step, so it suits a latent space of many
    dimensions, where the Hessian of `Newton` costs d sweeps. The steps are those of plain L-BFGS in
    coordinates w with

        |w|^2 = 2 sum_i (delta_(i+1) - delta_i)^T M (delta_(i+1) - delta_i),

    which is the second variation of S where the metric M is constant, so their number hardly grows
    with that of the nodes. M is the mean of the metric at three nodes of the start, shrunk towards
    a multiple of the identity, for it need not hold elsewhere. A step that does not lower S enough
    is tried again at a smaller size; one of negative curvature is taken, but not remembered.

    Args:
        max_steps: the most steps for one curve at one number of nodes, each one evaluation of S and
            its gradient.
        tol: converged when the next full step promises to lower S by less than this share. What
            then remains is more, commonly some ten times, for the convergence is linear.
        memory: how many steps are remembered, >= 1.

    Raises:
        InvalidParameterError: a hyper-parameter is out of range.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), chapter 7; Byrd, Nocedal and Schnabel,
        Representations of quasi-Newton matrices and their use in limited memory methods (1994).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 3 * z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> LBFGS().relax(flat, bent).nodes[0, 1].round(decimals=6).abs().tolist()
        [0.5, 0.0]
    """

    max_steps: int = 90
    memory: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("memory", self.memory)

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Begin along the gradient in the H1 inner product, see `Solver.init`."""
        factor = _mean_metric_factor(metric, nodes)
        value, gradient = metric.chord_gradient(nodes)
        gradient = _to_h1(gradient, factor)
        memory = gradient.new_zeros(len(nodes), self.memory, gradient.shape[-1])
        return _State(
            nodes=nodes,
            status=torch.full_like(value, Status.RUNNING, dtype=torch.long),
            rounding=rounding_of(metric, nodes, value),
            value=value,
            gradient=gradient,
            direction=-gradient,
            share=torch.ones_like(value),
            steps=memory,
            changes=memory,
            factor=factor,
        )

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Try one step on each curve, a shorter one where the last was refused: `Solver.step`."""
        move = state.share.unsqueeze(-1) * state.direction
        nodes = state.nodes.clone()
        nodes[:, 1:-1] += _from_h1(move, state.factor)
        value, gradient = metric.chord_gradient(nodes)
        gradient = _to_h1(gradient, state.factor)

        slope = (state.gradient * move).sum(-1)
        finite = value.isfinite() & gradient.isfinite().all(-1)
        accepted, shorter = backtrack(state.value, value, slope, finite)
        state = _remember(state, move, gradient - state.gradient, accepted)
        state = state._replace(
            nodes=torch.where(accepted[:, None, None], nodes, state.nodes),
            value=torch.where(accepted, value, state.value),
            gradient=torch.where(accepted[:, None], gradient, state.gradient),
            share=torch.where(accepted, torch.ones_like(value), state.share * shorter),
        )
        direction = torch.where(accepted[:, None], _direction(state), state.direction)
        return _judge(state._replace(direction=direction), tol)


# The share of a step below which a line search is given up: after 26 halvings no energy decreases
# by more than rounding.
_SHORTEST = 1e-8
# A step is remembered only if step^T change > this times change^T change, where `change` is that of
# the gradient: along flatter ones the inverse Hessian would be estimated from rounding.
_CURVED = 1e-8
# The preconditioner is the mean metric with this share of a multiple of the identity mixed in. Set
# by judgement: with less, directions in which the metric happens to be tiny at the three points get
# huge steps; with more, the shape of the metric is used less.
_ISOTROPIC = 0.2


def _mean_metric_factor(metric: Metric, nodes: Tensor) -> Tensor:
    """Factorise the mean metric at a quarter, a half and three quarters of the way."""
    n = nodes.shape[1]
    mean = metric.metric_matrix(nodes[:, [n // 4, n // 2, 3 * n // 4]]).mean(1)
    eye = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
    scale = mean.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    factor, _ = linalg.cholesky(torch.lerp(mean, scale * eye, _ISOTROPIC))
    return factor


def _chain_factor(n: int, like: Tensor) -> Tensor:
    """Factorise the second differences, 4 on the diagonal and -2 beside it, of n inner nodes."""
    one = torch.ones(n, dtype=like.dtype, device=like.device)
    beside = torch.diag(one[1:], -1)
    factor, _ = linalg.cholesky(4 * torch.diag(one) - 2 * (beside + beside.mT))
    return factor


def _to_h1(gradient: Tensor, factor: Tensor) -> Tensor:
    """Express gradients `(batch, n, d)` in the flat coordinates."""
    chain = _chain_factor(gradient.shape[1], gradient)
    half: Tensor = torch.linalg.solve_triangular(chain, gradient, upper=False)
    half = torch.linalg.solve_triangular(factor.mT, half, upper=True, left=False)
    return half.flatten(1)


def _from_h1(move: Tensor, factor: Tensor) -> Tensor:
    """Express moves in the flat coordinates as moves of the nodes, `(batch, n, d)`."""
    half = move.unflatten(1, (-1, factor.shape[-1]))
    half = torch.linalg.solve_triangular(factor, half, upper=False, left=False)
    chain = _chain_factor(half.shape[1], half)
    moved: Tensor = torch.linalg.solve_triangular(chain.mT, half, upper=True)
    return moved


def _remember(state: _State, move: Tensor, change: Tensor, accepted: Tensor) -> _State:
    curvature = (move * change).sum(-1)
    kept = accepted & (curvature > _CURVED * change.square().sum(-1))

    def push(memory: Tensor, newest: Tensor) -> Tensor:
        pushed = torch.cat([memory[:, 1:], newest.unsqueeze(1)], 1)
        return torch.where(kept[:, None, None], pushed, memory)

    return state._replace(steps=push(state.steps, move), changes=push(state.changes, change))


def _direction(state: _State) -> Tensor:
    """Compute -H g with the compact form of the inverse Hessian H that the memory implies."""
    S, Y, g = state.steps, state.changes, state.gradient.unsqueeze(-1)
    inner = S @ Y.mT
    curvature = inner.diagonal(dim1=-2, dim2=-1)
    empty = (curvature == 0).to(g)
    R = inner.triu() + torch.diag_embed(empty)
    newest = Y[:, -1].square().sum(-1)
    scale = torch.where(newest > 0, curvature[:, -1] / newest, torch.ones_like(newest))
    scale = scale[:, None, None]

    u = torch.linalg.solve_triangular(R, S @ g, upper=True)
    w = curvature.unsqueeze(-1) * u + scale * (Y @ (Y.mT @ u - g))
    w = torch.linalg.solve_triangular(R.mT, w, upper=False)
    step: Tensor = scale * (g - Y.mT @ u) + S.mT @ w
    return -step.squeeze(-1)


def _judge(state: _State, tol: float) -> _State:
    """Mark what converged, by the decrease that the next full step promises, and what cannot."""
    promised = -(state.gradient * state.direction).sum(-1) / 2
    finite = state.value.isfinite() & state.gradient.isfinite().all(-1)
    small = promised <= tol * state.value + state.rounding
    status = torch.where(state.share < _SHORTEST, int(Status.STALLED), state.status)
    status = torch.where(small, int(Status.CONVERGED), status)
    return state._replace(status=torch.where(finite, status, int(Status.NOT_FINITE)))
