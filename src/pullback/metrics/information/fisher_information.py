"""Fisher information: how a family of distributions measures a change of its parameters.

A family is described by coordinates of its parameters, in which the information is smooth and well
conditioned, and by the information in them as a metric of the ambient space. A `Likelihood` brings
both along; another family registers them with `statistical_model`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    ContinuousBernoulli,
    Dirichlet,
    Exponential,
    Gamma,
    Independent,
    LogNormal,
    MultivariateNormal,
    VonMises,
)

from pullback.errors import InvalidParameterError
from pullback.metrics.ambient.base import AmbientMetric
from pullback.metrics.families import ByFamily
from pullback.metrics.immersions import has_immersion, immersion, one_row, words
from pullback.metrics.information.information_blocks import (
    BlockInformation,
    continuous_bernoulli_information,
    dirichlet_information,
    gamma_information,
    multivariate_normal_information,
    von_mises_information,
    zero_inflated_information,
)
from pullback.models.likelihoods.base import LIKELIHOODS, Information, Likelihood, family_of
from pullback.models.likelihoods.distributions.zero_inflated import ZeroInflatedNegativeBinomial
from pullback.models.likelihoods.negative_binomial import (
    asinh_of_root_odds,
    fixed_dispersion_information,
)
from pullback.shapes import MetricMatrix

__all__ = ["StatisticalModel", "fisher_information", "statistical_model"]


class _Flat(AmbientMetric):
    def apply(self, x: Tensor, v: Tensor) -> Tensor:
        return v + torch.zeros_like(x)


class _Product(AmbientMetric):
    """The information of independent observations, one after the other."""

    def __init__(self, fields: Sequence[AmbientMetric], sizes: Sequence[int]) -> None:
        self.fields = list(fields)
        self.sizes = list(sizes)

    def apply(self, x: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.fields, x.split(self.sizes, -1), v.split(self.sizes, -1), strict=True)
        return torch.cat([field.apply(*part) for field, *part in parts], -1)

    def holding(self, still: Tensor) -> "_Product":
        parts = zip(self.fields, still.split(self.sizes), strict=True)
        return _Product([holding(field, part) for field, part in parts], self.sizes)


def holding(field: AmbientMetric, still: Tensor) -> AmbientMetric:
    """Return the same metric, cheaper where it can be, for parameters some of which never move.

    Example:
        >>> holding(_Flat(), torch.tensor([True, False])).apply(torch.zeros(2), torch.ones(2))
        tensor([1., 1.])
    """
    return field.holding(still) if isinstance(field, BlockInformation | _Product) else field


class StatisticalModel(NamedTuple):
    """Parameters of distributions, and the Fisher information in their coordinates.

    Attributes:
        parameters: coordinates of the parameters, shape `(*batch, m)`.
        field: the Fisher information at given parameters, as a metric of their space R^m. It
            depends on the kind and the shape of the distribution, and on no value.

    Example:
        >>> from torch.distributions import Poisson
        >>> statistical_model(Poisson(torch.tensor([4.0]))).flat
        True
    """

    parameters: Tensor
    field: AmbientMetric

    @property
    def flat(self) -> bool:
        """Whether the information is the identity: the parameters then are an immersion."""
        return isinstance(self.field, _Flat)


def _model_of(likelihood: type[Likelihood]) -> Callable[[Any], StatisticalModel] | None:
    if likelihood.has("information"):
        return partial(_by_likelihood, likelihood)
    return _flat if likelihood.has("image") and likelihood.isometric else None


def _by_likelihood(likelihood: type[Likelihood], distribution: Any) -> StatisticalModel:
    blocks = likelihood.parameters_of(distribution)
    blocks = blocks.unsqueeze(0) if blocks.ndim == 1 else blocks  # a single number
    held = likelihood.held_information
    field = BlockInformation(likelihood.information, blocks.shape[-1], held=held)
    return StatisticalModel(blocks.flatten(-2), field)


@partial(ByFamily, of_likelihood=_model_of)
def statistical_model(distribution: object) -> StatisticalModel:
    r"""Describe a decoder's output by its parameters and their Fisher information.

    =============================  =========================================  ====================
    p(x|z)                         coordinates                                information
    =============================  =========================================  ====================
    Normal, and LogNormal for its  mu, log sigma                              exp(-2 log sigma), 2
    logarithm
    Gamma                          log alpha, log(alpha / beta)               t(alpha), alpha
    Beta, Dirichlet                log alpha_i                                a full block
    VonMises                       cos mu, sin mu, asinh kappa                kappa A (twice),
                                                                              (1 + kappa^2) A'
    NegativeBinomial               asinh sqrt(mean / theta), log theta        a full block
    ZeroInflatedNegativeBinomial   the same two, logit pi                     a full block
    MultivariateNormal             mu, L of Sigma = L L^T (log diagonal)      a full block
    ContinuousBernoulli            asinh eta, eta the logit                   (1 + eta^2) Var x
    Bernoulli, Categorical, ...    `immersion`                                the identity
    Independent, tuple, list,      one after the other                        block by block
    dict
    =============================  =========================================  ====================

    Here t(a) = a^2 psi_1(a) - a with the trigamma function psi_1, and A = I_1(kappa) / I_0(kappa)
    with Bessel functions. An angle mu is a point of the circle, so that it may jump by 2 pi.

    Args:
        distribution: what a decoder returned; as for `immersion`. A tensor is the mean of a Normal
            distribution with unit variance.

    Returns:
        The parameters and their information.

    Raises:
        InvalidParameterError: the family is not registered.

    Source:
        Amari, Nagaoka, Methods of information geometry (2000), chapter 2. Skovgaard, A Riemannian
        geometry of the multivariate normal model (1984).

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> p = Independent(Normal(torch.tensor([1.0, 2.0]), 0.5), 1)
        >>> statistical_model(p).field.apply(statistical_model(p).parameters, torch.ones(4))
        tensor([4., 2., 4., 2.])
    """
    known = {kind.__name__ for kind in statistical_model.registry} - {"object"}
    for likelihood in LIKELIHOODS.values():
        known |= {kind.__name__ for kind in likelihood.families if has_information(kind)}
    raise InvalidParameterError(
        "decoder",
        f"a map whose output is of a family with a known Fisher information: {words(known)}",
        f"an output of type {type(distribution).__name__}",
        "Measure it with `KLMetric`, or register its information: "
        "`pullback.metrics.statistical_model.register(YourDistribution)`.",
    )


def has_information(kind: type) -> bool:
    """Say whether the Fisher information of a class of outputs is known.

    Example:
        >>> from torch.distributions import Laplace, Poisson
        >>> has_information(Poisson), has_information(Laplace)
        (True, False)
    """
    family = family_of(kind)
    isometric = family is not None and family.isometric and has_immersion(kind)
    return isometric or statistical_model.knows(kind)


def fisher_information(distribution: Any) -> MetricMatrix:
    """Compute the Fisher information in the coordinates of `statistical_model`.

    Args:
        distribution: what a decoder returned.

    Returns:
        The information of all parameters, shape `(*batch, m, m)`: block-diagonal.

    Raises:
        InvalidParameterError: the family is not registered.

    Example:
        >>> from torch.distributions import Normal
        >>> fisher_information(Normal(torch.tensor([1.0]), torch.tensor([0.5]))).tolist()
        [[4.0, 0.0], [0.0, 2.0]]
    """
    x, field = statistical_model(distribution)
    return field.apply(x.unsqueeze(-2), torch.eye(x.shape[-1], dtype=x.dtype, device=x.device))


@statistical_model.register(Tensor)
@statistical_model.register(Exponential)
def _flat(distribution: Any) -> StatisticalModel:
    return StatisticalModel(immersion(distribution), _Flat())


@statistical_model.register(Independent)
def _independent(distribution: Independent[Any]) -> StatisticalModel:
    parameters, field = statistical_model(distribution.base_dist)
    return StatisticalModel(one_row(parameters, distribution), field)


@statistical_model.register(tuple)
@statistical_model.register(list)
def _product(outputs: Sequence[Any]) -> StatisticalModel:
    models = [statistical_model(output) for output in outputs]
    sizes = [model.parameters.shape[-1] for model in models]
    field = _Product([model.field for model in models], sizes)
    return StatisticalModel(torch.cat([model.parameters for model in models], -1), field)


@statistical_model.register(Mapping)
def _named_product(outputs: Mapping[str, Any]) -> StatisticalModel:
    return _product(list(outputs.values()))


def _blocks(
    information: Information, *parameters: Tensor, held: Mapping[int, Information] | None = None
) -> StatisticalModel:
    """Interleave the parameters of a family of single numbers."""
    field = BlockInformation(information, len(parameters), held=held)
    return StatisticalModel(torch.stack(parameters, -1).flatten(-2), field)


@statistical_model.register
def _log_normal(distribution: LogNormal) -> StatisticalModel:
    return statistical_model(distribution.base_dist)


@statistical_model.register
def _gamma(distribution: Gamma) -> StatisticalModel:
    log_shape = distribution.concentration.log()
    return _blocks(gamma_information, log_shape, log_shape - distribution.rate.log())


@statistical_model.register
def _beta(distribution: Beta) -> StatisticalModel:
    alpha = distribution.concentration1.log(), distribution.concentration0.log()
    return _blocks(dirichlet_information, *alpha)


@statistical_model.register
def _dirichlet(distribution: Dirichlet) -> StatisticalModel:
    log_alpha = distribution.concentration.log()
    field = BlockInformation(dirichlet_information, log_alpha.shape[-1])
    return StatisticalModel(log_alpha, field)


@statistical_model.register
def _von_mises(distribution: VonMises) -> StatisticalModel:
    angle, spread = distribution.loc, torch.asinh(distribution.concentration)
    return _blocks(von_mises_information, angle.cos(), angle.sin(), spread)


@statistical_model.register
def _zero_inflated(distribution: ZeroInflatedNegativeBinomial) -> StatisticalModel:
    log_odds = distribution.count_mean.log() - distribution.dispersion.log()
    angle, log_theta = asinh_of_root_odds(log_odds), distribution.dispersion.log()
    fixed = partial(zero_inflated_information, counts=fixed_dispersion_information)
    parameters = angle, log_theta, distribution.logits
    return _blocks(zero_inflated_information, *parameters, held={1: fixed})


@statistical_model.register
def _continuous_bernoulli(distribution: ContinuousBernoulli) -> StatisticalModel:
    return _blocks(continuous_bernoulli_information, torch.asinh(distribution.logits))


@statistical_model.register
def _multivariate_normal(distribution: MultivariateNormal) -> StatisticalModel:
    L = distribution.scale_tril
    size = L.shape[-1]
    rows, columns = torch.tril_indices(size, size, device=L.device)
    on_diagonal = rows == columns
    entries = L[..., rows, columns]
    packed = torch.where(on_diagonal, torch.where(on_diagonal, entries, 1.0).log(), entries)
    loc = distribution.loc.expand(*packed.shape[:-1], size)
    information = partial(multivariate_normal_information, size)
    field = BlockInformation(information, size + packed.shape[-1])
    return StatisticalModel(torch.cat([loc, packed], -1), field)
