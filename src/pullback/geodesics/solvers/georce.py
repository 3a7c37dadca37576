"""GEORCE: the nodes of a curve as the states of a control problem, solved in closed form."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import gradient
from pullback.geodesics.base import Solver, Status
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["GEORCE"]


class _State(NamedTuple):
    nodes: Tensor
    status: Tensor
    energy: Tensor  # E, shape (batch,)


@dataclass(frozen=True)
class GEORCE(Solver):
    r"""Control steps on the discrete energy E = sum_s u_s^T G(x_s) u_s, u_s = x_(s+1) - x_s.

    The controls u lead from a to b. With the metric G_s = G(x_s) and its change along the curve,
    nu_s = grad_y (u_s^T G(y) u_s) at x_s, both held fixed, the best controls are

        u_s = -1/2 G_s^-1 (mu + sum_(j > s) nu_j),
        mu = (sum_s G_s^-1)^-1 (2 (a - b) - sum_s G_s^-1 sum_(j > s) nu_j).

    A step goes towards them as far as E decreases: every step lowers E, without second derivatives
    of the metric, and near the minimum what is left to gain shrinks by a constant factor.

    E takes the metric at the start of each segment, so its minimum is not that of the sum of
    squared chords, which other solvers seek: the curve is off by O(1 / n) from the geodesic, and
    the length measured along it by O(1 / n^2). Where the metric changes much from one node to the
    next, E hardly sees it: use enough nodes.

    Args:
        max_steps: the most steps for one curve at one number of nodes, each with the metric matrix
            at every node.
        tol: converged when the next full step promises to lower E by less than this share.

    Source:
        Rygaard and Hauberg, GEORCE: a fast new control algorithm for computing geodesics (2025).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> GEORCE().relax(flat, bent).nodes[0, 1].round(decimals=6).tolist()
        [0.5, 0.0]
    """

    max_steps: int = 200

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Measure the energy of the start, see `Solver.init`."""
        energy = _energy(metric, nodes)
        status = torch.full_like(energy, Status.RUNNING, dtype=torch.long)
        return _State(nodes, status, energy)

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Take one control step on each curve, see `Solver.step`."""
        G, change = _expand(metric, state.nodes)
        finite = state.energy.isfinite() & _all_finite(G) & _all_finite(change)
        step, promised, positive = _best_step(state.nodes, G, change)
        small = promised <= (tol + torch.finfo(promised.dtype).eps) * state.energy

        status = torch.where(small, int(Status.CONVERGED), state.status)
        status = torch.where(positive, status, int(Status.DEGENERATE))
        status = torch.where(finite, status, int(Status.NOT_FINITE))
        return _search(metric, state._replace(status=status), step, promised)


# The share of the decrease promised by the slope that a step must keep (Armijo's rule, with the
# constant of Nocedal and Wright).
_ARMIJO = 1e-4
# The share of a step below which a line search is given up: after 26 halvings no energy decreases
# by more than rounding.
_SHORTEST = 1e-8


def _energy(metric: Metric, nodes: Tensor) -> Tensor:
    control = nodes.diff(dim=1)
    return metric.inner_product(nodes[:, :-1], control, control).sum(-1)


def _expand(metric: Metric, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Compute G_s, and nu_s for s > 0: the first node stays where it is."""
    control = nodes.diff(dim=1)

    def cost(x: Tensor) -> Tensor:
        return metric.inner_product(x, control[:, 1:], control[:, 1:]).unsqueeze(-1)

    _, change = gradient(cost, nodes[:, 1:-1])
    return metric.metric_matrix(nodes[:, :-1]), change


def _best_step(nodes: Tensor, G: Tensor, change: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the way of the inner nodes to the best controls, and the decrease promised.

    With G_s = L_s L_s^T all is expressed by P_s = L_s^-1 and L_s^-1 sum_(j > s) nu_j. The model of
    E is quadratic with Hessian 2 G in the controls, so a change by delta from its minimum costs
    sum_s delta_s^T G_s delta_s.
    """
    L, positive = linalg.cholesky(G)
    identity = torch.eye(G.shape[-1], dtype=G.dtype, device=G.device)
    P = torch.linalg.solve_triangular(L, identity, upper=False)
    ahead = torch.cat([change.flip(1).cumsum(1).flip(1), torch.zeros_like(change[:, :1])], 1)
    pulled = torch.einsum("bnij,bnj->bni", P, ahead)

    total = torch.einsum("bnki,bnkj->bij", P, P)
    rest = 2 * (nodes[:, 0] - nodes[:, -1]) - torch.einsum("bnki,bnk->bi", P, pulled)
    mu, independent = linalg.solve(total, rest)
    best = torch.einsum("bnij,bj->bni", P, mu) + pulled
    best = -torch.einsum("bnki,bnk->bni", P, best) / 2

    change = best - nodes.diff(dim=1)
    promised = torch.einsum("bnji,bnj->bni", L, change).square().sum((-1, -2))
    return change.cumsum(1)[:, :-1], promised, positive.all(-1) & independent


def _search(metric: Metric, state: _State, step: Tensor, promised: Tensor) -> _State:
    """Halve the steps until each lowers E enough."""
    nodes, status, energy = (part.clone() for part in state)
    share = torch.ones_like(energy)
    pending = (status == Status.RUNNING).nonzero().squeeze(-1)
    while len(pending) > 0:
        trial = state.nodes[pending]
        trial[:, 1:-1] += share[pending, None, None] * step[pending]
        value = _energy(metric, trial)
        least = 2 * _ARMIJO * share[pending] * promised[pending]
        accepted = value <= energy[pending] - least
        nodes[pending[accepted]], energy[pending[accepted]] = trial[accepted], value[accepted]
        pending = pending[~accepted]
        share[pending] /= 2
        stalled = share[pending] < _SHORTEST
        status[pending[stalled]] = Status.STALLED
        pending = pending[~stalled]
    return _State(nodes, status, energy)


def _all_finite(values: Tensor) -> Tensor:
    return values.isfinite().flatten(1).all(-1)
