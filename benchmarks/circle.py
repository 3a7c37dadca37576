"""A circle in 1000 dimensions: do geodesics of a learned metric follow the arc?

After Hauberg, "Only Bayes should learn a manifold" (2018): 200 angles, uniform, on a circle that is
nonlinearly embedded in R^1000, with noise of 0.1. The codes are the first two data coordinates, the
same for all models, which are decoders fitted to x given these codes. The paper does not say how it
embeds the circle, nor at what scale; here x = (cos t, sin t, a_j cos t + b_j sin t + (c_j cos 2t +
d_j sin 2t) / 2 + ...), with the other coordinates as large as the noise. So correlations can be
compared with the published ones, and path errors in their order only.

    python benchmarks/circle.py [--pairs N] [--steps N] [--seeds N] [--jobs N] [--device cuda]
"""

import argparse
import math
from typing import NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from pullback import Manifold
from pullback.curves import Curve, Polyline
from pullback.manifolds import decorrelated_geodesic
from pullback.models import (
    ConstantStd,
    Decoder,
    NormalLikelihood,
    RBFPrecision,
    fit_centers,
    fit_weights,
    mlp,
)

PUBLISHED = {
    "GP-LVM": (0.996819, 0.858773),
    "VAE, RBF precision": (0.982504, 0.788519),
    "VAE, network std": (0.975200, None),
    "autoencoder": (0.974833, 2.825305),
    "kernel ridge regression with a ridge": (0.892995, None),
    "kernel ridge regression": (0.843259, 5.443746),
}
N_POINTS = 100  # on paths that are compared
N_SEGMENTS = 32  # of the chains of least decorrelated energy


class Circle:
    """The embedded circle t -> x(t).

    Args:
        data_dim: D.
        scale: the size of all coordinates but the first two.
        seed: of the coefficients.
    """

    def __init__(self, data_dim: int, *, scale: float = 0.1, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (2, 3, data_dim - 2)
        self.orders = torch.arange(1.0, 4.0).double()
        coefficients = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.coefficients = scale * coefficients / self.orders[:, None]

    def __call__(self, t: Tensor) -> Tensor:
        """Return x(t), shape `(*t, D)`."""
        angles = self.orders * t.unsqueeze(-1)
        rest = angles.cos() @ self.coefficients[0] + angles.sin() @ self.coefficients[1]
        return torch.cat([t.cos().unsqueeze(-1), t.sin().unsqueeze(-1), rest], -1)

    def arcs(self, start: Tensor, end: Tensor, n: int) -> Tensor:
        """Return the shorter arcs between angles `(n_pairs,)`: `(n_pairs, n, D)`."""
        turn = torch.remainder(end - start + math.pi, 2 * math.pi) - math.pi
        t = torch.linspace(0, 1, n, dtype=start.dtype)
        return self(start.unsqueeze(-1) + turn.unsqueeze(-1) * t)


class Data(NamedTuple):
    """Noisy samples: angles `(n,)`, observations `(n, D)`, and the codes, their first two."""

    angles: Tensor
    X: Tensor
    codes: Tensor


def sample(circle: Circle, seed: int, *, n: int = 200, noise: float = 0.1) -> Data:
    """Draw angles, uniform, and observations around their images."""
    generator = torch.Generator().manual_seed(seed)
    angles = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    image = circle(angles)
    X = image + noise * torch.randn(image.shape, generator=generator, dtype=torch.float64)
    return Data(angles, X, X[:, :2])


def fit_network(data: Data, seed: int, *, n_steps: int) -> nn.Module:
    """Fit a network to x given the codes, by least squares: the decoder of an autoencoder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = mlp([2, 64, 64, data.X.shape[1]])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    codes, X = data.codes.float(), data.X.float()
    for _ in range(n_steps):
        optimizer.zero_grad()
        (network(codes) - X).square().mean().backward()
        optimizer.step()
    return network


def with_rbf_precision(network: nn.Module, data: Data, *, n_centers: int = 20) -> Decoder:
    """Add the precision that the residuals at the codes call for."""
    codes, X = data.codes.float(), data.X.float()
    with torch.no_grad():
        squared = (network(codes) - X).square() + 1e-4
    centers, bandwidths = fit_centers(codes, n_centers)
    zeta = float((1000 * squared.mean().sqrt()) ** -2)
    start = RBFPrecision(centers, bandwidths, torch.ones(X.shape[1], n_centers), zeta)
    weights = fit_weights(start, [(codes, squared)], shrinkage=1.0).weights
    precision = RBFPrecision(centers, bandwidths, weights, zeta)
    return Decoder(network, NormalLikelihood(precision), latent_dim=2)


def with_constant_std(network: nn.Module, data: Data) -> Decoder:
    """Take the noise as the same everywhere, so that the metric is that of the mean."""
    return Decoder(network, NormalLikelihood(ConstantStd(data.X.shape[1], 0.1)), latent_dim=2)


def hausdorff(path: Tensor, other: Tensor) -> Tensor:
    """The Hausdorff distances between paths `(n_pairs, n, D)`: `(n_pairs,)`."""
    gaps = torch.cdist(path, other)
    return torch.maximum(gaps.amin(-1).amax(-1), gaps.amin(-2).amax(-1))


def score(manifold: Manifold, curve: Curve, length: Tensor, arcs: Tensor) -> tuple[float, float]:
    """Correlate lengths with those of the arcs, and average how far the decoded paths are off."""
    path = manifold.decode(curve.points(N_POINTS)).to(arcs)
    true = arcs.diff(dim=1).norm(dim=-1).sum(-1)
    correlation = float(np.corrcoef(true, length.cpu())[0, 1])
    return correlation, float(hausdorff(path, arcs).mean())


def measure(
    seed: int,
    *,
    data_dim: int = 1000,
    n_pairs: int = 100,
    n_steps: int = 2000,
    n_decoders: int = 10,
    device: str = "cpu",
) -> dict[str, tuple[float, float]]:
    """Fit the decoders to one draw of the data, and score the geodesics of each."""
    circle = Circle(data_dim)
    data = sample(circle, seed)
    networks = [fit_network(data, seed, n_steps=n_steps) for seed in range(n_decoders)]
    decoders = [with_constant_std(network, data) for network in networks]
    generator = torch.Generator().manual_seed(seed)
    i, j = torch.stack(
        [torch.randperm(len(data.X), generator=generator)[:2] for _ in range(n_pairs)], 1
    )
    arcs = circle.arcs(data.angles[i], data.angles[j], N_POINTS)
    a, b = data.codes[i], data.codes[j]
    models = {
        "RBF precision": with_rbf_precision(networks[0], data),
        f"ensemble of {n_decoders}, expected metric": decoders,
        "autoencoder": decoders[0],
    }
    scores = {}
    for name, model in models.items():
        manifold = Manifold(model, data=data.codes, device=device)
        path = manifold.geodesic(a, b)
        scores[name] = score(manifold, path.curve, path.length, arcs)
        if model is decoders:
            chains = decorrelated_geodesic(manifold, a, b, n_segments=N_SEGMENTS)
            name = f"ensemble of {n_decoders}, decorrelated energy, N = {N_SEGMENTS}"
            scores[name] = score(manifold, chains.curve, chains.length, arcs)
            name = f"ensemble of {n_decoders}, straight lines"
            line = Polyline(torch.stack([a, b], 1).to(manifold.device))
            scores[name] = score(manifold, line, manifold.length(line), arcs)
    return scores


def main() -> None:
    """Print the table, the mean over the draws of the data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-dim", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where geodesics are computed")
    options = parser.parse_args()
    sizes = {"n_pairs": options.pairs, "n_steps": options.steps, "data_dim": options.data_dim}
    found = Parallel(options.jobs)(
        delayed(measure)(seed, device=options.device, **sizes) for seed in range(options.seeds)
    )
    print("| model | correlation of lengths | Hausdorff distance of paths |")
    print("|---|---|---|")
    for name in found[0]:
        correlation, error = ([scores[name][k] for scores in found] for k in (0, 1))
        print(
            f"| {name} | {np.mean(correlation):.4f} ({np.std(correlation):.4f}) "
            f"| {np.mean(error):.2f} ({np.std(error):.2f}) |"
        )
    for name, (correlation, error) in PUBLISHED.items():
        shown = "-" if error is None else f"{error:.2f}"
        print(f"| published: {name} | {correlation:.4f} | {shown} |")


if __name__ == "__main__":
    main()
