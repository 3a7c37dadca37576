"""Random walks: which stay where the model knows."""

from typing import Any

import torch
from torch import Tensor

from pullback import linalg, plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.wording import number, percent
from pullback.report.chapters.density import supports
from pullback.report.study import Study
from pullback.runs import Stream
from pullback.sampling import BrownianMotion

__all__ = ["random_walks"]

_TITLE = "Random walks that stay with the data"
_CLAIM = "A random walk in the metric stays where the model knows; a Euclidean one drifts away."
# How many walks are taken, and of how many steps. The paper shows a few long walks; with 1000 steps
# a Euclidean one has time to leave the data.
_WALKS, _STEPS = 10, 1000
# The standard deviation of a Euclidean step along each axis, as a share of that of the codes: after
# 1000 steps the walk is 1.6 times as wide as the data.
_SHARE = 0.05
# Images that are shown along a walk.
_SHOWN = 20
# Walks that are drawn in a picture: more hide each other.
_DRAWN = 3


def random_walks(study: Study) -> Chapter:
    """Tell which random walk stays inside the support of the data.

    Example:
        >>> random_walks(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    walks, stopped = _walk(study)
    known = supports(study)
    inside = {
        name: {key: support.share(points[:, 1:]) for key, support in known.items()}
        for name, points in walks.items()
    }
    better = [inside["Riemannian"][key] > inside["Euclidean"][key] for key in known]
    away = {name: _distances(study, points) for name, points in walks.items()}
    verdict = Verdict.HOLDS if all(better) else Verdict.OPEN if any(better) else Verdict.FAILS
    numbers = {
        "inside": {name.lower(): values for name, values in inside.items()},
        "distance": {name.lower(): value for name, value in away.items()},
        "stopped": stopped,
        "n_walks": _WALKS,
        "n_steps": _STEPS,
        "step_size": _sizes(study),
    }
    near = {name: percent(values["near the codes"]) for name, values in inside.items()}
    return Chapter(
        "random_walks",
        _TITLE,
        numbers,
        _tell(study, walks, numbers),
        claim=_CLAIM,
        verdict=verdict,
        outcome=f"Of {_WALKS} walks of {_STEPS} steps, {near['Riemannian']} of the steps end near "
        f"the codes in the metric, {near['Euclidean']} in the latent coordinates.",
    )


def _sizes(study: Study) -> dict[str, float]:
    """Return the step sizes of both walks: at the codes they move as far, in mean square."""
    flat = _SHARE * float(study.Z_train.std(0).mean())
    L, usable = linalg.cholesky(study.manifold.metric_matrix(study.Z))
    inverse = torch.linalg.solve_triangular(L, torch.eye(L.shape[-1]).to(L), upper=False)
    moved = inverse.square().sum((-2, -1))[usable].median()
    return {
        "euclidean": flat,
        "riemannian": flat * (study.vae.latent_dim / float(moved)) ** 0.5,
    }


def _walk(study: Study) -> tuple[dict[str, Tensor], int]:
    """Return the points of both kinds of walks, and how many in the metric had to stop."""
    start = study.Z[Stream.WALKS.generator(study.seed).permutation(len(study.Z))[:_WALKS]]
    sizes = _sizes(study)
    walk = BrownianMotion(study.manifold, step_size=sizes["riemannian"], method="driftless")
    samples = walk.sample(start, _STEPS, random_state=study.seed)
    generator = torch.Generator(start.device).manual_seed(study.seed)
    shape = (len(start), _STEPS, start.shape[1])
    noise = torch.randn(shape, generator=generator, dtype=start.dtype, device=start.device)
    path = start.unsqueeze(1) + sizes["euclidean"] * noise.cumsum(1)
    euclidean = torch.cat([start.unsqueeze(1), path], 1)
    stopped = int((~samples.converged).sum())
    return {"Riemannian": samples.points, "Euclidean": euclidean}, stopped


def _distances(study: Study, points: Tensor) -> dict[str, float]:
    """Return how far the steps end from the nearest code, in units of the spread of the codes."""
    flat = points[:, 1:].reshape(-1, points.shape[-1])
    nearest = torch.cat([torch.cdist(part, study.Z_train).amin(-1) for part in flat.split(512)])
    median, far = (nearest / study.Z_train.std(0).mean()).quantile(
        torch.tensor([0.5, 0.95]).to(nearest)
    )
    return {"median": float(median), "p95": float(far)}


def _tell(study: Study, walks: dict[str, Tensor], numbers: dict[str, Any]) -> list[Block]:
    rows = [
        [
            name,
            *(percent(share) for share in numbers["inside"][name.lower()].values()),
            *(number(value) for value in numbers["distance"][name.lower()].values()),
        ]
        for name in walks
    ]
    inside, sizes, stopped = numbers["inside"], numbers["step_size"], numbers["stopped"]
    blocks: list[Block] = [
        f"{_WALKS} random walks of {_STEPS} steps each, from the same held-out codes, of two "
        f"kinds: with steps of {number(sizes['riemannian'])} in the metric, as in the paper, and "
        f"of {number(sizes['euclidean'])} in the latent coordinates. At the median code both move "
        "as far. Where σ changes fast a step in the metric is short, so the walk is slow to leave, "
        "and slow to come back: in the long run such a walk favours large volumes, which lie "
        "outside the data.",
        Table(
            ["steps inside", *next(iter(inside.values())), "distance: median", "95 %"],
            rows,
            "The distance is that to the nearest training code, in units of their spread.",
        ),
        "The paper shows one such walk of each kind for frames of a video, and says that the one "
        "in the metric stays within the support of the data while the other does not. It gives no "
        "number.",
    ]
    if stopped:
        blocks.append(f"{stopped} of {_WALKS} walks in the metric had to stop before their end.")
    if study.is_plane:
        blocks.append(Pictures([_map(study, name, points) for name, points in walks.items()]))
    if study.image_shape is not None:
        blocks.append(Pictures([_images(study, name, points) for name, points in walks.items()]))
    return blocks


def _map(study: Study, name: str, points: Tensor) -> Picture:
    drawn = points[:_DRAWN].cpu()

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
    along = points[0, torch.linspace(0, points.shape[1] - 1, _SHOWN).round().long()]
    X = study.images_along(along).cpu()
    return Picture(
        f"walk-images-{name.lower()}",
        lambda: plots.images(X, shape=study.image_shape),
        f"{_SHOWN} images along the first {name} walk.",
        f"{_SHOWN} images along the first {name} walk, at equal times.",
    )
