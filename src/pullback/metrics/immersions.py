"""Immersions of the latent space: where the image of a decoder lives and lengths are measured.

The metric of a likelihood is the pull-back of the Euclidean metric under a map phi of its
parameters, wherever there is such a map. A new likelihood registers its phi here.
"""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Exponential,
    Independent,
    LogNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
)

from pullback.errors import InvalidParameterError
from pullback.models.ensemble import Mixture
from pullback.shapes import Ambient

__all__ = ["immersion"]


@singledispatch
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
        >>> p = Independent(Normal(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), 1)
        >>> immersion(p).tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    raise InvalidParameterError(
        "decoder",
        "a map whose output is a tensor or a distribution with a flat image: "
        + ", ".join(sorted({kind.__name__ for kind in immersion.registry} - {"object", "Tensor"})),
        f"an output of type {type(distribution).__name__}",
        "Measure it with `FisherRaoMetric` or `KLMetric`, or register an immersion for it: "
        "`pullback.metrics.immersion.register(YourDistribution)`.",
    )


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
def _normal(distribution: Normal) -> Tensor:
    return torch.cat([distribution.loc, distribution.scale], -1)


@immersion.register
def _bernoulli(distribution: Bernoulli) -> Tensor:
    # By the smaller of exp(logit / 2) and its inverse, for the other may overflow.
    logits = distribution.logits
    angle = 2 * torch.atan(torch.exp(torch.where(logits > 0, -logits, logits) / 2))
    return torch.where(logits > 0, torch.pi - angle, angle)


@immersion.register(Categorical)
@immersion.register(OneHotCategorical)
def _categorical(distribution: Categorical | OneHotCategorical) -> Tensor:
    return 2 * torch.exp(torch.log_softmax(distribution.logits, -1) / 2)


@immersion.register
def _poisson(distribution: Poisson) -> Tensor:
    # A rate that underflows has no derivative under the root: the shift changes no other rate.
    rate = distribution.rate
    return 2 * torch.sqrt(rate + torch.finfo(rate.dtype).tiny ** 0.5)


@immersion.register
def _negative_binomial(distribution: NegativeBinomial) -> Tensor:
    root = distribution.total_count.sqrt()
    return 2 * root * asinh_of_root_odds(distribution.logits)


@immersion.register
def _exponential(distribution: Exponential) -> Tensor:
    return distribution.rate.log()


@immersion.register
def _log_normal(distribution: LogNormal) -> Tensor:
    return immersion(distribution.base_dist)


def asinh_of_root_odds(logits: Tensor) -> Tensor:
    """Compute asinh(exp(logits / 2)) without overflow.

    Example:
        >>> asinh_of_root_odds(torch.tensor(2000.0)).item()  # 1000 + log 2
        1000.693...
    """
    x = logits / 2
    below = torch.asinh(torch.exp(torch.where(x > 0, 0.0, x)))
    far = torch.where(x > 0, x, 0.0)
    above = far + torch.log1p(torch.sqrt(1 + torch.exp(-2 * far)))
    return torch.where(x > 0, above, below)


def one_row(values: Tensor, distribution: Distribution) -> Tensor:
    """Flatten all that belongs to one element of the batch: shape `(*batch, m)`.

    Example:
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
