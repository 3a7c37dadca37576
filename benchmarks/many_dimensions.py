"""Geodesics in 8, 32 and 128 latent dimensions, against Adam on the same chain of nodes.

The decoder is a random smooth network, d - 128 - 256 - 784 with tanh, its weights semi-orthogonal
and large enough that straight lines are far from geodesics. No reference is known there, so the
package, as a user calls it, is held against plain gradient descent: Adam on the energy of a chain
of as many nodes, from the straight line, with the best of three learning rates for each pair and
the time of one. One evaluator with 1000 chords measures the splines through both.

`python benchmarks/geodesics.py --pairs 0 --dims 8 32 128` prints the table.
"""

import math
import time
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pullback import Manifold
from pullback.curves import CubicSpline, Curve, Polyline, straight_line

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


def chain_energy(decoder: nn.Module, nodes: Tensor) -> Tensor:
    """Compute 1/2 int |c'|^2 dt of chains `(*batch, n, d)`."""
    squares = decoder(nodes).diff(dim=-2).square().sum((-1, -2))
    return squares * (nodes.shape[-2] - 1) / 2


def adam(
    decoder: nn.Module, line: Tensor, *, learning_rate: float, n_steps: int
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
