"""Immersions of the latent space: where the image of a decoder lives and lengths are measured.

The metric of a likelihood is the pull-back of the Euclidean metric under a map phi of its
parameters, wherever there is such a map. A new likelihood registers its phi here.
"""

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from pullback.errors import InvalidParameterError
from pullback.shapes import Ambient

__all__ = ["immersion"]


@singledispatch
def immersion(distribution: object) -> Ambient:
    r"""Map a decoder's output to the space R^m in which its latent space is measured.

    ================  =============================================  ===========================
    p(x|z)            phi                                            J_phi^T J_phi
    ================  =============================================  ===========================
    a point f(z)      f                                              J_f^T J_f
    Normal            (mu, sigma), sigma the standard deviation      the expected metric of [1]
    Bernoulli         2 arctan(exp(logit / 2))                       the Fisher-Rao metric [2]
    ================  =============================================  ===========================

    Args:
        distribution: what a decoder returned: a distribution with batch shape `(*batch,)` once its
            event dimensions are reinterpreted by `Independent`, or a tensor `(*batch, D)`.

    Returns:
        phi, shape `(*batch, m)`.

    Raises:
        InvalidParameterError: there is no immersion for this kind of output.

    Source:
        [1] Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018), theorem 1. [2] Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg,
        Pulling back information geometry (2022).

    Example:
        >>> p = Independent(Normal(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), 1)
        >>> immersion(p).tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    raise InvalidParameterError(
        "decoder",
        "a map whose output is a tensor or a Normal or Bernoulli distribution",
        f"an output of type {type(distribution).__name__}",
        "Register an immersion for it: `pullback.metrics.immersion.register(YourDistribution)`.",
    )


@immersion.register
def _point(output: Tensor) -> Tensor:
    return output


@immersion.register(Independent)
def _independent(distribution: Independent[Any]) -> Tensor:
    image = immersion(distribution.base_dist)
    extra = distribution.reinterpreted_batch_ndims - 1
    return image.flatten(-1 - extra) if extra > 0 else image


@immersion.register
def _normal(distribution: Normal) -> Tensor:
    return torch.cat([distribution.loc, distribution.scale], -1)


@immersion.register
def _bernoulli(distribution: Bernoulli) -> Tensor:
    # By the smaller of exp(logit / 2) and its inverse, for the other may overflow.
    logits = distribution.logits
    angle = 2 * torch.atan(torch.exp(torch.where(logits > 0, -logits, logits) / 2))
    return torch.where(logits > 0, torch.pi - angle, angle)


def output_mean(output: Tensor | Distribution) -> Tensor:
    """Return the mean of a decoder's output, event dimensions flattened: shape `(*batch, D)`.

    Example:
        >>> output_mean(Normal(torch.tensor([1.0]), torch.tensor([2.0]))).tolist()
        [1.0]
    """
    if isinstance(output, Tensor):
        return output
    mean: Tensor = output.mean
    n_events = len(output.event_shape)
    return mean.flatten(-n_events) if n_events > 1 else mean
