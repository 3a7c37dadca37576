"""The common problem: 200 geodesics on a fixed decoder of real digits, against a reference.

The decoder is a Gaussian VAE of MNIST digits 0, 1 and 7: latent dimension 2, mean 2-64-128-784 with
tanh and a sigmoid output, standard deviation from an RBF precision network with 64 centres. The
first 100 pairs of end points are of one class, the last 100 of two. The reference lengths are the
best of Newton's method on 257 nodes from three starts. Every method is held to one evaluator, the
sum of 1000 chords, written here in plain PyTorch and independent of the package.

    python benchmarks/common_problem.py [--pairs N]

prints length / reference and CPU seconds a pair, all in one run on one thread.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pullback import Manifold
from pullback.models import Decoder, NormalLikelihood, RBFPrecision

DATA = Path(__file__).parent / "data"


def load(name: str) -> dict[str, Tensor]:
    """Read one of the problem's files into float64 tensors."""
    with np.load(DATA / name) as arrays:
        tensors = {key: torch.as_tensor(arrays[key]) for key in arrays}
    return {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}


class CommonProblem:
    """The decoder's weights, the end points, the reference and the evaluator."""

    def __init__(self, n_pairs: int = 200) -> None:
        self.weights, pairs = load("common_decoder.npz"), load("common_pairs.npz")
        # Of a part of the problem, take pairs of one class and of two alike.
        chosen = torch.linspace(0, 199, n_pairs).round().long()
        self.codes = pairs["latents"]
        self.point_a, self.point_b = pairs["point_a"][chosen], pairs["point_b"][chosen]
        self.reference_length = pairs["reference_length"][chosen]

    def image(self, z: Tensor) -> Tensor:
        """Compute (mean, standard deviation) at z, in plain PyTorch."""
        w = self.weights
        hidden = torch.tanh(torch.tanh(z @ w["W0"].T + w["b0"]) @ w["W1"].T + w["b1"])
        mean = torch.sigmoid(hidden @ w["W2"].T + w["b2"])
        squared = (z.unsqueeze(-2) - w["rbf_centres"]).square().sum(-1)
        kernel = torch.exp(-w["rbf_bandwidths"] * squared)
        return torch.cat([mean, (kernel @ w["rbf_weights"].T + w["rbf_zeta"]).rsqrt()], -1)

    def ratios(self, curves: Tensor) -> Tensor:
        """Measure curves `(pairs, points, 2)` of at least 1000 points, over the reference."""
        if curves.shape[-2] < 1000:
            raise ValueError(f"curves must have at least 1000 points, but got {curves.shape[-2]}")
        lengths = [self.image(curve).diff(dim=0).norm(dim=-1).sum() for curve in curves]
        return torch.stack(lengths) / self.reference_length

    def decoder(self) -> Decoder:
        """Build the same decoder of the package's own parts."""
        w = self.weights
        layers = [nn.Linear(*w[f"W{i}"].T.shape).double() for i in range(3)]
        with torch.no_grad():
            for i, layer in enumerate(layers):
                layer.weight.copy_(w[f"W{i}"])
                layer.bias.copy_(w[f"b{i}"])
        mean = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2], nn.Sigmoid())
        std = RBFPrecision(
            w["rbf_centres"], w["rbf_bandwidths"], w["rbf_weights"], float(w["rbf_zeta"])
        )
        return Decoder(mean.double(), NormalLikelihood(std.double())).double().eval()


def straight(problem: CommonProblem) -> tuple[Tensor, str]:
    """The straight line, which everything must beat."""
    t = torch.linspace(0, 1, 1001, dtype=torch.float64).unsqueeze(-1)
    return problem.point_a[:, None] * (1 - t) + problem.point_b[:, None] * t, "-"


def graph(problem: CommonProblem) -> tuple[Tensor, str]:
    """The shortest path on the graph that searches start from."""
    manifold = Manifold(problem.decoder(), data=problem.codes)
    searched = manifold.graph_over(problem.point_a)
    assert searched is not None
    return searched.paths(problem.point_a, problem.point_b, 1000), "-"


def newton(problem: CommonProblem) -> tuple[Tensor, str]:
    """The package as a user calls it, with the time it takes to build its graph."""
    manifold = Manifold(problem.decoder(), data=problem.codes)
    result = manifold.geodesic(problem.point_a, problem.point_b)
    return result.points(1001), f"{int(result.converged.sum())} of {len(result.length)}"


def newton_straight(problem: CommonProblem) -> tuple[Tensor, str]:
    """The same from the straight line alone."""
    manifold = Manifold(problem.decoder())
    result = manifold.geodesic(problem.point_a, problem.point_b, graph=None)
    return result.points(1001), f"{int(result.converged.sum())} of {len(result.length)}"


METHODS: dict[str, Callable[[CommonProblem], tuple[Tensor, str]]] = {
    "straight line": straight,
    "graph path, smoothed": graph,
    "Newton, straight start": newton_straight,
    "Newton, straight and graph starts": newton,
}


def main() -> None:
    """Run every method on the same pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="how many of the 200 pairs")
    n_pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    problem = CommonProblem(n_pairs)
    print("| method | converged | length / reference: median | 95 % | max | CPU s a pair |")
    print("|---|---|---|---|---|---|")
    for name, method in METHODS.items():
        begin = time.process_time()
        curves, converged = method(problem)
        seconds = (time.process_time() - begin) / n_pairs
        ratio = problem.ratios(curves)
        median, most, worst = (float(ratio.quantile(q)) for q in (0.5, 0.95, 1.0))
        print(f"| {name} | {converged} | {median:.6f} | {most:.5f} | {worst:.5f} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
