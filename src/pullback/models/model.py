"""A latent variable model: encoder, decoder and prior, and what is known of how they were made."""

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from pullback.display import html_table, summary
from pullback.errors import InvalidParameterError
from pullback.models.config import VAEConfig, build_output
from pullback.models.ensemble import members_of

__all__ = ["LatentVariableModel"]


class LatentVariableModel(nn.Module):
    """The modules of a model, its settings and its history: what training and storage work on.

    Attributes:
        encoder: x -> q(z|x).
        decoder: z -> p(x|z).
        prior: () -> p(z).
        settings: the configuration that the modules were built from; None for custom ones.
        history: one row for each epoch of training.
        interrupted: the digest of the weights that an unfinished training began with, or None.

    Example:
        >>> from pullback.models import VAE
        >>> isinstance(VAE(5, 2), LatentVariableModel)
        True
    """

    history: list[dict[str, Any]]
    interrupted: str | None

    def _assemble(
        self, encoder: nn.Module, decoder: nn.Module, prior: nn.Module, config: VAEConfig | None
    ) -> None:
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        self.settings = config
        self.history = []
        self.interrupted = None

    @property
    def latent_dim(self) -> int:
        """The latent dimension d."""
        return int(self.decoder.latent_dim)  # type: ignore[arg-type]

    @property
    def data_dim(self) -> int:
        """The data dimension D."""
        return int(self.decoder.data_dim)  # type: ignore[arg-type]

    @property
    def config(self) -> dict[str, Any] | None:
        """The arguments of the constructor, with what `fit` resolved; None for custom modules."""
        if self.settings is None:
            return None
        config = asdict(self.settings)
        if not config["likelihood_options"]:
            del config["likelihood_options"]  # as in files that were written before it was there
        return config

    def _repr_html_(self) -> str:
        shown = self.config or {"data_dim": self.data_dim, "latent_dim": self.latent_dim}
        n_weights = sum(weights.numel() for weights in self.parameters())
        rows = [(name, summary(value)) for name, value in shown.items()]
        rows += [("parameters", str(n_weights)), ("epochs trained", str(len(self.history)))]
        return html_table(type(self).__name__, rows)

    @property
    def like(self) -> Tensor:
        """A tensor of the dtype and on the device that the model computes in."""
        for parameter in self.parameters():
            if parameter.is_floating_point():
                return parameter.detach()
        return torch.empty(0)

    def set_output(self, output: str) -> None:
        """Choose what bounds mu(z): `"sigmoid"`, `"tanh"` or `"identity"`.

        Raises:
            InvalidParameterError: an unknown name, or a model of custom modules.

        Example:
            >>> from pullback.models import VAE
            >>> vae = VAE(5, 2)
            >>> vae.set_output("sigmoid")
            >>> vae.config["output"]
            'sigmoid'
        """
        if self.settings is None:
            raise InvalidParameterError("output", "left to the decoder of custom modules", output)
        self.settings = replace(self.settings, output=output)
        for member in members_of(self.decoder):
            if isinstance(member.mean, nn.Sequential):
                module = build_output(self.settings)
                # A layer of the same kind stays, with the unit of the data that it was given.
                if type(module) is not type(member.mean[-1]):
                    member.mean[-1] = module.to(self.like)
