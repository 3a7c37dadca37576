"""The latent space is curved: volume, condition numbers, and straight lines that are detours."""

from typing import Any

import numpy as np
import torch

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Verdict
from pullback.pages.wording import number
from pullback.report.study import Study

__all__ = ["curvature"]

_TITLE = "The latent space is curved"
_CLAIM = "The latent space is curved: geodesics are shorter than straight lines."
# The median ratio of the straight line's length to the geodesic's from which on a latent space is
# called curved. Set by judgement: one percent is a hundred times what geodesics err by.
_CURVED = 1.01
# The most geodesics in the picture: with more, single ones can no longer be followed by the eye.
_DRAWN = 25


def curvature(study: Study) -> Chapter:
    """Tell how far the latent space is from flat.

    Example:
        >>> curvature(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.vae.latent_dim == 1:
        why = "The latent space has one dimension, where there is one path between two points only."
        return Chapter.absent("curvature", _TITLE, _CLAIM, why)
    if not study.found.any():
        why = "No geodesic was found, so there is nothing to compare."
        return Chapter.absent("curvature", _TITLE, _CLAIM, why)
    numbers = _measure(study)
    ratio = numbers["straight_over_geodesic"]
    return Chapter(
        "curvature",
        _TITLE,
        numbers,
        _tell(study, numbers),
        claim=_CLAIM,
        verdict=Verdict.HOLDS if ratio["median"] > _CURVED else Verdict.FAILS,
        outcome=f"The straight line between two codes is {number(ratio['median'])} times as long "
        f"as the geodesic in the median, {number(ratio['p90'])} times for one pair in ten"
        f"{_left_out(study)}.",
    )


def _left_out(study: Study) -> str:
    found, n = int(study.found.sum()), len(study.pairs)
    return "" if found == n else f" (of {found} of {n} pairs: no geodesic was found for the others)"


def _tell(study: Study, numbers: dict[str, Any]) -> list[Block]:
    condition, volume = numbers["condition_number"], numbers["log_volume"]
    blocks: list[Block] = [
        "The decoder carries a small step `dz` in the latent space to a step in data space of "
        "squared length `dz' M(z) dz`, with `M = Jμ' Jμ + Jσ' Jσ`. Were the space flat, and its "
        "coordinates well chosen, `M` would be the same everywhere and straight lines would be "
        "shortest.",
        f"At the held-out codes the largest eigenvalue of `M` is {number(condition['median'])} "
        f"times the smallest in the median ({number(condition['p90'])} for one code in ten), and "
        f"the volume of a small cell differs by a factor of {number(volume['factor'])} between the "
        "5th and the 95th percentile. The claim is taken to hold if the median straight line is "
        f"more than {100 * (_CURVED - 1):.0f}\N{NO-BREAK SPACE}% longer than the geodesic.",
    ]
    if study.is_plane:
        blocks.append(Pictures(_maps(study)))
    return blocks


@torch.no_grad()
def _measure(study: Study) -> dict[str, Any]:
    eigenvalues = torch.linalg.eigvalsh(study.manifold.metric_matrix(study.Z)).clamp_min(0)
    condition = (eigenvalues[:, -1] / eigenvalues[:, 0]).cpu().numpy()
    volume = study.manifold.log_volume(study.Z).cpu().numpy()
    ratio = (study.paths.straight_length / study.paths.length).cpu().numpy()[study.found]
    low, high = np.percentile(volume, [5, 95])
    return {
        "condition_number": _quantiles(condition),
        "log_volume": _quantiles(volume) | {"factor": float(np.exp(high - low))},
        "straight_over_geodesic": _quantiles(ratio) | {"n_pairs": len(ratio)},
        "share_over_1.1": float((ratio > 1.1).mean()),
    }


def _quantiles(values: Any) -> dict[str, float]:
    middle, high, largest = np.percentile(values, [50, 90, 100])
    return {"median": float(middle), "p90": float(high), "max": float(largest)}


def _maps(study: Study) -> list[Picture]:
    chart = plots.survey(study.manifold.log_volume, study.Z)
    label = r"log volume $\log\sqrt{\det M}$"

    def draw_codes() -> Any:
        return plots.latent_map(chart, study.Z.cpu(), study.y, label=label, cmap="magma")

    def draw_paths() -> Any:
        ax = plots.latent_map(chart, label=label, cmap="magma")
        plots.geodesics(study.paths, most=_DRAWN, ax=ax)
        return ax

    n = min(_DRAWN, len(study.pairs))
    return [
        Picture(
            "volume",
            draw_codes,
            "Map of the log-volume of the metric over the latent plane, with the held-out codes.",
            "How much the decoder magnifies. Where the map is bright a small latent step changes "
            "the image, or the doubt about it, a lot: paths that wish to be short keep to the "
            "dark.",
        ),
        Picture(
            "geodesics",
            draw_paths,
            f"The geodesics between {n} pairs of held-out codes over the same map, and dashed the "
            "straight lines between them.",
            f"Geodesics (solid) and straight lines (dashed) between the first {n} pairs.",
        ),
    ]
