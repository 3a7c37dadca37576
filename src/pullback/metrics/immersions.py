"""Immersions of the latent space: where the image of a decoder lives and lengths are measured.

The metric of a likelihood is the pull-back of the Euclidean metric under a map phi of its
parameters, wherever there is such a map. A `Likelihood` brings its phi along, as `image`; that of
another family of distributions is registered here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Exponential,
    Independent,
    LogNormal,
)

from pullback.errors import InvalidParameterError
from pullback.metrics.families import ByFamily
from pullback.models.ensemble import Mixture
from pullback.models.likelihoods.base import LIKELIHOODS, Likelihood
from pullback.shapes import Ambient

__all__ = ["immersion"]


def _image_of(likelihood: type[Likelihood]) -> Callable[[Any], Ambient] | None:
    return likelihood.image if likelihood.has("image") else None


@partial(ByFamily, of_likelihood=_image_of)
def immersion(distribution: object) -> Ambient:
    r"""Map a decoder's output to the space R^m in which its latent space is measured.

    ==================  =======================================  =================================
    p(x|z)              phi                                      J_phi^T J_phi
    ==================  =======================================  =================================
    a point f(z)        f                                        J_f^T J_f
    Normal              (mu, sigma), sigma the std. deviation    the expected metric of [1]
    LogNormal           that of the Normal of its logarithm      the expected metric of log x
    Bernoulli           2 arctan(exp(logit / 2))                 the Fisher-Rao metric [2]
    Categorical         2 sqrt(p)                                the Fisher-Rao metric
    OneHotCategorical   2 sqrt(p)                                the Fisher-Rao metric
    Poisson             2 sqrt(rate)                             the Fisher-Rao metric
    NegativeBinomial    2 sqrt(theta) asinh(sqrt(mean / theta))  the Fisher-Rao metric where theta,
                                                                 its `total_count`, is fixed
    Exponential         log rate                                 the Fisher-Rao metric
    Independent,        the images one after the other           the sum of the metrics
    tuple, list, dict
    ==================  =======================================  =================================

    A tuple, list or dict stands for independent observations. Each image is safe at the edges of
    its family, where probabilities or rates vanish, and so are its first two derivatives. Where a
    family has no such map, see `FisherRaoMetric` and `KLMetric`.

    Args:
        distribution: what a decoder returned: a distribution with batch shape `(*batch,)` once its
            event dimensions are reinterpreted by `Independent`, or a tensor `(*batch, D)`. Families
            of a single number may do without `Independent` where x is a vector: the last batch
            dimension then counts as that of the event.

    Returns:
        phi, shape `(*batch, m)`.

    Raises:
        InvalidParameterError: there is no immersion for this kind of output.

    Source:
        [1] Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018), theorem 1. [2] Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg,
        Pulling back information geometry (2022). Anscombe, The transformation of Poisson, binomial
        and negative-binomial data (1948), for the others.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> p = Independent(Normal(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), 1)
        >>> immersion(p).tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    known = {kind.__name__ for kind in immersion.registry} - {"object", "Tensor"}
    for likelihood in LIKELIHOODS.values():
        known |= {kind.__name__ for kind in likelihood.families if likelihood.has("image")}
    raise InvalidParameterError(
        "decoder",
        f"a map whose output is a tensor or a distribution with a flat image: {words(known)}",
        f"an output of type {type(distribution).__name__}",
        "Measure it with `FisherRaoMetric` or `KLMetric`, or register an immersion for it: "
        "`pullback.metrics.immersion.register(YourDistribution)`.",
    )


def has_immersion(kind: type) -> bool:
    """Say whether a class of outputs has an immersion: its own, or its likelihood's.

    Example:
        >>> from torch.distributions import Gamma, Poisson
        >>> has_immersion(Poisson), has_immersion(Gamma)
        (True, False)
    """
    return immersion.knows(kind)


def words(names: set[str]) -> str:
    """Return names in order, with commas.

    Example:
        >>> words({"Poisson", "Normal"})
        'Normal, Poisson'
    """
    return ", ".join(sorted(names))


@immersion.register
def _point(output: Tensor) -> Tensor:
    return output


@immersion.register(tuple)
@immersion.register(list)
def _product(outputs: tuple[Any, ...] | list[Any]) -> Tensor:
    return torch.cat([immersion(output) for output in outputs], -1)


@immersion.register(Mapping)
def _named_product(outputs: Mapping[str, Any]) -> Tensor:
    return _product(list(outputs.values()))


@immersion.register(Independent)
def _independent(distribution: Independent[Any]) -> Tensor:
    return one_row(immersion(distribution.base_dist), distribution)


@immersion.register
def _exponential(distribution: Exponential) -> Tensor:
    return distribution.rate.log()


@immersion.register
def _log_normal(distribution: LogNormal) -> Tensor:
    return immersion(distribution.base_dist)


def one_row(values: Tensor, distribution: Distribution) -> Tensor:
    """Flatten all that belongs to one element of the batch: shape `(*batch, m)`.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> p = Independent(Normal(torch.zeros(5, 2, 3), 1.0), 2)
        >>> one_row(torch.zeros(5, 2, 6), p).shape
        torch.Size([5, 12])
    """
    n_batch = len(distribution.batch_shape)
    return values.flatten(n_batch) if values.ndim > n_batch else values


def output_mean(output: Any) -> Tensor:
    """Return the mean of a decoder's output, event dimensions flattened: shape `(*batch, D)`.

    Of a `Categorical` it is the probabilities, of a tuple, list or dict one mean after another.

    Example:
        >>> from torch.distributions import Normal
        >>> output_mean(Normal(torch.tensor([1.0]), torch.tensor([2.0]))).tolist()
        [1.0]
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        return torch.cat([output_mean(part).flatten(1) for part in output], -1)
    if isinstance(output, Mixture):
        return torch.stack([output_mean(part) for part in output.components]).mean(0)
    categorical = isinstance(output, Categorical)
    mean: Tensor = output.probs if categorical else output.mean
    n_events = len(output.event_shape) + categorical
    return mean.flatten(-n_events) if n_events > 1 else mean
