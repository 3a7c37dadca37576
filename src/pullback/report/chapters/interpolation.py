"""Interpolation: how evenly images change along a straight line and along a geodesic."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Verdict
from pullback.pages.wording import bootstrap, number, percent
from pullback.report.study import Study
from pullback.runs.quantities import jerkiness

__all__ = ["interpolation"]

_TITLE = "Interpolation without jumps"
_CLAIM = "Along a geodesic the data change evenly, along a straight line in jumps."
# Steps of equal time that a curve is cut into: small beside the jumps of a decoder, and few enough
# to decode for every pair.
_STEPS = 64
# Images that are shown along a curve, its ends among them.
_IMAGES = 10
# Pairs of curves that are shown as images.
_SHOWN = 3


def interpolation(study: Study) -> Chapter:
    """Tell along which curve the decoded data change more evenly.

    Example:
        >>> interpolation(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    good = np.flatnonzero(study.found).tolist()
    if not good:
        why = "No geodesic was found, so there is nothing to compare."
        return Chapter.absent("interpolation", _TITLE, _CLAIM, why)
    curves = _curves(study)
    numbers = _measure(study, curves, good)
    low, high = numbers["log_ratio_interval"]
    straight, curved = numbers["straight"]["median"], numbers["geodesic"]["median"]
    blocks: list[Block] = [
        f"Each curve is cut into {_STEPS} steps of equal length in t and decoded. What is compared "
        "is the largest step in data space over the mean step: 1 is perfectly even.",
        f"The geodesic is the more even one for {percent(numbers['share_geodesic_more_even'])} of "
        f"{len(good)} random pairs of held-out samples. Of these the first ones are shown"
        + (", one for each two classes." if len(study.classes) > 1 else "."),
        *_pictures(study, curves, good),
    ]
    return Chapter(
        "interpolation",
        _TITLE,
        numbers,
        blocks,
        claim=_CLAIM,
        verdict=Verdict.of_interval(-high, -low),
        outcome=f"Largest over mean step: {number(curved)} along geodesics, {number(straight)} "
        f"along straight lines (medians of {len(good)} pairs; 1 is perfectly even).",
    )


def _curves(study: Study) -> dict[str, Tensor]:
    ends = study.Z[study.pairs]
    t = torch.linspace(0, 1, _STEPS + 1, dtype=ends.dtype, device=ends.device)[:, None]
    straight = ends[:, :1] * (1 - t) + ends[:, 1:] * t
    return {"straight line": straight, "geodesic": study.paths.points(_STEPS + 1)}


def _measure(study: Study, curves: dict[str, Tensor], good: list[int]) -> dict[str, Any]:
    # One pair at a time: the images of all of them may not fit into memory.
    values = {
        name: np.array([float(jerkiness(study.images_along(points[i]))) for i in good])
        for name, points in curves.items()
    }
    straight, curved = values["straight line"], values["geodesic"]
    log_ratio = np.log(curved / straight)

    def mean(times: NDArray[Any]) -> float:
        return float(times @ log_ratio / times.sum())

    return {
        "n_pairs": len(good),
        "n_steps": _STEPS,
        "straight": {"median": float(np.median(straight)), "mean": float(straight.mean())},
        "geodesic": {"median": float(np.median(curved)), "mean": float(curved.mean())},
        "share_geodesic_more_even": float((curved < straight).mean()),
        "log_ratio_mean": float(log_ratio.mean()),
        "log_ratio_interval": list(bootstrap(mean, len(good), seed=study.seed)),
    }


def _choose(study: Study, good: list[int]) -> list[int]:
    """Return the first pair of each two classes, or the first pairs where there are no labels."""
    y = study.y
    if y is None or len(study.classes) < 2:
        return good[:_SHOWN]
    seen: dict[tuple[Any, ...], int] = {}
    for i in good:
        first, second = sorted(y[study.pairs[i]].tolist())
        if first != second:
            seen.setdefault((first, second), i)
    return list(seen.values())[:_SHOWN] or good[:_SHOWN]


def _pictures(study: Study, curves: dict[str, Tensor], good: list[int]) -> list[Block]:
    chosen = _choose(study, good)
    if study.image_shape is None:
        return [_profile(study, curves, chosen[0], 1)]
    return [
        Pictures([_strip(study, curves, i, n), _profile(study, curves, i, n)])
        for n, i in enumerate(chosen, 1)
    ]


def _names(study: Study, i: int) -> str:
    if study.y is None:
        return f"held-out samples {study.pairs[i][0]} and {study.pairs[i][1]}"
    first, second = study.y[study.pairs[i]]
    return f"a {first} and a {second}"


def _strip(study: Study, curves: dict[str, Tensor], i: int, n: int) -> Picture:
    shown = torch.linspace(0, _STEPS, _IMAGES).round().long()
    rows = torch.cat([study.images_along(points[i][shown]) for points in curves.values()])
    return Picture(
        f"interpolation-{n}",
        lambda: plots.images(
            rows.cpu(), shape=study.image_shape, columns=_IMAGES, labels=tuple(curves)
        ),
        f"Two rows of decoded images between {_names(study, i)}: along the straight line above, "
        "along the geodesic below.",
        f"Between {_names(study, i)}, at equal steps of t.",
    )


def _profile(study: Study, curves: dict[str, Tensor], i: int, n: int) -> Picture:
    images = {name: study.images_along(points[i]).cpu() for name, points in curves.items()}
    uneven = {name: float(jerkiness(points)) for name, points in images.items()}
    return Picture(
        f"steps-{n}",
        lambda: plots.steps(images),
        f"The length of each step along both curves between {_names(study, i)}; the largest is "
        f"{number(uneven['straight line'])} times the mean along the straight line, "
        f"{number(uneven['geodesic'])} times along the geodesic.",
        f"The size of the steps. The largest is {number(uneven['straight line'])} times the mean "
        f"along the straight line, {number(uneven['geodesic'])} times along the geodesic.",
    )
