"""Expected lengths are nearly those of the expected metric, where the features are many."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import poisson

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.lab import Lab

__all__ = ["FINSLER", "bound", "expected_norm"]

# Standard deviations of a Poisson variable beyond which its terms are left out: they weigh less
# than the rounding of a double there.
_TAILS = 10.0


def measure(
    lab: Lab, seed: int, *, data_dims: Sequence[int], n_places: int, n_draws: int
) -> Numbers:
    """Return the gap between the Finsler norm E||Jv|| and the Riemannian sqrt(E||Jv||^2).

    Args:
        lab: not needed.
        seed: of everything random.
        data_dims: the numbers of features D.
        n_places: random expected Jacobians for each D.
        n_draws: random Jacobians around each, to compare the formula with.

    Returns:
        How the relative gap falls with D, how often it keeps the bound, and how far the formula of
        the Finsler norm is from averages over draws, in their standard errors.
    """
    del lab
    rng = np.random.default_rng(seed)
    found = [_at(data_dim, n_places, n_draws, rng) for data_dim in data_dims]
    gaps, kept, errors = zip(*found, strict=True)
    slope = np.polyfit(np.log(np.array(data_dims, dtype=float)), np.log(gaps), 1)[0]
    return {
        "Gaussian Jacobian": {
            "slope of the gap": float(slope),
            "gap at the fewest features": gaps[0],
            "gap at the most features": gaps[-1],
            "share within the bound": float(np.mean(kept)),
            "error of the formula, in standard errors": float(np.mean(errors)),
        }
    }


def expected_norm(
    squared_mean: NDArray[np.float64], variance: float, data_dim: int
) -> NDArray[np.float64]:
    """Return E||x|| of x ~ N(m, s I_D), the mean of a noncentral chi variable.

    With w = ||m||^2 / s it is sqrt(2 s) sum_j P(j) Gamma((D + 1)/2 + j) / Gamma(D/2 + j), where P
    is the Poisson distribution of mean w / 2: the series of Kummer's function 1F1(-1/2; D/2; -w/2)
    in the form in which all terms are positive, so that nothing cancels.

    Args:
        squared_mean: ||m||^2, `(n,)`.
        variance: s.
        data_dim: D.

    Source:
        Pouplin, Eklund, Ek, Hauberg, Identifying latent distances with Finslerian geometry (2023).

    Example:
        >>> float(expected_norm(np.zeros(1), 1.0, 1)[0].round(12)) == round((2 / np.pi) ** 0.5, 12)
        True
    """
    half = squared_mean[:, None] / variance / 2
    j = np.arange(half.max() + _TAILS * np.sqrt(half.max()) + _TAILS**2)
    ratio = np.exp(gammaln((data_dim + 1) / 2 + j) - gammaln(data_dim / 2 + j))
    return np.asarray(np.sqrt(2 * variance) * (poisson.pmf(j, half) * ratio).sum(1))


def bound(squared_mean: NDArray[np.float64], variance: float, data_dim: int) -> NDArray[np.float64]:
    """Return the most that the relative gap can be in one direction: 1/(D+w) + w/(D+w)^2.

    Args:
        squared_mean: ||m||^2; w is its ratio to s.
        variance: s.
        data_dim: D.

    Source:
        Pouplin, Eklund, Ek, Hauberg, Identifying latent distances with Finslerian geometry (2023).

    Example:
        >>> float(bound(np.array(0.0), 1.0, 10))
        0.1
    """
    omega = squared_mean / variance
    return np.asarray(1 / (data_dim + omega) + omega / (data_dim + omega) ** 2)


def _at(
    data_dim: int, n_places: int, n_draws: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return for one D the mean gap, the share within the bound, and the error of the formula."""
    mean = rng.normal(size=(n_places, data_dim))  # E[J] v for a direction v of length 1
    squared = (mean**2).sum(1)
    finsler, riemann = expected_norm(squared, 1.0, data_dim), np.sqrt(squared + data_dim)
    gap = 1 - finsler / riemann
    norms = np.linalg.norm(mean[:, None] + rng.normal(size=(n_places, n_draws, data_dim)), axis=-1)
    error = np.abs(norms.mean(1) - finsler) / (norms.std(1, ddof=1) / np.sqrt(n_draws))
    within = gap <= bound(squared, 1.0, data_dim) * (1 + 1e-9)
    return float(gap.mean()), float(within.mean()), float(error.mean())


FINSLER = Claim(
    "finsler-gap",
    "In many dimensions the Finsler metric of a random decoder, E||Jv||, is nearly the Riemannian "
    "one of its expected metric: their relative gap falls as 1 / D.",
    "Pouplin, Eklund, Ek, Hauberg, Identifying latent distances with Finslerian geometry (2023)",
    "A bound for Gaussian Jacobians: the relative gap is at most 1/(D + w) + w/(D + w)^2 in a "
    "direction, with w the squared expected length over the variance.",
    "The expected Jacobians are drawn from N(0, 1), the noise is 1, and D goes from 3 to 1000.",
    measure,
    [
        Criterion(
            "The gap falls as 1 / D, within a tenth.",
            lambda found: abs(found["Gaussian Jacobian"]["slope of the gap"] + 1),
            at_most=0.1,
            published="O(1 / D)",
        ),
        Criterion(
            "It never exceeds the bound.",
            lambda found: found["Gaussian Jacobian"]["share within the bound"],
            at_least=1.0,
            published="always",
        ),
        Criterion(
            "The formula of the Finsler norm is within the noise of averages over draws, where "
            "0.8 standard errors are expected.",
            lambda found: found["Gaussian Jacobian"]["error of the formula, in standard errors"],
            at_most=1.0,
        ),
    ],
    settings={"data_dims": (3, 10, 30, 100, 300, 1000), "n_places": 50, "n_draws": 400},
    quick={"data_dims": (3, 30, 300), "n_places": 20, "n_draws": 100},
)
