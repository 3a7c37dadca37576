"""Random walks: which stay where the model knows, and for how long."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback import plots
from pullback.errors import ConvergenceError, ConvergenceWarning, InvalidDataError
from pullback.exclusive import exclusive
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.wording import bootstrap, interval, number, signed
from pullback.report.study import Study
from pullback.runs import Stream
from pullback.sampling import (
    BrownianMotion,
    Samples,
    VolumeSampler,
    excursions,
    matched_step,
)

__all__ = ["random_walks"]

_TITLE = "Random walks that stay with the data"
_CLAIM = "A random walk in the metric stays where the model knows; a Euclidean one drifts away."
# How many walks are taken of each kind, and of how many steps. Set by judgement: the paper shows a
# few long walks. With fewer walks the interval is wide; with fewer steps no walk has time to leave.
_WALKS, _STEPS = 16, 5000
# The standard deviation of a Euclidean step along each axis, as a share of that of the codes: 5000
# steps lead 3.5 times the spread of the codes away.
_SHARE = 0.05
# Draws that are uniform by volume, and the most latent dimensions in which there are such. Set by
# judgement: the standard error of a median of 2000 is a fiftieth of their spread.
_DRAWS, _MOST_DIM = 2000, 3
# How far the box of these draws reaches beyond the codes, as a share of their extent: as far as the
# table of the metric, which makes them cheap.
_MARGIN = 0.5
# Images that are shown along a walk.
_SHOWN = 20
# Walks that are drawn in a picture, and points of each: more hide each other.
_DRAWN, _POINTS = 3, 1000


def random_walks(study: Study) -> Chapter:
    """Tell how far random walks get from the codes, in the metric and in the plane.

    Example:
        >>> random_walks(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    curved, straight, sizes = _walk(study)
    points = {"Riemannian": curved.points, "Euclidean": straight}
    away = {name: excursions(one, study.Z_train) for name, one in points.items()}
    means = {name: one.mean(1).cpu().numpy() for name, one in away.items()}
    gain = means["Euclidean"] - means["Riemannian"]  # of walks from the same code
    mean = partial(_weighted_mean, gain)
    ends = list(bootstrap(mean, len(gain), seed=study.seed))
    distance = {name.lower(): _summary(one) for name, one in away.items()}
    uniform = _uniform(study)
    if uniform is not None:
        distance["volume"] = _summary(uniform)
    numbers: dict[str, Any] = {
        "distance": distance,
        "gain": float(gain.mean()),
        "gain_interval": ends,
        "stopped": int((~curved.converged).sum()),
        "fewest_steps": _fewest(curved),
        "n_walks": len(gain),
        "n_steps": _STEPS,
        "step_size": sizes,
    }
    near, far = (number(float(means[name].mean())) for name in ("Riemannian", "Euclidean"))
    return Chapter(
        "random_walks",
        _TITLE,
        numbers,
        _tell(study, points, numbers),
        claim=_CLAIM,
        verdict=Verdict.of_interval(*ends),
        outcome=f"In the second half of {_STEPS} steps a walk in the metric is {near} of the "
        f"codes' spread from the nearest code, a Euclidean one {far}: {signed(numbers['gain'])}, "
        f"95\N{NO-BREAK SPACE}% interval over {len(gain)} walks {interval(ends)}.",
    )


def _walk(study: Study) -> tuple[Samples, Tensor, dict[str, float]]:
    """Walk in the metric and in the plane, from the same held-out codes; tell the steps' sizes.

    At the median training code both move as far, in mean square.
    """
    start = study.Z[Stream.WALKS.generator(study.seed).permutation(len(study.Z))[:_WALKS]]
    flat = _SHARE * float(study.Z_train.std(0).mean())
    sizes = {"riemannian": matched_step(study.manifold, study.Z_train, flat), "euclidean": flat}
    walk = BrownianMotion(study.manifold, step_size=sizes["riemannian"], method="driftless")
    curved = walk.sample(start, _STEPS, random_state=study.seed)
    generator = torch.Generator(start.device).manual_seed(study.seed)
    shape = (len(start), _STEPS, start.shape[1])
    noise = torch.randn(shape, generator=generator, dtype=start.dtype, device=start.device)
    path = start.unsqueeze(1) + flat * noise.cumsum(1)
    return curved, torch.cat([start.unsqueeze(1), path], 1), sizes


def _fewest(walks: Samples) -> int:
    """Return the least number of steps that one of the walks could take."""
    assert walks.n_taken is not None  # of a chain it always is
    return int(walks.n_taken.min())


def _uniform(study: Study) -> Tensor | None:
    """Return how far points uniform by volume are from the codes, if such points are cheap."""
    metric = study.manifold.metric
    if study.vae.latent_dim > _MOST_DIM or not metric.is_cheap:
        return None
    low, high = study.Z_train.amin(0), study.Z_train.amax(0)
    margin = _MARGIN * (high - low).amax()
    box = torch.stack([low - margin, high + margin])
    with exclusive(), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            draws = VolumeSampler(study.manifold, box).sample(_DRAWS, random_state=study.seed)
        except (ConvergenceError, ConvergenceWarning, InvalidDataError):  # too steep, or singular
            return None
    return excursions(draws.points.unsqueeze(1), study.Z_train)  # each a walk of one point


def _summary(away: Tensor) -> dict[str, float]:
    """Sum up distances to the nearest code, in units of the spread of the codes."""
    flat = np.asarray(away.flatten().cpu())
    median, far = np.quantile(flat, [0.5, 0.95])
    return {
        "mean": float(flat.mean()),
        "median": float(median),
        "p95": float(far),
        "max": float(flat.max()),
    }


def _weighted_mean(values: NDArray[Any], times: NDArray[Any]) -> float:
    return float(times @ values / times.sum())


def _tell(study: Study, points: dict[str, Tensor], numbers: dict[str, Any]) -> list[Block]:
    sizes, stopped = numbers["step_size"], numbers["stopped"]
    n = numbers["n_walks"]
    blocks: list[Block] = [
        f"{n} random walks of {_STEPS} steps each, from the same held-out codes, of two kinds: "
        f"with steps of {number(sizes['riemannian'])} in the metric, as in the paper, and of "
        f"{number(sizes['euclidean'])} in the latent coordinates. At the median code both move as "
        "far. A step in the metric is short where σ changes fast, as it does around the data.",
        _table(numbers),
        "The paper shows one such walk of each kind for frames of a video, and says that the one "
        "in the metric stays within the support of the data while the other does not. It gives no "
        "number; the distance is ours.",
        _in_the_long_run(numbers),
    ]
    if stopped:
        blocks.append(
            f"{stopped} of {n} walks in the metric had to stop before their end, where the metric "
            f"is singular or not finite, the first after {numbers['fewest_steps']} steps; they "
            "count where they stopped."
        )
    if study.is_plane:
        blocks.append(Pictures([_map(study, name, one) for name, one in points.items()]))
    if study.image_shape is not None:
        blocks.append(Pictures([_images(study, name, one) for name, one in points.items()]))
    return blocks


def _table(numbers: dict[str, Any]) -> Table:
    names = {
        "riemannian": "Riemannian walk",
        "euclidean": "Euclidean walk",
        "volume": "uniform by volume",
    }
    distance = numbers["distance"]
    rows = [
        [name, *(number(distance[key][part]) for part in ("median", "p95", "max", "mean"))]
        for key, name in names.items()
        if key in distance
    ]
    return Table(
        ["distance to the nearest code", "median", "95\N{NO-BREAK SPACE}%", "largest", "mean"],
        rows,
        f"Of the last {_STEPS - _STEPS // 2} steps of all walks, in units of the spread of the "
        "training codes.",
    )


def _in_the_long_run(numbers: dict[str, Any]) -> str:
    told = (
        "In the long run the metric does not hold a walk. The stationary law of Brownian motion is "
        "the Riemannian volume, wherever it began, and the volume lies in the walls, where σ "
        "grows: a walk that is near the codes is one that has not had the time to leave. (The "
        "steps here leave out its drift, as the paper's do, which changes the law.)"
    )
    if "volume" in numbers["distance"]:
        told += (
            " The last row of the table is where Brownian motion must end, kept to a box that "
            "reaches beyond the codes by half of their extent."
        )
    return told


def _map(study: Study, name: str, points: Tensor) -> Picture:
    drawn = _thinned(points[:_DRAWN], _POINTS).cpu()

    def draw() -> Any:
        ax = plots.scatter(study.Z.cpu(), study.y, size=8.0)
        return plots.walks(drawn, ax=ax)

    return Picture(
        f"walks-{name.lower()}",
        draw,
        f"{_DRAWN} {name} random walks over the held-out codes.",
        f"{name}: the first {_DRAWN} walks. Rings: where they begin. Dots: where they end.",
    )


def _images(study: Study, name: str, points: Tensor) -> Picture:
    X = study.images_along(_thinned(points[0], _SHOWN)).cpu()
    return Picture(
        f"walk-images-{name.lower()}",
        lambda: plots.images(X, shape=study.image_shape),
        f"{_SHOWN} images along the first {name} walk.",
        f"{_SHOWN} images along the first {name} walk, at equal times.",
    )


def _thinned(points: Tensor, n: int) -> Tensor:
    """Take n points at equal times of walks `(*walks, steps, d)`, both ends included."""
    return points[..., torch.linspace(0, points.shape[-2] - 1, n).round().long(), :]
