"""Counts with more zeros than a negative binomial has: the usual likelihood of single-cell data."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from pullback.models.likelihoods.readings import reading_of, register_reading

__all__ = ["ZeroInflatedNegativeBinomial"]


class ZeroInflatedNegativeBinomial(Distribution):
    r"""A count that is 0 with probability pi, and else negative binomial.

    p(x) = pi [x = 0] + (1 - pi) NB(x; m, theta), the negative binomial having mean m and variance
    m + m^2 / theta.

    Args:
        count_mean: m > 0, the mean of the negative binomial; `mean` is that of the whole.
        dispersion: theta > 0; counts become Poisson as it grows.
        logits: log(pi / (1 - pi)) of the extra zeros.
        validate_args: whether to check the arguments' values; torch's own default if None.

    Source:
        Lopez, Regier, Cole, Jordan, Yosef, Deep generative modeling for single-cell
        transcriptomics (2018).

    Example:
        >>> p = ZeroInflatedNegativeBinomial(3.0, 2.0, torch.tensor([0.0]))
        >>> p.mean.item(), p.variance.item()
        (1.5, 6.0)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "count_mean": constraints.positive,
        "dispersion": constraints.positive,
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        count_mean: Tensor | float,
        dispersion: Tensor | float,
        logits: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.count_mean, self.dispersion, self.logits = broadcast_all(
            count_mean, dispersion, logits
        )
        super().__init__(self.logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ZeroInflatedNegativeBinomial":
        """Return the distribution with its parameters expanded to a batch shape.

        Args:
            batch_shape: the new batch shape.
            _instance: not used: a subclass has to expand itself.
        """
        mean, dispersion, logits = (
            parameter.expand(batch_shape)
            for parameter in (self.count_mean, self.dispersion, self.logits)
        )
        return ZeroInflatedNegativeBinomial(mean, dispersion, logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean (1 - pi) m."""
        return torch.sigmoid(-self.logits) * self.count_mean

    @property
    def variance(self) -> Tensor:
        """The variance (1 - pi) (m + m^2 / theta + pi m^2)."""
        excess = 1 / self.dispersion + torch.sigmoid(self.logits)
        return self.mean * (1 + self.count_mean * excess)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log p(x).

        Args:
            value: counts x, of a shape that broadcasts with the batch shape.
        """
        if self._validate_args:
            self._validate_sample(value)
        zero = value == 0
        extra, counted = logsigmoid(self.logits), logsigmoid(-self.logits)
        # Where x is 0 the terms of the count's log-probability cancel: it has a formula of its own
        # there.
        x = torch.where(zero, 1.0, value.to(self.logits))
        at_zero = -self.dispersion * torch.log1p(self.count_mean / self.dispersion)
        choices = (
            torch.lgamma(x + self.dispersion) - torch.lgamma(self.dispersion) - torch.lgamma(x + 1)
        )
        share = torch.log(self.count_mean) - torch.log(self.count_mean + self.dispersion)
        positive = counted + at_zero + choices + x * share
        return torch.where(zero, torch.logaddexp(extra, counted + at_zero), positive)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw counts.

        Args:
            sample_shape: the shape S of draws, `(*S, *batch)` in all.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            theta = self.dispersion.expand(shape)
            rate = torch._standard_gamma(theta) * (self.count_mean / self.dispersion)
            counted = torch.rand_like(rate) >= torch.sigmoid(self.logits)
            return torch.where(counted, torch.poisson(rate), 0.0)


register_reading(
    "zero_inflated_negative_binomial",
    reading_of(ZeroInflatedNegativeBinomial, "count_mean", "dispersion", "logits"),
    "mean, dispersion, logits of the extra zeros",
)
