"""Variational auto-encoders: encoders, decoders, likelihoods, training and storage."""

from pullback.files import atomic_write, check_writable
from pullback.models import likelihoods
from pullback.models.decoding.decoder import Decoder
from pullback.models.dropout import FixedDropout, mc_dropout
from pullback.models.encoder import GaussianEncoder
from pullback.models.ensemble import DecoderSampler, EnsembleDecoder, Mixture
from pullback.models.likelihoods import *  # noqa: F403 (each names itself there, once)
from pullback.models.networks import ConvolutionalDecoder, ConvolutionalEncoder, activation, mlp
from pullback.models.objectives.bounds import (
    ELBO,
    elbo,
    importance_weighted_bound,
    kl_divergence,
)
from pullback.models.objectives.marginal import Marginal, log_marginal, marginal
from pullback.models.priors import StandardNormal
from pullback.models.storage import save
from pullback.models.training.oddity import oddity
from pullback.models.training.training import Trainer, TrainingOptions
from pullback.models.vae import VAE, load
from pullback.randomness import draw

__all__ = [
    *likelihoods.__all__,
    "ELBO",
    "VAE",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "Decoder",
    "DecoderSampler",
    "EnsembleDecoder",
    "FixedDropout",
    "GaussianEncoder",
    "Marginal",
    "Mixture",
    "StandardNormal",
    "Trainer",
    "TrainingOptions",
    "activation",
    "atomic_write",
    "check_writable",
    "draw",
    "elbo",
    "importance_weighted_bound",
    "kl_divergence",
    "load",
    "log_marginal",
    "marginal",
    "mc_dropout",
    "mlp",
    "oddity",
    "save",
]
