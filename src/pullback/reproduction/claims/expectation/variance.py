"""The metric of a stochastic decoder hardly varies where the data have many dimensions."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from pullback.models import VAE
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.oddity.clustering import MODEL, TRAINING
from pullback.reproduction.lab import Lab

__all__ = ["VARIANCE"]


def measure(
    lab: Lab,
    seed: int,
    *,
    data_dims: Sequence[int],
    n_draws: int,
    n_per_digit: int | None,
    epochs: int,
) -> Numbers:
    """Return how the variance of random metrics falls with D: of Gaussian Jacobians, of a decoder.

    Args:
        lab: data and models.
        seed: of everything random.
        data_dims: the numbers of features D.
        n_draws: random metrics for each D and place.
        n_per_digit: how many images of each digit the decoder is trained on; all if None.
        epochs: of its training.

    Returns:
        By kind of Jacobian: the slope of log variance by log D, and the relative standard deviation
        of the metric at the largest D.
    """
    generator = torch.Generator().manual_seed(seed)
    X, _ = lab.digits((0, 1, 2), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, MODEL, {**TRAINING, "epochs": epochs}, seed=seed)
    mean, spread = decoder_jacobians(vae, vae.encode(X[:20]).double())
    found = {
        "Gaussian Jacobian": [
            relative_variance(gaussian_metrics(d, n_draws, generator)) for d in data_dims
        ],
        "decoder of digits": [
            relative_variance(_of_some_features(mean, spread, d, n_draws, generator))
            for d in data_dims
        ],
    }
    logs = np.log(np.array(data_dims, dtype=float))
    return {
        name: {
            "slope": float(np.polyfit(logs, np.log(values), 1)[0]),
            "relative deviation at the most features": math.sqrt(values[-1]),
        }
        for name, values in found.items()
    }


def gaussian_metrics(data_dim: int, n_draws: int, generator: torch.Generator) -> Tensor:
    """Return J^T J of Jacobians `(D, 2)` with independent N(1, 1) entries, `(n_draws, 1, 2, 2)`."""
    J = 1 + torch.randn(n_draws, 1, data_dim, 2, generator=generator, dtype=torch.float64)
    return J.mT @ J


def random_metrics(
    mean: Tensor, spread: Tensor, n_draws: int, generator: torch.Generator
) -> Tensor:
    """Draw metrics of f(z) = mu(z) + sigma(z) * eps, eps ~ N(0, I): J = J_mu + diag(eps) J_sigma.

    Args:
        mean: J_mu, `(n, D, d)`.
        spread: J_sigma, `(n, D, d)`.
        n_draws: how many for each place.
        generator: the source of eps.

    Returns:
        The metrics, `(n_draws, n, d, d)`.
    """
    shape = (n_draws, *mean.shape[:-1], 1)
    J = mean + torch.randn(shape, generator=generator, dtype=mean.dtype) * spread
    return J.mT @ J


def relative_variance(metrics: Tensor) -> float:
    """Return the variance of metrics over draws `(n_draws, n, d, d)`, over their squared mean.

    Both are summed over the entries of a matrix, and the ratio is averaged over the n places.
    """
    variance = metrics.var(0).sum((-1, -2))
    return float((variance / metrics.mean(0).square().sum((-1, -2))).mean())


def decoder_jacobians(vae: VAE, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return J_mu and J_sigma of a decoder at places `(n, d)`, each `(n, D, d)`, in double."""
    decoder = vae.double().decoder

    def parts(point: Tensor) -> tuple[Tensor, Tensor]:
        p = decoder(point.unsqueeze(0))
        return p.mean[0], p.stddev[0]

    with torch.no_grad():
        J_mu, J_sigma = vmap(jacrev(parts))(z)
    return J_mu, J_sigma


def _of_some_features(
    mean: Tensor, spread: Tensor, data_dim: int, n_draws: int, generator: torch.Generator
) -> Tensor:
    """Return the metrics of a decoder of which only D features, drawn at random, are seen."""
    rows = torch.randint(mean.shape[1], (data_dim,), generator=generator)
    return random_metrics(mean[:, rows], spread[:, rows], n_draws, generator)


def _slope(row: str, *, at_least: float | None = None, at_most: float | None = None) -> Criterion:
    side = "at least" if at_most is None else "at most"
    return Criterion(
        f"The variance of the metric of a {row} falls {side} as 1 / D, within a tenth.",
        lambda found: found[row]["slope"],
        at_least=at_least,
        at_most=at_most,
        published="O(1 / D)",
    )


VARIANCE = Claim(
    "metric-variance",
    "The variance of the metric of a stochastic decoder vanishes as 1 / D with the number D of "
    "features, so that its expectation may stand for it.",
    "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), theorem 2, after Tosi, Hauberg, "
    "Vellido, Lawrence, Metrics for probabilistic geometries (2014)",
    "A theorem: Var[M] -> 0 as D -> infinity for M = J^T J over D.",
    "Measured: the variance of J^T J over its squared mean, for Jacobians of independent normal "
    "entries and for a trained decoder of digits at 20 codes, of which D pixels are seen, drawn "
    "with replacement; the slope of its logarithm by log D.",
    measure,
    [
        _slope("Gaussian Jacobian", at_most=-0.9),
        _slope("Gaussian Jacobian", at_least=-1.1),
        _slope("decoder of digits", at_most=-0.9),
    ],
    settings={
        "data_dims": (10, 30, 100, 300, 1000, 3000, 10_000),
        "n_draws": 200,
        "n_per_digit": None,
        "epochs": 300,
    },
    quick={"data_dims": (10, 100, 1000), "n_draws": 50, "n_per_digit": 40, "epochs": 5},
)
