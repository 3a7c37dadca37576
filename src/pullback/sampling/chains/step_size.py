"""Step sizes that chains find while they burn in."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.shapes import Scalars

__all__ = ["StepSize"]

# The constants of dual averaging, as in Hoffman and Gelman: gamma says how fast step sizes follow,
# the delay damps the first ones, and kappa says how fast old ones are forgotten.
_GAMMA, _DELAY, _KAPPA = 0.05, 10, 0.75
# The search begins with steps so many times the first guess, as Hoffman and Gelman advise: a step
# that is too large shows at once, one that is too small does not.
_BOLD = 10.0


class StepSize(NamedTuple):
    r"""The step size of each chain, adapted by dual averaging to a share of accepted steps.

    After t steps with acceptance probabilities a_s, log eps = mu - sqrt(t) / gamma H_t with
    H_t = (1 - 1 / (t + 10)) H_t-1 + (target - a_t) / (t + 10); what is kept at the end is the
    average of the log eps with weights t^-kappa.

    Attributes:
        log_step: log eps to try next, shape `(chains,)`.
        log_average: the averaged log eps, shape `(chains,)`.
        error: H_t, shape `(chains,)`.
        log_origin: mu, that the search starts from, shape `(chains,)`.
        n_updates: t, shape `(chains,)`.

    Source:
        Hoffman and Gelman, The No-U-Turn Sampler (2014), section 3.2.

    Example:
        >>> size = StepSize.start(torch.ones(1), 1.0)
        >>> for _ in range(500):  # a method that accepts exp(-eps)
        ...     size = size.update(torch.exp(-size.log_step.exp()), target=0.5)
        >>> round(size.adapted.item(), 1)  # log 2
        0.7
    """

    log_step: Tensor
    log_average: Tensor
    error: Tensor
    log_origin: Tensor
    n_updates: Tensor

    @classmethod
    def start(cls, like: Scalars, step_size: float) -> "StepSize":
        """Begin with a first guess for every chain.

        Args:
            like: one number for each chain, for the dtype and the device.
            step_size: eps > 0.
        """
        log_step = torch.full_like(like, math.log(step_size))
        zero = torch.zeros_like(like)
        return cls(log_step, log_step.clone(), zero, log_step + math.log(_BOLD), zero)

    @property
    def adapted(self) -> Scalars:
        """The step sizes to go on with, shape `(chains,)`."""
        return self.log_average.exp()

    def update(self, acceptance: Scalars, *, target: float) -> "StepSize":
        """Learn from a step.

        Args:
            acceptance: the probability with which it was accepted, shape `(chains,)`.
            target: what the mean of it should be.
        """
        t = self.n_updates + 1
        share = 1 / (t + _DELAY)
        error = (1 - share) * self.error + share * (target - acceptance)
        log_step = self.log_origin - t.sqrt() / _GAMMA * error
        weight = t**-_KAPPA
        log_average = weight * log_step + (1 - weight) * self.log_average
        return StepSize(log_step, log_average, error, self.log_origin, t)
