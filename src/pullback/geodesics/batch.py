"""Results of many problems at once, of which one or some can be taken by their place."""

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["Batch"]

_Self = TypeVar("_Self", bound="Batch")


class Batch:
    """A result of batch shape `(*batch,)`, which is a sequence over the first axis, as an array is.

    Example:
        >>> from pullback.geodesics import connect
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z, dim=2)
        >>> paths = connect(flat, torch.zeros(2).double(), torch.eye(2).double() * 3)
        >>> len(paths), paths[0].length.item(), [path.length.item() for path in paths[:1]]
        (2, 6.0, [6.0])
    """

    status: Tensor

    def __len__(self) -> int:
        """Return how many there are along the first axis of the batch."""
        if self.status.ndim == 0:
            raise TypeError(f"this {type(self).__name__} is a single one: it has no length")
        return len(self.status)

    def __bool__(self) -> bool:
        """Be true unless the batch is empty: a single result has no length, but counts as true."""
        return self.status.numel() > 0

    def __getitem__(self: _Self, index: Any) -> _Self:
        """Return one or some, by an integer, a slice, a mask, indices or a tuple of these."""
        batch = tuple(self.status.shape)
        places = torch.arange(self.status.numel(), device=self.status.device).reshape(batch)
        try:
            chosen = places[index]
        except (IndexError, TypeError) as error:
            raise IndexError(
                f"a {type(self).__name__} of batch shape {batch} has nothing at {index!r}: {error}"
            ) from error
        return self._at(chosen)

    def __iter__(self: _Self) -> Iterator[_Self]:
        """Go over the first axis of the batch."""
        return (self[i] for i in range(len(self)))

    def _at(self: _Self, places: Tensor) -> _Self:
        """Return those at places of the flattened batch, in the shape of `places`."""
        raise NotImplementedError
