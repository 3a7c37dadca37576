"""Likelihoods p(x|z): what turns the features of a decoder into a distribution.

A likelihood is a module `forward(features, z) -> Distribution` over one observation. To add one,
write a class here and name it in `LIKELIHOODS`.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from pullback.shapes import Data, Latent

__all__ = ["LIKELIHOODS", "BernoulliLikelihood", "Likelihood", "NormalLikelihood"]


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z); subclasses write `forward`.

    Distributions are built with `validate_args=False`, for they must work under `torch.func`,
    where the values of a tensor cannot be looked at.

    Example:
        >>> class Unit(Likelihood):
        ...     def forward(self, features, z):
        ...         return Independent(Normal(features, 1.0, validate_args=False), 1)
    """

    support: tuple[float, float] = (float("-inf"), float("inf"))
    """The interval that observations must lie in."""

    @abstractmethod
    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return p(x|z) with event shape (D,), from features `(*batch, D)` at z `(*batch, d)`."""


class NormalLikelihood(Likelihood):
    """The likelihood p(x|z) = N(mu(z), diag sigma(z)^2), the features being mu(z).

    Args:
        std: a module that maps z `(*batch, d)` to standard deviations sigma `(*batch, D)`.

    Example:
        >>> import torch
        >>> from pullback.models import ConstantStd
        >>> likelihood = NormalLikelihood(ConstantStd(5, 0.1))
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).stddev.shape
        torch.Size([3, 5])
    """

    def __init__(self, std: nn.Module) -> None:
        super().__init__()
        self.std = std

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return N(features, diag std(z)^2)."""
        std: Tensor = self.std(z)
        normal = Normal(features, std, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class BernoulliLikelihood(Likelihood):
    """The likelihood p(x|z) = prod_j p_j^x_j (1 - p_j)^(1 - x_j), the features being logits of p.

    Grey values between 0 and 1 are read as probabilities, as the field does for images.

    Example:
        >>> import torch
        >>> BernoulliLikelihood()(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0]
        tensor(0.5000)
    """

    support = (0.0, 1.0)

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Bernoulli distributions with these logits."""
        bernoulli = Bernoulli(logits=features, validate_args=False)
        return Independent(bernoulli, 1, validate_args=False)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "normal": NormalLikelihood,
}
"""The likelihoods by the names that `VAE(likelihood=...)` takes."""
