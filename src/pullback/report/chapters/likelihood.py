"""Held-out log-likelihood under three standard deviations of one mean."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pullback.models import log_marginal
from pullback.pages.chapter import Block, Chapter, Table, Verdict
from pullback.pages.wording import bootstrap, interval
from pullback.report.study import Study

__all__ = ["likelihood"]

_TITLE = "The likelihood of held-out data"
_CLAIM = "Held-out data are likelier under the RBF standard deviation than under a network's."
# Draws of z for each sample, by which p(x) is estimated: from the encoder, which knows where to
# look, and from the prior, which needs more of them.
_DRAWS = {"encoder": 500, "prior": 2000}


def likelihood(study: Study) -> Chapter:
    """Tell under which standard deviation held-out data are likelier.

    Example:
        >>> likelihood(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.why_no_std:
        return Chapter.absent("likelihood", _TITLE, _CLAIM, f"{study.why_no_std}.")
    values = {name: _log_marginal(study, decoder) for name, decoder in study.decoders.items()}
    numbers = _measure(study, values)
    gain, ends = numbers["rbf_over_network"], numbers["rbf_over_network_interval"]
    means = numbers["mean_log_likelihood"]
    rows = [
        [name, f"{means[name]:.1f}", f"{np.std(v) / math.sqrt(len(v)):.1f}"]
        for name, v in values.items()
    ]
    blocks: list[Block] = [
        f"log p(x) of {len(study.X)} held-out samples, in nats. The integral over the latent space "
        f"is estimated by importance sampling, with {_DRAWS['encoder']} draws from the encoder and "
        f"{_DRAWS['prior']} from the prior, the two estimates of p(x) averaged. Encoder and mean "
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


def _log_marginal(study: Study, decoder: torch.nn.Module) -> NDArray[Any]:
    """Estimate log p(x): the mean of two unbiased estimates of p(x) is one as well."""
    vae = study.vae
    generator = torch.Generator(vae.like.device).manual_seed(study.seed)
    first, second = (
        log_marginal(
            study.X,
            vae.encoder,
            decoder,
            vae.prior,
            n_samples=n_samples,
            proposal=proposal,
            generator=generator,
        )
        for proposal, n_samples in _DRAWS.items()
    )
    value: NDArray[Any] = (torch.logaddexp(first, second) - math.log(2)).double().cpu().numpy()
    return value


def _measure(study: Study, values: dict[str, NDArray[Any]]) -> dict[str, Any]:
    n = len(study.X)
    numbers: dict[str, Any] = {
        "mean_log_likelihood": {name: float(v.mean()) for name, v in values.items()},
        "n_samples": n,
        "n_draws": _DRAWS,
    }
    for other in ("network", "constant"):
        gain = values["RBF"] - values[other]
        numbers[f"rbf_over_{other}"] = float(gain.mean())
        mean = partial(_weighted_mean, gain)
        numbers[f"rbf_over_{other}_interval"] = list(bootstrap(mean, n, seed=study.seed))
    return numbers


def _weighted_mean(values: NDArray[Any], times: NDArray[Any]) -> float:
    return float(times @ values / times.sum())
