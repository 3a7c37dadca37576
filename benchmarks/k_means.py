"""Geodesic k-means of 1000 codes of real digits on a table of the metric, and what it costs.

The decoder is that of `common_problem.py`; k = 3. Prints, for each method, processor seconds,
turns, geodesics and the inertia measured by exact geodesics.

    python benchmarks/k_means.py
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from common_problem import CommonProblem

from pullback import Manifold
from pullback.statistics import KMeans, Logarithms

N_POINTS, K = 1000, 3


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count the geodesics that are searched, shortly and exactly."""
    count = {"short": 0, "exact": 0}
    at = Logarithms.at

    def counting(self: Logarithms, *args: Any, **options: Any) -> Any:
        logs = at(self, *args, **options)
        count["exact" if self.exact else "short"] += logs.lengths.numel()
        return logs

    Logarithms.at = counting  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Logarithms.at = at  # type: ignore[method-assign]


def measure(manifold: Manifold, Z: torch.Tensor, method: str) -> dict[str, float]:
    """Fit once, and return what it cost and how good the centres are."""
    start = time.process_time()
    with counted() as count:
        k_means = KMeans(manifold, K, method=method, random_state=0).fit(Z)
    seconds = time.process_time() - start
    exact = k_means.inertia_
    if method == "graph":
        logs = Logarithms(manifold, Z, exact=True).at(k_means.cluster_centers_)
        exact = float(logs.lengths.amin(0).square().sum())
    return {"seconds": seconds, "turns": k_means.n_iter_, **count, "inertia": exact}


def main() -> None:
    """Print a table of the methods."""
    torch.set_num_threads(1)
    problem = CommonProblem()
    Z = problem.codes[torch.linspace(0, len(problem.codes) - 1, N_POINTS).long()]
    start = time.process_time()
    manifold = Manifold(problem.decoder(), data=Z).tabulated(Z)
    print(f"{N_POINTS} points, d = 2, k = {K}; table of the metric: ", end="")
    print(f"{time.process_time() - start:.1f} CPU s")
    print(f"{'method':>8} {'CPU s':>7} {'turns':>6} {'short':>7} {'exact':>7} {'inertia':>9}")
    for method in ("graph", "log"):
        row = measure(manifold, Z, method)
        print(
            f"{method:>8} {row['seconds']:7.1f} {row['turns']:6.0f} {row['short']:7.0f} "
            f"{row['exact']:7.0f} {row['inertia']:9.2f}"
        )


if __name__ == "__main__":
    main()
