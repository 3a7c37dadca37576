"""Readings of a decoder's output: which distribution of x its tensors are the parameters of."""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    Normal,
    VonMises,
)

from pullback.errors import InvalidDataError, check_choice

__all__ = ["READINGS", "Reading", "read", "reading_of", "register_reading"]


def _normal_log_variance(mean: Tensor, log_variance: Tensor) -> Distribution:
    return Normal(mean, (log_variance / 2).exp(), validate_args=False)


def reading_of(family: Any, *names: str) -> Callable[..., Distribution]:
    """Return the reading that gives a class of distributions its parameters by name.

    Args:
        family: the class.
        names: the names of its parameters, in the order in which tensors come.

    Example:
        >>> import torch
        >>> reading_of(Gamma, "concentration", "rate")(torch.tensor(3.0), torch.tensor(2.0)).mean
        tensor(1.5000)
    """

    def build(*parameters: Tensor) -> Distribution:
        named = dict(zip(names, parameters, strict=True))
        distribution: Distribution = family(**named, validate_args=False)
        return distribution

    return build


class Reading(NamedTuple):
    """How a distribution is made of tensors.

    Attributes:
        build: makes the distribution of the tensors, without looking at their values.
        tensors: which tensors these are, in words and in order.

    Example:
        >>> READINGS["gamma"].tensors
        'concentration, rate'
    """

    build: Callable[..., Distribution]
    tensors: str


READINGS: dict[str, Reading] = {
    "bernoulli_probabilities": Reading(reading_of(Bernoulli, "probs"), "probabilities"),
    "beta": Reading(reading_of(Beta, "concentration1", "concentration0"), "alpha, beta"),
    "continuous_bernoulli": Reading(reading_of(ContinuousBernoulli, "logits"), "logits"),
    "dirichlet": Reading(reading_of(Dirichlet, "concentration"), "concentration, the classes last"),
    "exponential": Reading(reading_of(Exponential, "rate"), "rate"),
    "gamma": Reading(reading_of(Gamma, "concentration", "rate"), "concentration, rate"),
    "log_normal": Reading(reading_of(LogNormal, "loc", "scale"), "loc, scale"),
    "multivariate_normal": Reading(
        reading_of(MultivariateNormal, "loc", "scale_tril"),
        "mean, scale_tril",
    ),
    "normal_log_variance": Reading(_normal_log_variance, "mean, log variance"),
    "von_mises": Reading(reading_of(VonMises, "loc", "concentration"), "loc, concentration"),
}
"""How outputs are read, by the names that `Decoder(likelihood=...)` takes.

Every likelihood that has a reading adds its own.
"""


def register_reading(name: str, build: Callable[..., Distribution], tensors: str) -> None:
    """Let `Decoder(likelihood=name)` make distributions of what a model returns.

    Args:
        name: how it is called.
        build: makes the distribution of the tensors, without looking at their values.
        tensors: which tensors these are, in words and in order.

    Example:
        >>> import torch
        >>> from torch.distributions import Laplace
        >>> register_reading("laplace", reading_of(Laplace, "loc", "scale"), "loc, scale")
        >>> read((torch.zeros(5, 3), torch.ones(5, 3)), "laplace").event_shape
        torch.Size([3])
        >>> del READINGS["laplace"]
    """
    READINGS[name] = Reading(build, tensors)


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
        >>> import torch
        >>> read((torch.zeros(5, 3), torch.zeros(5, 3)), "normal_log_variance").event_shape
        torch.Size([3])
    """
    check_choice("likelihood", name, READINGS)
    build, tensors = READINGS[name]
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
