"""The common problem: 200 geodesics on a fixed decoder of real digits, against a reference.

The decoder is a Gaussian VAE of MNIST digits 0, 1 and 7: latent dimension 2, mean 2-64-128-784 with
tanh and a sigmoid output, standard deviation from an RBF precision network with 64 centres. The
first 100 pairs of end points are of one class, the last 100 of two. The reference lengths are the
best of Newton's method on 257 nodes from three starts. Every method is held to one evaluator, the
sum of 1000 chords, written here in plain PyTorch and independent of the package: this file can be
used where the package is not installed.

`geodesics.py` compares methods on it.
"""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pullback.models import Decoder

DATA = Path(__file__).parent / "data"
N_POINTS = 1001
"""Points that a curve is measured by."""


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

    def __len__(self) -> int:
        return len(self.reference_length)

    def part(self, n_pairs: int) -> "CommonProblem":
        """Return the problem with some of its pairs, spread evenly."""
        chosen = torch.linspace(0, len(self) - 1, min(n_pairs, len(self))).round().long()
        part = copy.copy(self)
        part.point_a, part.point_b = self.point_a[chosen], self.point_b[chosen]
        part.reference_length = self.reference_length[chosen]
        return part

    def image(self, z: Tensor) -> Tensor:
        """Compute (mean, standard deviation) at z, in plain PyTorch."""
        w = self.weights
        hidden = torch.tanh(torch.tanh(z @ w["W0"].T + w["b0"]) @ w["W1"].T + w["b1"])
        mean = torch.sigmoid(hidden @ w["W2"].T + w["b2"])
        squared = (z.unsqueeze(-2) - w["rbf_centres"]).square().sum(-1)
        kernel = torch.exp(-w["rbf_bandwidths"] * squared)
        return torch.cat([mean, (kernel @ w["rbf_weights"].T + w["rbf_zeta"]).rsqrt()], -1)

    def straight_lines(self) -> Tensor:
        """Return the straight lines, which every method must beat: `(pairs, 1001, 2)`."""
        t = torch.linspace(0, 1, N_POINTS, dtype=torch.float64).unsqueeze(-1)
        return self.point_a[:, None] * (1 - t) + self.point_b[:, None] * t

    def ratios(self, curves: Tensor) -> Tensor:
        """Measure curves `(pairs, points, 2)` of at least 1000 points, over the reference."""
        if curves.shape[-2] < 1000:
            raise ValueError(f"curves must have at least 1000 points, but got {curves.shape[-2]}")
        lengths = [self.image(curve).diff(dim=0).norm(dim=-1).sum() for curve in curves]
        return torch.stack(lengths) / self.reference_length

    def decoder(self) -> "Decoder":
        """Build the same decoder of the package's own parts."""
        from pullback.models import Decoder, NormalLikelihood, RBFPrecision

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
