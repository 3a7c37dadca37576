"""Likelihoods p(x|z): what turns the features of a decoder into a distribution."""

from pullback.models.likelihoods.base import LIKELIHOODS, Likelihood
from pullback.models.likelihoods.bernoulli import BernoulliLikelihood
from pullback.models.likelihoods.beta_binomial import BetaBinomial, BetaBinomialLikelihood
from pullback.models.likelihoods.categorical import CategoricalLikelihood
from pullback.models.likelihoods.distributions.one_hot import OneHotSequence
from pullback.models.likelihoods.distributions.zero_inflated import ZeroInflatedNegativeBinomial
from pullback.models.likelihoods.negative_binomial import NegativeBinomialLikelihood
from pullback.models.likelihoods.normal import NormalLikelihood
from pullback.models.likelihoods.poisson import PoissonLikelihood
from pullback.models.likelihoods.std.precision import ConstantStd, NetworkStd, RBFPrecision
from pullback.models.likelihoods.std.precision_fit import (
    WeightFit,
    fit_centers,
    fit_weights,
    regress_weights,
)
from pullback.models.likelihoods.student_t import StudentTLikelihood
from pullback.models.likelihoods.von_mises_fisher import (
    VonMisesFisher,
    VonMisesFisherLikelihood,
)

__all__ = [
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "BetaBinomial",
    "BetaBinomialLikelihood",
    "CategoricalLikelihood",
    "ConstantStd",
    "Likelihood",
    "NegativeBinomialLikelihood",
    "NetworkStd",
    "NormalLikelihood",
    "OneHotSequence",
    "PoissonLikelihood",
    "RBFPrecision",
    "StudentTLikelihood",
    "VonMisesFisher",
    "VonMisesFisherLikelihood",
    "WeightFit",
    "ZeroInflatedNegativeBinomial",
    "fit_centers",
    "fit_weights",
    "regress_weights",
]
