"""Geodesics of the common problem: this package, stochman and SciPy, in one run on the same pairs.

    python benchmarks/geodesics.py [--pairs 200] [--scipy-pairs 20] [--points 1000]
                                   [--dims 8 32 128]

prints, all on one thread:

- length / reference and CPU seconds a pair of every method, and how many times faster than stochman
  it is. Of SciPy, which takes long, some of the pairs are solved, and only those with success are
  measured; of all others every curve is measured, whatever its status;
- what the pairs share, and how long it takes to make;
- how long one pair takes when it comes alone, and all distances between many points;
- how many points pass through the decoder for a geodesic, in units of its own nodes;
- with `--dims`, many dimensions: see `many_dimensions.py`. `--pairs 0` leaves out all the others.

stochman is compared with where it is installed:

    pip install --no-deps stochman==0.3.0 networkx torchdiffeq
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import many_dimensions
import torch
from baselines import has_stochman, scipy_curves, stochman_curves
from common_problem import N_POINTS, CommonProblem
from evaluations import KINDS, counted
from torch import Tensor

from pullback import Manifold
from pullback.geodesics import GeodesicResult, refine_sample
from pullback.geodesics.kernels.table_search import table_search
from pullback.geodesics.result import through

T = TypeVar("T")


class Row(NamedTuple):
    """A method's line in the table; its time is in CPU seconds a pair."""

    name: str
    solved: str
    ratio: Tensor
    seconds: float

    def line(self, unit: float) -> str:
        """Write the line; `unit` is the time that stochman takes for a pair."""
        numbers = ["-"] * 3
        if len(self.ratio) > 0:
            numbers = [f"{float(self.ratio.quantile(q)):.6f}" for q in (0.5, 0.95, 1.0)]
        times = [f"{self.seconds:.4f}", f"{unit / self.seconds:.2f}"] if self.seconds else "--"
        return f"| {' | '.join([self.name, self.solved, *numbers, *times])} |"


class Cost(NamedTuple):
    """CPU seconds, and how many points passed through the decoder for each kind of derivative."""

    seconds: float
    rows: Counter[str]


class Manifolds(NamedTuple):
    """What the pairs share, with their graphs, and what each part cost to make."""

    exact: Manifold
    table: Manifold
    costs: dict[str, Cost]


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """Return what a call returns, and the CPU seconds that it took."""
    begin = time.process_time()
    returned = call()
    return returned, time.process_time() - begin


def make_manifolds(problem: CommonProblem) -> Manifolds:
    """Make the table and the graphs."""
    a, b = problem.point_a, problem.point_b
    exact, costs = Manifold(problem.decoder(), data=problem.codes), {}
    exact.geodesic(a[:1], b[:1], graph=None)  # what PyTorch sets up once is not to be counted

    def made(name: str, make: Callable[[], T]) -> T:
        with counted(exact.metric) as rows:
            returned, seconds = timed(make)
        costs[name] = Cost(seconds, rows)
        return returned

    made("graph on the decoder", lambda: exact.graph_over(a))
    table = made("table", exact.tabulated)
    made("graph on the table", lambda: table.graph_over(a))
    table.geodesic(a[:1], b[:1])  # compiled once on a machine: read from disk here, or compiled
    made("paths on the grid of the compiled search", lambda: paths_of(table, a, b))
    return Manifolds(exact, table, costs)


def paths_of(table: Manifold, a: Tensor, b: Tensor) -> None:
    """Let the compiled search find the shortest paths on its grid that these pairs start from."""
    kernels = table_search(table.metric)
    if kernels is not None:
        kernels.prepare(torch.cat([a, b]))


def searches(made: Manifolds, problem: CommonProblem) -> dict[str, Callable[[], GeodesicResult]]:
    """Name the ways in which this package solves all pairs."""
    a, b = problem.point_a, problem.point_b
    return {
        "ours on the decoder, straight start": lambda: made.exact.geodesic(a, b, graph=None),
        "ours on the decoder, graph ready": lambda: made.exact.geodesic(a, b),
        "ours on a table, all ready": lambda: made.table.geodesic(a, b),
    }


def run_all(made: Manifolds, problem: CommonProblem, n_scipy_pairs: int) -> list[Row]:
    """Run every method once; stochman, if it is there, is the second row."""
    rows = [Row("straight line", "-", problem.ratios(problem.straight_lines()), 0.0)]
    peers = {
        "stochman 0.3.0": (problem if has_stochman() else None, stochman_curves),
        "SciPy solve_bvp": (problem.part(n_scipy_pairs) if n_scipy_pairs else None, scipy_curves),
    }
    for name, (part, solve) in peers.items():
        if part is not None:
            solve(part.part(1))
            (curves, solved), seconds = timed(lambda part=part, solve=solve: solve(part))
            ratio = part.ratios(curves)[solved]
            rows.append(Row(name, _share(solved), ratio, seconds / len(part)))
    for name, search in searches(made, problem).items():
        result, seconds = timed(search)
        ratio = problem.ratios(result.points(N_POINTS))
        rows.append(Row(name, _share(result.converged), ratio, seconds / len(problem)))
    return [*rows[:-1], *compiled_alone(made, problem), rows[-1]]


def compiled_alone(made: Manifolds, problem: CommonProblem) -> list[Row]:
    """Run the compiled search on the table alone, without the decoder; nothing without numba."""
    kernels = table_search(made.table.metric)
    if kernels is None:
        return []
    kernels.find(problem.point_a, problem.point_b)  # paths on the grid, and what is compiled once
    found, seconds = timed(lambda: kernels.find(problem.point_a, problem.point_b))
    curves = [
        through(nodes[: int(n) + 1]).points(N_POINTS)
        for nodes, n in zip(found.nodes, found.n_segments, strict=True)
    ]
    ratio = problem.ratios(torch.stack(curves))
    name = "ours on a table, the compiled search alone"
    return [Row(name, _share(found.resolved), ratio, seconds / len(problem))]


def print_comparison(rows: list[Row], made: Manifolds, n_pairs: int) -> None:
    """Print the table of the methods, and what it takes with all that is made once."""
    once = sum(cost.seconds for name, cost in made.costs.items() if "decoder" not in name)
    together = rows[-1].seconds + once / n_pairs
    rows = [*rows, Row("the same, table and graph included", *rows[-1][1:3], together)]
    unit = rows[1].seconds if rows[1].name.startswith("stochman") else float("nan")
    print(
        "| method | solved | length / reference: median | 95 % | max | CPU s a pair "
        "| times faster than stochman |\n" + "|---" * 7 + "|"
    )
    print("\n".join(row.line(unit) for row in rows))
    print(f"\n| made once | CPU s | points: {' | '.join(KINDS.values())} |\n" + "|---" * 6 + "|")
    for name, cost in made.costs.items():
        counts = [str(cost.rows[kind]) for kind in KINDS.values()]
        print(f"| {name} | {cost.seconds:.2f} | {' | '.join(counts)} |")


def print_latencies(manifold: Manifold, problem: CommonProblem) -> None:
    """Solve one pair at a time, and print what a user waits for it."""
    clocks = {"CPU": time.process_time, "wall": time.perf_counter}
    taken = []
    for a, b in zip(problem.point_a, problem.point_b, strict=True):
        begin = [clock() for clock in clocks.values()]
        manifold.geodesic(a, b)
        taken.append([clock() - at for clock, at in zip(clocks.values(), begin, strict=True)])
    quantiles = 1e3 * torch.tensor(taken).quantile(torch.tensor([0.5, 0.95]), dim=0)
    print("\n| one pair at a time, on the table | p50, ms | p95, ms |\n|---|---|---|")
    for name, (half, most) in zip(clocks, quantiles.T.tolist(), strict=True):
        print(f"| {name} | {half:.1f} | {most:.1f} |")


def print_pairwise(manifold: Manifold, codes: Tensor, n_points: int) -> None:
    """Measure all distances between codes, and their error on pairs that are solved with care."""
    chosen = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))[:n_points]
    z = codes[chosen]
    found, seconds = timed(
        lambda: manifold.pairwise(z, method="table", n_refined=0, progress=False)
    )
    graph = manifold.graph_over(z)
    refined, refining = timed(
        lambda: refine_sample(
            manifold.metric, found.distances, z, z, graph=graph, n=min(200, n_points)
        )
    )
    microseconds = 1e6 * seconds / (len(z) * (len(z) - 1) / 2)
    print(
        f"\n{refined}\n{seconds:.1f} CPU s, {microseconds:.0f} us a pair; refining {refining:.1f}"
    )


def print_evaluations(made: Manifolds, problem: CommonProblem) -> None:
    """Print how many points pass through the decoder, the floor being one sweep over the nodes."""
    kinds = list(KINDS.values())
    print(f"\n| sweeps over a geodesic's nodes: | {' | '.join(kinds)} |\n" + "|---" * 5 + "|")
    for name, search in searches(made, problem).items():
        with counted(made.exact.metric) as rows:
            n_nodes = int((search().n_segments + 1).sum())
        print(f"| {name} | {' | '.join(f'{rows[kind] / n_nodes:.2f}' for kind in kinds)} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=200, help="how many of the 200 pairs")
    parser.add_argument("--scipy-pairs", type=int, default=20, help="how many of them for SciPy")
    parser.add_argument("--points", type=int, default=1000, help="between which to measure")
    parser.add_argument("--dims", type=int, nargs="*", default=[], help="dimensions to compare in")
    parser.add_argument("--dims-pairs", type=int, default=10, help="pairs in each dimension")
    parser.add_argument("--adam-steps", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.pairs > 0:
        problem = CommonProblem(options.pairs)
        made = make_manifolds(problem)
        rows = run_all(made, problem, options.scipy_pairs)
        print_comparison(rows, made, len(problem))
        print_latencies(made.table, problem)
        print_evaluations(made, problem)
        if options.points > 0:
            print_pairwise(made.table, problem.codes, options.points)
    if options.dims:
        many_dimensions.print_table(
            options.dims, n_pairs=options.dims_pairs, n_steps=options.adam_steps
        )


def _share(solved: Tensor) -> str:
    return f"{int(solved.sum())} of {len(solved)}"


if __name__ == "__main__":
    main()
