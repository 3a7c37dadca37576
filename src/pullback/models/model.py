"""A latent variable model: encoder, decoder and prior, and what they say of data and codes."""

import math
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pullback.display import charted, html_table, summary
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    cast_points,
    check_integer,
    check_points,
)
from pullback.models.config import VAEConfig, build_output
from pullback.models.ensemble import members_of
from pullback.models.likelihoods import Likelihood
from pullback.models.objectives import bounds
from pullback.models.objectives.marginal import Marginal, marginal, warn_of_failures
from pullback.randomness import draw
from pullback.shapes import Data, Latent, Scalars

__all__ = ["LatentVariableModel"]


class LatentVariableModel(nn.Module):
    """The modules of a model, what they say of data and codes, and how they came to be.

    Training and storage work on it; `VAE` is the one that builds itself, trains and saves.

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
        elbos = [[row.get(name) for row in self.history] for name in ("elbo", "validation_elbo")]
        picture = charted("ELBO by epoch, of training (grey) and validation data", *elbos)
        return html_table(type(self).__name__, rows, after=picture)

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

    def posterior(self, x: Any) -> Distribution:
        """Return q(z|x).

        Args:
            x: observations, `(*batch, D)`.

        Returns:
            A distribution with event shape (d,).

        Raises:
            InvalidDataError: x is not finite or not of dimension D.
        """
        x = self._observations(x)
        with _tracking(x):
            distribution: Distribution = self.encoder(x)
        return distribution

    def encode(self, x: Any) -> Latent:
        """Return the mean codes `E_q(z|x)[z]`.

        Args:
            x: observations, `(*batch, D)`.

        Returns:
            Latent points, `(*batch, d)`; gradients flow to x if it requires them.

        Raises:
            InvalidDataError: x is not finite or not of dimension D.
        """
        return self.posterior(x).mean

    def decode(self, z: Any) -> Data:
        """Return the mean of p(x|z).

        Args:
            z: latent points, `(*batch, d)`.

        Returns:
            Observations, `(*batch, D)`; gradients flow to z if it requires them.

        Raises:
            InvalidDataError: z is not finite or not of dimension d.
        """
        z = cast_points("z", check_points("z", z, self.latent_dim), self.like)
        with _tracking(z):
            distribution: Distribution = self.decoder(z)
            return distribution.mean

    def reconstruct(self, x: Any) -> Data:
        """Return the mean of p(x|z) at the mean code of x.

        Args:
            x: observations, `(*batch, D)`.

        Returns:
            Observations, `(*batch, D)`.

        Raises:
            InvalidDataError: x is not finite or not of dimension D.
        """
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, mean: bool = False
    ) -> Data:
        """Draw new observations: `z ~ p(z)`, then `x ~ p(x|z)`.

        Args:
            n: how many.
            generator: the source of randomness; torch's global one if None.
            mean: return the mean of p(x|z) instead of a draw, without the noise.

        Returns:
            Observations, `(n, D)`.

        Raises:
            InvalidParameterError: n is below 1.
        """
        z = draw(self.prior(), (check_integer("n", n),), generator)
        distribution: Distribution = self.decoder(z)
        return distribution.mean if mean else draw(distribution, (), generator)

    def elbo(
        self, x: Any, *, n_samples: int = 1, generator: torch.Generator | None = None
    ) -> Scalars:
        """Estimate the evidence lower bound of each sample, see `elbo`.

        Of an ensemble it is the mean of the members' bounds.

        Args:
            x: observations, `(*batch, D)`.
            n_samples: draws of z for each x.
            generator: the source of randomness; torch's global one if None.

        Returns:
            The bound in nats, `(*batch,)`.

        Raises:
            InvalidDataError: x is empty, not finite, not of dimension D, or outside the support
                of the likelihood.
        """
        x = self._supported(x)
        with _tracking(x):
            values = [
                bounds.elbo(
                    x, self.encoder, member, self.prior, n_samples=n_samples, generator=generator
                ).value
                for member in members_of(self.decoder)
            ]
            return torch.stack(values).mean(0)

    def importance_weighted_bound(
        self, x: Any, *, n_samples: int = 50, generator: torch.Generator | None = None
    ) -> Scalars:
        """Estimate the bound of each sample, see `importance_weighted_bound`.

        Args:
            x: observations, `(*batch, D)`.
            n_samples: draws of z for each x.
            generator: the source of randomness; torch's global one if None.

        Returns:
            The bound in nats, `(*batch,)`.

        Raises:
            InvalidDataError: x is empty, not finite, not of dimension D, or outside the support
                of the likelihood.
        """
        x, parts = self._supported(x), (self.encoder, self.decoder, self.prior)
        with _tracking(x):
            return bounds.importance_weighted_bound(
                x, *parts, n_samples=n_samples, generator=generator
            )

    def log_marginal(
        self,
        x: Any,
        *,
        method: str = "auto",
        n_samples: int | None = None,
        tolerance: float = 0.1,
        chunk_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Scalars:
        """Compute log p(x) of each sample, see `pullback.models.marginal`.

        Args:
            x: observations, `(*batch, D)`.
            method: `"quadrature"`, for d <= 3; `"importance"`; or, as bounds that may lie tens of
                nats too low, `"encoder"` and `"prior"`. `"auto"` is quadrature for d <= 3 if no
                number of draws is given, else importance.
            n_samples: most draws of z for each x, for the methods that draw; 1000 if None, and
                16,000 for `"importance"`.
            tolerance: the error in nats, > 0, at which quadrature and importance sampling stop.
            chunk_size: pairs (x, z) that are worked on at once; None for a million numbers.
            generator: the source of randomness; one with seed 0 if None.

        Returns:
            log p(x) in nats, `(*batch,)`.

        Raises:
            InvalidDataError: x is empty, not finite, not of dimension D, or outside the support
                of the likelihood.
            InvalidParameterError: a number out of range, or an unknown method.

        Warns with `ConvergenceWarning` where the tolerance was not reached; `marginal` says where.
        """
        found = self.marginal(
            x,
            method=method,
            n_samples=n_samples,
            tolerance=tolerance,
            chunk_size=chunk_size,
            generator=generator,
        )
        warn_of_failures(found, tolerance)
        return found.value

    def marginal(
        self,
        x: Any,
        *,
        method: str = "auto",
        n_samples: int | None = None,
        tolerance: float = 0.1,
        chunk_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Marginal:
        """Compute log p(x) of each sample with its error, see `pullback.models.marginal`.

        Args:
            x: observations, `(*batch, D)`.
            method: as for `log_marginal`.
            n_samples: as for `log_marginal`.
            tolerance: as for `log_marginal`.
            chunk_size: as for `log_marginal`.
            generator: as for `log_marginal`.

        Returns:
            The values, their errors, effective sample sizes, and which are good to the tolerance.

        Raises:
            InvalidDataError: as for `log_marginal`.
            InvalidParameterError: as for `log_marginal`.
        """
        x, parts = self._supported(x), (self.encoder, self.decoder, self.prior)
        return marginal(
            x,
            *parts,
            method=method,
            n_samples=n_samples,
            tolerance=tolerance,
            chunk_size=chunk_size,
            generator=generator,
        )

    def _observations(self, x: Any) -> Tensor:
        x = check_points("x", x, self.data_dim)
        return cast_points("x", x, self.like)

    def _supported(self, x: Any) -> Tensor:
        """Return observations that the likelihood gives a density, at least one of them."""
        points = self._observations(x)
        if points.numel() == 0:
            raise InvalidDataError(
                f"`x` must hold at least one observation, but its shape is {tuple(points.shape)}."
            )
        likelihood = getattr(self.decoder, "likelihood", None)  # custom decoders may have none
        low, high = getattr(likelihood, "support", (-math.inf, math.inf))
        if isinstance(likelihood, Likelihood):
            likelihood.check("x", points)
        smallest, largest = float(points.detach().amin()), float(points.detach().amax())
        if smallest < low or largest > high:
            raise InvalidDataError(
                f"`x` must lie in [{low:g}, {high:g}] for the likelihood of this model, but lies "
                f"in [{smallest:g}, {largest:g}]. Scale it as the training data were."
            )
        return points


def _tracking(inputs: Tensor) -> torch.set_grad_enabled:
    return torch.set_grad_enabled(torch.is_grad_enabled() and inputs.requires_grad)
