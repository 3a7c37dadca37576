"""The settings that a likelihood is built from: those of a model, as far as it needs them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

__all__ = ["Settings"]


@runtime_checkable
class Settings(Protocol):
    """The part of `VAEConfig` that likelihoods read; see `VAE` for what each of them means.

    Example:
        >>> from pullback.models.config import VAEConfig
        >>> settings: Settings = VAEConfig(5)
    """

    @property
    def data_dim(self) -> int:
        """The data dimension D."""

    @property
    def latent_dim(self) -> int:
        """The latent dimension d."""

    @property
    def likelihood(self) -> str:
        """The name of the likelihood."""

    @property
    def likelihood_options(self) -> Mapping[str, Any]:
        """Arguments of its class, by name."""

    @property
    def n_categories(self) -> int | None:
        """The number of letters of the categorical likelihood."""

    @property
    def std(self) -> str:
        """Which standard deviation the normal likelihood has."""

    @property
    def constant_std(self) -> float | str:
        """The constant one, or that it is learned."""

    @property
    def n_centers(self) -> int:
        """The number of RBF centres."""

    @property
    def n_decoders(self) -> int:
        """The number of decoders of an ensemble."""

    @property
    def decoder_sizes(self) -> Sequence[int]:
        """The numbers of units of an MLP that decodes: d, the hidden ones in reverse, D."""

    @property
    def activation(self) -> str:
        """The activation of hidden layers."""

    def floor(self, level: float) -> float:
        """Return the smallest standard deviation, for a constant one of `level`."""

    def refuse_unless_default(self, name: str, why: str = "") -> None:
        """Refuse a setting that would have no effect."""
