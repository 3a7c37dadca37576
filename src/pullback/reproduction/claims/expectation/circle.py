"""A circle in 1000 dimensions: do geodesics of a learned metric follow the arc?"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pullback.curves import Curve, Polyline
from pullback.manifolds import Manifold, decorrelated_geodesic
from pullback.models import (
    ConstantStd,
    Decoder,
    NormalLikelihood,
    RBFPrecision,
    fit_centers,
    fit_weights,
    mlp,
)
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.lab import Lab

__all__ = ["CIRCLE"]

# Points on paths that are compared, so that the Hausdorff distance of paths of length 10 is right
# to a few hundredths; by judgement.
_N_POINTS = 100
# Segments of the chains of least decorrelated energy; not tuned.
_N_SEGMENTS = 32
# Kernels of the RBF precision: one for ten points. By judgement, and not tuned.
_N_CENTERS = 20
_CORRELATION, _HAUSDORFF = "correlation of lengths", "Hausdorff distance"
_RBF, _PLAIN, _ENSEMBLE = "RBF precision", "autoencoder", "ensemble, expected metric"
_DECORRELATED, _LINES = "ensemble, decorrelated energy", "ensemble, straight lines"


def measure(
    lab: Lab,
    seed: int,
    *,
    data_dim: int,
    n_points: int,
    noise: float,
    n_pairs: int,
    n_steps: int,
    n_decoders: int,
    n_ensemble_pairs: int,
) -> Numbers:
    """Fit decoders to a noisy circle, and compare geodesics with the true arcs.

    Args:
        lab: not needed.
        seed: of everything random.
        data_dim: the number of features D.
        n_points: how many points of the circle are seen.
        noise: the standard deviation of the noise in each feature.
        n_pairs: how many pairs of them are joined.
        n_steps: steps of Adam of each decoder.
        n_decoders: decoders of the ensemble.
        n_ensemble_pairs: how many of the pairs are joined in the ensemble's metric.

    Returns:
        The correlation of lengths and the mean Hausdorff distance of paths, by model.
    """
    del lab
    circle = Circle(data_dim, seed=seed)
    data = sample(circle, seed, n=n_points, noise=noise)
    networks = [_fit_network(data, one, n_steps=n_steps) for one in range(n_decoders)]
    ensemble = [_with_constant_std(network, data) for network in networks]
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randperm(n_points, generator=generator)[:2] for _ in range(n_pairs)]
    i, j = torch.stack(draws, 1)
    arcs = circle.arcs(data.angles[i], data.angles[j], _N_POINTS)
    a, b = data.codes[i], data.codes[j]
    found = {}
    for name, model in ((_RBF, _with_rbf_precision(networks[0], data)), (_PLAIN, ensemble[0])):
        manifold = Manifold(model, data=data.codes)
        path = manifold.geodesic(a, b)
        found[name] = _score(manifold, path.curve, path.length, arcs)
    few = slice(n_ensemble_pairs)
    space = Manifold(ensemble, data=data.codes)
    return {**found, **_of_ensemble(space, a[few], b[few], arcs[few])}


class Circle:
    """The embedded circle t -> x(t).

    x = (cos t, sin t, a_j cos t + b_j sin t + (c_j cos 2t + d_j sin 2t) / 2 + ...), of order 3.

    Args:
        data_dim: D >= 2.
        scale: the standard deviation of the coefficients of all features but the first two.
        seed: of the coefficients.

    Example:
        >>> Circle(5)(torch.zeros(2))[:, :2].tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, data_dim: int, *, scale: float = 0.1, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.orders = torch.arange(1.0, 4.0).double()
        shape = (2, 3, data_dim - 2)
        coefficients = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.coefficients = scale * coefficients / self.orders[:, None]

    def __call__(self, t: Tensor) -> Tensor:
        """Return x(t), shape `(*t, D)`."""
        angles = self.orders * t.double().unsqueeze(-1)
        rest = angles.cos() @ self.coefficients[0] + angles.sin() @ self.coefficients[1]
        return torch.cat([t.cos().unsqueeze(-1), t.sin().unsqueeze(-1), rest], -1)

    def arcs(self, start: Tensor, end: Tensor, n: int) -> Tensor:
        """Return n points on the shorter arcs between angles `(n_pairs,)`: `(n_pairs, n, D)`."""
        turn = torch.remainder(end - start + math.pi, 2 * math.pi) - math.pi
        t = torch.linspace(0, 1, n, dtype=start.dtype)
        return self(start.unsqueeze(-1) + turn.unsqueeze(-1) * t)


class Data(NamedTuple):
    """Noisy samples: angles `(n,)`, observations `(n, D)`, and the codes, their first two.

    Example:
        >>> sample(Circle(5), 0, n=7, noise=0.1).codes.shape
        torch.Size([7, 2])
    """

    angles: Tensor
    X: Tensor
    codes: Tensor


def sample(circle: Circle, seed: int, *, n: int, noise: float) -> Data:
    """Draw n angles, uniform, and observations around their images.

    Example:
        >>> sample(Circle(5), 0, n=7, noise=0.1).X.shape
        torch.Size([7, 5])
    """
    generator = torch.Generator().manual_seed(seed)
    angles = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    image = circle(angles)
    X = image + noise * torch.randn(image.shape, generator=generator, dtype=torch.float64)
    return Data(angles, X, X[:, :2])


def hausdorff(path: Tensor, other: Tensor) -> Tensor:
    """Return the Hausdorff distances between paths `(n_pairs, n, D)`: `(n_pairs,)`.

    Example:
        >>> hausdorff(torch.zeros(1, 2, 3), torch.ones(1, 2, 3)).square().round().tolist()
        [3.0]
    """
    gaps = torch.cdist(path, other)
    return torch.maximum(gaps.amin(-1).amax(-1), gaps.amin(-2).amax(-1))


def _fit_network(data: Data, seed: int, *, n_steps: int) -> nn.Module:
    """Fit a network to x given the codes, by least squares: the decoder of an autoencoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = mlp([2, 64, 64, data.X.shape[1]])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    codes, X = data.codes.float(), data.X.float()
    for _ in range(n_steps):
        optimizer.zero_grad()
        (network(codes) - X).square().mean().backward()
        optimizer.step()
    return network


def _with_rbf_precision(network: nn.Module, data: Data) -> Decoder:
    """Add the precision that the residuals at the codes call for."""
    codes, X = data.codes.float(), data.X.float()
    with torch.no_grad():
        squared = (network(codes) - X).square() + 1e-4
    centers, bandwidths = fit_centers(codes, _N_CENTERS)
    zeta = float((1000 * squared.mean().sqrt()) ** -2)
    start = RBFPrecision(centers, bandwidths, torch.ones(X.shape[1], _N_CENTERS), zeta)
    weights = fit_weights(start, [(codes, squared)], shrinkage=1.0).weights
    precision = RBFPrecision(centers, bandwidths, weights, zeta)
    return Decoder(network, NormalLikelihood(precision), latent_dim=2)


def _with_constant_std(network: nn.Module, data: Data) -> Decoder:
    """Take the noise as the same everywhere, so that the metric is that of the mean."""
    return Decoder(network, NormalLikelihood(ConstantStd(data.X.shape[1], 0.1)), latent_dim=2)


def _of_ensemble(manifold: Manifold, a: Tensor, b: Tensor, arcs: Tensor) -> Numbers:
    """Score what an ensemble says in three ways; all lengths are those of its expected metric."""
    path = manifold.geodesic(a, b)
    chains = decorrelated_geodesic(manifold, a, b, n_segments=_N_SEGMENTS)
    line = Polyline(torch.stack([a, b], 1))
    return {
        _ENSEMBLE: _score(manifold, path.curve, path.length, arcs),
        _DECORRELATED: _score(manifold, chains.curve, chains.length, arcs),
        _LINES: _score(manifold, line, manifold.length(line), arcs),
    }


def _score(manifold: Manifold, curve: Curve, length: Tensor, arcs: Tensor) -> dict[str, float]:
    """Correlate lengths with those of the arcs, and average how far the decoded paths are off."""
    path = manifold.decode(curve.points(_N_POINTS)).to(arcs)
    true = arcs.diff(dim=1).norm(dim=-1).sum(-1)
    return {
        _CORRELATION: float(np.corrcoef(true, length)[0, 1]),
        _HAUSDORFF: float(hausdorff(path, arcs).mean()),
    }


def _gain(found: Numbers) -> float:
    return found[_RBF][_CORRELATION] - found[_PLAIN][_CORRELATION]


def _ratio(found: Numbers) -> float:
    return found[_RBF][_HAUSDORFF] / found[_PLAIN][_HAUSDORFF]


CIRCLE = Claim(
    "circle",
    "Geodesics of a decoder with an RBF precision recover the lengths and the shape of arcs of a "
    "circle in 1000 dimensions, which those of an autoencoder cut.",
    "Hauberg, Only Bayes should learn a manifold (2018), section 5",
    "200 angles, uniform, on a circle that is nonlinearly embedded in R^1000, with noise of 0.1; "
    "the first two data coordinates are the codes of all models. The correlation of the lengths of "
    "geodesics with those of the true arcs, and the Hausdorff distance between both in R^1000.",
    "The paper says neither how the circle is embedded nor at what scale: here the other features "
    "are random trigonometric polynomials of order 3, as large as the noise. Correlations can be "
    "compared, of Hausdorff distances their ratios only. Networks 2 - 64 - 64 - 1000 are fitted "
    "to x given the codes. The ensemble, of 5 of them and with 20 of the pairs for the time, "
    "is not in the paper: geodesics of its expected metric and chains of least decorrelated "
    "energy. Over 3 draws of the data, "
    "10 decoders and one fixed embedding the same was measured on 25 November 2026: RBF precision "
    "0.986 and 1.38, autoencoder 0.967 and 2.26, ensemble 0.968 and 2.09, its decorrelated energy "
    "0.987 and 1.23, its straight lines 0.967 and 2.14. In the middle of the disc the images of "
    "its members scatter eight times as much as on the circle, which only the decorrelated energy "
    "counts.",
    measure,
    [
        Criterion(
            "The RBF precision gains correlation over the autoencoder.",
            _gain,
            at_least=0.0,
            surely=True,
            published="+0.0077",
        ),
        Criterion(
            "Its lengths correlate with those of the arcs as in the paper.",
            lambda found: found[_RBF][_CORRELATION],
            at_least=0.9825,
            published="0.9825",
        ),
        Criterion(
            "Its Hausdorff distance is below that of the autoencoder.",
            _ratio,
            at_most=1.0,
            surely=True,
            published="a ratio of 0.279",
        ),
        Criterion(
            "It is below by as much as in the paper.", _ratio, at_most=0.279, published="0.279"
        ),
    ],
    settings={
        "data_dim": 1000,
        "n_points": 200,
        "noise": 0.1,
        "n_pairs": 100,
        "n_steps": 2000,
        "n_decoders": 5,
        "n_ensemble_pairs": 20,
    },
    quick={
        "data_dim": 20,
        "n_points": 100,
        "n_pairs": 8,
        "n_steps": 300,
        "n_decoders": 2,
        "n_ensemble_pairs": 4,
    },
    published={
        "GP-LVM": {_CORRELATION: 0.996819, _HAUSDORFF: 0.858773},
        _RBF: {_CORRELATION: 0.982504, _HAUSDORFF: 0.788519},
        "network std": {_CORRELATION: 0.975200},
        _PLAIN: {_CORRELATION: 0.974833, _HAUSDORFF: 2.825305},
        "kernel ridge regression with a ridge": {_CORRELATION: 0.892995},
        "kernel ridge regression": {_CORRELATION: 0.843259, _HAUSDORFF: 5.443746},
    },
)
