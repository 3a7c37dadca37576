"""Geodesics of the common problem by geomstats 2.8, in an environment of its own: see README.md.

geomstats solves one pair after another: by straightening a path of 20 nodes (L-BFGS of SciPy on its
discrete energy), or by shooting, its default for a pull-back metric (Euler's method in 100 steps
within SciPy's minimiser). Its own Jacobian is a loop over the points, so it is given a batched one,
and a Hessian for shooting; the rest is its default.

    python benchmarks/peers/geomstats_geodesics.py [--pairs N] [--method shooting]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["GEOMSTATS_BACKEND"] = "pytorch"  # read once, when geomstats is imported
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from common_problem import N_POINTS, CommonProblem
from geomstats.geometry.base import ImmersedSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.numerics.geodesic import PathStraightening
from torch import Tensor

N_NODES = 20


class DecodedSpace(ImmersedSet):
    """The latent space with the metric that the decoder of the common problem pulls back."""

    def __init__(self, problem: CommonProblem) -> None:
        self._image = problem.image
        super().__init__(dim=2)

    def _define_embedding_space(self) -> Euclidean:
        return Euclidean(self._image(torch.zeros(2, dtype=torch.float64)).shape[-1])

    def immersion(self, point: Tensor) -> Tensor:
        """Compute the image (mean, standard deviation)."""
        return self._image(point)

    def jacobian_immersion(self, base_point: Tensor) -> Tensor:
        """Compute the Jacobian in forward mode, `(*batch, D, d)`."""
        return _batched(torch.func.jacfwd(self._image), base_point)

    def hessian_immersion(self, base_point: Tensor) -> Tensor:
        """Compute the second derivatives in forward mode, `(*batch, D, d, d)`."""
        return _batched(torch.func.jacfwd(torch.func.jacfwd(self._image)), base_point)


def geodesics(problem: CommonProblem, method: str) -> Tensor:
    """Solve the pairs, and return points along the curves, `(pairs, 1001, 2)`."""
    space = DecodedSpace(problem)
    if method == "straightening":
        space.metric.log_solver = PathStraightening(space, n_nodes=N_NODES)
    t = torch.linspace(0, 1, N_POINTS, dtype=torch.float64)
    curves = []
    for i, (a, b) in enumerate(zip(problem.point_a, problem.point_b, strict=True)):
        begin = time.process_time()
        curve = space.metric.geodesic(initial_point=a, end_point=b)(t)
        curves.append(curve.detach().reshape(N_POINTS, 2))
        miss = float((curves[-1][-1] - b).norm() / (b - a).norm())
        print(f"pair {i}: {time.process_time() - begin:.1f} s, misses its end by {miss:.1%}")
    return torch.stack(curves)


def main() -> None:
    """Solve some pairs, and print a row with the columns of `geodesics.py`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4, help="how many of the 200 pairs")
    parser.add_argument("--method", choices=("straightening", "shooting"), default="straightening")
    options = parser.parse_args()
    torch.set_num_threads(1)
    problem = CommonProblem(options.pairs)
    begin = time.process_time()
    curves = geodesics(problem, options.method)
    seconds = (time.process_time() - begin) / len(problem)
    gap = (curves[:, -1] - problem.point_b).norm(dim=-1)
    reached = gap < 1e-3 * (problem.point_b - problem.point_a).norm(dim=-1)
    ratio = problem.ratios(curves)[reached]
    numbers = [f"{float(ratio.quantile(q)):.5f}" for q in (0.5, 0.95, 1.0)] if len(ratio) else "---"
    cells = [f"{int(reached.sum())} of {len(problem)}", *numbers, f"{seconds:.3f}"]
    print("\n| method | solved | length / reference: median | 95 % | max | CPU s a pair |")
    print("|---|---|---|---|---|---|")
    print(f"| geomstats 2.8, path {options.method} | " + " | ".join(cells) + " |")


def _batched(derivative: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    flat = torch.func.vmap(derivative)(points.reshape(-1, points.shape[-1]))
    return flat.reshape(*points.shape[:-1], *flat.shape[1:])


if __name__ == "__main__":
    main()
