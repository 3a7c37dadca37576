"""The likelihood p(x|z): one object that says all there is to say of a family of distributions."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from pullback.errors import InvalidParameterError
from pullback.models.likelihoods.readings import register_reading
from pullback.models.likelihoods.settings import Settings
from pullback.models.standardization import UNITLESS, Unit
from pullback.shapes import Ambient, Data, Latent

__all__ = ["FAMILIES", "LIKELIHOODS", "Likelihood", "family_of"]

Information = Callable[[Tensor, Tensor], Tensor]

LIKELIHOODS: dict[str, type["Likelihood"]] = {}
"""The likelihoods by the names that `VAE(likelihood=...)` takes."""

FAMILIES: dict[type, type["Likelihood"]] = {}
"""The likelihoods by the classes of distributions that they describe."""


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z); a subclass with a name is known by it everywhere.

    `class MyLikelihood(Likelihood, name="mine")` makes `VAE(likelihood="mine")` build, standardise,
    train, save and measure it: all that these need to know stands in the class. `forward` must be
    written; what has a default may be.

    Distributions are built with `validate_args=False`, for they must work under `torch.func`,
    where the values of a tensor cannot be looked at.

    Attributes:
        support: the interval that observations must lie in.
        unit: how observations come into the encoder, and features out of the decoder's network.
        families: the classes of distribution that `forward` returns inside of `Independent`, and
            that the geometry below is for, whatever decoder returns them.
        settings: the fields of `VAEConfig` that no other likelihood uses, such as `"std"`.
        held: the attributes of the distribution that must be the same at all z for `image` to have
            the Fisher-Rao metric.
        isometric: whether `image`, if there is one, has the Fisher-Rao metric at all, and not only
            the expected metric in the unit of the data.
        held_information: from the index of a coordinate in its block to a cheaper `information`,
            for when that coordinate does not depend on z.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> class Unit(Likelihood):
        ...     def forward(self, features, z):
        ...         return Independent(Normal(features, 1.0, validate_args=False), 1)
    """

    support: tuple[float, float] = (float("-inf"), float("inf"))
    unit: ClassVar[Unit] = UNITLESS
    families: ClassVar[tuple[type[Distribution], ...]] = ()
    settings: ClassVar[frozenset[str]] = frozenset()
    held: ClassVar[tuple[str, ...]] = ()
    isometric: ClassVar[bool] = True
    held_information: ClassVar[dict[int, Information]] = {}

    reading: ClassVar[tuple[Callable[..., Distribution], str] | None] = None
    """Makes a distribution of tensors that some model returned, and which ones these are."""

    def __init_subclass__(cls, *, name: str | None = None, **options: Any) -> None:
        """Register the likelihood under its name, and its geometry for its families."""
        super().__init_subclass__(**options)
        if name is None:
            return
        known = LIKELIHOODS.get(name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            allowed = f"a name that is not taken, as {name!r} is by {known.__qualname__}"
            raise InvalidParameterError("name", allowed, f"it for {cls.__qualname__}")
        LIKELIHOODS[name] = cls
        # What is inherited stays that of the base class, for all decoders that return its family.
        FAMILIES.update(dict.fromkeys(vars(cls).get("families", ()), cls))
        if "reading" in vars(cls) and cls.reading is not None:
            register_reading(name, *cls.reading)

    @abstractmethod
    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return p(x|z) with event shape (D,), from features `(*batch, D)` at z `(*batch, d)`."""

    def check(self, name: str, x: Data) -> None:
        """Refuse observations in the support's interval that are none all the same.

        Args:
            name: what they are called, for the message.
            x: observations, `(*batch, D)`.

        Raises:
            InvalidDataError: they are none of this likelihood.
        """

    def set_unit(self, center: Tensor, scale: Tensor) -> None:
        """Begin the training on data of this unit; what has a unit of its own starts from it.

        Args:
            center: the mean of each feature, `(D,)`.
            scale: the root mean square of the features' standard deviations.
        """

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return phi, which maps distributions of the families to a flat space.

        Args:
            p: distributions, with batch shape `(*batch, n)`.

        Returns:
            Their images, `(*batch, m)`.
        """
        raise NotImplementedError

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return coordinates of the parameters of distributions of the families.

        Args:
            p: distributions, with batch shape `(*batch, n)`, or `(*batch,)` of vectors.

        Returns:
            A block of coordinates for each of them, `(*batch, n, size)`.
        """
        raise NotImplementedError

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        """Compute the Fisher information I(x) v in these coordinates.

        Args:
            x: the coordinates of n distributions, side by side, `(*batch, n, size)`.
            v: tangent vectors, `(*batch, n, size)`; broadcast against x.

        Returns:
            I(x) v, `(*batch, n, size)`.
        """
        raise NotImplementedError

    @classmethod
    def has(cls, name: str) -> bool:
        """Say whether the class has an `image`, or an `information`, of its own.

        Example:
            >>> from pullback.models import PoissonLikelihood
            >>> PoissonLikelihood.has("image"), PoissonLikelihood.has("information")
            (True, False)
        """
        return getattr(cls, name) is not getattr(Likelihood, name)

    @classmethod
    def build(cls, config: Settings) -> "Likelihood":
        """Return the likelihood of a model: D and d, if the constructor takes them, and options."""
        dims = {"data_dim": config.data_dim, "latent_dim": config.latent_dim}
        given = {name: value for name, value in dims.items() if name in _takes(cls)}
        return cls(**given, **config.likelihood_options)

    @classmethod
    def check_config(cls, config: Settings) -> None:
        """Refuse settings that this likelihood cannot be built with.

        Args:
            config: the settings, each checked by itself.

        Raises:
            InvalidParameterError: an option is unknown or missing.
        """
        supplied = {"data_dim", "latent_dim", *cls.settings}
        takes = {name: p for name, p in _takes(cls).items() if name not in supplied}
        words = ", ".join(sorted(takes)) or "none"
        given = config.likelihood_options
        unknown = [name for name in given if name not in takes]
        missing = [name for name, p in takes.items() if p.default is p.empty and name not in given]
        if unknown or missing:
            raise InvalidParameterError(
                "likelihood_options",
                f"a dict of the options of likelihood='{config.likelihood}': {words}",
                ", ".join(unknown) or f"no {' and no '.join(missing)}",
            )


def _takes(kind: type[Likelihood]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a constructor, those that collect others left out."""
    found = inspect.signature(kind).parameters
    return {k: p for k, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def family_of(kind: type) -> type[Likelihood] | None:
    """Return the likelihood that describes a class of distributions, or None.

    Example:
        >>> from torch.distributions import Poisson
        >>> family_of(Poisson).__name__
        'PoissonLikelihood'
    """
    return next((FAMILIES[base] for base in kind.__mro__ if base in FAMILIES), None)
