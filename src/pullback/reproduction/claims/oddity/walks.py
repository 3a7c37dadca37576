"""A random walk in the metric stays with the data, a Euclidean one drifts away."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pullback.manifolds import Manifold
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.oddity.clustering import (
    MODEL,
    QUICK_MODEL,
    TRAINING,
    latent_space,
)
from pullback.reproduction.lab import Lab
from pullback.sampling import BrownianMotion, Samples, excursions, matched_step

__all__ = ["SECOND_HALF", "STAYS", "WALKS", "drift"]

# The standard deviation of a Euclidean step along each axis, as a share of that of the codes, as in
# the report: 5,000 steps lead 3.5 standard deviations away, so that a walk has time to leave.
_SHARE = 0.05
SECOND_HALF = "distance in the second half"
"""The column that decides: the mean distance to the nearest code, in units of their spread."""


def measure(
    lab: Lab,
    seed: int,
    *,
    n_per_digit: int | None,
    n_walks: int,
    n_steps: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Walk from codes at random, in the metric and in the plane, and look how far the walks go.

    Args:
        lab: data and models.
        seed: of everything random.
        n_per_digit: how many images of each digit; all if None.
        n_walks: walks of each kind, from the same codes.
        n_steps: steps of each walk, an even number.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By kind of walk: the distance to the nearest code in units of the spread of the codes, mean
        over the second half of the steps and at the end, and the share of the walks that took all
        their steps.
    """
    X, _ = lab.digits((0, 1), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, model, training, seed=seed)
    manifold, Z = latent_space(vae, X)
    plane = Manifold(lambda z: z, dim=Z.shape[1])
    start = Z[:n_walks]  # the data are in random order
    found = {}
    for name, space in (("Riemannian", manifold), ("Euclidean", plane)):
        step_size = matched_step(space, Z, _SHARE * float(Z.std(0).mean()))
        _, found[name] = drift(space, start, Z, step_size=step_size, n_steps=n_steps, seed=seed)
    return found


def drift(
    space: Manifold, start: Tensor, codes: Tensor, *, step_size: float, n_steps: int, seed: int
) -> tuple[Samples, dict[str, float]]:
    """Walk as the paper does, without the drift of Brownian motion, and say how far walks get.

    Args:
        space: where to walk.
        start: where each walk begins, `(n_walks, d)`.
        codes: those of the data, `(n, d)`.
        step_size: s, in the unit of the metric.
        n_steps: steps of each walk, an even number.
        seed: of the steps.

    Returns:
        The walks, and their row of the table.

    Example:
        >>> import torch
        >>> codes = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]).double()
        >>> plane = Manifold(lambda z: z, dim=2)
        >>> walks, row = drift(plane, codes[:1], codes, step_size=1e-9, n_steps=4, seed=0)
        >>> walks.points.shape, round(row[SECOND_HALF], 6), row["share completed"]
        (torch.Size([1, 5, 2]), 0.0, 1.0)
    """
    walk = BrownianMotion(space, step_size=step_size, method="driftless")
    samples = walk.sample(start, n_steps, random_state=seed)
    away = excursions(samples.points, codes)
    return samples, {
        SECOND_HALF: float(away.mean()),
        "distance at the end": float(away[:, -1].mean()),
        "share completed": float(samples.converged.double().mean()),
    }


STAYS = (
    Criterion(
        "In the second half of the steps the walk in the metric is nearer to the codes.",
        lambda found: found["Euclidean"][SECOND_HALF] - found["Riemannian"][SECOND_HALF],
        at_least=0.0,
        surely=True,
    ),
    Criterion(
        "It stays within one standard deviation of the codes.",
        lambda found: found["Riemannian"][SECOND_HALF],
        at_most=1.0,
    ),
    Criterion(
        "All walks in the metric can take all their steps.",
        lambda found: found["Riemannian"]["share completed"],
        at_least=1.0,
    ),
)
"""What must be true for walks to stay, whatever the data."""


WALKS = Claim(
    "random-walks",
    "An unrestricted random walk in the metric stays with the data, where a Euclidean one drifts "
    "away.",
    "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), section 5.4 and appendix D",
    "A picture: walks in the latent space of a convolutional VAE of video frames, with steps "
    "v = U L^{-1/2} eps, where M = U L U^T and eps ~ N(0, I), in the metric times beta^(2/d), "
    "beta = 1 / max sqrt det M over the data. No number is given.",
    "The model is the one of digits {0, 1}; frames and a convolutional VAE are those of the claim "
    "`random-walks-frames`. The length of a step is not given: at a code, in the median, both "
    "kinds of walk move as far, 0.05 standard deviations of the codes along each axis, so that the "
    "factor beta^(2/d) has no effect. The root of M^-1 is another one, which gives v the same law. "
    "The numbers are new: the distance to the nearest code in units of the standard deviation of "
    "the codes.",
    measure,
    STAYS,
    settings={
        "n_per_digit": None,
        "n_walks": 16,
        "n_steps": 5000,
        "model": MODEL,
        "training": TRAINING,
    },
    quick={
        "n_per_digit": 40,
        "n_walks": 2,
        "n_steps": 20,
        "model": QUICK_MODEL,
        "training": {"epochs": 20},
    },
)
