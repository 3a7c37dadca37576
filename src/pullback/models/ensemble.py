"""Ensembles of decoders on one latent space: what they disagree about is not known.

The members of an ensemble agree where there were data and part where there were none. Unlike an RBF
precision they need no centres, which few dimensions can be filled with.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pullback.errors import InvalidDataError, InvalidParameterError, check_integer
from pullback.shapes import Latent

__all__ = ["DecoderSampler", "EnsembleDecoder", "Mixture", "members_of"]


class Mixture(Distribution):
    r"""The equal mixture p(x|z) = 1/k sum_s p_s(x|z) of the distributions of an ensemble.

    Its mean is the mean of theirs, and its variance also counts how far these means are apart,
    `Var[x] = mean_s Var_s[x] + Var_s(E_s[x])`.

    Args:
        components: p_1, ..., p_k, with the same batch and event shapes.

    Example:
        >>> from torch.distributions import Normal
        >>> p = Mixture([Normal(torch.tensor(-1.0), 1.0), Normal(torch.tensor(1.0), 1.0)])
        >>> p.mean.item(), p.variance.item()
        (0.0, 2.0)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, components: Sequence[Distribution]) -> None:
        self.components = list(components)
        first = self.components[0]
        super().__init__(first.batch_shape, first.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of the components' means, shape `(*batch, *event)`."""
        return self._stack([p.mean for p in self.components]).mean(0)

    @property
    def variance(self) -> Tensor:
        """Their mean variance and the variance of their means, shape `(*batch, *event)`."""
        within = self._stack([p.variance for p in self.components]).mean(0)
        return within + self._stack([p.mean for p in self.components]).var(0, correction=0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log 1/k sum_s p_s(value), shape `(*batch,)`."""
        log_probs = self._stack([p.log_prob(value) for p in self.components])
        return log_probs.logsumexp(0) - math.log(len(self.components))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw each element of the batch from a component that is chosen at random for it."""
        draws = self._stack([p.sample(torch.Size(sample_shape)) for p in self.components])
        batch = draws.shape[1 : draws.ndim - len(self.event_shape)]
        chosen = torch.randint(len(draws), batch, device=draws.device)
        chosen = chosen.reshape(1, *batch, *[1] * len(self.event_shape))
        return draws.gather(0, chosen.expand(1, *draws.shape[1:])).squeeze(0)

    @staticmethod
    def _stack(values: list[Tensor]) -> Tensor:
        return torch.stack(torch.broadcast_tensors(*values))


class _Function(nn.Module):
    """A function as a module, so that it may be a member."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Any:
        return self.function(z)


class EnsembleDecoder(nn.Module):
    """Decoders z -> p_s(x|z) that read the same latent space, for s = 1, ..., k.

    Called on z, it returns the mixture of what the members return, or the mean of members that
    return tensors. The geometry takes them one by one, see `pullback.metrics.EnsembleMetric`.

    Args:
        members: modules or functions of z `(*batch, d)`, at least one.
        latent_dim: the latent dimension d, where no member says it.

    Attributes:
        members: the members, as modules.
        latent_dim: the latent dimension d, None if neither it nor a member says it.
        data_dim: the data dimension D, None if no member says it.

    Raises:
        InvalidParameterError: there are no members, one cannot be called, or they disagree about a
            dimension.

    Source:
        Syrota, Moreno-Munoz, Hauberg, Decoder ensembling for learned latent geometries (2024).

    Example:
        >>> ensemble = EnsembleDecoder([nn.Linear(2, 3), nn.Linear(2, 3)], latent_dim=2)
        >>> len(ensemble.members), ensemble(torch.zeros(5, 2)).shape
        (2, torch.Size([5, 3]))
    """

    def __init__(
        self,
        members: Sequence[Any] | nn.ModuleList,
        *,
        latent_dim: int | None = None,
    ) -> None:
        super().__init__()
        members = _check_members(members)
        self.latent_dim = _common("latent_dim", members, latent_dim)
        self.data_dim = _common("data_dim", members, None)
        self.members = nn.ModuleList(
            member if isinstance(member, nn.Module) else _Function(member) for member in members
        )

    @property
    def decoders(self) -> list[Callable[[Tensor], Any]]:
        """The members as they were given, functions not wrapped."""
        return [m.function if isinstance(m, _Function) else m for m in self.members]

    @property
    def likelihood(self) -> Any:
        """The likelihood of the first member, which says what data are allowed, or None."""
        return getattr(self.members[0], "likelihood", None)

    def forward(self, z: Latent) -> Any:
        """Return the mixture of what the members make of points `(*batch, d)`, or its mean."""
        return _mixed([member(z) for member in self.members])

    def draw_member(self, generator: torch.Generator | None = None) -> nn.Module:
        """Return one member at random: in training each mini-batch trains one.

        Args:
            generator: the source of randomness; torch's global one if None.

        Example:
            >>> ensemble = EnsembleDecoder([nn.Linear(2, 3), nn.Linear(2, 3)])
            >>> ensemble.draw_member(torch.Generator().manual_seed(0)) in ensemble.members
            True
        """
        device = "cpu" if generator is None else generator.device
        index = torch.randint(len(self.members), (), generator=generator, device=device)
        return self.members[int(index)]


def _mixed(outputs: list[Any]) -> Any:
    """Mix distributions, take the mean of tensors, and do so part by part in tuples and dicts."""
    if all(isinstance(output, Distribution) for output in outputs):
        return Mixture(outputs)
    if all(isinstance(output, Tensor) for output in outputs):
        return torch.stack(outputs).mean(0)
    if all(isinstance(output, tuple | list) for output in outputs):
        return tuple(_mixed(list(parts)) for parts in zip(*outputs, strict=True))
    if all(isinstance(output, dict) for output in outputs):
        return {key: _mixed([output[key] for output in outputs]) for key in outputs[0]}
    kinds = ", ".join(sorted({type(output).__name__ for output in outputs}))
    raise InvalidDataError(
        f"`members` must all return the same kind of output, but they return {kinds}. Give them "
        "the same likelihood, `pb.Decoder(model, likelihood=...)`."
    )


class DecoderSampler(EnsembleDecoder):
    """An ensemble of decoders that a function draws: of a posterior over weights, or of masks.

    The members are drawn once, so that each is a decoder like any other; what is said of them is
    Monte Carlo with `n_samples` draws.

    Args:
        draw: takes a `torch.Generator` and returns a decoder, a module or a function of z.
        n_samples: how many decoders to draw.
        generator: the source of randomness; one with seed 0 if None.
        latent_dim: the latent dimension d, where no member says it.

    Raises:
        InvalidParameterError: `draw` cannot be called or returns what cannot be.

    Example:
        >>> def scaled(generator):
        ...     scale = 1 + 0.1 * torch.randn((), generator=generator, dtype=torch.float64)
        ...     return lambda z: scale * z
        >>> len(DecoderSampler(scaled, n_samples=5, latent_dim=2).members)
        5
    """

    def __init__(
        self,
        draw: Callable[[torch.Generator], Any],
        *,
        n_samples: int = 10,
        generator: torch.Generator | None = None,
        latent_dim: int | None = None,
    ) -> None:
        source = torch.Generator().manual_seed(0) if generator is None else generator
        drawn = [draw(source) for _ in range(check_integer("n_samples", n_samples))]
        super().__init__(drawn, latent_dim=latent_dim)


def members_of(decoder: nn.Module) -> list[nn.Module]:
    """Return the members of an ensemble, or the one decoder that it is.

    Example:
        >>> len(members_of(nn.Linear(2, 3)))
        1
    """
    return list(decoder.members) if isinstance(decoder, EnsembleDecoder) else [decoder]


def _check_members(members: Any) -> list[Any]:
    allowed = "a sequence of at least one module or function of z"
    if isinstance(members, nn.ModuleList | Sequence) and not isinstance(members, str):
        for member in members:
            if hasattr(member, "encoder"):
                cure = "Models that were trained alone have latent spaces of their own, which do "
                cure += "not match: train `VAE(n_decoders=k)`, or decoders on one set of codes."
                raise InvalidParameterError("members", allowed, "a VAE among them", cure)
            _check_callable("members", member, allowed)
        if len(members) > 0:
            return list(members)
        raise InvalidParameterError("members", allowed, "none")
    raise InvalidParameterError("members", allowed, f"a {type(members).__name__}")


def _check_callable(name: str, value: Any, allowed: str) -> None:
    if not callable(value):
        raise InvalidParameterError(name, allowed, f"a {type(value).__name__}")


def _common(name: str, members: list[Any], given: int | None) -> int | None:
    """Return the dimension that the members say, or else the one that is given."""
    said = [value for m in members if isinstance(value := getattr(m, name, None), int)]
    values = set(said if given is None else [*said, check_integer(name, given)])
    if len(values) > 1:
        raise InvalidParameterError("members", f"of one `{name}`", sorted(values))
    return values.pop() if values else None
