"""Data to learn from, and data held out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_integer, check_number

__all__ = ["Split", "split", "why_not_stratified"]


class Split(NamedTuple):
    """Two disjoint parts of a data set that together are the whole.

    Args:
        X_train: samples to learn from, `(n_train, D)`.
        X_test: samples held out, `(n_test, D)`.
        y_train: their labels, `(n_train,)`, or None.
        y_test: their labels, `(n_test,)`, or None.

    Example:
        >>> import numpy as np
        >>> import pullback as pb
        >>> parts = pb.datasets.split(np.eye(10), test_fraction=0.3, random_state=0)
        >>> parts.X_train.shape, parts.X_test.shape, parts.y_train
        ((7, 10), (3, 10), None)
    """

    X_train: NDArray[Any]
    X_test: NDArray[Any]
    y_train: NDArray[Any] | None
    y_test: NDArray[Any] | None

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def split(
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    test_fraction: float = 0.2,
    random_state: int | None = None,
) -> Split:
    """Hold out a random part of the data, with the same share of each class where there are labels.

    Args:
        X: samples, `(n, ...)`, n >= 2.
        y: their labels, `(n,)`, each at least twice, or None.
        test_fraction: the share held out, in (0, 1); at least one sample is on each side.
        random_state: seed of the choice, in [0, 2^32); if None, a fresh one.

    Returns:
        The two parts, as a `Split`.

    Raises:
        InvalidParameterError: `test_fraction` or `random_state` is outside its range.
        InvalidDataError: there are too few samples, or too few of a class to have it on both sides.

    Example:
        >>> import pullback as pb
        >>> X, y = pb.datasets.digits((0, 1))
        >>> X_train, X_test, y_train, y_test = pb.datasets.split(X, y, random_state=0)
        >>> len(X), len(X_train), len(X_test)
        (360, 288, 72)
    """
    from sklearn.model_selection import train_test_split

    X = np.asarray(X)
    n_test = _n_test(len(X), test_fraction)
    if random_state is not None:
        random_state = check_integer("random_state", random_state, 0, 2**32 - 1)
    if y is None:
        X_train, X_test = train_test_split(X, test_size=n_test, random_state=random_state)
        return Split(X_train, X_test, None, None)
    y = np.asarray(y)
    if y.shape != (len(X),):
        raise InvalidDataError(
            f"`y` must hold one label for each of the {len(X)} samples, but its shape is {y.shape}."
        )
    if why := why_not_stratified(y, test_fraction=test_fraction):
        raise InvalidDataError(f"Both sides of a split must have every class, but {why}")
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=n_test, random_state=random_state, stratify=y
    )
    return Split(X_train, X_test, y_train, y_test)


def why_not_stratified(y: ArrayLike, *, test_fraction: float = 0.2) -> str:
    """Say why not every class can be on both sides of a split, and what to do; empty if it can.

    Args:
        y: the labels, `(n,)`, n >= 2.
        test_fraction: the share held out, in (0, 1).

    Raises:
        InvalidParameterError: `test_fraction` is outside its range.
        InvalidDataError: there are fewer than two samples.

    Example:
        >>> why_not_stratified([0, 0, 0, 1, 1])
        '`y` has 2 classes and one side 1 sample(s). Move `test_fraction` towards 0.5, or ...'
        >>> why_not_stratified([0, 0, 1, 1], test_fraction=0.5)
        ''
    """
    y = np.asarray(y)
    n_test = _n_test(len(y), test_fraction)
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        return f"class {classes[counts.argmin()]!s} has 1 sample. Drop it, or split without `y`."
    smaller = min(n_test, len(y) - n_test)
    if smaller < len(classes):
        return (
            f"`y` has {len(classes)} classes and one side {smaller} sample(s). "
            "Move `test_fraction` towards 0.5, or split without `y`."
        )
    return ""


def _n_test(n: int, test_fraction: float) -> int:
    check_number("test_fraction", test_fraction, 0, np.nextafter(1, 0), open_low=True)
    if n < 2:
        raise InvalidDataError(f"`X` must have at least 2 samples to be split, but has {n}.")
    return min(max(round(n * test_fraction), 1), n - 1)
