"""The normal likelihood, whose standard deviation may depend on z."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from pullback.errors import InvalidParameterError
from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.settings import Settings
from pullback.models.likelihoods.std.precision import ConstantStd, NetworkStd, RBFPrecision
from pullback.models.networks import mlp
from pullback.models.standardization import DATA_UNIT
from pullback.shapes import Ambient, Data, Latent

__all__ = ["NormalLikelihood", "build_std"]


def _read(mean: Tensor, std: Tensor | None = None) -> Distribution:
    return Normal(mean, torch.ones_like(mean) if std is None else std, validate_args=False)


class NormalLikelihood(Likelihood, name="normal"):
    """The likelihood p(x|z) = N(mu(z), diag sigma(z)^2), the features being mu(z).

    Args:
        std: a module that maps z `(*batch, d)` to standard deviations sigma `(*batch, D)`.

    Example:
        >>> import torch
        >>> from pullback.models import ConstantStd
        >>> likelihood = NormalLikelihood(ConstantStd(5, 0.1))
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).stddev.shape
        torch.Size([3, 5])
    """

    unit = DATA_UNIT
    families = (Normal,)
    settings = frozenset({"constant_std", "min_std", "shrinkage", "std", "zeta"})
    reading = (_read, "mean, standard deviation (1 if it is left out)")
    isometric = False

    def __init__(self, std: nn.Module) -> None:
        super().__init__()
        self.std = std

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return N(features, diag std(z)^2)."""
        std: Tensor = self.std(z)
        normal = Normal(features, std, validate_args=False)
        return Independent(normal, 1, validate_args=False)

    @classmethod
    def build(cls, config: Settings) -> "Likelihood":
        """Return the likelihood with the standard deviation of the settings."""
        return cls(build_std(config, config.std))

    @classmethod
    def check_config(cls, config: Settings) -> None:
        """Refuse settings of another standard deviation, see `Likelihood.check_config`."""
        super().check_config(config)
        if config.n_decoders > 1 and config.std != "constant":
            cure = "The disagreement of the members takes the place of 'network' and 'rbf'."
            allowed = f"'auto' or 'constant' for n_decoders={config.n_decoders}"
            raise InvalidParameterError("std", allowed, repr(config.std), cure)
        if config.std == "constant":
            config.refuse_unless_default("min_std", f" and std='{config.std}'")
        if config.std != "rbf":
            config.refuse_unless_default("shrinkage", f" and std='{config.std}'")
            config.refuse_unless_default("zeta", f" and std='{config.std}'")

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return (mu, sigma), whose metric is the expected one in the unit of the data."""
        return torch.cat([p.loc, p.scale], -1)

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return mu and log sigma."""
        return torch.stack([p.loc, p.scale.log()], -1)

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        """Compute exp(-2 log sigma) of mu, and 2 of log sigma."""
        log_scale = x[..., 1]
        return torch.stack(
            [torch.exp(-2 * log_scale) * v[..., 0], 2 * v[..., 1] + 0 * log_scale], -1
        )


def build_std(config: Settings, kind: str) -> ConstantStd | NetworkStd | RBFPrecision:
    """Return sigma(z) of one kind, with the shapes of the settings, not yet fitted.

    Example:
        >>> from pullback.models.config import VAEConfig
        >>> type(build_std(VAEConfig(5), "network")).__name__
        'NetworkStd'
    """
    learned = config.constant_std == "learned"
    level = 0.5 if isinstance(config.constant_std, str) else config.constant_std
    if kind == "constant":
        return ConstantStd(config.data_dim, level, learned=learned)
    if kind == "network":
        network = mlp(config.decoder_sizes, activation=config.activation)
        std = NetworkStd(network, config.floor(level))
        std.set_level(level)
        return std
    return RBFPrecision.flat(config.n_centers, config.latent_dim, config.data_dim, level)
