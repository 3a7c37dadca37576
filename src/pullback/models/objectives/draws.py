"""log p(x) by importance sampling: draws of z from a proposal, and their weights."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pullback.models.objectives.joint import Joint
from pullback.models.objectives.modes import Modes
from pullback.randomness import draw

__all__ = ["Weights", "defensive", "from_encoder", "from_prior", "sample_weights"]

# A proposal draws for some samples: rows `(m,)` and a number of draws S to log weights `(m, S)`.
Weigh = Callable[[Tensor, int], Tensor]

# What part of the draws each component of the defensive mixture gets: the normal densities that fit
# the modes, the same with the tails of Student's t, the encoder's, broadened, and the prior.
# With 5 % of the prior no weight exceeds 20 p(x|z).
_SHARES = {"normal": 0.45, "t": 0.35, "encoder": 0.15, "prior": 0.05}
# The degrees of freedom of Student's t: as few as leave it a variance, and more.
_FREEDOM = 5.0
# By which factors the encoder's standard deviation is broadened, in equal parts.
_BROADENED = (1.0, 2.0, 4.0)
# Draws of the first round; each round doubles them. With fewer, a part of the posterior that only
# the prior finds is missed more often, and nothing tells.
_FIRST = 1000


class Weights(NamedTuple):
    """What importance weights w of each sample sum to.

    Attributes:
        total: log sum w, `(n,)`.
        squared: log sum w^2, `(n,)`.
        number: how many there are, `(n,)`.

    Example:
        >>> one = Weights(torch.zeros(1), torch.zeros(1), torch.ones(1))
        >>> one.value.item(), one.effective_sample_size.item()
        (0.0, 1.0)
    """

    total: Tensor
    squared: Tensor
    number: Tensor

    @property
    def value(self) -> Tensor:
        """The logarithm of the mean weight, `(n,)`."""
        return self.total - self.number.log()

    @property
    def effective_sample_size(self) -> Tensor:
        """(sum w)^2 / sum w^2, between 1 and the number of draws; 0 if all are 0, `(n,)`."""
        size = (2 * self.total - self.squared).exp()
        return torch.where(self.total > -math.inf, size, 0.0)

    @property
    def standard_error(self) -> Tensor:
        """That of the value to first order, sqrt(1 / ESS - 1 / n), `(n,)`."""
        size = self.effective_sample_size
        error = (1 / size - 1 / self.number).clamp(min=0).sqrt()
        return torch.where((size > 0) & (self.number > 1), error, math.inf)


def sample_weights(
    weigh: Weigh, like: Tensor, n: int, n_samples: int, chunk_size: int, tolerance: float | None
) -> Weights:
    """Draw by rounds and sum the weights, until they are as exact as wanted.

    Args:
        weigh: the proposal.
        like: a tensor of the precision and device to work in.
        n: the number of samples.
        n_samples: most draws for each sample.
        chunk_size: most pairs at once.
        tolerance: the standard error at which a sample gets no more draws; None for all of them.

    Returns:
        The sums of the weights.

    Example:
        >>> sample_weights(lambda rows, count: torch.zeros(len(rows), count),
        ...                torch.zeros(()), 2, 5, 100, None).value
        tensor([0., 0.])
    """
    total = like.new_full((n,), -math.inf)
    sums = Weights(total, total.clone(), like.new_zeros(n))
    rows, size = torch.arange(n, device=like.device), _FIRST if tolerance else n_samples
    done = 0
    while len(rows) and done < n_samples:
        size = min(size, n_samples - done)
        for block in rows.split(chunk_size):
            step = max(1, chunk_size // len(block))
            for start in range(0, size, step):
                log_weights = weigh(block, min(step, size - start))
                _add(sums, block, log_weights)
        done, size = done + size, done + size
        if tolerance:
            rows = rows[sums.standard_error[rows] > tolerance]
    return sums


def _add(sums: Weights, rows: Tensor, log_weights: Tensor) -> None:
    sums.total[rows] = torch.logaddexp(sums.total[rows], log_weights.logsumexp(1))
    sums.squared[rows] = torch.logaddexp(sums.squared[rows], (2 * log_weights).logsumexp(1))
    sums.number[rows] += log_weights.shape[1]


def from_encoder(joint: Joint, encoder: nn.Module, generator: torch.Generator | None) -> Weigh:
    """Return the proposal q(z|x), whose tails may be too thin.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> joint = Joint(torch.zeros(3, 5), vae.decoder, vae.prior)
        >>> from_encoder(joint, vae.encoder, None)(torch.arange(3), 4).shape
        torch.Size([3, 4])
    """

    def weigh(rows: Tensor, count: int) -> Tensor:
        posterior: Distribution = encoder(joint.x[rows])
        z = draw(posterior, (count,), generator)
        log_density: Tensor = posterior.log_prob(z)
        return _pairs(joint, rows, z.transpose(0, 1)) - log_density.mT

    return weigh


def from_prior(joint: Joint, generator: torch.Generator | None) -> Weigh:
    """Return the proposal p(z), the same draws for every x of a block.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> joint = Joint(torch.zeros(3, 5), vae.decoder, vae.prior)
        >>> from_prior(joint, None)(torch.arange(3), 4).shape
        torch.Size([3, 4])
    """

    def weigh(rows: Tensor, count: int) -> Tensor:
        z = joint.draw_prior(count, generator)
        weights: Tensor = joint.decoder(z.unsqueeze(1)).log_prob(joint.x[rows]).mT
        return weights

    return weigh


def defensive(
    joint: Joint, modes: Modes, posterior: Distribution, generator: torch.Generator | None
) -> Weigh:
    r"""Return a mixture that covers the posterior from several sides.

    `r(z) = sum_k w_k (0.45 N(m_k, L_k L_k^T) + 0.35 t_5(m_k, L_k L_k^T)) + 0.15 q_b(z|x) +
    0.05 p(z)`, with the modes m_k of p(z|x) in proportion to their masses, and q_b the encoder's
    q(z|x), its standard deviation times 1, 2 and 4. Every draw is weighed by the whole mixture, and
    each component gets its share of the draws exactly, up to rounding.

    Args:
        joint: the log joint density.
        modes: the modes of p(z|x).
        posterior: q(z|x), of the same samples.
        generator: the source of randomness.

    Returns:
        The proposal.

    Source:
        Hesterberg, "Weighted average importance sampling and defensive mixture distributions",
        1995; Owen and Zhou, "Safe and effective importance sampling", 2000.

    Example:
        >>> from pullback.models import VAE
        >>> from pullback.models.objectives.modes import find_modes
        >>> vae, x = VAE(5, 2), torch.zeros(3, 5)
        >>> joint = Joint(x, vae.decoder, vae.prior)
        >>> modes = find_modes(joint, vae.encode(x), torch.Generator().manual_seed(0))
        >>> mixture = defensive(joint, modes, vae.posterior(x), None)
        >>> mixture(torch.arange(3), 40).shape
        torch.Size([3, 40])
    """
    return _Mixture(joint, modes, posterior, generator)


class _Mixture:
    def __init__(
        self,
        joint: Joint,
        modes: Modes,
        posterior: Distribution,
        generator: torch.Generator | None,
    ) -> None:
        self.joint, self.modes, self.generator = joint, modes, generator
        self.mean, self.std = posterior.mean, posterior.stddev
        self.log_share = modes.log_mass.log_softmax(1)
        self.log_det = modes.log_det()

    def __call__(self, rows: Tensor, count: int) -> Tensor:
        z = self._draw(rows, count)
        flat, repeated = z.reshape(-1, z.shape[-1]), rows.repeat_interleave(count)
        log_density = self._log_density(repeated, flat)
        return (self.joint.at(repeated, flat) - log_density).reshape(len(rows), count)

    def _draw(self, rows: Tensor, count: int) -> Tensor:
        like = self.mean
        noise = self._random(torch.randn, (len(rows), count, like.shape[-1]))
        kinds, factors = self._kinds(len(rows), count)
        mode = self._random(torch.rand, (len(rows), count, 1))
        share = self.log_share[rows].exp().cumsum(1).unsqueeze(1)
        mode = (mode > share).sum(-1).clamp(max=share.shape[-1] - 1)
        heavy = torch.where(kinds == 1, self._scales((len(rows), count)), 1.0)
        factor = self.modes.factors[rows.unsqueeze(1), mode]
        local = (factor @ (heavy.unsqueeze(-1) * noise).unsqueeze(-1)).squeeze(-1)
        local = local + self.modes.points[rows.unsqueeze(1), mode]
        spread = factors.unsqueeze(-1) * self.std[rows].unsqueeze(1)
        broad = self.mean[rows].unsqueeze(1) + spread * noise
        prior = self.joint.draw_prior(len(rows) * count, self.generator).reshape(noise.shape)
        z = torch.where((kinds <= 1).unsqueeze(-1), local, broad)
        return torch.where((kinds == 3).unsqueeze(-1), prior, z)

    def _kinds(self, n: int, count: int) -> tuple[Tensor, Tensor]:
        """Say which component each draw is of, by its place, and the factor of the encoder's."""
        # One uniform shift a sample: the shares are exact, and no place is always left out.
        place = torch.arange(count, device=self.mean.device).to(self.mean)
        place = (place + self._random(torch.rand, (n, 1))) / count
        edges = torch.tensor(list(_SHARES.values()), device=place.device).to(place).cumsum(0)
        kinds = torch.bucketize(place, edges[:-1])
        factors = torch.tensor(_BROADENED, device=place.device).to(place)
        within = ((place - edges[1]) / _SHARES["encoder"] * len(factors)).long()
        return kinds, factors[within.clamp(0, len(factors) - 1)]

    def _scales(self, shape: tuple[int, ...]) -> Tensor:
        """Draw sqrt(nu / chi^2_nu), by which a normal draw becomes one of Student's t."""
        squares = self._random(torch.randn, (*shape, int(_FREEDOM))).square().sum(-1)
        return (_FREEDOM / squares).sqrt()

    def _random(self, make: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        like = self.mean
        return make(shape, generator=self.generator, dtype=like.dtype, device=like.device)

    def _log_density(self, rows: Tensor, z: Tensor) -> Tensor:
        d = z.shape[-1]
        quadratic = self.modes.quadratic(rows, z)
        base = self.log_share[rows] - self.log_det[rows]
        normal = (base - 0.5 * quadratic).logsumexp(1) - 0.5 * d * math.log(2 * math.pi)
        half = 0.5 * (_FREEDOM + d)
        constant = math.lgamma(half) - math.lgamma(0.5 * _FREEDOM)
        constant -= 0.5 * d * math.log(_FREEDOM * math.pi)
        heavy = (base - half * (quadratic / _FREEDOM).log1p()).logsumexp(1) + constant
        white = ((z - self.mean[rows]) / self.std[rows]).square().sum(-1)
        log_std = self.std[rows].log().sum(-1) + 0.5 * d * math.log(2 * math.pi)
        broad = torch.stack(
            [-0.5 * white / b**2 - log_std - d * math.log(b) for b in _BROADENED]
        ).logsumexp(0) - math.log(len(_BROADENED))
        parts = [normal, heavy, broad, self.joint.log_prior(z)]
        shares = [math.log(share) for share in _SHARES.values()]
        return torch.stack([p + s for p, s in zip(parts, shares, strict=True)]).logsumexp(0)


def _pairs(joint: Joint, rows: Tensor, z: Tensor) -> Tensor:
    """Compute the log joint of samples at points of their own `(m, S, d)`, shape `(m, S)`."""
    flat, repeated = z.reshape(-1, z.shape[-1]), rows.repeat_interleave(z.shape[1])
    return joint.at(repeated, flat).reshape(z.shape[:2])
