"""Readings of a decoder's output: which distribution of x its tensors are the parameters of."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Beta,
    ContinuousBernoulli,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Independent,
    LogNormal,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
    VonMises,
)

from pullback.errors import InvalidDataError, check_choice
from pullback.models.zero_inflated import ZeroInflatedNegativeBinomial

__all__ = ["READINGS", "read"]


def _normal(mean: Tensor, std: Tensor | None = None) -> Distribution:
    return Normal(mean, torch.ones_like(mean) if std is None else std, validate_args=False)


def _normal_log_variance(mean: Tensor, log_variance: Tensor) -> Distribution:
    return Normal(mean, (log_variance / 2).exp(), validate_args=False)


def _negative_binomial(mean: Tensor, dispersion: Tensor) -> Distribution:
    return NegativeBinomial(dispersion, logits=mean.log() - dispersion.log(), validate_args=False)


def _of(family: Any, *names: str) -> Callable[..., Distribution]:
    def build(*parameters: Tensor) -> Distribution:
        named = dict(zip(names, parameters, strict=True))
        distribution: Distribution = family(**named, validate_args=False)
        return distribution

    return build


_READINGS: dict[str, tuple[Callable[..., Distribution], str]] = {
    "bernoulli": (_of(Bernoulli, "logits"), "logits"),
    "bernoulli_probabilities": (_of(Bernoulli, "probs"), "probabilities"),
    "beta": (_of(Beta, "concentration1", "concentration0"), "alpha, beta"),
    "categorical": (_of(OneHotCategorical, "logits"), "logits, the classes last"),
    "continuous_bernoulli": (_of(ContinuousBernoulli, "logits"), "logits"),
    "dirichlet": (_of(Dirichlet, "concentration"), "concentration, the classes last"),
    "exponential": (_of(Exponential, "rate"), "rate"),
    "gamma": (_of(Gamma, "concentration", "rate"), "concentration, rate"),
    "log_normal": (_of(LogNormal, "loc", "scale"), "loc, scale"),
    "multivariate_normal": (_of(MultivariateNormal, "loc", "scale_tril"), "mean, scale_tril"),
    "negative_binomial": (_negative_binomial, "mean, dispersion"),
    "normal": (_normal, "mean, standard deviation (1 if it is left out)"),
    "normal_log_variance": (_normal_log_variance, "mean, log variance"),
    "poisson": (_of(Poisson, "rate"), "rate"),
    "von_mises": (_of(VonMises, "loc", "concentration"), "loc, concentration"),
    "zero_inflated_negative_binomial": (
        _of(ZeroInflatedNegativeBinomial, "count_mean", "dispersion", "logits"),
        "mean, dispersion, logits of the extra zeros",
    ),
}

READINGS: dict[str, str] = {name: tensors for name, (_, tensors) in sorted(_READINGS.items())}
"""The names that `Decoder(likelihood=...)` takes, with the tensors that the model must return."""


def read(output: Any, name: str, *, n_batch: int = 1) -> Any:
    """Make the distribution of one observation of the tensors that a model returned.

    Args:
        output: a tensor `(*batch, ...)`, or a tuple or list of them in the order of `READINGS`.
        name: which distribution, a key of `READINGS`.
        n_batch: how many leading dimensions are those of the batch.

    Returns:
        p(x|z), whose event has all other dimensions.

    Raises:
        InvalidParameterError: the name is unknown.
        InvalidDataError: these are not the tensors that the distribution needs.

    Example:
        >>> read((torch.zeros(5, 3), torch.ones(5, 3)), "normal").event_shape
        torch.Size([3])
    """
    check_choice("likelihood", name, READINGS)
    build, tensors = _READINGS[name]
    if isinstance(output, dict) and len(output) > 1:
        raise InvalidDataError(
            f"`likelihood='{name}'` needs ({tensors}), but the model returned a dict with the keys "
            f"{list(output)}. Name them in that order, as `output=('...', '...')`."
        )
    if isinstance(output, dict):
        output = tuple(output.values())
    parts = output if isinstance(output, (tuple, list)) else (output,)
    whole = all(isinstance(part, Tensor) for part in parts)
    try:
        distribution = build(*parts) if whole else None
    except (TypeError, ValueError, RuntimeError) as error:
        raise _misfit(name, tensors, parts, f": {error}") from error
    if distribution is None:
        raise _misfit(name, tensors, parts, "")
    extra = max(0, len(distribution.batch_shape) - n_batch)
    return Independent(distribution, extra, validate_args=False)


def _misfit(name: str, tensors: str, parts: Any, why: str) -> InvalidDataError:
    came = ", ".join(
        f"a tensor {tuple(part.shape)}" if isinstance(part, Tensor) else f"a {type(part).__name__}"
        for part in parts
    )
    return InvalidDataError(
        f"`likelihood='{name}'` needs a model that returns ({tensors}), but it returned ({came})"
        f"{why}. Choose its parts with `output=...`, or give a function from the output to a torch "
        "distribution as `likelihood`."
    )
