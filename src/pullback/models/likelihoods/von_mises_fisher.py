"""The von Mises-Fisher likelihood, of directions: unit vectors that scatter about a mean."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Beta, Distribution, constraints, register_kl
from torch.nn.functional import normalize

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.settings import Settings
from pullback.models.standardization import Standardization, Unit
from pullback.shapes import Ambient, Data, Latent, Scalars

__all__ = ["VonMisesFisher", "VonMisesFisherLikelihood", "log_normalizer", "mean_cosine"]

# The range of integration ends where the integrand is below e^-40 of its peak, less than rounding.
_TAIL = 40.0
# The distance of nodes: where kappa is large the relative error of the trapezoidal rule is
# |Gamma((p - 1) / 2 + i pi / step)| / Gamma((p - 1) / 2), here below 1e-16 for every p.
_STEP, _NARROW = 0.1, 0.28
# How far the length of an observation may be from 1: rounding in single precision, and no more.
_UNIT_LENGTH = 1e-4


def log_normalizer(concentration: Scalars, dim: int) -> Scalars:
    r"""Compute log of the integral of exp(kappa (mu . x - 1)) over the unit sphere of R^p.

    With t = mu . x = tanh u it is the area of the sphere of R^(p-1) times

        int exp(-kappa (1 - tanh u)) sech(u)^(p-1) du,

    by the trapezoidal rule about the peak, whose error falls exponentially. Nothing cancels,
    however large kappa is, and derivatives of every order come from the same nodes.

    Args:
        concentration: kappa >= 0, shape `(*batch,)`.
        dim: p >= 2.

    Returns:
        The logarithms, shape `(*batch,)`.

    Source:
        Mardia, Jupp, Directional statistics (2000), chapter 9. Trefethen, Weideman, The
        exponentially convergent trapezoidal rule (2014).

    Example:
        >>> kappa = torch.tensor(2.0, dtype=torch.float64)
        >>> truth = math.log(4 * math.pi * math.sinh(2.0) / 2.0) - 2.0  # of the sphere
        >>> abs(log_normalizer(kappa, 3).item() - truth) < 1e-14
        True
    """
    log_area = math.log(2) + (dim - 1) / 2 * math.log(math.pi) - math.lgamma((dim - 1) / 2)
    u, step = _nodes(concentration.detach(), dim)
    gap = 2 * torch.sigmoid(-2 * u)  # 1 - tanh u
    log_sech = -u.abs() - torch.log1p(torch.exp(-2 * u.abs())) + math.log(2)
    exponent = -concentration.unsqueeze(-1) * gap + (dim - 1) * log_sech
    total: Tensor = torch.logsumexp(exponent, -1) + math.log(step) + log_area
    return total


def _nodes(kappa: Tensor, dim: int) -> tuple[Tensor, float]:
    """Return the nodes u about the peak of the integrand, `(*batch, n)`, and their distance."""
    power = dim - 1
    root = torch.sqrt(power**2 + 4 * kappa.square())
    above = 2 * kappa / (power + root)  # t at the peak
    below = (power + power**2 / (root + 2 * kappa)) / (power + root)  # 1 - t
    peak = (torch.log1p(above) - below.log()) / 2
    spread = 1 / math.sqrt(2 * power)  # of the peak, at least
    step = min(_STEP, _NARROW / math.sqrt(power))
    reach = _TAIL / power + 9 * math.sqrt(2) * spread
    n = math.ceil(reach / step)
    offsets = step * torch.arange(-n, n + 1, dtype=kappa.dtype, device=kappa.device)
    return peak.unsqueeze(-1) + offsets, step


def mean_cosine(concentration: Scalars, dim: int) -> tuple[Scalars, Scalars]:
    r"""Compute A = E[mu . x] = I_(p/2)(kappa) / I_(p/2-1)(kappa) and its derivative Var[mu . x].

    Args:
        concentration: kappa >= 0, shape `(*batch,)`.
        dim: p >= 2.

    Returns:
        A in [0, 1) and A' > 0, shapes `(*batch,)`.

    Source:
        Mardia, Jupp, Directional statistics (2000), chapter 9.

    Example:
        >>> A, slope = mean_cosine(torch.tensor(2.0, dtype=torch.float64), 3)
        >>> abs(A.item() - (1 / math.tanh(2.0) - 1 / 2.0)) < 1e-14
        True
    """
    u, _ = _nodes(concentration.detach(), dim)
    gap = 2 * torch.sigmoid(-2 * u)
    log_sech = -u.abs() - torch.log1p(torch.exp(-2 * u.abs()))
    weight = torch.softmax(-concentration.unsqueeze(-1) * gap + (dim - 1) * log_sech, -1)
    mean_gap = (weight * gap).sum(-1)
    variance = (weight * (gap - mean_gap.unsqueeze(-1)).square()).sum(-1)
    # Where kappa is small, 1 - mean_gap would cancel; the mean of tanh does not, by symmetry.
    mean = torch.where(mean_gap < 0.5, 1 - mean_gap, (weight * torch.tanh(u)).sum(-1))
    return mean, variance


class VonMisesFisher(Distribution):
    r"""Directions x on the unit sphere of R^p with density proportional to exp(kappa mu . x).

    Args:
        mean_direction: mu, of length 1, `(*batch, p)` with p >= 2.
        concentration: kappa >= 0, `(*batch,)`.
        validate_args: whether to check the arguments' values; torch's own default if None.

    Source:
        Mardia, Jupp, Directional statistics (2000), chapter 9. Wood, Simulation of the von Mises
        Fisher distribution (1994), for the draws.

    Example:
        >>> p = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(50.0))
        >>> p.mean
        tensor([0.0000, 0.0000, 0.9800])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "mean_direction": constraints.real_vector,
        "concentration": constraints.nonnegative,
    }
    support = constraints.real_vector
    has_rsample = False

    def __init__(
        self,
        mean_direction: Tensor,
        concentration: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        dim = mean_direction.shape[-1]
        if dim < 2:
            raise InvalidParameterError("mean_direction", "a vector of length >= 2", dim)
        batch = torch.broadcast_shapes(mean_direction.shape[:-1], concentration.shape)
        self.mean_direction = mean_direction.expand(*batch, dim)
        self.concentration = concentration.expand(batch)
        super().__init__(batch, torch.Size([dim]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "VonMisesFisher":
        """Return the distribution with its parameters expanded to a batch shape."""
        direction = self.mean_direction.expand(*batch_shape, *self.event_shape)
        return VonMisesFisher(direction, self.concentration.expand(batch_shape), False)

    @property
    def mean(self) -> Tensor:
        """The mean A(kappa) mu, which lies inside the sphere."""
        length, _ = mean_cosine(self.concentration, self.event_shape[0])
        return length.unsqueeze(-1) * self.mean_direction

    @property
    def mode(self) -> Tensor:
        """The mean direction mu."""
        return self.mean_direction

    @property
    def variance(self) -> Tensor:
        """The variances of the entries, (1 - A^2 - A') / (p - 1) across mu and A' along it."""
        dim = self.event_shape[0]
        length, along = (part.unsqueeze(-1) for part in mean_cosine(self.concentration, dim))
        across = (1 - length.square() - along) / (dim - 1)
        squared = self.mean_direction.square()
        return across * (1 - squared) + along * squared

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log p(x) of unit vectors x, by the area of the sphere: `(*batch,)`."""
        # kappa (mu . x - 1) by the distance, which keeps its digits where x is near mu.
        gap = (value - self.mean_direction).square().sum(-1) / 2
        return -self.concentration * gap - log_normalizer(self.concentration, self.event_shape[0])

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw unit vectors, `(*sample_shape, *batch, p)`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        direction = self.mean_direction.expand(shape)
        gap = _draw_gaps(self.concentration.expand(shape[:-1]), shape[-1])
        aside = torch.randn_like(direction)
        aside = aside - (aside * direction).sum(-1, keepdim=True) * direction
        sine = (gap * (2 - gap)).clamp(min=0).sqrt()
        return (1 - gap).unsqueeze(-1) * direction + sine.unsqueeze(-1) * normalize(aside, dim=-1)


def _draw_gaps(kappa: Tensor, dim: int) -> Tensor:
    """Draw 1 - mu . x, by rejection from a bell that is wider: at least two of three are kept.

    Everything is written for the gap, which keeps its digits where kappa is large. Where kappa is
    not finite the gap is NaN.
    """
    power = dim - 1
    b = power / (2 * kappa + torch.sqrt(4 * kappa.square() + power**2))
    peak = 2 * b / (1 + b)  # the gap at the peak of the bell
    gap, left = torch.full_like(kappa, torch.nan), kappa.isfinite()
    half = torch.full_like(kappa, power / 2)
    while bool(left.any()):
        y = Beta(half, half, validate_args=False).sample()
        trial = 2 * b * y / (1 - (1 - b) * y)
        ratio = (peak + (1 - peak) * trial) / (peak * (2 - peak))
        bound = kappa * (peak - trial) + power * ratio.log()
        kept = left & (bound >= torch.log(torch.rand_like(kappa)))
        gap = torch.where(kept, trial, gap)
        left = left & ~kept
    return gap


def _kl(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    dim = p.event_shape[0]
    length, _ = mean_cosine(p.concentration, dim)
    gap = (p.mean_direction - q.mean_direction).square().sum(-1) / 2
    # E[kappa_p (mu_p . x - 1) - kappa_q (mu_q . x - 1)], with mu_q . mu_p = 1 - gap
    moved = (p.concentration - q.concentration) * (length - 1) + q.concentration * length * gap
    return moved + log_normalizer(q.concentration, dim) - log_normalizer(p.concentration, dim)


register_kl(VonMisesFisher, VonMisesFisher)(_kl)


class VonMisesFisherLikelihood(Likelihood, name="von_mises_fisher"):
    """The likelihood p(x|z) = vMF(x; f / |f|, kappa) of unit vectors, f being the features.

    For directions and, as quaternions of one sign, orientations. kappa, the concentration, is one
    learnt number that does not depend on z. Its geometry is that of a sphere of radius
    sqrt(kappa A(kappa)).

    Attributes:
        log_concentration: log kappa.

    Example:
        >>> likelihood = VonMisesFisherLikelihood()
        >>> p = likelihood(torch.tensor([[3.0, 0.0, 4.0]]), torch.zeros(1, 2))
        >>> p.mean_direction
        tensor([[0.6000, 0.0000, 0.8000]])
    """

    support = (-1.0 - _UNIT_LENGTH, 1.0 + _UNIT_LENGTH)
    unit = Unit(Standardization, nn.Identity, "directions")
    families = (VonMisesFisher,)
    reading = (
        lambda direction, concentration: VonMisesFisher(direction, concentration, False),
        "mean direction of length 1, concentration",
    )
    held = ("concentration",)

    def __init__(self) -> None:
        super().__init__()
        self.log_concentration = nn.Parameter(torch.zeros(()))

    @classmethod
    def check_config(cls, config: Settings) -> None:
        """Refuse data of one dimension, see `Likelihood.check_config`."""
        super().check_config(config)
        if config.data_dim < 2:
            allowed = "an integer >= 2 for likelihood='von_mises_fisher', whose x are unit vectors"
            raise InvalidParameterError("data_dim", allowed, config.data_dim)

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the distribution about the direction of the features."""
        direction = normalize(features, dim=-1)
        return VonMisesFisher(direction, self.log_concentration.exp(), False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what are no vectors of length 1, see `Likelihood.check`."""
        length = x.detach().norm(dim=-1)
        wrong = ~((length - 1).abs() <= _UNIT_LENGTH)
        if bool(wrong.any()):
            raise InvalidDataError(
                f"`{name}` must hold vectors of length 1, but {int(wrong.sum())} of "
                f"{wrong.numel()} are not, the first of length {float(length[wrong][0]):g}. "
                "Divide each by its norm."
            )

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return sqrt(kappa A(kappa)) mu, the Fisher-Rao metric's image where kappa is fixed."""
        length, _ = mean_cosine(p.concentration, p.event_shape[0])
        direction: Tensor = p.mean_direction
        return torch.sqrt(p.concentration * length).unsqueeze(-1) * direction

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return mu and asinh kappa, in one block."""
        spread = torch.asinh(p.concentration).unsqueeze(-1)
        return torch.cat([p.mean_direction, spread], -1).unsqueeze(-2)

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        """Compute kappa A of mu, and (1 + kappa^2) A' of asinh kappa."""
        kappa = torch.sinh(x[..., -1])
        length, variance = mean_cosine(kappa, x.shape[-1] - 1)
        along = ((1 + kappa.square()) * variance * v[..., -1]).unsqueeze(-1)
        return torch.cat([(kappa * length).unsqueeze(-1) * v[..., :-1], along], -1)
