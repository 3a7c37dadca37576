"""The configuration of a `VAE` and of its training, and the modules that it stands for."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pullback.errors import InvalidParameterError, check_choice, check_integer, check_number
from pullback.models.decoding.decoder import Decoder
from pullback.models.encoder import GaussianEncoder
from pullback.models.ensemble import EnsembleDecoder
from pullback.models.likelihoods import LIKELIHOODS, Likelihood
from pullback.models.networks import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    check_image_shape,
    mlp,
)
from pullback.models.standardization import DATA_UNIT

__all__ = [
    "TrainingOptions",
    "VAEConfig",
    "as_sizes",
    "build_decoder",
    "build_encoder",
    "build_likelihood",
    "build_output",
]

# The smallest standard deviation, as a share of the constant one that the first stage of training
# found, unless `min_std` says otherwise. Set by judgement: with less, single features that are
# reconstructed by chance get a huge weight; with more, the noise of good ones is overstated.
_FLOOR = 0.1

# What `hidden` and `dense_units` are by default, by the architecture. For an MLP those of the paper
# (Arvanitidis, Hansen, Hauberg, "Latent Space Oddity", 2018, appendix D). The convolutional ones
# were chosen by the held-out likelihood of digits {0, 1, 2} at the CPU time of an MLP of 300 epochs
# (10 s): 214 nats and an error of 0.185 a pixel, where an MLP has 203 and 0.192, channels of
# (16, 8) have 200 and 0.190, and (64, 32) without a dense layer, three times slower, 184 and 0.195.
_HIDDEN: dict[str, tuple[tuple[int, ...], int | None]] = {
    "mlp": ((64, 32), None),
    "convolutional": ((32, 16), 128),
}

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
    likelihood_options: Mapping[str, Any] = field(default_factory=dict)
    n_categories: int | None = None
    std: str = "rbf"
    architecture: str = "mlp"
    hidden: Sequence[int] | None = None
    dense_units: int | None = None
    image_shape: Sequence[int] | None = None
    activation: str = "tanh"
    output: str = "auto"
    constant_std: float | str = "learned"
    n_centers: int = 64
    bandwidth_factor: float = 2.0
    shrinkage: float | None = None
    zeta: float | None = None
    min_std: float | None = None
    n_decoders: int = 1
    random_state: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check_integer("data_dim", self.data_dim)
        check_integer("latent_dim", self.latent_dim, 1, self.data_dim)
        check_choice("likelihood", self.likelihood, LIKELIHOODS)
        self._check_likelihood_options()
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
        if self.shrinkage is not None:
            check_number("shrinkage", self.shrinkage, 0.0)
        if self.zeta is not None:
            check_number("zeta", self.zeta, 0.0, open_low=True)
        if self.min_std is not None:
            check_number("min_std", self.min_std, 0.0, open_low=True)
        check_integer("n_decoders", self.n_decoders)
        check_integer("random_state", self.random_state, 0, 2**32 - 1)  # what k-means takes
        self._resolve_hidden()
        self._check_image_shape()
        self._refuse_what_does_not_apply()
        self._check_output()
        self.family.check_config(self)

    def _resolve_hidden(self) -> None:
        """Put in what suits the architecture, where nothing is given."""
        hidden, dense_units = _HIDDEN[self.architecture]
        if self.hidden is None:
            object.__setattr__(self, "hidden", hidden)
        for size in self.hidden or ():
            check_integer("hidden", size)
        if self.dense_units is None:
            object.__setattr__(self, "dense_units", dense_units)
        elif self.architecture == "mlp":
            cure = "Put the layer into `hidden`."
            raise InvalidParameterError("dense_units", "None for an MLP", self.dense_units, cure)
        else:
            check_integer("dense_units", self.dense_units, 0)

    def _check_likelihood_options(self) -> None:
        given = self.likelihood_options
        try:
            # A copy, in the numbers and texts that a file can hold.
            plain = json.loads(json.dumps(dict(given), default=lambda value: value.item()))
        except (TypeError, ValueError, AttributeError) as error:
            allowed = "a dict from names to numbers, texts, or lists of them"
            raise InvalidParameterError("likelihood_options", allowed, repr(given)) from error
        object.__setattr__(self, "likelihood_options", plain)

    @property
    def family(self) -> type[Likelihood]:
        """The class of the likelihood."""
        return LIKELIHOODS[self.likelihood]

    def _refuse_what_does_not_apply(self) -> None:
        """Refuse settings of other likelihoods."""
        others = frozenset[str]().union(*(kind.settings for kind in LIKELIHOODS.values()))
        for name in sorted(others - self.family.settings):
            if hasattr(VAEConfig, name):
                self.refuse_unless_default(name)

    def refuse_unless_default(self, name: str, why: str = "") -> None:
        """Refuse a setting that would have no effect.

        Args:
            name: the setting.
            why: what else than the likelihood makes it so, for the message.

        Raises:
            InvalidParameterError: it is given.
        """
        given, default = getattr(self, name), getattr(VAEConfig, name)
        if given != default:
            allowed = f"left at its default {default!r} for likelihood='{self.likelihood}'{why}"
            cure = "It would have no effect there."
            raise InvalidParameterError(name, allowed, repr(given), cure)

    def _check_output(self) -> None:
        unit = self.family.unit
        if unit is not DATA_UNIT and self.output not in {"auto", "identity"}:
            allowed = (
                f"'auto' or 'identity' for the {self.likelihood.replace('_', ' ')} likelihood, "
                f"whose features are {unit.features}"
            )
            raise InvalidParameterError("output", allowed, repr(self.output))

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
        return bounds.get(self.output, self.family.support)

    @property
    def decoder_sizes(self) -> list[int]:
        """The numbers of units of an MLP that decodes: d, the hidden ones in reverse, D."""
        return [self.latent_dim, *tuple(self.hidden or ())[::-1], self.data_dim]

    def floor(self, level: float) -> float:
        """Return the smallest standard deviation, for a constant one of `level`."""
        return self.min_std if self.min_std is not None else _FLOOR * level

    def resolve_output(self, minimum: float, maximum: float) -> str:
        """Return what `output` means for data of that range."""
        if self.output != "auto":
            return self.output
        bounded = self.family.unit is DATA_UNIT and minimum >= 0 and maximum <= 1
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
        sizes = [config.data_dim, *(config.hidden or ()), 2 * config.latent_dim]
        network = mlp(sizes, activation=config.activation)
    else:
        network = ConvolutionalEncoder(
            config.image_shape or (),
            2 * config.latent_dim,
            channels=tuple(config.hidden or ())[::-1],
            dense_units=config.dense_units or None,
            activation=config.activation,
        )
    standardize = config.family.unit.standardize(config.data_dim)
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
        network = mlp(config.decoder_sizes, activation=config.activation)
    else:
        network = ConvolutionalDecoder(
            config.latent_dim,
            config.image_shape or (),
            channels=tuple(config.hidden or ()),
            dense_units=config.dense_units or None,
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
    return config.family.build(config)


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
    return config.family.unit.destandardize(config.data_dim)
