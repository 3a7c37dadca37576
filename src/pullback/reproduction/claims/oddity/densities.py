"""A mixture of LANDs finds both classes and draws where data are; a Gaussian one does not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.oddity.clustering import (
    MODEL,
    QUICK_MODEL,
    TRAINING,
    latent_space,
)
from pullback.reproduction.lab import Lab
from pullback.runs.quantities import total_std
from pullback.statistics import LAND

__all__ = ["DENSITIES"]

# The recipe with its noise learned: under the small constant one a component of the LAND can reach
# so far that too few of its draws can be kept.
_MODEL = {**MODEL, "constant_std": "learned"}
# As many as there are digits.
_COMPONENTS = 2


def measure(
    lab: Lab,
    seed: int,
    *,
    n_per_digit: int | None,
    n_fitted: int,
    n_held_out: int,
    n_draws: int,
    n_normalizer: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Fit both mixtures to codes of zeros and ones, and judge them by others and by draws.

    Args:
        lab: data and models.
        seed: of everything random.
        n_per_digit: how many images of each digit; all if None.
        n_fitted: codes that are fitted, the first ones in random order.
        n_held_out: codes that judge, the next ones.
        n_draws: draws of each mixture.
        n_normalizer: draws for each normaliser of the LANDs.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By kind of mixture: the share of the draws where sigma is above that of 99 % of the codes,
        the mean log-density of held-out codes in the coordinates, and the purity of the clusters.
    """
    from sklearn.mixture import GaussianMixture

    X, y = lab.digits((0, 1), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, model, training, seed=seed)
    manifold, Z = latent_space(vae, X)
    fitted, held_out = Z[:n_fitted], Z[n_fitted : n_fitted + n_held_out]
    truth = y[n_fitted : n_fitted + n_held_out]
    land = LAND(manifold, _COMPONENTS, n_samples=n_normalizer, random_state=seed).fit(fitted)
    flat = GaussianMixture(_COMPONENTS, n_init=10, random_state=seed).fit(fitted.numpy())
    decoder = vae.decoder.double()
    high = total_std(decoder, Z).quantile(0.99)

    def judged(draws: NDArray[np.float64], log_p: float, labels: Any) -> dict[str, float]:
        off = total_std(decoder, torch.from_numpy(draws)) > high
        return {
            "draws off the data": float(off.double().mean()),
            "held-out log-density": log_p,
            "purity": purity(truth, np.asarray(labels)),
        }

    log_p = float(land.log_density(held_out, measure="lebesgue").mean())
    points = held_out.numpy()
    flat_log_p, flat_labels = float(flat.score(points)), flat.predict(points)
    return {
        "LAND": judged(land.sample(n_draws)[0], log_p, land.predict(held_out)),
        "Gaussian": judged(flat.sample(n_draws)[0], flat_log_p, flat_labels),
    }


def purity(truth: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return the share of points whose class is the most frequent one of their cluster."""
    counts = [np.bincount(truth[labels == label]).max() for label in np.unique(labels)]
    return float(sum(counts) / len(truth))


def _column(name: str, *, sign: int = 1) -> Any:
    return lambda found: sign * (found["LAND"][name] - found["Gaussian"][name])


DENSITIES = Claim(
    "land",
    "A mixture of two LANDs shows both classes and its draws look like data, where a mixture of "
    "two normal distributions in the plane draws off the data.",
    "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), section 5.3; the LAND of the same "
    "authors, A locally adaptive normal distribution (2016)",
    "Pictures: the densities of both mixtures over the codes of {0, 1}, and 40 draws of each "
    "component, not sorted by likelihood; several of the normal ones are blurred. No number is "
    "given.",
    "The numbers are new: the share of draws where sigma is above that of 99 % of the codes, the "
    "mean log-density of held-out codes with respect to the area of the plane, where LANDs have "
    "their sqrt det M, and the purity of the clusters. The 80 draws come from the mixture, so that "
    "its weights say how many from each component. The mixtures are fitted to 200 codes. "
    "The noise of the first stage is learned: under the constant one of the other claims the draws "
    "of a LAND may fail.",
    measure,
    [
        Criterion(
            "Fewer draws of the LANDs lie off the data.",
            _column("draws off the data", sign=-1),
            at_least=0.0,
            surely=True,
        ),
        Criterion(
            "Held-out codes are more likely under the LANDs.",
            _column("held-out log-density"),
            at_least=0.0,
            surely=True,
        ),
        Criterion(
            "The clusters of the LANDs are at least as pure.",
            _column("purity"),
            at_least=0.0,
        ),
    ],
    settings={
        "n_per_digit": None,
        "n_fitted": 200,
        "n_held_out": 200,
        "n_draws": 80,
        "n_normalizer": 500,
        "model": _MODEL,
        "training": TRAINING,
    },
    quick={
        "n_per_digit": 40,
        "n_fitted": 24,
        "n_held_out": 10,
        "n_draws": 20,
        "n_normalizer": 30,
        "model": QUICK_MODEL,
        "training": {"epochs": 20},
    },
)
