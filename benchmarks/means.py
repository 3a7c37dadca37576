"""Frechet means: curves and centre relaxed together, beside steps along logs and GEORCE-FM.

Prints, for each problem, processor seconds and F, the mean squared distance to the centre: in
closed form on the sphere, by exact geodesics elsewhere. GEORCE-FM is written from the paper
(arXiv:2511.04301), 100 segments, from the Euclidean mean: the same as in the claim `frechet-means`.

    python benchmarks/means.py
    python benchmarks/means.py --problems sphere smooth
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from common_problem import CommonProblem
from many_dimensions import smooth_decoder
from sklearn.cluster import KMeans
from torch import Tensor

from pullback import Manifold
from pullback.manifolds.reference import great_circle_dist, stereographic
from pullback.reproduction.claims.computation.means import georce_fm
from pullback.statistics import Logarithms
from pullback.statistics.centers.center import Limits, find_centers
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.frechet_mean import SquaredDistance

MOST = 1000
"""Iterations of GEORCE-FM, as in the paper."""


class StepsAlongLogs(SquaredDistance):
    """The same mean without joint relaxation: what the package did before."""

    squared: ClassVar[bool] = False


class Problem(NamedTuple):
    """Points in groups on a manifold, and how to measure F of each group's centre."""

    name: str
    manifold: Manifold
    Z: Tensor
    owner: Tensor
    value: Callable[[Tensor], Tensor]


def descend(problem: Problem, objective: SquaredDistance, *, max_iter: int = 50) -> Centers:
    """Find the means by the package."""
    weights = torch.ones(len(problem.Z)).to(problem.Z)
    limits = Limits(n_init=3, max_iter=max_iter, tol=1e-5)
    return find_centers(
        problem.manifold,
        problem.Z,
        problem.owner,
        objective,
        weights=weights,
        starts=None,
        limits=limits,
    )


def cap(n: int, radius: float, seed: int) -> Tensor:
    """Draw points uniformly from a cap of the sphere round its south pole: `(n, 2)`."""
    generator = torch.Generator().manual_seed(seed)
    share, turn = torch.rand(2, n, generator=generator, dtype=torch.float64)
    angle = torch.acos(1 - share * (1 - torch.cos(torch.tensor(radius))))
    turn = 2 * torch.pi * turn
    return torch.tan(angle / 2)[:, None] * torch.stack([turn.cos(), turn.sin()], -1)


def by_geodesics(manifold: Manifold, Z: Tensor, owner: Tensor, centers: Tensor) -> Tensor:
    """Measure F of each group by exact geodesics: `(k,)`."""
    lengths = Logarithms(manifold, Z, exact=True).at(centers, owner=owner).lengths
    sums = lengths.new_zeros(len(centers)).index_add(0, owner, lengths.square())
    return sums / owner.bincount()


def problems(names: list[str], n_codes: int) -> Iterator[Problem]:
    """Set the problems up."""
    for n in (10, 100) if "sphere" in names else ():
        for radius in (0.5, 1.0, 1.4):
            Z = cap(n, radius, seed=n)
            name = f"sphere, {n} points, cap of {radius}"
            value = partial(on_sphere, Z)
            yield Problem(
                name, Manifold(stereographic, dim=2), Z, torch.zeros(n, dtype=torch.long), value
            )
    for d in (2, 5) if "smooth" in names else ():
        generator = torch.Generator().manual_seed(2)
        Z = torch.randn(20, d, generator=generator, dtype=torch.float64)
        manifold = Manifold(smooth_decoder(d, 100), dim=d)
        yield measured(f"smooth decoder, d = {d}, 20 points", manifold, Z)
    if not {"table", "decoder"} & set(names):
        return
    problem = CommonProblem()
    Z = problem.codes[torch.linspace(0, len(problem.codes) - 1, n_codes).long()]
    labels = KMeans(3, n_init=10, random_state=0).fit_predict(Z.numpy())
    owner = torch.as_tensor(labels).long()
    manifold = Manifold(problem.decoder(), data=problem.codes)
    if "table" in names:
        yield measured(
            f"digits, table, {n_codes} codes in 3 groups", manifold.tabulated(Z), Z, owner
        )
    if "decoder" in names:
        yield measured(f"digits, {n_codes} codes in 3 groups", manifold, Z, owner)


def measured(name: str, manifold: Manifold, Z: Tensor, owner: Tensor | None = None) -> Problem:
    """Return a problem whose centres are measured by exact geodesics."""
    owner = torch.zeros(len(Z), dtype=torch.long) if owner is None else owner
    return Problem(name, manifold, Z, owner, partial(by_geodesics, manifold, Z, owner))


def on_sphere(Z: Tensor, centers: Tensor) -> Tensor:
    """Measure F on the sphere by its closed form."""
    return great_circle_dist(centers.expand_as(Z), Z).square().mean()[None]


def row(problem: Problem, georce_steps: int) -> tuple[str, int, int]:
    """Measure the methods on a problem.

    Returns:
        A line of the table, in how many groups ours is worse by more than 1e-6 of F, and in how
        many the leap was taken.
    """
    n_groups = int(problem.owner.max()) + 1
    cells, values = [], []
    taken = 0
    descend(problem, StepsAlongLogs(), max_iter=1)  # the graph is made, and kernels are compiled
    for objective in (StepsAlongLogs(), SquaredDistance(), None):
        if objective is None and georce_steps == 0:
            cells.append("- | -")
            continue
        start = time.process_time()
        if objective is None:
            groups = [problem.Z[problem.owner == k] for k in range(n_groups)]
            found = torch.stack(
                [georce_fm(problem.manifold.metric, Z, max_steps=georce_steps) for Z in groups]
            )
        else:
            centers = descend(problem, objective)
            found, taken = centers.points, max(taken, int(centers.joint.sum()))
        seconds = time.process_time() - start
        values.append(problem.value(found))
        cells.append(f"{seconds:.2f} | {float(values[-1].mean()):.8g}")
    worse = int((values[1] > values[0] * (1 + 1e-6)).sum())
    return f"| {problem.name} | {' | '.join(cells)} |", worse, taken


def main() -> None:
    """Print a table of the problems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["sphere", "smooth", "table", "decoder"]
    parser.add_argument("--problems", nargs="+", choices=names, default=names)
    parser.add_argument("--codes", type=int, default=60, help="codes of digits")
    parser.add_argument("--georce-steps", type=int, default=MOST, help="0 leaves GEORCE-FM out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| problem | along logs: CPU s | F | together: CPU s | F | GEORCE-FM: CPU s | F |")
    print("|---|---|---|---|---|---|---|")
    worse = taken = groups = 0
    for problem in problems(options.problems, options.codes):
        line, more, joint = row(problem, options.georce_steps)
        worse, taken = worse + more, taken + joint
        groups += int(problem.owner.max()) + 1
        print(line, flush=True)
    print(f"of {groups} groups, relaxed together: {taken}; worse than along logs: {worse}")


if __name__ == "__main__":
    main()
