"""Variational auto-encoders: encoders, decoders, likelihoods, training and storage."""

from pullback.models.decoding.decoder import Decoder
from pullback.models.dropout import FixedDropout, mc_dropout
from pullback.models.encoder import GaussianEncoder
from pullback.models.ensemble import DecoderSampler, EnsembleDecoder, Mixture
from pullback.models.likelihoods import (
    BernoulliLikelihood,
    BetaBinomial,
    BetaBinomialLikelihood,
    CategoricalLikelihood,
    Likelihood,
    NegativeBinomialLikelihood,
    NormalLikelihood,
    PoissonLikelihood,
    VonMisesFisher,
    VonMisesFisherLikelihood,
)
from pullback.models.likelihoods.one_hot import OneHotSequence
from pullback.models.likelihoods.precision import ConstantStd, NetworkStd, RBFPrecision
from pullback.models.likelihoods.precision_fit import (
    WeightFit,
    fit_centers,
    fit_weights,
    regress_weights,
)
from pullback.models.likelihoods.zero_inflated import ZeroInflatedNegativeBinomial
from pullback.models.networks import ConvolutionalDecoder, ConvolutionalEncoder, activation, mlp
from pullback.models.priors import StandardNormal
from pullback.models.randomness import draw
from pullback.models.storage import atomic_write, check_writable, load, save
from pullback.models.training.objectives import (
    ELBO,
    elbo,
    importance_weighted_bound,
    kl_divergence,
    log_marginal,
)
from pullback.models.training.training import Trainer, TrainingOptions
from pullback.models.vae import VAE

__all__ = [
    "ELBO",
    "VAE",
    "BernoulliLikelihood",
    "BetaBinomial",
    "BetaBinomialLikelihood",
    "CategoricalLikelihood",
    "ConstantStd",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "Decoder",
    "DecoderSampler",
    "EnsembleDecoder",
    "FixedDropout",
    "GaussianEncoder",
    "Likelihood",
    "Mixture",
    "NegativeBinomialLikelihood",
    "NetworkStd",
    "NormalLikelihood",
    "OneHotSequence",
    "PoissonLikelihood",
    "RBFPrecision",
    "StandardNormal",
    "Trainer",
    "TrainingOptions",
    "VonMisesFisher",
    "VonMisesFisherLikelihood",
    "WeightFit",
    "ZeroInflatedNegativeBinomial",
    "activation",
    "atomic_write",
    "check_writable",
    "draw",
    "elbo",
    "fit_centers",
    "fit_weights",
    "importance_weighted_bound",
    "kl_divergence",
    "load",
    "log_marginal",
    "mc_dropout",
    "mlp",
    "regress_weights",
    "save",
]
