"""Held-out log-likelihood under three standard deviations of one mean."""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.models import Marginal, marginal
from pullback.pages.chapter import Block, Chapter, Table, Verdict
from pullback.pages.wording import bootstrap, interval
from pullback.report.study import Study

__all__ = ["likelihood"]

_TITLE = "The likelihood of held-out data"
_CLAIM = "Held-out data are likelier under the RBF standard deviation than under a network's."


def likelihood(study: Study) -> Chapter:
    """Tell under which standard deviation held-out data are likelier.

    Example:
        >>> likelihood(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.why_no_std:
        return Chapter.absent("likelihood", _TITLE, _CLAIM, f"{study.why_no_std}.")
    vae = study.vae
    found = {
        name: marginal(study.X, vae.encoder, decoder, vae.prior)
        for name, decoder in study.decoders.items()
    }
    values = {name: one.value.double().cpu().numpy() for name, one in found.items()}
    numbers = _measure(study, values) | _accuracy(found)
    gain, ends = numbers["rbf_over_network"], numbers["rbf_over_network_interval"]
    means = numbers["mean_log_likelihood"]
    rows = [
        [name, f"{means[name]:.1f}", f"{np.std(v) / math.sqrt(len(v)):.1f}"]
        for name, v in values.items()
    ]
    blocks: list[Block] = [
        f"log p(x) of {len(study.X)} held-out samples, in nats. {_told(numbers)} Encoder and mean "
        "are the same for all three.",
        Table(["standard deviation", "mean log p(x)", "standard error"], rows),
        "The paper reports −50.34 (RBF) and −68.25 (network) on the digits 0 and 1. Densities "
        "depend on the unit of the data and on which features they are over, so only the order can "
        "be compared, not the numbers.",
    ]
    return Chapter(
        "likelihood",
        _TITLE,
        numbers,
        blocks,
        claim=_CLAIM,
        verdict=Verdict.of_interval(*ends),
        outcome=f"RBF less network: {_signed(gain)} nats for a held-out sample in the mean, "
        f"95\N{NO-BREAK SPACE}% interval {interval(ends, _signed)}.",
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _accuracy(found: dict[str, Marginal]) -> dict[str, Any]:
    errors = {name: float(one.error.mean()) for name, one in found.items()}
    missed = {name: int((~one.converged).sum()) for name, one in found.items()}
    method = next(iter(found.values())).method
    return {"method": method, "mean_error": errors, "n_not_converged": missed}


def _told(numbers: dict[str, Any]) -> str:
    """Say how log p(x) was computed, and how good it is."""
    error, missed = max(numbers["mean_error"].values()), sum(numbers["n_not_converged"].values())
    quadrature = numbers["method"] == "quadrature"
    if quadrature:
        how = "The integral over the latent space is by quadrature, on lattices around the modes"
        of = "estimated error"
    else:
        how = "The integral over the latent space is by importance sampling, from the posterior's "
        how += "modes, the encoder and the prior"
        of = "standard error"
    told = f"{how}: its {of} is {error:.2g} nats in the mean, at most."
    if missed:
        read = "may be off to either side" if quadrature else "are to be read as lower bounds"
        told += f" For {missed} values it exceeds 0.1 nats: these {read}."
    return told


def _measure(study: Study, values: dict[str, NDArray[Any]]) -> dict[str, Any]:
    n = len(study.X)
    numbers: dict[str, Any] = {
        "mean_log_likelihood": {name: float(v.mean()) for name, v in values.items()},
        "n_samples": n,
    }
    for other in ("network", "constant"):
        gain = values["RBF"] - values[other]
        numbers[f"rbf_over_{other}"] = float(gain.mean())
        mean = partial(_weighted_mean, gain)
        numbers[f"rbf_over_{other}_interval"] = list(bootstrap(mean, n, seed=study.seed))
    return numbers


def _weighted_mean(values: NDArray[Any], times: NDArray[Any]) -> float:
    return float(times @ values / times.sum())
