"""What else solves the common problem in this environment: stochman and SciPy's `solve_bvp`."""

from typing import Any

import numpy as np
import torch
from common_problem import N_POINTS, CommonProblem
from numpy.typing import NDArray
from scipy.integrate import solve_bvp
from torch import Tensor

from pullback.metrics import Metric, PullbackMetric

try:
    from stochman.manifold import EmbeddedManifold
except ImportError:
    EmbeddedManifold = None

__all__ = ["has_stochman", "scipy_curves", "stochman_curves"]

NODES = 30
"""Of the mesh that `solve_bvp` begins with."""


def has_stochman() -> bool:
    """Say whether stochman is installed."""
    return EmbeddedManifold is not None


def stochman_curves(problem: CommonProblem) -> tuple[Tensor, Tensor]:
    """Relax a batch of all pairs as stochman does by default: Adam on the energy of cubic splines.

    Returns:
        Points along the curves, `(pairs, 1001, 2)`, and which were solved. All are counted as such:
        stochman reports one flag for the batch.
    """

    class Decoded(EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Tensor:
            return problem.image(points)

    curve, _ = Decoded().connecting_geodesic(problem.point_a, problem.point_b)
    with torch.no_grad():
        points = curve(torch.linspace(0, 1, N_POINTS, dtype=torch.float64))
    return points.reshape(len(problem), N_POINTS, 2), torch.ones(len(problem), dtype=torch.bool)


def scipy_curves(problem: CommonProblem) -> tuple[Tensor, Tensor]:
    """Solve pair by pair with `scipy.integrate.solve_bvp`, from the straight line.

    Returns:
        Points along the curves, `(pairs, 1001, 2)`, and which were solved.
    """
    metric = PullbackMetric(problem.image, dim=2)
    t = np.linspace(0, 1, N_POINTS)
    curves, solved = [], []
    for a, b in zip(problem.point_a.numpy(), problem.point_b.numpy(), strict=True):
        found = _solve(metric, a, b)
        curves.append(torch.as_tensor(found.sol(t)[:2].T))
        solved.append(found.success)
    return torch.stack(curves), torch.tensor(solved)


def _solve(metric: Metric, a: NDArray, b: NDArray) -> Any:
    """Solve c'' = the metric's acceleration as a system of first order in w = (c, c')."""

    def equation(_: NDArray, w: NDArray) -> NDArray:
        z, v = torch.as_tensor(w.T).chunk(2, -1)
        return np.vstack([w[2:], metric.acceleration(z, v).numpy().T])

    def boundary(at_a: NDArray, at_b: NDArray) -> NDArray:
        return np.concatenate([at_a[:2] - a, at_b[:2] - b])

    t = np.linspace(0, 1, NODES)
    line = a[:, None] + (b - a)[:, None] * t
    guess = np.vstack([line, np.broadcast_to((b - a)[:, None], line.shape)])
    with np.errstate(all="ignore"):  # it may wander off to where the metric is not finite
        return solve_bvp(equation, boundary, t, guess, tol=1e-3, max_nodes=1000)
