"""A data matrix with its labels and the names of its features, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.datasets.labels import listed, whole_or_text
from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_data

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """A finite data matrix with a name for each feature and, perhaps, a label for each sample.

    Args:
        X: the samples, float32 or float64 `(n, D)`.
        y: the labels, `(n,)` of int64 or str, or None: whole numbers beyond int64 are text.
        feature_names: D names.

    Example:
        >>> import numpy as np
        >>> import pullback as pb
        >>> table = pb.datasets.Table(np.eye(3), None, ("a", "b", "c"))
        >>> table.X.shape
        (3, 3)
    """

    X: NDArray[Any]
    y: NDArray[Any] | None
    feature_names: tuple[str, ...]

    __repr__ = as_line
    _repr_html_ = as_html

    @classmethod
    def checked(
        cls, source: str, X: NDArray[Any], y: NDArray[Any] | None, names: Iterable[str] | None
    ) -> Table:
        """Return a table of native floating-point numbers, or raise.

        Args:
            source: where the data come from, for the messages.
            X: the samples, `(n, D)` with n >= 2 and D >= 1.
            y: the labels, `(n,)`, or None.
            names: D names; x0, x1, ... if None.

        Raises:
            InvalidDataError: the data are no finite matrix of at least two samples, or the labels
                are not whole numbers or text, one for each sample.
        """
        X = _as_matrix(source, X)
        if names is None:
            names = [f"x{i}" for i in range(X.shape[-1])]
        names = tuple(names)
        if X.ndim == 2:
            _refuse_gaps(source, X, names)
        X = check_data(source, X).numpy()
        return cls(X, None if y is None else _as_labels(source, y, len(X)), names)


def _as_matrix(source: str, X: NDArray[Any]) -> NDArray[Any]:
    if X.dtype.kind not in "biuf":
        raise InvalidDataError(
            f"{source} must hold real numbers, but its data are of type {X.dtype}. "
            "Convert or drop what is no number."
        )
    if X.ndim == 0:
        raise InvalidDataError(
            f"{source} must have shape (n_samples, n_features), but got (): it is a single number."
        )
    if X.shape[-1] == 0:
        raise InvalidDataError(f"{source} has no features: its data have shape {X.shape}.")
    single = X.dtype.kind == "f" and X.dtype.itemsize <= 4
    with np.errstate(over="ignore"):  # it becomes infinite, which is refused later
        return X.astype(np.float32 if single else np.float64)


def _refuse_gaps(source: str, X: NDArray[Any], names: tuple[str, ...]) -> None:
    gaps = ~np.isfinite(X)
    if not gaps.any():
        return
    rows, columns = np.flatnonzero(gaps.any(axis=1)), np.flatnonzero(gaps.any(axis=0))
    raise InvalidDataError(
        f"{source} has {gaps.sum()} entries that are missing, NaN or infinite, in column(s) "
        f"{listed(names[i] for i in columns)} and row(s) {listed(rows)} (counted from 0, without "
        "the line of names). Drop these rows or columns, or impute the entries."
    )


def _as_labels(source: str, y: NDArray[Any], n: int) -> NDArray[Any]:
    if y.shape != (n,):
        raise InvalidDataError(
            f"{source} has {n} samples, so its labels must have shape ({n},), but they have "
            f"{y.shape}. Give one label for each sample."
        )
    return whole_or_text(source, y)
