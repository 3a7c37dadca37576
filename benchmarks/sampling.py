"""Random walks on the common decoder: what they cost, and whether they stay on the data.

    python benchmarks/sampling.py [--chains 1000] [--steps 1000] [--walk 10000]

prints, on one thread:

- CPU seconds for steps x chains of Brownian motion by each method, on a table of the metric and on
  the decoder (where few are timed, and the rest counted in), and how many points pass
  through the decoder for a step of a chain;
- the share of the points of long walks that lie where the data are, on the manifold and in flat
  coordinates with steps as long (in the root mean square). There are two supports: points no
  farther from a code than 99 % of the codes from their fifth neighbour, and points whose standard
  deviation is no larger than that of 99 % of the codes, on average over the pixels.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from common_problem import CommonProblem
from evaluations import KINDS, counted
from torch import Tensor

from pullback import Manifold
from pullback.metrics import PullbackMetric
from pullback.sampling import BrownianMotion

METHODS = ("driftless", "ito", "geodesic")
STEP_SIZE = 0.2
DECODER_STEPS, DECODER_CHAINS = 4, 100  # that are timed where each step costs seconds
MARGIN = 0.5  # of the table beyond the codes, so that walks stay on it


def print_costs(exact: Manifold, table: Manifold, start: Tensor, n_steps: int) -> None:
    """Print the time of each method, and the points that pass through the decoder."""
    print(
        f"\n| {n_steps} steps x {len(start)} chains, step size {STEP_SIZE} | CPU s | stopped "
        f"| on the table | points a step: {' | '.join(KINDS.values())} |\n" + "|---" * 8 + "|"
    )
    ways = [
        ("table", table, n_steps, len(start)),
        ("decoder", exact, DECODER_STEPS, DECODER_CHAINS),
    ]
    for name, manifold, most, n_chains in ways:
        for method in METHODS:
            n, begun = min(most, n_steps), start[:n_chains]
            walk = BrownianMotion(manifold, step_size=STEP_SIZE, method=method)
            with counted(exact.metric) as before:
                walk.sample(begun, 1, random_state=0)  # what is set up once is not to be counted
            with counted(exact.metric) as rows:
                begin = time.process_time()
                samples = walk.sample(begun, n, random_state=0)
                seconds = time.process_time() - begin
            seconds *= n_steps * len(start) / (n * len(begun))
            stopped = int((~samples.converged).sum())
            covered = float(table.metric.covers(samples.points).double().mean())
            more = max(n - 1, 1) * len(begun)
            counts = [f"{(rows[kind] - before[kind]) / more:.3g}" for kind in KINDS.values()]
            cells = [f"{method}, {name}", f"{seconds:.1f}", str(stopped), f"{100 * covered:.2f} %"]
            print(f"| {' | '.join(cells + counts)} |", flush=True)


def supports(problem: CommonProblem) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return for each of the two supports a function that says which points lie in it."""
    codes = problem.codes
    radius = torch.cdist(codes, codes).kthvalue(6).values.quantile(0.99)  # a code is its own first

    def spread(z: Tensor) -> Tensor:
        return torch.cat([problem.image(part)[:, 784:].mean(1) for part in z.split(2000)])

    largest = spread(codes).quantile(0.99)
    return {
        "near a code": lambda z: torch.cdist(z, codes).amin(1) <= radius,
        "small deviation": lambda z: spread(z) <= largest,
    }


def print_shares(table: Manifold, problem: CommonProblem, n_chains: int, n_steps: int) -> None:
    """Print how many points of long walks lie where the data are."""
    chosen = torch.linspace(0, len(problem.codes) - 1, n_chains).long()
    start = problem.codes[chosen]
    inside = supports(problem)
    names = " | ".join(inside)
    print(f"\n| {n_chains} walks of {n_steps} steps | step | {names} |\n" + "|---" * 4 + "|")
    for method in ("ito", "driftless"):
        walk = BrownianMotion(table, step_size=STEP_SIZE, method=method)
        points = walk.sample(start, n_steps, random_state=1).points
        step = points.diff(dim=1).square().mean().sqrt().item()
        _print_shares(f"Riemannian, {method}", step, points, inside)
    flat = Manifold(PullbackMetric(lambda z: z, dim=2))
    walk = BrownianMotion(flat, step_size=step, method="driftless")
    points = walk.sample(start, n_steps, random_state=1).points
    _print_shares("Euclidean", step, points, inside)
    _print_shares("codes", math.nan, problem.codes, inside)


def _print_shares(
    name: str, step: float, points: Tensor, inside: dict[str, Callable[[Tensor], Tensor]]
) -> None:
    z = points.reshape(-1, points.shape[-1])
    z = z[torch.linspace(0, len(z) - 1, min(len(z), 20_000)).long()]
    shares = [f"{100 * float(test(z).double().mean()):.2f} %" for test in inside.values()]
    print(f"| {name} | {step:.4f} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chains", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--walks", type=int, default=10, help="long walks")
    parser.add_argument("--walk", type=int, default=10_000, help="steps of a long walk")
    options = parser.parse_args()
    torch.set_num_threads(1)
    problem = CommonProblem(1)
    exact = Manifold(problem.decoder(), data=problem.codes)
    begin = time.process_time()
    table = exact.tabulated(margin=MARGIN)
    print(f"the table took {time.process_time() - begin:.1f} CPU s")
    draws = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(problem.codes), (options.chains,), generator=draws)
    print_costs(exact, table, problem.codes[chosen], options.steps)
    print_shares(table, problem, options.walks, options.walk)


if __name__ == "__main__":
    main()
