"""The data a model is trained on: rows by index, from an array or from any `Dataset`."""

import hashlib
from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pullback.errors import InvalidDataError, cast_points, check_data, check_points
from pullback.shapes import Data

__all__ = ["Survey", "TrainingData"]

# Samples that are encoded, decoded or summed over at once outside of training steps: it bounds
# memory.
_BLOCK = 4096


class Survey(NamedTuple):
    """What one pass over the data finds.

    Attributes:
        minimum: the smallest value of each feature, `(D,)`.
        maximum: the largest value of each feature, `(D,)`.
        center: the mean of each feature, `(D,)`.
        scale: the root mean square of the standard deviations of the features.
        digest: a hash of all values.

    Example:
        >>> TrainingData([[0.0, 1.0], [2.0, 1.0]], 2, torch.zeros(())).survey().center
        tensor([1., 1.], dtype=torch.float64)
    """

    minimum: Tensor
    maximum: Tensor
    center: Tensor
    scale: Tensor
    digest: str


class TrainingData:
    """The rows of an array `(n, D)`, or the items of a map-style `Dataset` flattened into rows.

    An array is put on the device as a whole; of a dataset only the rows asked for are.

    Args:
        X: an array, a tensor, or a dataset whose items are x or tuples (x, ...).
        data_dim: the data dimension D.
        like: a tensor whose dtype and device the rows take.

    Raises:
        InvalidDataError: the data are not numeric, not finite, of the wrong shape or fewer than 2.

    Example:
        >>> data = TrainingData([[0, 1], [2, 3], [4, 5]], 2, torch.zeros(()))
        >>> data[torch.tensor([2, 0])]
        tensor([[4., 5.],
                [0., 1.]])
    """

    def __init__(self, X: Any, data_dim: int, like: Tensor) -> None:
        self._like = like
        self._data_dim = data_dim
        self._dataset: Any = None
        if isinstance(X, Dataset):
            if not isinstance(X, Sized):
                raise InvalidDataError(
                    "`X` must be a map-style Dataset with a length, but got an iterable one. "
                    "Give it `__len__` and `__getitem__`."
                )
            if len(X) < 2:
                raise InvalidDataError(f"`X` must have at least 2 samples, but got {len(X)}.")
            self._dataset = X
        else:
            self._rows = cast_points("X", check_data("X", X, dim=data_dim).detach(), like)

    def __len__(self) -> int:
        """Return the number of samples n."""
        return len(self._rows if self._dataset is None else self._dataset)

    def __getitem__(self, indices: Tensor) -> Data:
        """Return the rows `(b, D)` at indices `(b,)`."""
        if self._dataset is None:
            return self._rows[indices.to(self._rows.device)]
        rows = torch.stack([self._item(index) for index in indices.tolist()])
        rows = check_data("X", rows, dim=self._data_dim, min_samples=1)
        return cast_points("X", rows, self._like)

    def _item(self, index: int) -> Tensor:
        item = self._dataset[index]
        x = check_points("X", item[0] if isinstance(item, tuple | list) else item)
        if x.numel() != self._data_dim:
            raise InvalidDataError(
                f"`X` must have items of {self._data_dim} features, as the model has, but item "
                f"{index} has shape {tuple(x.shape)}."
            )
        return x.reshape(-1)

    def blocks(self, indices: Tensor | None = None, size: int = _BLOCK) -> Iterator[Tensor]:
        """Yield the rows at the indices, or all of them, in blocks `(<= size, D)` in order."""
        if indices is None:
            indices = torch.arange(len(self))
        for start in range(0, len(indices), size):
            yield self[indices[start : start + size]]

    def survey(self, check: Callable[[str, Tensor], None] | None = None) -> Survey:
        """Return range, moments and hash of the data, in one pass.

        Args:
            check: what refuses rows by their name and values, such as `Likelihood.check`.
        """
        digest = hashlib.sha256(f"{len(self)} {self._data_dim}".encode())
        minimum = self._like.new_full((self._data_dim,), torch.inf)
        maximum = -minimum
        n, center, squares = 0, torch.zeros(self._data_dim, dtype=torch.float64), 0.0
        for rows in self.blocks():
            if check is not None:
                check("X", rows)
            minimum = torch.minimum(minimum, rows.amin(0))
            maximum = torch.maximum(maximum, rows.amax(0))
            here = rows.cpu().contiguous()
            digest.update(here.numpy().tobytes())
            here = here.double()  # squares of single precision overflow at 1e19
            shift = here.mean(0) - center
            squares += float((here - here.mean(0)).square().sum())
            squares += float(shift.square().sum()) * n * len(here) / (n + len(here))
            n += len(here)
            center += shift * len(here) / n
        scale = torch.tensor(squares / (n * self._data_dim), dtype=torch.float64).sqrt()
        return Survey(minimum, maximum, center, scale, digest.hexdigest())
