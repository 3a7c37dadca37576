"""The density of the codes of a run: fitted to training samples, evaluated at held-out ones."""

import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from torch import Tensor

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.errors import InvalidParameterError, check_choice
from pullback.shapes import Codes
from pullback.statistics import LAND, KernelDensity

__all__ = ["DENSITIES", "Density", "fit", "fit_density"]

DENSITIES = ("land", "kde")
"""The models of a density."""

# Points along each axis of the map of the density. Kernels need one geodesic from each of them to
# each code near it, so theirs is coarser. Set by judgement: the cost grows by the square.
_RESOLUTION = {LAND: 48, KernelDensity: 24}
# Draws by which LAND estimates the normalising constant of each component: 500 on a table of the
# metric, 100 without one, where each draw takes geodesics on the decoder itself, and 96 codes took
# minutes.
_DRAWS, _FEW_DRAWS = 500, 100
# Turns of LAND's fit: as many as it takes on a table, and few without one. In five dimensions, on a
# decoder of 12 features and 96 codes, a turn takes 15 s of CPU, and 23 of them had not converged.
_TURNS, _FEW_TURNS = 100, 10
# The map of the density is drawn near the codes only, for geodesics to places far from all of them
# take long: at most 300 training codes say what is near, and near is what lies within 1.5 times the
# largest distance of a measured code from them. Set by judgement: a larger reach draws more of the
# density's tail, and takes longer.
_NODES, _REACH = 300, 1.5

Density = LAND | KernelDensity


def fit_density(
    subject: Subject, *, model: str, n_components: int | None, n: int, max_iter: int | None = None
) -> Analysis:
    """Fit a density to codes of training samples, and evaluate it at those of the subject.

    Args:
        subject: the run, with held-out samples.
        model: one of `DENSITIES`.
        n_components: K of a mixture; the number of classes, 1 without labels, if None.
        n: most training samples.
        max_iter: most turns of LAND's fit; as many as the metric allows for if None, see `fit`.

    Returns:
        A row for each sample: number, label, code, log-density by the Riemannian volume and by the
        Lebesgue measure of the coordinates, and the component of a mixture.

    Raises:
        InvalidParameterError: there is no such model, or it has fewer samples than components.

    Example:
        >>> fit_density(subject, model="land", n_components=2, n=500)  # doctest: +SKIP
    """
    say = partial(print, file=sys.stderr, flush=True)
    Z_train = subject.Z_train[subject.some(np.arange(len(subject.Z_train)), n).tolist()]
    cheap = subject.manifold.metric.is_cheap
    where = "over a table" if cheap else "on the decoder itself, which takes minutes"
    say(f"fitting {model} to {len(Z_train)} training samples, {where} ...")
    density = fit(subject, Z_train, model=model, n_components=n_components, max_iter=max_iter)
    say(f"evaluating it at {len(subject.Z)} held-out samples, and drawing it ...")
    log_p = density.score_samples(subject.Z)
    flat = log_p + subject.manifold.log_volume(subject.Z).detach().cpu().numpy()
    frame = subject.codes_frame().assign(log_density=log_p, log_density_lebesgue=flat)
    if isinstance(density, LAND):
        frame["component"] = density.predict(subject.Z)
    return Analysis(
        frame,
        _summary(subject, density, Z_train, flat),
        (lambda: _draw(subject, density)) if subject.is_plane else None,
        density.save,
    )


def fit(
    subject: Subject,
    Z: Codes,
    *,
    model: str,
    n_components: int | None,
    max_iter: int | None = None,
) -> Density:
    """Fit a density to codes.

    Args:
        subject: the run.
        Z: the codes, shape `(n, d)`.
        model: one of `DENSITIES`.
        n_components: K of a mixture; the number of classes, 1 without labels, if None.
        max_iter: most turns of LAND's fit; 100 over a table, 10 without one, if None.

    Raises:
        InvalidParameterError: there is no such model, it has fewer samples than components, or
            kernels, which have neither components nor turns, were given some.

    Example:
        >>> fit(subject, subject.Z_train, model="kde", n_components=None)  # doctest: +SKIP
    """
    check_choice("--model", model, DENSITIES)
    if model == "kde":
        if n_components is not None:
            allowed = "left out with kde, which has no components"
            raise InvalidParameterError("--components", allowed, n_components)
        if max_iter is not None:
            allowed = "left out with kde, which is fitted in one go"
            raise InvalidParameterError("--max-iter", allowed, max_iter)
        return KernelDensity(subject.manifold).fit(Z)
    K = _n_components(subject, n_components)
    if len(Z) < K:
        allowed = f"at most the number of training samples, {len(Z)}"
        raise InvalidParameterError("--components", allowed, K)
    cheap = subject.manifold.metric.is_cheap
    n_samples, turns = (_DRAWS, _TURNS) if cheap else (_FEW_DRAWS, _FEW_TURNS)
    turns = turns if max_iter is None else max_iter
    seed = subject.seed
    land = LAND(subject.manifold, K, n_samples=n_samples, max_iter=turns, random_state=seed)
    return land.fit(Z)


def _n_components(subject: Subject, n_components: int | None) -> int:
    return (subject.n_classes or 1) if n_components is None else n_components


def _summary(
    subject: Subject, density: Density, Z_train: Codes, log_p: NDArray[np.float64]
) -> list[str]:
    is_land = isinstance(density, LAND)
    K = density.n_components if isinstance(density, LAND) else _n_components(subject, None)
    flat = GaussianMixture(min(K, len(Z_train)), random_state=subject.seed)
    flat.fit(Z_train.cpu().numpy())
    lines = [
        f"fitted to {len(Z_train)} training samples, evaluated at {len(log_p)} held-out ones",
        "negative log-likelihood by Lebesgue measure, nats a sample: "
        f"{-log_p.mean():.4f} {'LAND' if is_land else 'kernel density'}, "
        f"{-flat.score(subject.Z.cpu().numpy()):.4f} Euclidean mixture of {K} normal distributions",
    ]
    if np.isneginf(log_p).any():
        lines.append(f"{int(np.isneginf(log_p).sum())} held-out samples have a density of 0")
    return lines + _details(density)


def _details(density: Density) -> list[str]:
    if isinstance(density, KernelDensity):
        return [f"bandwidth {density.bandwidth_:.4g}, a geodesic distance"]
    normalisers = ", ".join(
        f"{C:.4g} ± {error:.2g}"
        for C, error in zip(density.normalizer_, density.normalizer_standard_error_, strict=True)
    )
    return [
        f"normalisers: {normalisers} (standard error), which leave "
        f"± {density.log_likelihood_standard_error_:.2g} to the log-likelihood"
    ]


def _draw(subject: Subject, density: Density) -> Axes:
    """Draw the density where it can matter: far from all codes geodesics take long to find."""
    some = subject.some(np.arange(len(subject.Z_train)), _NODES).tolist()
    graph = subject.manifold.graph_over(subject.Z)
    assert graph is not None  # of a plane there always is one

    def gap(z: Codes) -> Tensor:
        return graph.dist(subject.Z_train[some], z).amin(0)

    furthest = _REACH * gap(subject.Z).amax()

    def log_density(points: Any) -> NDArray[np.float64]:
        z = torch.as_tensor(points).to(subject.Z)
        near = gap(z) <= furthest
        values = np.full(len(z), -np.inf)
        values[near.cpu().numpy()] = density.score_samples(z[near])
        return values

    ax, Z = subject.draw_volume(), subject.Z.cpu()
    return plots.density(
        log_density, Z, resolution=_RESOLUTION[type(density)], colour="white", ax=ax
    )
