"""The Bernoulli likelihood, of zeros and ones and of grey values between them."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.readings import reading_of
from pullback.shapes import Ambient, Data, Latent

__all__ = ["BernoulliLikelihood"]


class BernoulliLikelihood(Likelihood, name="bernoulli"):
    """The likelihood p(x|z) = prod_j p_j^x_j (1 - p_j)^(1 - x_j), the features being logits of p.

    Grey values between 0 and 1 are read as probabilities, as the field does for images.

    Example:
        >>> import torch
        >>> BernoulliLikelihood()(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0]
        tensor(0.5000)
    """

    support = (0.0, 1.0)
    families = (Bernoulli,)
    reading = (reading_of(Bernoulli, "logits"), "logits")

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Bernoulli distributions with these logits."""
        bernoulli = Bernoulli(logits=features, validate_args=False)
        return Independent(bernoulli, 1, validate_args=False)

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return 2 arcsin sqrt(p), whose metric is the Fisher information, safe at both ends."""
        # Of exp(logit / 2) and its inverse the smaller one is taken: the other may overflow.
        logits: Tensor = p.logits
        angle = 2 * torch.atan(torch.exp(torch.where(logits > 0, -logits, logits) / 2))
        return torch.where(logits > 0, torch.pi - angle, angle)
