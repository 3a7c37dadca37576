"""The configuration of a `VAE` and of its training, and the modules that it stands for."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pullback.errors import InvalidParameterError, check_choice, check_integer, check_number
from pullback.models.decoder import Decoder
from pullback.models.encoder import GaussianEncoder
from pullback.models.ensemble import EnsembleDecoder
from pullback.models.likelihoods import (
    COUNTS,
    LIKELIHOODS,
    CategoricalLikelihood,
    Likelihood,
    NegativeBinomialLikelihood,
    NormalLikelihood,
)
from pullback.models.networks import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    check_image_shape,
    mlp,
)
from pullback.models.precision import ConstantStd, NetworkStd, RBFPrecision
from pullback.models.standardization import (
    CountStandardization,
    Destandardization,
    LogMean,
    Standardization,
)

__all__ = [
    "TrainingOptions",
    "VAEConfig",
    "as_sizes",
    "build_decoder",
    "build_encoder",
    "build_likelihood",
    "build_output",
    "build_std",
]

_FLOOR = 0.1  # of the constant standard deviation

_OUTPUTS = {"auto", "identity", "sigmoid", "tanh"}


@dataclass(frozen=True)
class VAEConfig:
    """The arguments of `VAE`, checked; see there for what they mean.

    Example:
        >>> VAEConfig(data_dim=784).latent_dim
        2
    """

    data_dim: int
    latent_dim: int = 2
    likelihood: str = "normal"
    n_categories: int | None = None
    std: str = "rbf"
    architecture: str = "mlp"
    hidden: Sequence[int] = (64, 32)
    image_shape: Sequence[int] | None = None
    activation: str = "tanh"
    output: str = "auto"
    constant_std: float | str = "learned"
    n_centers: int = 64
    bandwidth_factor: float = 2.0
    zeta: float | None = None
    min_std: float | None = None
    n_decoders: int = 1
    random_state: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check_integer("data_dim", self.data_dim)
        check_integer("latent_dim", self.latent_dim, 1, self.data_dim)
        check_choice("likelihood", self.likelihood, LIKELIHOODS)
        check_choice("std", self.std, {"constant", "network", "rbf"})
        check_choice("architecture", self.architecture, {"convolutional", "mlp"})
        check_choice("output", self.output, _OUTPUTS)
        if self.constant_std != "learned":
            if isinstance(self.constant_std, str):
                allowed = "a standard deviation > 0 or 'learned'"
                raise InvalidParameterError("constant_std", allowed, repr(self.constant_std))
            check_number("constant_std", self.constant_std, 0.0, open_low=True)
        check_integer("n_centers", self.n_centers)
        check_number("bandwidth_factor", self.bandwidth_factor, 0.0, open_low=True)
        if self.zeta is not None:
            check_number("zeta", self.zeta, 0.0, open_low=True)
        if self.min_std is not None:
            check_number("min_std", self.min_std, 0.0, open_low=True)
        check_integer("n_decoders", self.n_decoders)
        check_integer("random_state", self.random_state, 0, 2**32 - 1)  # what k-means takes
        for size in self.hidden:
            check_integer("hidden", size)
        self._check_image_shape()
        self._refuse_std_of_ensemble()
        self._refuse_what_does_not_apply()
        self._check_categories()
        if self.likelihood != "normal" and self.output not in {"auto", "identity"}:
            features = "log means" if self.likelihood in COUNTS else "logits"
            allowed = (
                f"'auto' or 'identity' for the {self.likelihood.replace('_', ' ')} likelihood, "
                f"whose features are {features}"
            )
            raise InvalidParameterError("output", allowed, repr(self.output))

    def _refuse_std_of_ensemble(self) -> None:
        if self.n_decoders > 1 and self.likelihood == "normal" and self.std != "constant":
            cure = "The disagreement of the members takes the place of 'network' and 'rbf'."
            allowed = f"'auto' or 'constant' for n_decoders={self.n_decoders}"
            raise InvalidParameterError("std", allowed, repr(self.std), cure)

    def _refuse_what_does_not_apply(self) -> None:
        normal = self.likelihood == "normal"
        applies = {
            "std": normal or self.std == VAEConfig.std,
            "constant_std": normal or self.constant_std == VAEConfig.constant_std,
            "min_std": self.min_std is None or (normal and self.std != "constant"),
            "zeta": self.zeta is None or (normal and self.std == "rbf"),
        }
        for name, fits in applies.items():
            if not fits:
                kind = f"likelihood='{self.likelihood}'" + f" and std='{self.std}'" * normal
                allowed = f"left at its default {getattr(VAEConfig, name)!r} for {kind}"
                cure = "It would have no effect there."
                raise InvalidParameterError(name, allowed, repr(getattr(self, name)), cure)

    def _check_categories(self) -> None:
        if self.likelihood != "categorical":
            if self.n_categories is not None:
                allowed = f"None for likelihood='{self.likelihood}'"
                raise InvalidParameterError("n_categories", allowed, self.n_categories)
            return
        allowed = f"an integer >= 2 that divides data_dim = {self.data_dim}"
        if self.n_categories is None:
            cure = "Give the number K of letters: x is a sequence of L of them, one-hot, D = L K."
            raise InvalidParameterError("n_categories", allowed, None, cure)
        if self.data_dim % check_integer("n_categories", self.n_categories, 2):
            raise InvalidParameterError("n_categories", allowed, self.n_categories)

    def _check_image_shape(self) -> None:
        if self.architecture == "mlp" and self.image_shape is not None:
            cure = "Give `architecture='convolutional'` along with it."
            raise InvalidParameterError("image_shape", "None for an MLP", self.image_shape, cure)
        if self.architecture == "convolutional":
            allowed = f"(channels, height, width) with product data_dim = {self.data_dim}"
            if self.image_shape is None:
                raise InvalidParameterError("image_shape", allowed, None)
            if math.prod(check_image_shape(self.image_shape)) != self.data_dim:
                raise InvalidParameterError("image_shape", allowed, tuple(self.image_shape))

    @property
    def support(self) -> tuple[float, float]:
        """The interval that the data must lie in."""
        bounds = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
        return bounds.get(self.output, LIKELIHOODS[self.likelihood].support)

    def floor(self, level: float) -> float:
        """Return the smallest standard deviation, for a constant one of `level`."""
        return self.min_std if self.min_std is not None else _FLOOR * level

    def resolve_output(self, minimum: float, maximum: float) -> str:
        """Return what `output` means for data of that range."""
        if self.output != "auto":
            return self.output
        bounded = self.likelihood == "normal" and minimum >= 0 and maximum <= 1
        return "sigmoid" if bounded else "identity"


@dataclass(frozen=True)
class TrainingOptions:
    """The settings of a run that decide its result; `VAE.fit` says what they mean.

    Example:
        >>> TrainingOptions(epochs=10).warmup_epochs
        3
    """

    epochs: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    kl_warmup: float = 0.3
    validation_fraction: float = 0.1
    patience: int | None = 50
    gradient_clip: float | None = None
    precision_fit: str = "likelihood"
    random_state: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check_integer("epochs", self.epochs)
        check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, 0.0, open_low=True)
        check_number("weight_decay", self.weight_decay, 0.0)
        check_number("kl_warmup", self.kl_warmup, 0.0, 1.0)
        check_number("validation_fraction", self.validation_fraction, 0.0, 0.9)
        if self.patience is not None:
            check_integer("patience", self.patience)
        if self.gradient_clip is not None:
            check_number("gradient_clip", self.gradient_clip, 0.0, open_low=True)
        check_choice("precision_fit", self.precision_fit, {"likelihood", "regression"})
        check_integer("random_state", self.random_state, 0)

    @property
    def warmup_epochs(self) -> int:
        """Epochs of the first stage before the KL term has its full weight."""
        return round(self.kl_warmup * self.epochs)


def as_sizes(name: str, sizes: Any) -> tuple[int, ...]:
    """Return a sequence of sizes as a tuple, or raise `InvalidParameterError`.

    Example:
        >>> as_sizes("hidden", [64, 32])
        (64, 32)
    """
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        cure = f"Write `{name}=({sizes},)` for a single one."
        raise InvalidParameterError(name, "a sequence of integers", repr(sizes), cure)
    return tuple(sizes)


def build_encoder(config: VAEConfig) -> GaussianEncoder:
    """Return the encoder D - hidden - 2 d.

    Example:
        >>> build_encoder(VAEConfig(5)).latent_dim
        2
    """
    network: nn.Module
    if config.architecture == "mlp":
        sizes = [config.data_dim, *config.hidden, 2 * config.latent_dim]
        network = mlp(sizes, activation=config.activation)
    else:
        network = ConvolutionalEncoder(
            config.image_shape or (),
            2 * config.latent_dim,
            channels=tuple(config.hidden)[::-1],
            activation=config.activation,
        )
    kind = CountStandardization if config.likelihood in COUNTS else Standardization
    standardize = kind(config.data_dim)
    return GaussianEncoder(network, config.latent_dim, standardize=standardize)


def build_decoder(config: VAEConfig) -> Decoder | EnsembleDecoder:
    """Return the decoder d - reversed hidden - D with its likelihood, or an ensemble of such.

    Example:
        >>> build_decoder(VAEConfig(5)).data_dim
        5
    """
    if config.n_decoders == 1:
        return _build_member(config)
    return EnsembleDecoder([_build_member(config) for _ in range(config.n_decoders)])


def _build_member(config: VAEConfig) -> Decoder:
    network: nn.Module
    if config.architecture == "mlp":
        network = _decoder_mlp(config)
    else:
        network = ConvolutionalDecoder(
            config.latent_dim,
            config.image_shape or (),
            channels=tuple(config.hidden),
            activation=config.activation,
        )
    likelihood = build_likelihood(config)
    mean = nn.Sequential(network, build_output(config))
    return Decoder(mean, likelihood, latent_dim=config.latent_dim, check=False)


def build_likelihood(config: VAEConfig) -> Likelihood:
    """Return what reads the features of the decoder.

    Example:
        >>> build_likelihood(VAEConfig(6, likelihood="categorical", n_categories=3)).n_categories
        3
    """
    if config.likelihood == "normal":
        return NormalLikelihood(build_std(config, config.std))
    if config.likelihood == "negative_binomial":
        return NegativeBinomialLikelihood(config.data_dim)
    if config.likelihood == "categorical":
        return CategoricalLikelihood(config.n_categories or 0)
    return LIKELIHOODS[config.likelihood]()


def build_output(config: VAEConfig) -> nn.Module:
    """Return what follows the last layer of the mean network.

    Example:
        >>> build_output(VAEConfig(5, output="tanh"))
        Tanh()
    """
    if config.output == "sigmoid":
        return nn.Sigmoid()
    if config.output == "tanh":
        return nn.Tanh()
    if config.likelihood in COUNTS:
        return LogMean(config.data_dim)
    # Logits have no unit.
    return Destandardization(config.data_dim) if config.likelihood == "normal" else nn.Identity()


def build_std(config: VAEConfig, kind: str) -> ConstantStd | NetworkStd | RBFPrecision:
    """Return sigma(z) of one kind, with the shapes of the configuration, not yet fitted.

    Example:
        >>> type(build_std(VAEConfig(5), "network")).__name__
        'NetworkStd'
    """
    learned = config.constant_std == "learned"
    level = 0.5 if isinstance(config.constant_std, str) else config.constant_std
    if kind == "constant":
        return ConstantStd(config.data_dim, level, learned=learned)
    if kind == "network":
        network = NetworkStd(_decoder_mlp(config), config.floor(level))
        network.set_level(level)
        return network
    return RBFPrecision.flat(config.n_centers, config.latent_dim, config.data_dim, level)


def _decoder_mlp(config: VAEConfig) -> nn.Sequential:
    sizes = [config.latent_dim, *tuple(config.hidden)[::-1], config.data_dim]
    return mlp(sizes, activation=config.activation)
