"""The beta-binomial likelihood: successes among trials whose rate itself scatters."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Binomial, Distribution, Independent, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from pullback.errors import InvalidDataError, check_integer
from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.counts import check_counts
from pullback.models.likelihoods.readings import reading_of
from pullback.models.standardization import LOGIT_UNIT
from pullback.shapes import Data, Latent

__all__ = ["BetaBinomial", "BetaBinomialLikelihood"]

# The smallest share of successes, and of failures, that a feature starts from which had none of
# them in the training data: its logit would be infinite.
_RARE = 1e-3


class BetaBinomial(Distribution):
    r"""The number of successes in n trials whose rate is drawn from Beta(c p, c (1 - p)).

    p(x) = binom(n, x) B(c p + x, c (1 - p) + n - x) / B(c p, c (1 - p)), of mean n p and variance
    n p (1 - p) (c + n) / (c + 1).

    Args:
        total_count: n >= 1.
        logits: log(p / (1 - p)).
        concentration: c > 0; successes become binomial as it grows.
        validate_args: whether to check the arguments' values; torch's own default if None.

    Source:
        Skellam, A probability distribution derived from the binomial distribution by regarding the
        probability of success as variable between the sets of trials (1948).

    Example:
        >>> p = BetaBinomial(4, torch.tensor(0.0), 2.0)
        >>> p.mean.item(), p.variance.item()
        (2.0, 2.0)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "total_count": constraints.positive_integer,
        "logits": constraints.real,
        "concentration": constraints.positive,
    }
    has_rsample = False

    def __init__(
        self,
        total_count: Tensor | int,
        logits: Tensor,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        total_count, self.logits, self.concentration = broadcast_all(
            total_count, logits, concentration
        )
        self.total_count: Tensor = total_count.to(self.logits)
        super().__init__(self.logits.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The whole numbers from 0 to n."""
        return constraints.integer_interval(0, self.total_count)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "BetaBinomial":
        """Return the distribution with its parameters expanded to a batch shape."""
        n, logits, c = (
            part.expand(batch_shape) for part in (self.total_count, self.logits, self.concentration)
        )
        return BetaBinomial(n, logits, c, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean n p."""
        return self.total_count * torch.sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        """The variance n p (1 - p) (c + n) / (c + 1)."""
        spread = (self.concentration + self.total_count) / (self.concentration + 1)
        return self.mean * torch.sigmoid(-self.logits) * spread

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log p(x), for x of a shape that broadcasts with the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        # In double precision: where c is large, or p near 0 or 1, large gammas cancel.
        n, c, logits, x = (
            part.double() for part in (self.total_count, self.concentration, self.logits, value)
        )
        a, b = c * torch.sigmoid(logits), c * torch.sigmoid(-logits)
        choices = torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
        log_prob = choices + _log_beta(a + x, b + (n - x)) - _log_beta(a, b)
        return log_prob.to(self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw numbers of successes, `(*sample_shape, *batch)`."""
        c = self.concentration.expand(self._extended_shape(torch.Size(sample_shape)))
        a, b = c * torch.sigmoid(self.logits), c * torch.sigmoid(-self.logits)
        rate = torch.distributions.Beta(a, b, validate_args=False).sample()
        n = self.total_count.expand_as(rate)
        successes: Tensor = Binomial(n, probs=rate, validate_args=False).sample()
        return successes


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


class BetaBinomialLikelihood(Likelihood, name="beta_binomial"):
    """The likelihood p(x|z) = prod_j BetaBinomial(x_j; n, p_j, c_j), the features telling logits.

    For shares of a known number of trials that scatter wider than a binomial: methylated among
    sequenced reads, correct among given answers. c_j > 0 is one learnt number for each feature that
    does not depend on z. The features are added to the logits of the training data's mean shares.

    Args:
        data_dim: the data dimension D.
        n_trials: the number of trials n >= 1, the same for all samples and features.

    Attributes:
        log_concentration: log c, `(D,)`.

    Raises:
        InvalidParameterError: D or n is no integer >= 1.

    Example:
        >>> likelihood = BetaBinomialLikelihood(5, n_trials=10)
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0].item()
        5.0
    """

    support = (0.0, float("inf"))
    unit = LOGIT_UNIT
    families = (BetaBinomial,)
    reading = (
        reading_of(BetaBinomial, "total_count", "logits", "concentration"),
        "number of trials, logits, concentration",
    )
    offset: Tensor

    def __init__(self, data_dim: int, n_trials: int) -> None:
        super().__init__()
        self.n_trials = check_integer("n_trials", n_trials)
        self.log_concentration = nn.Parameter(torch.zeros(check_integer("data_dim", data_dim)))
        self.register_buffer("offset", torch.zeros(data_dim))

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of beta-binomial distributions with these logits."""
        logits, concentration = features + self.offset, self.log_concentration.exp()
        n = torch.full_like(logits, self.n_trials)
        successes = BetaBinomial(n, logits, concentration, validate_args=False)
        return Independent(successes, 1, validate_args=False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what are no whole numbers from 0 to n, see `Likelihood.check`."""
        check_counts(name, x)
        most = float(x.max()) if x.numel() else 0.0
        if most > self.n_trials:
            raise InvalidDataError(
                f"`{name}` must hold numbers of successes among n_trials = {self.n_trials} trials, "
                f"but the largest is {most:g}. Give the right `n_trials`."
            )

    @torch.no_grad()
    def set_unit(self, center: Tensor, scale: Tensor) -> None:
        """Begin from the mean share of each feature, see `Likelihood.set_unit`."""
        self.offset.copy_(torch.logit((center / self.n_trials).clamp(_RARE, 1 - _RARE)))

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return logit p, log c, and n, which never moves."""
        return torch.stack([p.logits, p.concentration.log(), p.total_count], -1)

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        r"""Sum the products of scores over all numbers of successes.

        With a = c p and b = c (1 - p), log p(x) is a sum of log(a + k) over k < x, of log(b + k)
        over k < n - x, and of -log(c + k) over k < n, so the scores are sums of inverses.
        """
        logits, c, n = x[..., :1], x[..., 1:2].exp(), x[..., 2:]
        most = round(float(n.detach().nan_to_num().amax())) if n.numel() else 0
        k = torch.arange(most, dtype=x.dtype, device=x.device)
        inside, left = k < n - 0.5, _left(n, most)
        p, q = torch.sigmoid(logits), torch.sigmoid(-logits)
        of_a, of_b, of_c = (_sums(inside / (part + k)) for part in (c * p, c * q, c))
        of_b = of_b.gather(-1, left)
        rate = c * p * q * (of_a - of_b)
        spread = c * (p * of_a + q * of_b - of_c[..., -1:])
        weight = _probabilities(logits, c, n, inside, left)
        along = weight * (rate * v[..., :1] + spread * v[..., 1:2])
        pulled = (along * rate).sum(-1), (along * spread).sum(-1)
        return torch.stack([*pulled, 0 * v[..., 2] + 0 * x[..., 2]], -1)


def _sums(terms: Tensor) -> Tensor:
    """Sum the first 0, 1, ... terms."""
    return torch.cat([torch.zeros_like(terms[..., :1].sum(-1, keepdim=True)), terms.cumsum(-1)], -1)


def _left(n: Tensor, most: int) -> Tensor:
    """Return n - x for x = 0, 1, ..., most, or 0 where that is negative."""
    x = torch.arange(most + 1, dtype=n.dtype, device=n.device)
    return (n.detach().nan_to_num() - x).round().clamp(min=0).long()


def _probabilities(logits: Tensor, c: Tensor, n: Tensor, inside: Tensor, left: Tensor) -> Tensor:
    """Compute the probabilities of 0, 1, ... successes, without the cancellation of gammas."""
    k = torch.arange(inside.shape[-1], dtype=c.dtype, device=c.device)
    log_c = c.log()
    low = _log_rising(logsigmoid(logits) + log_c, c * torch.sigmoid(logits), k, inside)
    high = _log_rising(logsigmoid(-logits) + log_c, c * torch.sigmoid(-logits), k, inside)
    choices = _sums(torch.where(inside, torch.log((n - k).clamp(min=1) / (k + 1)), 0.0))
    total = choices + low + high.gather(-1, left)
    x = torch.arange(inside.shape[-1] + 1, dtype=c.dtype, device=c.device)
    return torch.softmax(torch.where(x < n + 0.5, total, -torch.inf), -1)


def _log_rising(log_a: Tensor, a: Tensor, k: Tensor, inside: Tensor) -> Tensor:
    """Compute the logarithms of a (a + 1) ... (a + x - 1), for x = 0, 1, ..., n.

    The first factor comes by its logarithm, for a may underflow.
    """
    terms = torch.cat([log_a, torch.log(a + k[1:])], -1)[..., : len(k)]
    return _sums(torch.where(inside, terms, 0.0))
