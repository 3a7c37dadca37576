"""Three ways between codes of what moves: the geodesic, along the motion, and straight across."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.curves import Curve, Polyline, length
from pullback.manifolds import Manifold
from pullback.models import VAE
from pullback.reproduction.claim import Criterion, Numbers

__all__ = ["MEAN", "TELLS_MORE", "Motion", "compare_ways", "draw_gaps"]

Motion = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""What a periodic motion looks like, without noise: from phases `(n,)` in radians to `(n, D)`."""

MEAN = "mean alone"
TELLS_MORE = Criterion(
    "Lengths of geodesics correlate more with the true ones than those of straight lines.",
    lambda found: found[MEAN]["correlation, geodesic"] - found[MEAN]["correlation, straight"],
    at_least=0.0,
    surely=True,
)
# Points on curves that are measured and compared. By judgement: a chord of the longest way is then
# below 2 degrees of a half turn, by which lengths are right to 1e-4.
_N_POINTS = 100
# Phases of the motion that decoded points are compared with, and over whose codes the search for
# geodesics has its graph: every degree.
_N_PHASES = 360


def draw_gaps(n_pairs: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw phases of both ends of pairs, `(n_pairs, 2)`: the gap is uniform in (0, pi].

    Example:
        >>> ends = draw_gaps(50, np.random.default_rng(0))
        >>> gap = ends[:, 1] - ends[:, 0]
        >>> bool((gap > 0).all() and (gap <= np.pi).all())
        True
    """
    start = rng.uniform(0, 2 * math.pi, n_pairs)
    gap = math.pi * (1 - rng.uniform(0, 1, n_pairs))
    return np.stack([start, start + gap], 1)


def compare_ways(vae: VAE, motion: Motion, *, n_pairs: int, seed: int) -> Numbers:
    """Measure three ways between codes, with and without the term of sigma in the metric.

    The geodesic and the way straight across in the latent space join the codes of two noiseless
    observations; the way along the motion is the curve of the codes of all those between.

    Args:
        vae: a trained model of the motion, with an RBF sigma.
        motion: what it looks like.
        n_pairs: how many pairs.
        seed: of the pairs.

    Returns:
        By metric: the mean lengths, their ratios, the correlations with the true lengths in data
        space, and how far decoded points are off the motion in the mean.

    Example:
        >>> compare_ways(vae, pendulum_images, n_pairs=100, seed=0)  # doctest: +SKIP
    """
    ends = draw_gaps(n_pairs, np.random.default_rng(seed))
    phases = np.linspace(ends[:, 0], ends[:, 1], _N_POINTS, axis=1)
    arcs = motion(phases.ravel()).reshape(n_pairs, _N_POINTS, -1)
    along = _encode(vae, arcs)
    truth = np.linalg.norm(np.diff(arcs, axis=1), axis=-1).sum(1)
    whole = motion(np.linspace(0, 2 * math.pi, _N_PHASES, endpoint=False))
    codes = _encode(vae, whole)
    spaces = {
        MEAN: Manifold(vae.decoder.get_submodule("mean"), dim=vae.latent_dim, data=codes),
        "mean and sigma": Manifold(vae, data=codes),
    }
    return {
        name: _measured(space, along, truth, torch.from_numpy(whole))
        for name, space in spaces.items()
    }


def _encode(vae: VAE, X: NDArray[np.float64]) -> Tensor:
    with torch.no_grad():
        return vae.encode(X.astype(np.float32)).double()


def _measured(
    space: Manifold, along: Tensor, truth: NDArray[np.float64], whole: Tensor
) -> dict[str, float]:
    """Measure the three ways in one metric.

    Args:
        space: the latent space.
        along: the curves of codes, `(n_pairs, n, d)`.
        truth: the true lengths in data space, `(n_pairs,)`.
        whole: the motion in data space, `(n_phases, D)`.
    """
    found = space.geodesic(along[:, 0], along[:, -1])
    straight = Polyline(along[:, [0, -1]])
    lengths: Mapping[str, Any] = {
        "geodesic": found.length,
        "along": length(space.metric.exact, along),
        "straight": length(space.metric.exact, straight.points(_N_POINTS)),
    }
    lengths = {name: values.detach().numpy() for name, values in lengths.items()}
    mean = {name: float(values.mean()) for name, values in lengths.items()}
    curves: Mapping[str, Curve] = {"geodesic": found.curve, "straight": straight}
    return (
        mean
        | {"geodesic / straight": mean["geodesic"] / mean["straight"]}
        | {"along / geodesic": mean["along"] / mean["geodesic"]}
        | {f"correlation, {name}": _correlation(truth, lengths[name]) for name in curves}
        | {f"off the motion, {name}": _off(space, curve, whole) for name, curve in curves.items()}
        | {"converged": float(found.converged.double().mean())}
    )


def _correlation(truth: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    return float(np.corrcoef(truth, lengths)[0, 1])


def _off(space: Manifold, curve: Curve, whole: Tensor) -> float:
    """Return the mean distance in data space of points on decoded curves to the motion."""
    decoded = space.decode(curve.points(_N_POINTS)).flatten(0, 1).to(whole)
    return float(torch.cdist(decoded, whole).amin(1).mean())
