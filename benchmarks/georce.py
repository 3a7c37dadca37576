"""GEORCE as it is published, written from the paper: a peer to compare with, pair by pair.

Rygaard and Hauberg, "GEORCE: a fast new control algorithm for computing geodesics" (2025),
arXiv:2505.05961, algorithm 1. With G_s the metric at the nodes, u_s the steps and
nu_s = grad_y (u_s^T G(y) u_s) at x_s,

    mu = (sum_s G_s^-1)^-1 (2 (a - b) - sum_s G_s^-1 sum_(j > s) nu_j),
    u_s = -1/2 G_s^-1 (mu + sum_(j > s) nu_j),

with backtracking between the old and the new steps, on 100 segments, until the gradient of the
energy is below 1e-4, as in the authors' code.
"""

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE, DECAY, LEAST = 1e-4, 0.5, 1e-10


def georce(
    metric_matrix: Callable[[Tensor], Tensor],
    energy: Callable[[Tensor, Tensor], Tensor],
    point_a: Tensor,
    point_b: Tensor,
    *,
    n_segments: int = 100,
    max_steps: int = 1000,
) -> tuple[Tensor, bool]:
    """Find one geodesic from a to b.

    Args:
        metric_matrix: G, from points `(n, d)` to matrices `(n, d, d)`.
        energy: u^T G(x) u, from points and steps `(n, d)` to numbers `(n,)`, differentiable in x.
        point_a: a, shape `(d,)`.
        point_b: b, shape `(d,)`.
        n_segments: the number of segments T.
        max_steps: the most steps.

    Returns:
        The nodes, shape `(n_segments + 1, d)`, and whether the tolerance was met.
    """
    steps = ((point_b - point_a) / n_segments).expand(n_segments, -1).clone()
    for _ in range(max_steps):
        nodes = torch.cat([point_a[None], point_a + steps.cumsum(0)[:-1]])
        x = nodes.detach().requires_grad_(True)
        costs = energy(x, steps)
        (pulled,) = torch.autograd.grad(costs.sum(), x)
        with torch.no_grad():
            G, value = metric_matrix(nodes), costs.sum()
            ahead = pulled.flip(0).cumsum(0).flip(0) - pulled  # sum over j > s
            slope = 2 * torch.einsum("sij,sj->si", G, steps) + ahead
            # The gradient by the nodes: how the derivatives by neighbouring steps differ.
            if float(slope.diff(dim=0).norm()) < TOLERANCE:
                return torch.cat([nodes, point_b[None]]), True
            inverse = torch.linalg.inv(G)  # as it is published: G may be singular but for rounding
            weighted = torch.einsum("sij,sj->i", inverse, ahead)
            mu = torch.linalg.solve(inverse.sum(0), 2 * (point_a - point_b) - weighted)
            best = -torch.einsum("sij,sj->si", inverse, mu + ahead) / 2
            share = 1.0
            while share > LEAST:
                trial = steps + share * (best - steps)
                at = torch.cat([point_a[None], point_a + trial.cumsum(0)[:-1]])
                if bool(energy(at, trial).sum() < value):
                    break
                share *= DECAY
            if share <= LEAST:
                break
            steps = trial
    nodes = torch.cat([point_a[None], point_a + steps.cumsum(0)[:-1], point_b[None]])
    return nodes.detach(), False
