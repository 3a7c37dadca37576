"""How time and memory of a geodesic search grow: with d, with m, with the nodes, with the pairs.

    python benchmarks/scaling.py [--values N] [--out FOLDER]

One of the four is varied, the others stay as in `Setting`; the decoder is the random smooth one of
`many_dimensions.py`, and one chain of nodes is relaxed from the straight line. Each setting is
measured in a process of its own, on one thread: the best CPU time of some runs, and by how much the
first one raised the highest resident memory (`ru_maxrss`). A search on a tiny decoder has run
before, so neither PyTorch nor the weights are counted; less than 1 MiB counts as 1. Exponents are
fitted to the upper half of the values. Draws `images/scaling.png`, and takes some minutes.

Many distances on the table of the common problem are measured likewise: all between some codes,
random pairs of codes, and pairs of points none of which comes twice. Their time and memory are
those of the distances alone: table, graph and compiled kernels are ready. The distances between
the first codes are held against careful solutions, on the table and on the decoder.
"""

import argparse
import itertools
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from common_problem import CommonProblem
from many_dimensions import end_points, smooth_decoder
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from pullback import Manifold
from pullback.geodesics import Ruler
from pullback.geodesics.kernels.table_search import table_search
from pullback.plots.style import EUCLIDEAN, RIEMANNIAN, theme, to_png


class Setting(NamedTuple):
    """A search of a certain size."""

    dim: int = 2
    n_outputs: int = 784
    n_segments: int = 32
    n_pairs: int = 16


class Cost(NamedTuple):
    """CPU seconds, and MiB."""

    seconds: float
    memory: float


class Axis(NamedTuple):
    """What is varied."""

    field: str
    title: str
    values: tuple[int, ...]

    def settings(self) -> Iterator[Setting]:
        """Yield the settings along the axis, all else as usual."""
        return (Setting()._replace(**{self.field: value}) for value in self.values)


AXES = (
    Axis("dim", "latent dimension d", (2, 4, 8, 16, 32, 64, 128)),
    Axis("n_outputs", "data dimension m", (100, 200, 500, 1000, 2000, 5000, 10000, 20000)),
    Axis("n_segments", "segments of a curve", (32, 64, 128, 256, 512)),
    Axis("n_pairs", "pairs at once", (1, 4, 16, 64, 256, 1024, 4096)),
)
QUANTITIES = {"seconds": "time, CPU s", "memory": "memory, MiB"}
_ENOUGH = 1.0  # seconds after which a run is not repeated
_CHECKED = 40  # codes, all distances between which are held against careful solutions
_FEW = 200  # pairs of points that are held against the decoder, which takes some 20 ms each
_SOURCES = 150  # codes that warm what many pairs of codes need
_LEAST = 1.0  # MiB: less is lost among the pages that a process holds anyway


def measure(setting: Setting) -> Cost:
    """Measure a search, in a process where none of that size has run before."""
    torch.set_num_threads(1)
    manifold = Manifold(smooth_decoder(setting.dim, setting.n_outputs), dim=setting.dim)
    a, b = end_points(setting.n_pairs, setting.dim)
    Manifold(smooth_decoder(2, 2), dim=2).geodesic([0.0, 0.0], [1.0, 1.0], levels=(4,), graph=None)
    before, seconds, peak = _highest_memory(), [], 0.0
    while sum(seconds) < _ENOUGH:
        begin = time.process_time()
        manifold.geodesic(a, b, levels=(setting.n_segments,), graph=None)
        seconds.append(time.process_time() - begin)
        peak = peak or _highest_memory()
    return Cost(min(seconds), max(peak - before, _LEAST))


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Fit log cost = exponent log value + constant to the upper half of the values."""
    half = max(2, (len(values) + 1) // 2)
    x, y = np.log(np.asarray(values[-half:])), np.log(np.asarray(costs[-half:]))
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else float("nan")


def measure_all(axes: Sequence[Axis]) -> dict[Setting, Cost]:
    """Measure the settings of all axes, one after another."""
    settings = list(dict.fromkeys(setting for axis in axes for setting in axis.settings()))
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return dict(zip(settings, pool.map(measure, settings), strict=True))


def draw(axes: Sequence[Axis], costs: dict[Setting, Cost]) -> bytes:
    """Draw a column of panels for each axis, time above and memory below, as a PNG file."""
    with theme("light"):
        figure = Figure(figsize=(9, 4.4), dpi=110, layout="constrained")
        panels = figure.subplots(len(QUANTITIES), len(axes), sharex="col", sharey="row")
        for column, axis in enumerate(axes):
            for row, name in enumerate(QUANTITIES):
                _draw_panel(panels[row, column], axis, series(axis, costs, name), name)
            panels[-1, column].set_xlabel(axis.title)
        for row, label in enumerate(QUANTITIES.values()):
            panels[row, 0].set_ylabel(label)
        return to_png(panels[0, 0])


def _draw_panel(ax: Axes, axis: Axis, costs: Sequence[float], quantity: str) -> None:
    colour = {"seconds": RIEMANNIAN, "memory": EUCLIDEAN}[quantity]
    ax.loglog(axis.values, costs, "o-", color=colour, markersize=4)
    ax.set_xticks(axis.values[:: max(1, (len(axis.values) - 1) // 2)])
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y")
    ax.text(0.05, 0.9, f"exponent {exponent(axis.values, costs):.2f}", transform=ax.transAxes)


def series(axis: Axis, costs: dict[Setting, Cost], quantity: str) -> list[float]:
    """Return the time or the memory along an axis."""
    return [getattr(costs[setting], quantity) for setting in axis.settings()]


class Many(NamedTuple):
    """Many distances, and what they cost."""

    lengths: NDArray[np.float64]  # tensors would end with the process that made them
    cost: Cost


def common_codes() -> tuple[Manifold, torch.Tensor]:
    """Return the manifold of the common problem over its table, and its codes, shuffled."""
    torch.set_num_threads(1)
    problem = CommonProblem()
    order = torch.randperm(len(problem.codes), generator=torch.Generator().manual_seed(0))
    M = Manifold(problem.decoder(), data=problem.codes).tabulated(problem.codes)
    return M, problem.codes[order]


def measure_many(kind: str, n: int) -> Many:
    """Measure all pairs of n codes, n pairs of codes, or of n points of their own."""
    M, codes = common_codes()
    generator = torch.Generator().manual_seed(1)
    i, j = torch.randint(len(codes), (2, n), generator=generator)
    Z = codes[:n] if kind == "all" else codes
    ruler = Ruler(M.metric, Z, "table", data=codes)
    few = codes[:_SOURCES]
    ruler.pairs(few[:1].expand_as(few), few)
    ruler.pairs(few, few.flip(0))
    a, b = codes[i], codes[j]
    if kind == "points":
        a = a + 1e-6 * torch.rand(n, 2, generator=generator, dtype=torch.float64)
    before, begin = _highest_memory(), time.process_time()
    lengths = ruler.among().length if kind == "all" else ruler.pairs(a, b).length
    seconds = time.process_time() - begin
    return Many(lengths.numpy(), Cost(seconds, max(_highest_memory() - before, _LEAST)))


def careful(M: Manifold, Z: torch.Tensor) -> torch.Tensor:
    """Return the shortest of what fine fields from both ends and a strict search find."""
    i, j = torch.tensor(list(itertools.combinations(range(len(Z)), 2))).T
    found = [M.dist_field(a, resolution=256).to(Z, refined=True) for a in Z]
    rows = torch.stack([one.distance.where(one.refined, torch.inf) for one in found])
    search = table_search(M.metric)
    assert search is not None
    strict = search.find(Z[i], Z[j], rtol=1e-6)
    return torch.stack(
        [rows[i, j], rows[j, i], strict.length.where(strict.resolved, torch.inf)]
    ).amin(0)


def accuracy(lengths: NDArray[np.float64]) -> dict[str, torch.Tensor]:
    """Return relative errors between the first codes, on the table and on the decoder."""
    M, codes = common_codes()
    Z = codes[: min(_CHECKED, len(lengths))]
    i, j = torch.tensor(list(itertools.combinations(range(len(Z)), 2))).T
    found = torch.from_numpy(lengths)[i, j]
    some = torch.arange(0, len(i), max(1, len(i) // _FEW))
    exact = M.geodesic(Z[i[some]], Z[j[some]])
    return {
        "careful ones on the table": found / careful(M, Z) - 1,
        "careful ones on the decoder": (found[some] / exact.length - 1)[exact.converged],
    }


def print_many(n_codes: int, n_pairs: int) -> None:
    """Measure many distances, each kind in a process of its own, and print two tables."""
    n_points = max(1, n_pairs // 50)
    asked = {
        f"all of {n_codes} codes": ("all", n_codes),
        f"{n_pairs // 4} pairs of codes": ("codes", n_pairs // 4),
        f"{n_pairs} pairs of codes": ("codes", n_pairs),
        f"{n_points} pairs of points": ("points", n_points),
    }
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        tasks = {name: pool.submit(measure_many, *what) for name, what in asked.items()}
        found = {name: task.result() for name, task in tasks.items()}
    print("\n| distances | pairs | CPU s | us a pair | memory, MiB | none found |")
    print("|---" * 6 + "|")
    for name, (lengths, cost) in found.items():
        n = n_codes * (n_codes - 1) // 2 if asked[name][0] == "all" else lengths.size
        cells = [f"{cost.seconds:.3g}", f"{1e6 * cost.seconds / n:.0f}", f"{cost.memory:.0f}"]
        print(f"| {name} | {n} | {' | '.join(cells)} | {int((~np.isfinite(lengths)).sum())} |")
    print("\n| beside | pairs | within 0.01 % | beyond 0.1 % | 95 % | largest |")
    print("|---" * 6 + "|")
    for name, errors in accuracy(found[next(iter(found))].lengths).items():
        off = errors.abs()
        within, beyond = (100 * float(share.double().mean()) for share in (off <= 1e-4, off > 1e-3))
        cells = [f"{within:.1f} %", f"{beyond:.2f} %", f"{off.quantile(0.95):.1e}"]
        print(f"| {name} | {len(off)} | {' | '.join(cells)} | {off.max():.1e} |")


def main() -> None:
    """Measure, print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--values", type=int, default=99, help="how many values of each, at most")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--codes", type=int, default=1000, help="between which all is measured")
    parser.add_argument("--pairs", type=int, default=10**6, help="random pairs; 0 for no table")
    parser.add_argument("--only-many", action="store_true", help="leave out the varied settings")
    options = parser.parse_args()
    if options.pairs:
        print_many(options.codes, options.pairs)
    if options.only_many:
        return
    axes = [axis._replace(values=axis.values[: options.values]) for axis in AXES]
    costs = measure_all(axes)
    print("| varied | from | to | time, CPU s | exponent | memory, MiB | exponent |")
    print("|---" * 7 + "|")
    for axis in axes:
        cells = [axis.title, axis.values[0], axis.values[-1]]
        for name in QUANTITIES:
            along = series(axis, costs, name)
            cells += [f"{along[0]:.3g} - {along[-1]:.3g}", f"{exponent(axis.values, along):.2f}"]
        print(f"| {' | '.join(map(str, cells))} |")
    options.out.mkdir(exist_ok=True)
    (options.out / "scaling.png").write_bytes(draw(axes, costs))


def _highest_memory() -> float:
    """Return the highest resident memory of this process so far, in MiB."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
