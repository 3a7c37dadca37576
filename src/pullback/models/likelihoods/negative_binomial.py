"""The negative binomial likelihood of counts, with a learnt dispersion."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, NegativeBinomial

from pullback.errors import check_integer
from pullback.models.likelihoods.base import Information, Likelihood
from pullback.models.likelihoods.counts import check_counts
from pullback.models.likelihoods.distributions.dispersion import dispersion_information
from pullback.models.standardization import COUNT_UNIT
from pullback.shapes import Ambient, Data, Latent, Scalars

__all__ = [
    "NegativeBinomialLikelihood",
    "asinh_of_root_odds",
    "fixed_dispersion_information",
    "negative_binomial_information",
]


def asinh_of_root_odds(logits: Scalars) -> Scalars:
    """Compute asinh(exp(logits / 2)) without overflow.

    Example:
        >>> asinh_of_root_odds(torch.tensor(2000.0)).item()  # 1000 + log 2
        1000.693...
    """
    x = logits / 2
    below = torch.asinh(torch.exp(torch.where(x > 0, 0.0, x)))
    far = torch.where(x > 0, x, 0.0)
    above = far + torch.log1p(torch.sqrt(1 + torch.exp(-2 * far)))
    return torch.where(x > 0, above, below)


def negative_binomial_information(x: Tensor, v: Tensor) -> Tensor:
    """Compute I(x) v for blocks x = (u, log theta), with u = asinh sqrt(mean / theta).

    Args:
        x: parameters, `(*batch, n, 2)`.
        v: tangent vectors, `(*batch, n, 2)`.

    Returns:
        I(x) v, `(*batch, n, 2)`.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> negative_binomial_information(x, torch.tensor([[1.0, 0.0]]))[..., 0]
        tensor([4.])
    """
    own = dispersion_information(torch.sinh(x[..., 0]).square(), x[..., 1]) * v[..., 1]
    seen = fixed_dispersion_information(x, v)
    return torch.stack([seen[..., 0], seen[..., 1] + own], -1)


def fixed_dispersion_information(x: Tensor, v: Tensor) -> Tensor:
    """Compute the same where log theta does not move, see `negative_binomial_information`.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> fixed_dispersion_information(x, torch.tensor([[1.0, 0.0]]))[..., 0]
        tensor([4.])
    """
    # Mean and dispersion are orthogonal: d log mean = 2 coth(u) (du + tanh(u) / 2 d log theta).
    # Where theta is fixed, the space is flat in u.
    theta, tilt = x[..., 1].exp(), torch.tanh(x[..., 0]) / 2
    pull = 4 * theta * (v[..., 0] + tilt * v[..., 1])
    return torch.stack([pull, tilt * pull], -1)


def _read(mean: Tensor, dispersion: Tensor) -> Distribution:
    return NegativeBinomial(dispersion, logits=mean.log() - dispersion.log(), validate_args=False)


class NegativeBinomialLikelihood(Likelihood, name="negative_binomial"):
    """The likelihood p(x|z) = prod_j NB(x_j; m_j, t_j) of counts that scatter wider than Poisson's.

    The features are log m, and t_j > 0, the dispersion, is one learnt number for each feature that
    does not depend on z: `Var[x_j] = m_j + m_j^2 / t_j`, Poisson's for t_j -> infinity. There is no
    exposure, see `PoissonLikelihood`.

    Args:
        data_dim: the data dimension D.

    Attributes:
        log_dispersion: log t, `(D,)`.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> likelihood = NegativeBinomialLikelihood(5)
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).variance[0, 0].item()
        2.0
    """

    support = (0.0, float("inf"))
    unit = COUNT_UNIT
    families = (NegativeBinomial,)
    reading = (_read, "mean, dispersion")
    held = ("total_count",)
    held_information: ClassVar[dict[int, Information]] = {1: fixed_dispersion_information}

    def __init__(self, data_dim: int) -> None:
        super().__init__()
        self.log_dispersion = nn.Parameter(torch.zeros(check_integer("data_dim", data_dim)))

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of negative binomial distributions with these log means."""
        logits = features - self.log_dispersion  # of m / (m + t)
        counts = NegativeBinomial(
            self.log_dispersion.exp().expand_as(logits), logits=logits, validate_args=False
        )
        return Independent(counts, 1, validate_args=False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what is no whole number >= 0, see `Likelihood.check`."""
        check_counts(name, x)

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return 2 sqrt(theta) u, the Fisher-Rao metric's image where theta is fixed."""
        root: Tensor = p.total_count.sqrt()
        return 2 * root * asinh_of_root_odds(p.logits)

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return u = asinh sqrt(mean / theta) and log theta."""
        return torch.stack([asinh_of_root_odds(p.logits), p.total_count.log()], -1)

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        """Compute I(x) v, see `negative_binomial_information`."""
        return negative_binomial_information(x, v)
