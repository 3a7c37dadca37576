"""Labels as they were written: no two of them become one, and none becomes missing."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype

from pullback.errors import InvalidDataError

__all__ = ["labels_of_column", "labels_of_text", "listed", "whole_or_text"]

# The smallest and the largest label that can be kept as a number: those of 64-bit integers.
_LONGEST = np.iinfo(np.int64)
# A label that is a number as written. One with leading zeros, such as 007, is a code: as a number
# it could not be told from 7.
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?")
_NO_NUMBER = {
    "",
    "#n/a",
    "<na>",
    "na",
    "n/a",
    "nan",
    "-nan",
    "null",
    "none",
    "inf",
    "-inf",
    "infinity",
}
_TRUTHS = [("True", "False"), ("true", "false"), ("TRUE", "FALSE")]


def listed(items: Any, most: int = 5) -> str:
    """Return the first items, separated by commas, and dots if there are more.

    Args:
        items: what to list.
        most: how many of them to show.

    Example:
        >>> listed(["a", "b", 3], most=2)
        'a, b, ...'
    """
    shown = [str(item) for item in items]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def labels_of_text(source: str, texts: NDArray[Any]) -> NDArray[Any]:
    """Return labels as truth values or numbers if all are and stay as different as they are.

    "NA" is a class among words and a gap among numbers, "007" is not 7, and "1.0" is 1 unless both
    are there.

    Args:
        source: where they come from, for the message.
        texts: the labels as they stand in a file, `(n,)`.

    Raises:
        InvalidDataError: some are missing.

    Example:
        >>> labels_of_text("a.csv", np.array(["1.0", "2.0"])).tolist()
        [1, 2]
        >>> labels_of_text("a.csv", np.array(["007", "7"])).tolist()
        ['007', '7']
    """
    different = set(texts.tolist())
    numbers = {text for text in different if _NUMBER.fullmatch(text)}
    among_numbers = bool(numbers) and all(t.lower() in _NO_NUMBER for t in different - numbers)
    missing = different - numbers if among_numbers else {""} & different
    _refuse_missing(source, np.isin(texts, list(missing)))
    for true, false in _TRUTHS:
        if different <= {true, false}:
            return np.asarray(texts == true)
    if numbers < different:
        return texts
    exact = {text: Decimal(text) for text in different}
    if any(value != value.to_integral_value() for value in exact.values()):
        return texts.astype(np.float64)
    fits = all(_LONGEST.min <= value <= _LONGEST.max for value in exact.values())
    if not fits or len(set(exact.values())) < len(different):
        return texts
    return np.array([int(exact[text]) for text in texts.tolist()], dtype=np.int64)


def labels_of_column(source: str, column: pd.Series[Any]) -> NDArray[Any]:
    """Return the labels of a column of a data frame of any type: of numbers as they are.

    Args:
        source: where they come from, for the message.
        column: the labels, `(n,)`.

    Raises:
        InvalidDataError: some are missing, or bytes that are no UTF-8.

    Example:
        >>> labels_of_column("a.parquet", pd.Series([3, 4], dtype="Int64")).tolist()
        [3, 4]
    """
    _refuse_missing(source, column.isna().to_numpy(dtype=bool))
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    kind: Any = column.dtype
    if is_bool_dtype(kind):
        return column.to_numpy(dtype=bool)
    if is_integer_dtype(kind) or is_float_dtype(kind):
        return column.to_numpy(dtype=getattr(kind, "numpy_dtype", kind))
    values = [_decoded(source, v) if isinstance(v, bytes) else str(v) for v in column]
    return np.asarray(values, dtype=np.str_)


def whole_or_text(source: str, y: NDArray[Any]) -> NDArray[Any]:
    """Return labels as int64 or text, which tell apart what the array tells apart.

    Args:
        source: where they come from, for the messages.
        y: the labels, `(n,)`, of any type.

    Raises:
        InvalidDataError: they are no whole numbers and no text, or too large for their type to
            tell neighbours apart.

    Example:
        >>> whole_or_text("a.npz", np.array([2**64 - 1], dtype=np.uint64)).tolist()
        ['18446744073709551615']
    """
    if y.dtype.kind == "S":
        y = np.array([_decoded(source, text) for text in y.tolist()], dtype=np.str_)
    if y.dtype.kind == "U":
        _refuse_missing(source, np.char.str_len(np.char.strip(y)) == 0)
        return y.astype(np.str_)
    if y.dtype.kind not in "biuf":
        raise InvalidDataError(
            f"The labels of {source} must be whole numbers or text, but are of type {y.dtype}."
        )
    if y.dtype.kind == "f":
        _refuse_broken(source, y)
    if y.dtype.kind == "u" and len(y) and int(y.max()) > _LONGEST.max:
        return y.astype(np.str_)
    return y.astype(np.int64)


def _decoded(source: str, text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidDataError(
            f"The labels of {source} are bytes that are no UTF-8 ({text!r}): save them as text."
        ) from error


def _refuse_missing(source: str, missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise InvalidDataError(
            f"{source} lacks labels in row(s) {listed(np.flatnonzero(missing))} (counted from 0, "
            "without the line of names). Drop these rows, or fill them in."
        )


def _refuse_broken(source: str, y: NDArray[Any]) -> None:
    broken = np.flatnonzero(~np.isfinite(y) | (y != np.round(y)))
    if len(broken):
        raise InvalidDataError(
            f"The labels of {source} must be whole numbers or text, but {len(broken)} are not, "
            f"the first of them {y[broken[0]]} in row {broken[0]} (counted from 0). Mend them, or "
            "if they are no classes, leave them out or give them another name."
        )
    # From 2^(bits of the mantissa) on, a float cannot tell a whole number from its neighbours.
    most = 2.0 ** min(np.finfo(y.dtype).nmant + 1, 63)
    large = np.flatnonzero(np.abs(y) >= most)
    if len(large):
        raise InvalidDataError(
            f"The labels of {source} reach {y[large[0]]:.0f}, where {y.dtype} does not tell whole "
            "numbers apart. Save them as integers or text."
        )
