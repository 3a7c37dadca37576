"""From a table to what a run works on: scaled, split into training and held-out samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.datasets import Table, split
from pullback.datasets.labels import listed
from pullback.datasets.split import why_not_stratified
from pullback.errors import InvalidDataError, check_choice

__all__ = ["SCALES", "RunData", "prepare"]

# The fewest samples of a run: fewer cannot be split into training, validation and held-out data.
_FEWEST = 10
SCALES = ("auto", "none", "standard")
"""What may be done to the features: `auto` standardises unless all of them lie in [0, 1]."""


@dataclass(frozen=True)
class RunData:
    """The data of a run, scaled, and which of the samples are held out.

    Attributes:
        X: the samples, float32 `(n, D)`: (raw - center) / scale.
        y: their labels, `(n,)`, or None.
        test: which samples are held out, booleans `(n,)`.
        center: what was subtracted from each feature, `(D,)`.
        scale: what each feature was divided by, `(D,)`.
        feature_names: the names of the features, `(D,)`.

    Example:
        >>> table = Table(np.eye(10) * 7, None, tuple("abcdefghij"))
        >>> prepare(table, scale="none", seed=0).X_test.shape
        (2, 10)
    """

    X: NDArray[Any]
    y: NDArray[Any] | None
    test: NDArray[Any]
    center: NDArray[Any]
    scale: NDArray[Any]
    feature_names: NDArray[Any]

    @property
    def X_train(self) -> NDArray[Any]:
        """The samples to learn from, `(n_train, D)`."""
        return np.asarray(self.X[~self.test])

    @property
    def X_test(self) -> NDArray[Any]:
        """The samples held out, `(n_test, D)`."""
        return np.asarray(self.X[self.test])

    @property
    def y_train(self) -> NDArray[Any] | None:
        """The labels of the samples to learn from, `(n_train,)`, or None."""
        return None if self.y is None else self.y[~self.test]

    @property
    def y_test(self) -> NDArray[Any] | None:
        """The labels of the samples held out, `(n_test,)`, or None."""
        return None if self.y is None else self.y[self.test]

    @property
    def is_unit_range(self) -> bool:
        """Whether all values lie in [0, 1]."""
        return bool(self.X.min() >= 0 and self.X.max() <= 1)


def prepare(
    table: Table,
    *,
    scale: str = "auto",
    seed: int = 0,
    test_fraction: float = 0.2,
    say: Callable[[str], None] = lambda line: None,
) -> RunData:
    """Split a table, keeping the share of each class if that is possible, and scale its features.

    Args:
        table: the data.
        scale: `"standard"` gives every feature mean 0 and standard deviation 1 over the training
            samples, `"none"` leaves them, `"auto"` leaves data within [0, 1] and standardises
            others.
        seed: seed of the split.
        test_fraction: the share held out, in (0, 1).
        say: takes a line if the classes are too small to keep their shares.

    Returns:
        The data of a run.

    Raises:
        InvalidParameterError: an unknown `scale`.
        InvalidDataError: there are fewer than ten samples, a feature is constant and cannot be
            standardised.

    Example:
        >>> X = np.arange(20.0).reshape(10, 2)
        >>> data = prepare(Table(X, None, ("a", "b")), seed=0)
        >>> np.allclose(data.X_train.mean(0), 0, atol=1e-6), data.center.shape
        (True, (2,))
    """
    check_choice("scale", scale, SCALES)
    X = np.asarray(table.X)
    if len(X) < _FEWEST:
        raise InvalidDataError(
            f"A run needs at least {_FEWEST} samples to learn from some and hold out others, but "
            f"the data have {len(X)}."
        )
    test = _held_out(len(X), table.y, test_fraction=test_fraction, seed=seed, say=say)
    unit_range = bool(X.min() >= 0 and X.max() <= 1)
    center, spread = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if scale == "standard" or (scale == "auto" and not unit_range):
        _refuse_constant(X[~test], table.feature_names, _cure_of_constants(X))
        center, spread = X[~test].mean(0), X[~test].std(0)
    scaled = ((X - center) / spread).astype(np.float32)
    names = np.asarray(table.feature_names, dtype=np.str_)
    return RunData(scaled, table.y, test, center, spread, names)


def _held_out(
    n: int,
    y: NDArray[Any] | None,
    *,
    test_fraction: float,
    seed: int,
    say: Callable[[str], None],
) -> NDArray[np.bool_]:
    """Choose the samples to hold out; small classes are no obstacle, for labels are optional."""
    why = "" if y is None else why_not_stratified(y, test_fraction=test_fraction)
    if why:
        say(f"Held out at random, whatever the class, for {why.split('. ')[0]}.")
    index = np.arange(n)
    classes = None if why else y
    parts = split(index, classes, test_fraction=test_fraction, random_state=seed)
    return np.isin(index, parts.X_test)


def _refuse_constant(X: NDArray[Any], names: tuple[str, ...], cure: str) -> None:
    # Not by the standard deviation: rounding makes that of 0.1, 0.1, ... a little more than 0.
    constant = np.flatnonzero(X.min(0) == X.max(0))
    if len(constant) == 0:
        return
    raise InvalidDataError(
        f"{len(constant)} of {len(names)} features are constant over the training samples "
        f"({listed(names[i] for i in constant)}), so they cannot be standardised and have nothing "
        f"to say: {cure}."
    )


def _cure_of_constants(X: NDArray[Any]) -> str:
    if X.min() >= 0 and X.max() <= 1:
        return "drop them or leave the data as they are with `--scale none`"
    if X.min() >= 0 and X.max() <= 255 and bool((np.round(X) == X).all()):
        return (
            "drop them, or if they are pixels from 0 to 255, divide by 255 or use values in "
            "[0, 1], which are not standardised"
        )
    return "drop them"
