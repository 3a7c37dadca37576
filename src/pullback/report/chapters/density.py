"""Densities: a mixture of locally adaptive normal distributions against a Gaussian mixture."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback import plots
from pullback.errors import ConvergenceWarning
from pullback.exclusive import exclusive
from pullback.manifolds import Manifold
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.wording import bootstrap, count, interval, number, percent, signed
from pullback.plots.style import EUCLIDEAN, RIEMANNIAN
from pullback.report.study import Study
from pullback.runs import Stream
from pullback.sampling import Support
from pullback.statistics import LAND

__all__ = ["density", "supports"]

_TITLE = "Densities that follow the data"
_CLAIM = (
    "Draws of a density along geodesics stay where the model knows, a Gaussian mixture's do not."
)
_NEAR = "near the codes"
# The fewest training codes from which a density is fitted, and a claim made of it. Set by
# judgement: of fewer, a few codes decide.
_FEWEST = 200
# The most training codes that densities are fitted to: each takes a geodesic in each turn of the
# fit.
_MOST = 300
# Draws by which LAND estimates the normalising constant of each component, and turns of its fit.
# Set by judgement: more of either fit better, and the chapter is the dearest of all.
_SAMPLES, _TURNS = 200, 6
# Draws of each mixture, of which the share inside the support is told: its standard error is 2.5
# percentage points at most.
_DRAWS = 400
# Points along each axis of the map of a density.
_RESOLUTION = 64
# Draws that are shown in a picture, as crosses or as images.
_SHOWN = 40


class _Fit(NamedTuple):
    """What one mixture says of the held-out codes, and what it draws."""

    log_density: NDArray[np.float64]  # in the coordinates of the latent space
    component: NDArray[np.int64]
    draws: Tensor
    value: Any  # the log-density of points, for a map


def density(study: Study) -> Chapter:
    """Tell which mixture fits held-out codes better, and whose draws decode to data.

    Example:
        >>> density(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if not study.manifold.metric.is_cheap:
        why = "There is no table of this metric, without which the fit would take hours."
        return Chapter.absent("density", _TITLE, _CLAIM, why)
    if len(study.Z_train) < _FEWEST:
        why = f"There are fewer than {_FEWEST} training codes, of which a density says little."
        return Chapter.absent("density", _TITLE, _CLAIM, why)
    land = _land(study)
    fits = {"LAND": _of_land(study, land), "Gaussian": _of_gaussian(study, land.n_components)}
    numbers = _measure(study, land, fits)
    gain, better = numbers["gain_interval"], numbers["inside_interval"]
    near = {name: percent(numbers[name]["inside"][_NEAR]) for name in ("land", "gaussian")}
    return Chapter(
        "density",
        _TITLE,
        numbers,
        _tell(study, fits, numbers),
        claim=_CLAIM,
        verdict=Verdict.of_interval(*better),
        outcome=f"{near['land']} of the draws of the LAND lie near the codes, {near['gaussian']} "
        "of those of the Gaussian mixture; the difference of their mean log-densities of held-out "
        f"codes is {signed(numbers['gain'])} nats, in {interval(gain)}.",
    )


def supports(study: Study) -> dict[str, Support]:
    """Return two measures of where the model knows, neither of which is the metric's own.

    Both hold 99 % of the training codes: one by the Euclidean distance to the fifth nearest, one by
    the mean log standard deviation of the decoder, if that depends on z.

    Example:
        >>> supports(Study(RunFolder("run")))  # doctest: +SKIP
    """
    flat = Manifold(lambda z: z, dim=study.vae.latent_dim)
    known = {_NEAR: Support(flat, study.Z_train, criterion="neighbors")}
    if not study.why_no_std:
        known["small σ"] = Support(study.manifold, study.Z_train, criterion="std")
    return known


def _fitted_codes(study: Study) -> Tensor:
    """Return the training codes that both mixtures are fitted to, `(n, d)`."""
    order = Stream.DENSITY.generator(study.seed).permutation(len(study.Z_train))[:_MOST]
    return study.Z_train[order.tolist()]


def _land(study: Study) -> LAND:
    land = LAND(
        study.manifold,
        max(1, len(study.classes)),
        n_samples=_SAMPLES,
        max_iter=_TURNS,
        random_state=study.seed,
    )
    with exclusive(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # which the chapter tells of itself
        return land.fit(_fitted_codes(study))


def _of_land(study: Study, land: LAND) -> _Fit:
    log_density = land.log_density(study.Z, measure="lebesgue")
    return _Fit(
        log_density,
        land.predict(study.Z),
        _shuffled(study, land.sample(_DRAWS, random_state=study.seed)[0]),
        lambda z: land.log_density(z, measure="lebesgue"),
    )


def _of_gaussian(study: Study, n_components: int) -> _Fit:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(n_components, n_init=5, random_state=study.seed)
    mixture.fit(_fitted_codes(study).cpu().numpy())
    Z = study.Z.cpu().numpy()
    return _Fit(
        mixture.score_samples(Z),
        mixture.predict(Z),
        _shuffled(study, mixture.sample(_DRAWS)[0]),
        lambda z: mixture.score_samples(np.asarray(z.cpu())),
    )


def _shuffled(study: Study, draws: NDArray[np.float64]) -> Tensor:
    """Mix the draws of the components, which come one component after the other."""
    order = Stream.MATCHES.generator(study.seed).permutation(len(draws))
    return torch.as_tensor(draws[order]).to(study.Z)


def _measure(study: Study, land: LAND, fits: dict[str, _Fit]) -> dict[str, Any]:
    known = supports(study)
    numbers: dict[str, Any] = {
        name.lower(): {
            "log_density": float(fit.log_density.mean()),
            "inside": {key: support.share(fit.draws) for key, support in known.items()},
            "purity": _purity(study.y, fit.component),
        }
        for name, fit in fits.items()
    }
    gain = fits["LAND"].log_density - fits["Gaussian"].log_density
    numbers["gain"] = float(gain.mean())
    numbers["gain_interval"] = list(
        bootstrap(lambda times: float(times @ gain / times.sum()), len(gain), seed=study.seed)
    )
    numbers["inside_interval"] = _difference(
        numbers["land"]["inside"][_NEAR], numbers["gaussian"]["inside"][_NEAR]
    )
    numbers["n_components"] = land.n_components
    numbers["n_held_out"] = len(gain)
    numbers["converged"] = bool(land.converged_)
    numbers["n_iter"] = int(land.n_iter_)
    numbers["error_of_normaliser"] = float(land.log_likelihood_standard_error_)
    return numbers


def _difference(share: float, other: float) -> list[float]:
    """Return the 95 % interval of the difference of two shares of as many draws, after Agresti."""
    p, q = ((n * _DRAWS + 1) / (_DRAWS + 2) for n in (share, other))
    error = 1.96 * ((p * (1 - p) + q * (1 - q)) / (_DRAWS + 2)) ** 0.5
    return [p - q - error, p - q + error]


def _purity(y: NDArray[Any] | None, component: NDArray[np.int64]) -> float | None:
    """Return the share of codes whose class is the most frequent one of their component."""
    if y is None:
        return None
    most = [np.unique(y[component == k], return_counts=True)[1].max() for k in np.unique(component)]
    return float(sum(most) / len(y))


def _tell(study: Study, fits: dict[str, _Fit], numbers: dict[str, Any]) -> list[Block]:
    known = list(numbers["land"]["inside"])
    header = ["", "log-density", *(f"inside: {name}" for name in known)]
    header += ["purity"] if study.y is not None else []
    rows = []
    for name, values in ((name, numbers[name.lower()]) for name in fits):
        row = [
            name,
            f"{values['log_density']:.3f}",
            *(percent(s) for s in values["inside"].values()),
        ]
        rows.append(row + ([percent(values["purity"])] if study.y is not None else []))
    settled = "" if numbers["converged"] else " It did not settle in the turns that it was given."
    blocks: list[Block] = [
        f"A mixture of {count(numbers['n_components'], 'locally adaptive normal distribution')} "
        "(LAND), whose distances run along geodesics, and a Gaussian mixture of as many components "
        f"were fitted to the same training codes, and judged by {numbers['n_held_out']} held-out "
        "ones. Both log-densities are in nats, by the area of the latent coordinates; the "
        "normaliser of the LAND is a Monte Carlo estimate, which adds an error of "
        f"{number(numbers['error_of_normaliser'])} nats.{settled}",
        Table(header, rows),
        f"“Inside” is the share of {_DRAWS} draws of each that lie where the model knows, which "
        "99 % of the training codes do: by the distance to the fifth nearest code, and by the "
        "mean log σ of the decoder. Purity is the share of held-out codes whose class is the most "
        "frequent of their component.",
        "The paper fits both mixtures to the codes of the digits 0 and 1, and finds that only the "
        "LAND shows both clusters, and that several draws of the Gaussian mixture decode to "
        "blurred images off the support. It gives pictures and no numbers: those here are ours.",
    ]
    if study.is_plane:
        blocks.append(Pictures([_map(study, name, fit) for name, fit in fits.items()]))
    if study.image_shape is not None:
        blocks.append(Pictures([_images(study, name, fit) for name, fit in fits.items()]))
    return blocks


def _map(study: Study, name: str, fit: _Fit) -> Picture:
    colour = RIEMANNIAN if name == "LAND" else EUCLIDEAN
    samples = fit.draws[:_SHOWN].cpu()
    chart = plots.survey(fit.value, study.Z, resolution=_RESOLUTION, margin=0.1, square=False)
    return Picture(
        f"density-{name.lower()}",
        lambda: plots.density(chart, study.Z.cpu(), study.y, samples=samples, colour=colour),
        f"Contours of the {name} mixture over the held-out codes, with {_SHOWN} draws as crosses.",
        f"{name}: contours around 25, 50, 75, 90 and 99 % of the held-out codes. Crosses: "
        f"{_SHOWN} draws.",
    )


def _images(study: Study, name: str, fit: _Fit) -> Picture:
    X = study.images_along(fit.draws[:_SHOWN]).cpu()
    return Picture(
        f"density-samples-{name.lower()}",
        lambda: plots.images(X, shape=study.image_shape),
        f"{_SHOWN} images decoded from draws of the {name} mixture.",
        f"{_SHOWN} draws of the {name} mixture, decoded: not selected, not sorted.",
    )
