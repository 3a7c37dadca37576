"""Images of a pendulum: geodesics follow its angle, straight lines cut across."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.motion.ways import MEAN, TELLS_MORE, compare_ways
from pullback.reproduction.lab import Lab

__all__ = ["PENDULUM", "pendulum_images"]

_SIZE = 16  # pixels of a side
# The rod in pixels: its length, so that it stays in the image, and the standard deviation of its
# profile, which is the least at which a grid of pixels shows all angles alike. By judgement.
_LENGTH, _WIDTH = 6.0, 1.0


def measure(
    lab: Lab,
    seed: int,
    *,
    n_images: int,
    noise: float,
    n_pairs: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Train a model on noisy images of a pendulum, and measure three ways between angles.

    Args:
        lab: models.
        seed: of everything random.
        n_images: how many images.
        noise: the standard deviation of the noise of a pixel.
        n_pairs: how many pairs of angles.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        Lengths, correlations and how far off decoded points are, by metric.
    """
    rng = np.random.default_rng(seed)
    images = pendulum_images(rng.uniform(0, 2 * np.pi, n_images))
    X = (images + noise * rng.standard_normal(images.shape)).astype(np.float32)
    vae = lab.vae(X, model, training, seed=seed)
    return compare_ways(vae, pendulum_images, n_pairs=n_pairs, seed=seed)


def pendulum_images(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw rods that hang from the middle of the image, with a Gaussian profile.

    Args:
        angles: from the vertical, in radians, `(n,)`.

    Returns:
        Images in [0, 1], flattened, `(n, 256)`.

    Example:
        >>> bool(pendulum_images(np.zeros(1)).reshape(16, 16).argmax(0)[7] > 7)  # it hangs down
        True
    """
    middle = np.arange(_SIZE) - (_SIZE - 1) / 2
    down, right = (grid.ravel() for grid in np.meshgrid(middle, middle, indexing="ij"))
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along = np.clip(down * cos + right * sin, 0, _LENGTH)
    squared = (down - along * cos) ** 2 + (right - along * sin) ** 2
    return np.asarray(np.exp(-squared / (2 * _WIDTH**2)))


PENDULUM = Claim(
    "pendulum",
    "Geodesics between images of a pendulum are much shorter than straight lines in the latent "
    "space, about as long as the way along the data, and follow the angle.",
    "Chen, Klushyn, Kurle, Jiang, Bayer, van der Smagt, Metrics for deep generative models (2018), "
    "the experiment with a pendulum",
    "15,000 images of 16 x 16 pixels with angles uniform on the circle and noise of 0.05; an "
    "importance-weighted autoencoder with two dimensions; the mean lengths between 100 pairs whose "
    "angles are up to 180 degrees apart, under the metric J^T J of the mean.",
    "How the pendulum is drawn is not said: here a rod of 6 pixels with a Gaussian profile of 1, "
    "so only ratios can be compared. A VAE in place of the importance-weighted one, networks of 64 "
    "and 32 units in place of 512 and 512, for the time. No smoothing of the metric, and geodesics "
    "by a solver in place of a network's curves. Ends are the codes of noiseless images, and the "
    "way along the data joins the codes of those between. That geodesics follow the angle is a "
    "picture there: the correlation of lengths with those in data space, and the distance of "
    "decoded points to the nearest image, are new. The second row adds the term of sigma, which "
    "the source does not have; lengths of geodesics that did not converge are upper bounds.",
    measure,
    [
        Criterion(
            "Geodesics are as much shorter than straight lines as in the paper.",
            lambda found: found[MEAN]["geodesic / straight"],
            at_most=0.389,
            published="0.389",
        ),
        Criterion(
            "The way along the data is no longer against geodesics than in the paper.",
            lambda found: found[MEAN]["along / geodesic"],
            at_most=1.107,
            published="1.107",
        ),
        TELLS_MORE,
    ],
    settings={
        "n_images": 15_000,
        "noise": 0.05,
        "n_pairs": 100,
        "model": {"hidden": (64, 32)},
        "training": {"epochs": 40},
    },
    quick={
        "n_images": 400,
        "n_pairs": 5,
        "model": {"hidden": (64, 32), "n_centers": 16},
        "training": {"epochs": 10},
    },
    published={MEAN: {"geodesic": 0.319, "along": 0.353, "straight": 0.820}},
)
