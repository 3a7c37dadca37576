"""Geodesics in 2 to 512 latent dimensions, against an exact oracle, Adam and GEORCE as published.

    python benchmarks/many_dimensions.py [--flow 2 8 32 128 512] [--rbf 10 20 50]
        [--ensemble 10 20 50] [--smooth 128 512] [--pairs 4] [--adam-steps 20000] [--georce]

- flow: an invertible decoder R^d -> R^d of four coupling layers. Its image is all of R^d, so that
  dist(a, b) = |f(a) - f(b)| exactly, whatever the nodes.
- rbf, ensemble: VAEs of the digits 0, 5 and 7 with RBF precision, and ensembles of five decoders,
  trained here; pairs of held-out images.
- smooth: a random network, d - 128 - 256 - 784 with tanh, its weights semi-orthogonal and large
  enough that straight lines are far from geodesics.

Where no reference is known, the package, as a user calls it, is held against plain gradient
descent: Adam on the energy of a chain of 64 segments (in the older table as many as ours, with the
best of three learning rates), and GEORCE with its own settings. One evaluator with thousands of
chords measures the curves of all; of GEORCE's nodes, as of ours and Adam's, a cubic spline.

`python benchmarks/geodesics.py --pairs 0 --dims 8 32 128` prints the older table.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from georce import georce
from torch import Tensor, nn

from pullback import Manifold
from pullback.curves import CubicSpline, Curve, Polyline, straight_line
from pullback.datasets import mnist, split
from pullback.metrics import EnsembleMetric, Metric
from pullback.models import VAE

GAIN = 1.2
LEARNING_RATES = (1e-3, 1e-2, 1e-1)


def smooth_decoder(
    dim: int, n_outputs: int = 784, *, widths: Sequence[int] = (128, 256)
) -> nn.Sequential:
    """Draw a network with tanh between its layers, which keeps the size of what passes through."""
    generator = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((dim, *widths, n_outputs)):
        layer = nn.Linear(n_in, n_out).double().requires_grad_(False)
        # Normal weights would do but for a square layer, which is then all but singular.
        gain = GAIN * max(1.0, math.sqrt(n_out / n_in))
        nn.init.orthogonal_(layer.weight, gain=gain, generator=generator)
        layer.bias.zero_()
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def end_points(n_pairs: int, dim: int) -> Tensor:
    """Draw pairs of end points from N(0, I): `(2, pairs, d)`."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, n_pairs, dim, generator=generator, dtype=torch.float64)


def energies(decoder: nn.Module, curve: Curve) -> Tensor:
    """Measure the energies of a batch of curves by 1000 chords each."""
    with torch.no_grad():
        return torch.stack([chain_energy(decoder, points) for points in curve.points(1001)])


def chain_energy(decoder: Callable[[Tensor], Tensor], nodes: Tensor) -> Tensor:
    """Compute 1/2 int |c'|^2 dt of chains `(*batch, n, d)`."""
    squares = decoder(nodes).diff(dim=-2).square().sum((-1, -2))
    return squares * (nodes.shape[-2] - 1) / 2


def adam(
    decoder: Callable[[Tensor], Tensor], line: Tensor, *, learning_rate: float, n_steps: int
) -> tuple[Tensor, float]:
    """Relax chains of nodes `(pairs, n, d)`, and return them with the CPU seconds that it took."""
    begin = time.process_time()
    inner = line[:, 1:-1].clone().requires_grad_(True)
    optimiser = torch.optim.Adam([inner], lr=learning_rate)
    for _ in range(n_steps):
        optimiser.zero_grad()
        nodes = torch.cat([line[:, :1], inner, line[:, -1:]], 1)
        chain_energy(decoder, nodes).sum().backward()
        optimiser.step()
    nodes = torch.cat([line[:, :1], inner.detach(), line[:, -1:]], 1)
    return nodes, time.process_time() - begin


def compare(dim: int, *, n_pairs: int, n_steps: int) -> str:
    """Solve the same pairs in both ways, and return a row of the table."""
    decoder, (a, b) = smooth_decoder(dim), end_points(n_pairs, dim)
    begin = time.process_time()
    result = Manifold(decoder, dim=dim).geodesic(a, b)
    ours_seconds, adam_seconds = time.process_time() - begin, 0.0
    theirs = torch.full_like(result.length, torch.inf)
    for n_segments in result.n_segments.unique().tolist():
        alike = result.n_segments == n_segments
        line = straight_line(a[alike], b[alike], n_segments)
        for rate in LEARNING_RATES:
            nodes, seconds = adam(decoder, line, learning_rate=rate, n_steps=n_steps)
            theirs[alike] = theirs[alike].fmin(energies(decoder, CubicSpline(nodes)))
            adam_seconds += seconds / len(LEARNING_RATES)
    ours = energies(decoder, result.curve)
    gain = energies(decoder, Polyline(torch.stack([a, b], 1))) / ours
    n_nodes = result.n_segments.double().mean() + 1
    return (
        f"| {dim} | {int(result.converged.sum())} of {n_pairs} | {n_nodes:.0f} "
        f"| {gain.median():.2f} | {(ours / theirs).median():.6f} | {(ours / theirs).max():.6f} "
        f"| {ours_seconds / n_pairs:.3f} | {adam_seconds / n_pairs:.3f} "
        f"| {adam_seconds / ours_seconds:.1f} |"
    )


def print_table(dims: Sequence[int], *, n_pairs: int = 10, n_steps: int = 2000) -> None:
    """Print one row a dimension."""
    print(
        "\n| d | converged | nodes | energy: straight / ours | ours / Adam: median | max "
        "| CPU s a pair: ours | Adam | times faster |"
    )
    print("|---" * 9 + "|")
    compare(2, n_pairs=1, n_steps=1)  # what PyTorch sets up once is not to be counted
    for dim in dims:
        print(compare(dim, n_pairs=n_pairs, n_steps=n_steps), flush=True)


class Problem(NamedTuple):
    """A manifold with pairs of points, and a name for its row."""

    name: str
    manifold: Manifold
    ends: Tensor


class Flow(nn.Module):
    """An invertible map of R^d: coupling layers, of which each moves one half by the other."""

    def __init__(self, dim: int, *, n_layers: int = 4, width: int = 32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        half = dim // 2
        self.half, sizes = half, [(half, dim - half), (dim - half, half)]
        self.layers = nn.ModuleList()
        for k in range(n_layers):
            n_in, n_out = sizes[k % 2]
            layer = nn.Sequential(nn.Linear(n_in, width), nn.Tanh(), nn.Linear(width, n_out))
            for part in layer:
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=part.in_features**-0.5, generator=generator)
                    nn.init.zeros_(part.bias)
            self.layers.append(layer)
        self.double().requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Map z `(*batch, d)` to f(z) `(*batch, d)`."""
        x, y = z[..., : self.half], z[..., self.half :]
        for k, layer in enumerate(self.layers):
            x, y = (x, y + layer(x)) if k % 2 == 0 else (x + layer(y), y)
        return torch.cat([x, y], -1)


def digits(kind: str, dim: int, n_pairs: int, *, epochs: int = 300) -> Problem:
    """Train a model of the digits 0, 5 and 7, and draw pairs of held-out images."""
    X, y = mnist(digits=(0, 5, 7))
    parts = split(X, y, test_fraction=0.3, random_state=0)
    name, model = {"rbf": ("RBF-VAE", {}), "ensemble": ("ensemble", {"n_decoders": 5})}[kind]
    vae = VAE(784, dim, hidden=(128, 64), random_state=0, **model)
    options = {"epochs": epochs, "batch_size": 64, "learning_rate": 3e-3, "progress": False}
    vae.fit(parts.X_train, random_state=0, **options)
    codes = vae.encode(parts.X_test).double()
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))
    ends = codes[order[: 2 * n_pairs]].unflatten(0, (2, n_pairs))
    data = vae.encode(parts.X_train).double()
    return Problem(f"{name}, d = {dim}", Manifold(vae, data=data), ends)


def image_of(metric: Metric) -> Callable[[Tensor], Tensor]:
    """The immersion of a metric: of an ensemble, all of its members' side by side."""
    if isinstance(metric, EnsembleMetric):
        parts = [image_of(member) for member in metric.members]
        return lambda z: torch.cat([part(z) for part in parts], -1) / math.sqrt(len(parts))
    return metric.immersion  # type: ignore[attr-defined, no-any-return]


def length_of(image: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Measure polygons `(pairs, n, d)`, one after the other."""
    with torch.no_grad():
        lengths = [image(curve).diff(dim=0).norm(dim=-1).sum() for curve in points]
    return torch.stack(lengths)


def published(problem: Problem, image: Callable[[Tensor], Tensor]) -> tuple[Tensor, int, float]:
    """Solve the pairs by GEORCE: lengths, how many met its tolerance, and CPU seconds a pair."""

    def energy(x: Tensor, u: Tensor) -> Tensor:
        pushed = torch.func.jvp(image, (x,), (u,))[1]
        return pushed.square().sum(-1)

    begin, found = time.process_time(), []
    for a, b in zip(*problem.ends, strict=True):
        found.append(georce(problem.manifold.metric.metric_matrix, energy, a, b))
    seconds = (time.process_time() - begin) / len(found)
    nodes = torch.stack([nodes for nodes, _ in found])
    measured = length_of(image, CubicSpline(nodes).points(MEASURED))
    return measured, sum(met for _, met in found), seconds


MEASURED = 4097  # points by which curves are measured; ours also where their nodes crowd
RATE, SEGMENTS = 1e-2, 64  # of Adam: the best of its learning rates on most of these decoders


def row_of(problem: Problem, *, adam_steps: int, with_georce: bool) -> str:
    """Solve the same pairs by all methods, and return a row of the table."""
    (a, b), image = problem.ends, image_of(problem.manifold.metric)
    begin = time.process_time()
    result = problem.manifold.geodesic(a, b)
    seconds = (time.process_time() - begin) / len(a)
    ours = length_of(image, result.curve.points(MEASURED)).maximum(result.length)
    cells = [
        problem.name,
        f"{int(result.converged.sum())} of {len(a)}",
        f"{int(result.n_segments.max())}",
        f"{seconds:.2f}",
    ]
    if adam_steps > 0:
        line = straight_line(a, b, SEGMENTS)
        nodes, adam_seconds = adam(image, line, learning_rate=RATE, n_steps=adam_steps)
        theirs = length_of(image, CubicSpline(nodes).points(MEASURED))
        adam_seconds /= len(a)
        cells += [_ratios(ours, theirs), f"{adam_seconds:.2f}", f"{adam_seconds / seconds:.1f}"]
    if with_georce:
        theirs, n_met, georce_seconds = published(problem, image)
        met, ratio = f"{n_met} of {len(a)}", f"{georce_seconds / seconds:.1f}"
        cells += [met, _ratios(ours, theirs), f"{georce_seconds:.2f}", ratio]
    return f"| {' | '.join(cells)} |"


def _ratios(ours: Tensor, theirs: Tensor) -> str:
    ratio = ours / theirs
    return f"{ratio.median():.5f}, {ratio.max():.5f}"


def flow_row(dim: int, n_pairs: int) -> str:
    """Solve pairs of an invertible decoder, whose distances are known."""
    flow, (a, b) = Flow(dim), end_points(n_pairs, dim)
    manifold = Manifold(flow, dim=dim)
    begin = time.process_time()
    result = manifold.geodesic(a, b)
    seconds = (time.process_time() - begin) / n_pairs
    truth = (flow(a) - flow(b)).norm(dim=-1)
    error = float((result.length / truth - 1).abs().max())
    straight = float((result.straight_length / truth).median())
    n_converged = int(result.converged.sum())
    return f"| {dim} | {n_converged} of {n_pairs} | {straight:.4f} | {error:.1e} | {seconds:.3f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for kind in ("flow", "rbf", "ensemble", "smooth"):
        parser.add_argument(f"--{kind}", type=int, nargs="*", default=[], help="dimensions")
    parser.add_argument("--pairs", type=int, default=4, help="pairs in each row")
    parser.add_argument("--adam-steps", type=int, default=2000, help="0 for none")
    parser.add_argument("--georce", action="store_true", help="solve by GEORCE as published too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare(2, n_pairs=1, n_steps=1)  # what PyTorch sets up once is not to be counted
    if options.flow:
        print("| d | converged | straight / true | largest relative error | CPU s a pair |")
        print("|---" * 5 + "|")
    for dim in options.flow:
        print(flow_row(dim, options.pairs), flush=True)
    head = ["decoder", "converged", "segments", "CPU s a pair"]
    if options.adam_steps > 0:
        head += ["length: ours / Adam, median, max", "Adam's CPU s", "times faster"]
    if options.georce:
        head += ["GEORCE: converged", "ours / GEORCE", "its CPU s", "times faster"]
    print(f"\n| {' | '.join(head)} |\n" + "|---" * len(head) + "|")
    for kind in ("rbf", "ensemble", "smooth"):
        for dim in getattr(options, kind):
            if kind == "smooth":
                manifold = Manifold(smooth_decoder(dim), dim=dim)
                problem = Problem(f"smooth, d = {dim}", manifold, end_points(options.pairs, dim))
            else:
                problem = digits(kind, dim, options.pairs)
            row = row_of(problem, adam_steps=options.adam_steps, with_georce=options.georce)
            print(row, flush=True)


if __name__ == "__main__":
    main()
