"""The Poisson likelihood of counts."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Poisson

from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.counts import check_counts
from pullback.models.likelihoods.readings import reading_of
from pullback.models.standardization import COUNT_UNIT
from pullback.shapes import Ambient, Data, Latent

__all__ = ["PoissonLikelihood"]


class PoissonLikelihood(Likelihood, name="poisson"):
    """The likelihood of counts p(x|z) = prod_j Poisson(x_j; m_j), the features being log m.

    There is no exposure beside it: how much of a sample was counted, as the depth to which a cell
    was sequenced, is part of x, and the latent space has to tell it. Where it should not, bring the
    samples to one depth first.

    Example:
        >>> import torch
        >>> PoissonLikelihood()(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0]
        tensor(1.)
    """

    support = (0.0, float("inf"))
    unit = COUNT_UNIT
    families = (Poisson,)
    reading = (reading_of(Poisson, "rate"), "rate")

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Poisson distributions with these log means."""
        poisson = Poisson(features.exp(), validate_args=False)
        return Independent(poisson, 1, validate_args=False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what is no whole number >= 0, see `Likelihood.check`."""
        check_counts(name, x)

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return 2 sqrt(rate), whose metric is the Fisher information."""
        # A rate that underflows has no derivative under the root: the shift changes no other rate.
        rate: Tensor = p.rate
        return 2 * torch.sqrt(rate + torch.finfo(rate.dtype).tiny ** 0.5)
