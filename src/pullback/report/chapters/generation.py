"""Generation, and which standard deviation knows what the model does not know."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Verdict
from pullback.report.study import Study
from pullback.runs import Stream
from pullback.runs.quantities import rank_correlation, total_std

__all__ = ["generation"]

_TITLE = "Generation, and knowing what is not known"
_CLAIM = "The RBF standard deviation grows away from the data, a network's does not."
# How far the map and the probes reach beyond the codes on each side, as a share of their extent:
# the claim is about what happens away from the data.
_MARGIN = 0.5
# Points drawn uniformly from that box, over which the rank correlation is taken: its standard error
# is 0.016.
_PROBES = 4096
_NAMES = {"RBF": "the RBF precision", "network": "a network"}


def generation(study: Study) -> Chapter:
    """Tell what the model generates, and where its decoders are unsure.

    Example:
        >>> generation(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.why_no_std:
        return Chapter.absent("generation", _TITLE, _CLAIM, f"{study.why_no_std}.")
    numbers = _measure(study)
    rbf, network = numbers["spearman_rbf"], numbers["spearman_network"]
    blocks: list[Block] = []
    if study.image_shape is not None:
        blocks.append(_samples(study))
    blocks.append(
        f"At {numbers['n_probes']} points in and around the codes the sum of the standard "
        "deviations of all features was compared with the distance to the nearest code. A decoder "
        "that knows what it does not know is the less sure the farther it is from all data: "
        "Spearman's rank correlation would "
        f"be 1. It is {rbf:.2f} for the RBF precision and {network:.2f} for a network trained by "
        "likelihood beside the same mean.",
    )
    if study.is_plane:
        blocks.append(Pictures(_maps(study)))
    return Chapter(
        "generation",
        _TITLE,
        numbers,
        blocks,
        claim=_CLAIM,
        verdict=Verdict.HOLDS if rbf > max(network, 0.5) else Verdict.FAILS,
        outcome="Rank correlation of Σσ with the distance to the data: "
        f"{rbf:.2f} (RBF), {network:.2f} (network).",
    )


def _measure(study: Study) -> dict[str, Any]:
    probes = _probes(study)
    nearest = torch.cat([torch.cdist(part, study.Z_train).amin(-1) for part in probes.split(512)])
    correlation = {
        name: rank_correlation(_doubt(study, name, probes).cpu().numpy(), nearest.cpu().numpy())
        for name in _NAMES
    }
    return {
        "n_probes": len(probes),
        "spearman_rbf": correlation["RBF"],
        "spearman_network": correlation["network"],
    }


def _probes(study: Study) -> Tensor:
    """Draw points of the box around the codes, widened on each side."""
    low, high = study.Z_train.amin(0), study.Z_train.amax(0)
    extent = high - low
    uniform = Stream.PROBES.generator(study.seed).random((_PROBES, study.vae.latent_dim))
    return low - _MARGIN * extent + torch.as_tensor(uniform).to(low) * (1 + 2 * _MARGIN) * extent


def _samples(study: Study) -> Picture:
    generator = torch.Generator(study.vae.like.device).manual_seed(study.seed)
    X = study.vae.sample(30, generator=generator, mean=True).cpu()
    return Picture(
        "samples",
        lambda: plots.images(X, shape=study.image_shape),
        "Three rows of ten images that the model generated.",
        "Thirty draws from the prior, decoded to their means: not selected, not sorted.",
    )


def _maps(study: Study) -> list[Picture]:
    charts = {
        name: plots.survey(partial(_doubt, study, name), study.Z, margin=_MARGIN) for name in _NAMES
    }
    values = np.concatenate([chart.values.ravel() for chart in charts.values()])
    low, high = np.percentile(values, [1, 99]).tolist()
    return [_map(study, name, charts[name], (low, high)) for name in _NAMES]


def _doubt(study: Study, name: str, z: Tensor) -> Tensor:
    """Return log sum_j sigma_j, as the paper maps it."""
    return total_std(study.decoders[name], z.to(study.vae.like)).log()


def _map(study: Study, name: str, chart: plots.LatentMap, limits: tuple[float, float]) -> Picture:
    return Picture(
        f"std-{name.lower()}",
        lambda: plots.latent_map(
            chart, study.Z.cpu(), study.y, label=r"$\log\sum_j\sigma_j$", limits=limits
        ),
        f"Map of the log of the summed standard deviation of {_NAMES[name]} over the latent plane.",
        f"The doubt of {_NAMES[name]}. Both maps have the same colours.",
    )
