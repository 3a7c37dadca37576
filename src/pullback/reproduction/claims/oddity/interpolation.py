"""Geodesic interpolation changes an image smoothly, a straight line abruptly between classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.oddity.clustering import (
    MODEL,
    QUICK_MODEL,
    TRAINING,
    latent_space,
)
from pullback.reproduction.lab import Lab
from pullback.runs.quantities import jerkiness

__all__ = ["INTERPOLATION"]


def measure(
    lab: Lab,
    seed: int,
    *,
    n_per_digit: int | None,
    n_pairs: int,
    n_points: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Decode geodesics and straight lines from zeros to ones, and look at the steps.

    Args:
        lab: data and models.
        seed: of everything random.
        n_per_digit: how many images of each digit; all if None.
        n_pairs: pairs of a zero and a one, the first ones in random order.
        n_points: points on each path.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By kind of path, means over the pairs whose search converged, and their share.
    """
    X, y = lab.digits((0, 1), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, model, training, seed=seed)
    manifold, Z = latent_space(vae, X)
    ends = [Z[torch.from_numpy(y == digit)][:n_pairs] for digit in (0, 1)]
    found = manifold.geodesic(*ends)
    share = torch.linspace(0, 1, n_points, dtype=Z.dtype)[:, None]
    paths = {
        "geodesic": found.points(n_points),
        "straight line": torch.lerp(ends[0][:, None], ends[1][:, None], share),
    }
    axis = class_axis(X, y)
    decoder = vae.double().decoder
    with torch.no_grad():
        steps = {
            name: smoothness(decoder(path[found.converged]).mean, axis)
            for name, path in paths.items()
        }
    return steps | {"search": {"share converged": float(found.converged.double().mean())}}


def class_axis(X: NDArray[np.float32], y: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return the difference of the class means `(D,)`, and their midpoint: which side an image is.

    The class of an image is that of the nearest mean image.
    """
    zero, one = (torch.from_numpy(X[y == digit]).double().mean(0) for digit in (0, 1))
    return one - zero, (zero + one) / 2


def smoothness(images: Tensor, axis: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Measure the steps along decoded paths from one class to the other.

    Args:
        images: decoded means, `(n_paths, n_points, D)`.
        axis: what tells the classes apart, see `class_axis`.

    Returns:
        Means over the paths: the largest step over the mean one, by Euclidean distance of the
        images; the largest of 1 - correlation of neighbouring images; and that where an image of
        the one class follows one of the other, of the paths where this is so.
    """
    centred = images - images.mean(-1, keepdim=True)
    jumps = 1 - torch.cosine_similarity(centred[:, :-1], centred[:, 1:], dim=-1)
    direction, middle = axis
    side = (images - middle) @ direction > 0
    crosses = side[:, :-1] != side[:, 1:]
    # Where a path crosses more than once, the largest of these jumps is the boundary's.
    at_boundary = jumps.where(crosses, -torch.inf).amax(1)
    return {
        "largest over mean step": float(jerkiness(images).mean()),
        "largest change of correlation": float(jumps.amax(1).mean()),
        "change at the class boundary": float(at_boundary[crosses.any(1)].mean()),
    }


def _less(column: str) -> Any:
    return lambda found: found["straight line"][column] - found["geodesic"][column]


INTERPOLATION = Claim(
    "interpolation",
    "Along a geodesic from a zero to a one the decoded image changes smoothly, along a straight "
    "line abruptly at the boundary of the classes.",
    "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), section 5.2",
    "A picture: the images along both paths from a zero to a one, and their auto-correlation, "
    "which falls slowly along the geodesic and at once along the line. No number is given.",
    "The numbers are new, over random pairs of a zero and a one: the largest step of the decoded "
    "mean over the mean step, and 1 minus the correlation of the pixels of the images before and "
    "after the boundary, where the nearest mean image becomes that of the other class. The points "
    "lie at constant speed, in the metric and in the plane. Counted are the pairs whose search for "
    "a geodesic converged, for the lines too.",
    measure,
    [
        Criterion(
            "The largest step of the geodesic, over its mean step, is smaller than the line's.",
            _less("largest over mean step"),
            at_least=0.0,
            surely=True,
        ),
        Criterion(
            "At the class boundary the image changes less along the geodesic.",
            _less("change at the class boundary"),
            at_least=0.0,
            surely=True,
        ),
    ],
    settings={
        "n_per_digit": None,
        "n_pairs": 30,
        "n_points": 50,
        "model": MODEL,
        "training": TRAINING,
    },
    quick={
        "n_per_digit": 100,
        "n_pairs": 8,
        "n_points": 20,
        "model": QUICK_MODEL,
        "training": {"epochs": 100},  # of a model of fewer no image is a one
    },
)
