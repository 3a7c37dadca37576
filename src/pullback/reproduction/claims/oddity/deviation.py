"""The standard deviation grows with the distance to the data, where a network says anything."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pullback.models import VAE
from pullback.models.config import TrainingOptions
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.oddity.clustering import MODEL, TRAINING
from pullback.reproduction.lab import Lab
from pullback.runs.quantities import rank_correlation, total_std
from pullback.runs.training import with_constant_std, with_network_std

__all__ = ["DEVIATION"]

# How far the places reach beyond the codes, as a share of their extent on each side.
_MARGIN = 0.5


def measure(
    lab: Lab,
    seed: int,
    *,
    n_per_digit: int | None,
    resolution: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Look at three kinds of sigma over one mean, on a grid over the codes and around them.

    Args:
        lab: data and models.
        seed: of everything random.
        n_per_digit: how many images of each digit; all if None.
        resolution: places along each side of the grid.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By kind of sigma: Spearman's correlation with the distance to the nearest code, and the
        share of the places off the data where sigma is above 99 % of the codes'.
    """
    X, _ = lab.digits((0, 1), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, model, training, seed=seed)
    codes = vae.encode(X).double()
    places = grid_around(codes, resolution)
    kinds = decoders_of(vae, X, training, seed=seed)
    decoders = {name: decoder.double() for name, decoder in kinds.items()}
    return {
        name: growth(total_std(decoder, places), total_std(decoder, codes), places, codes)
        for name, decoder in decoders.items()
    }


def decoders_of(
    vae: VAE, X: NDArray[np.float32], training: Mapping[str, Any], *, seed: int
) -> dict[str, nn.Module]:
    """Return the decoder of a trained model, and those with the same mean and another sigma."""
    options = TrainingOptions(**training, random_state=seed)
    return {
        "RBF": vae.decoder,
        "network": with_network_std(vae, X, options).eval().decoder,
        "constant": with_constant_std(vae, torch.from_numpy(X)),
    }


def grid_around(codes: Tensor, resolution: int) -> Tensor:
    """Return the places of a regular grid over codes `(n, 2)` and around, `(resolution^2, 2)`."""
    low, high = codes.amin(0), codes.amax(0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    share = torch.linspace(0, 1, resolution, dtype=codes.dtype)
    unit = torch.cartesian_prod(share, share)
    return low + unit * (high - low)


def growth(at_places: Tensor, at_codes: Tensor, places: Tensor, codes: Tensor) -> dict[str, float]:
    """Say how sigma goes with the distance to the data.

    Off the data is what lies further from the nearest code than any code lies from its own nearest.
    """
    away = torch.cdist(places, codes).amin(1)
    between = torch.cdist(codes, codes).fill_diagonal_(torch.inf).amin(1)
    high = at_places[away > between.max()] > at_codes.quantile(0.99)
    return {
        "Spearman": rank_correlation(at_places.numpy(), away.numpy()),
        "share off the data above 99 % of codes": float(high.double().mean()),
    }


DEVIATION = Claim(
    "deviation",
    "The standard deviation of the RBF network grows with the distance to the data, where that of "
    "an ordinary network is high or low anyhow.",
    "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), section 4 and appendix C",
    "A picture: maps of log sum_j sigma_j(z) over the latent plane, of an RBF network and of an "
    "ordinary one. No number is given.",
    "The numbers are new: Spearman's correlation of sum_j sigma_j with the distance to the nearest "
    "code, over a grid that reaches half of the extent of the codes beyond them, and the share of "
    "its places off the data, further from the nearest code than any code is from its own, where "
    "sigma is above that of 99 % of the codes. Digits {0, 1}; one mean and one encoder under three "
    "kinds of sigma. A constant one has no ranks, and counts as 0.",
    measure,
    [
        Criterion(
            "Sigma of the RBF network grows with the distance.",
            lambda found: found["RBF"]["Spearman"],
            at_least=0.0,
            surely=True,
        ),
        Criterion(
            "It does so more than that of an ordinary network.",
            lambda found: found["RBF"]["Spearman"] - found["network"]["Spearman"],
            at_least=0.0,
            surely=True,
        ),
        Criterion(
            "Almost everywhere off the data it is above that of 99 % of the codes.",
            lambda found: found["RBF"]["share off the data above 99 % of codes"],
            at_least=0.95,
        ),
    ],
    settings={"n_per_digit": None, "resolution": 60, "model": MODEL, "training": TRAINING},
    quick={"n_per_digit": 40, "resolution": 20, "training": {"epochs": 10}},
)
