"""Sequences of letters, each a row with a one in the letter's place: a distribution over them."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, OneHotCategorical
from torch.nn.functional import one_hot

from pullback.shapes import Data

__all__ = ["OneHotSequence"]

_Shape = torch.Size | list[int] | tuple[int, ...]


class OneHotSequence(Independent[OneHotCategorical]):
    """A sequence of independent letters, one-hot and flattened: `Independent` of event (L K,).

    Args:
        logits: unnormalised log probabilities of the letters, `(*batch, L, K)`.

    Example:
        >>> OneHotSequence(torch.zeros(7, 4, 3)).event_shape
        torch.Size([12])
    """

    def __init__(self, logits: Tensor) -> None:
        letters = OneHotCategorical(logits=logits, validate_args=False)
        super().__init__(letters, 1, validate_args=False)
        self._event_shape = torch.Size([logits.shape[-2] * logits.shape[-1]])

    @property
    def logits(self) -> Tensor:
        """The log probabilities of the letters, `(*batch, L, K)`."""
        logits: Tensor = self.base_dist.logits
        return logits

    @property
    def mean(self) -> Data:
        """The probabilities, `(*batch, L K)`."""
        return self.logits.exp().flatten(-2)

    @property
    def variance(self) -> Data:
        """The variances p (1 - p), `(*batch, L K)`."""
        return self.mean * (1 - self.mean)

    @property
    def mode(self) -> Data:
        """The likeliest sequence, `(*batch, L K)`."""
        letters = one_hot(self.logits.argmax(-1), self.logits.shape[-1])
        return letters.to(self.logits).flatten(-2)

    def expand(self, batch_shape: _Shape, _instance: Any = None) -> "OneHotSequence":
        """Return the distribution with a larger batch shape."""
        return OneHotSequence(self.logits.expand(*batch_shape, *self.logits.shape[-2:]))

    def sample(self, sample_shape: _Shape = torch.Size()) -> Data:  # noqa: B008
        """Draw sequences, `(*sample_shape, *batch, L K)`."""
        letters: Tensor = super().sample(sample_shape)
        return letters.flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability of sequences `(..., L K)`, broadcast with the batch."""
        chosen: Tensor = value.unflatten(-1, self.logits.shape[-2:]) * self.logits
        return chosen.sum((-1, -2))
