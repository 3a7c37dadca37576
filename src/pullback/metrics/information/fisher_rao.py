"""The Fisher-Rao metric that a decoder pulls back from the space of its distributions.

Which metric measures which family:

==============  ==============================================================================
metric          families
==============  ==============================================================================
`expected`      a tensor, Normal, LogNormal: the metric of [1], `PullbackMetric`
`fisher_rao`    flat, so that `PullbackMetric` measures it too, and faster: Bernoulli, Categorical,
                OneHotCategorical, Poisson, Exponential, NegativeBinomial with fixed dispersion;
                curved: Normal and LogNormal with both parameters, Gamma, Beta, Dirichlet, VonMises,
                NegativeBinomial with learnt dispersion, ZeroInflatedNegativeBinomial,
                MultivariateNormal, ContinuousBernoulli
`kl`            any other with a divergence, registered or given: Laplace, Binomial, Geometric,
                Gumbel, LowRankMultivariateNormal, ... : `KLMetric`
==============  ==============================================================================

`Independent`, and tuples, lists and dicts of these, are measured as their members are.

[1] Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import Map, jacobian, unvalidated_distributions
from pullback.metrics.ambient.field import FieldMetric
from pullback.metrics.information.fisher_information import (
    StatisticalModel,
    holding,
    statistical_model,
)
from pullback.models.decoding.door import check_map, probes

__all__ = ["FisherRaoMetric"]


class FisherRaoMetric(FieldMetric):
    r"""The pull-back M(z) = J(z)^T I(h(z)) J(z) of the Fisher information I of p(x|h(z)).

    J is the Jacobian of the parameters h. The length of a curve is what p(x|z) changes along it, in
    the units of what can be told apart by looking at x; it does not depend on how the family is
    parametrised. For the families and their coordinates see `statistical_model`.

    `from_decoder` takes any decoder that returns distributions of registered families, or tuples,
    lists or dicts of independent ones. The information of a dispersion of counts, which is dear, is
    left out where no dispersion has a derivative at any of 32 points drawn from N(0, 4 I), unless
    the decoder trains.

    Args:
        immersion: h, from points `(*batch, d)` to parameters `(*batch, m)`, row by row.
        field: the Fisher information in the coordinates of the parameters.
        dim: the dimension d of the latent space, or None where any will do.

    Source:
        Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg, Pulling back information geometry
        (2022).

    Example:
        >>> from torch.distributions import Gamma
        >>> decoder = lambda z: Gamma(z.exp(), 1.0)
        >>> metric = FisherRaoMetric.from_decoder(decoder, dim=1)
        >>> metric.metric_matrix(torch.zeros(1).double()).item()  # the trigamma function at 1
        1.64493...
    """

    @classmethod
    def from_prepared(
        cls, decoder: Callable[[Tensor], Any], origin: Tensor, *, trainable: bool = False
    ) -> "FisherRaoMetric":
        """Pull the information back through what was prepared, see `PullbackMetric`.

        Args:
            decoder: from points `(n, d)` to a distribution; it is not copied.
            origin: a point of the latent space, which says dimension, dtype and device.
            trainable: derivatives reach its weights.

        Raises:
            InvalidDataError: the decoder is broken, see `from_decoder`.
        """
        of_output = partial(_parameters_of_output, decoder)
        check_map(of_output, origin)
        field = _model_of_output(decoder, origin.expand(2, -1)).field
        if not trainable:
            field = holding(field, _still(of_output, origin))
        metric = cls(of_output, field, len(origin))
        metric.decoder = decoder
        metric.requires_grad = trainable
        return metric


def _still(parameters: Map, origin: Tensor) -> Tensor:
    """Say which parameters do not change with z at any point that is tried: shape `(m,)`."""
    z = 2 * probes(torch.zeros_like(origin), 32) + origin
    with torch.no_grad():
        return ~jacobian(parameters, z)[1].any(-1).any(0)


def _model_of_output(decoder: Callable[[Tensor], Any], z: Tensor) -> StatisticalModel:
    # Unvalidated, so that one NaN does not end the whole batch: the search finds it in the image,
    # and says for which pair.
    with unvalidated_distributions():
        return statistical_model(decoder(z))


def _parameters_of_output(decoder: Callable[[Tensor], Any], z: Tensor) -> Tensor:
    flat = z.reshape(-1, z.shape[-1])  # the one shape that every decoder takes
    parameters = _model_of_output(decoder, flat).parameters.to(z.dtype)
    if parameters.ndim < 2 or len(parameters) != len(flat):
        return parameters  # which `check_map` refuses
    rows = parameters.flatten(1)
    return rows.reshape(*z.shape[:-1], rows.shape[-1])
