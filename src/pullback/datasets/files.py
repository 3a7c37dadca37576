"""The user's own data from a file: read as they are meant, or refused with what is wrong."""

from __future__ import annotations

import csv
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from pullback.datasets.table import Table, listed
from pullback.errors import InvalidDataError, MissingExtraError, StorageError

__all__ = ["read_table"]

DATA_NAMES = ("X", "x", "data")
LABEL_NAMES = ("y", "label", "labels", "class", "target")

# Where a kind of file begins with a mark of its own, anything else under its name is damaged.
MAGIC = {".npz": b"PK\x03\x04", ".npy": b"\x93NUMPY", ".csv": b"", ".parquet": b"PAR1"}

Parts = tuple[NDArray[Any], NDArray[Any] | None, list[str] | None]
"""Data, labels if there are any, and names of the features if they have them."""


def read_table(path: str | PathLike[str], *, label: str | None = None) -> Table:
    r"""Read a data matrix, and the labels if there are any, from a file.

    - `.npz`: the array `X`, `x` or `data`, or the only one besides the labels.
    - `.npy`: one array, without labels. Neither may hold pickled objects.
    - `.csv`: comma-separated numbers, with a line of column names or without (a first line of
      numbers is data, unless it counts 0, 1, 2, ... as pandas names columns).
    - `.parquet`: a table of numeric columns.

    Args:
        path: the file.
        label: the array or column that holds the labels; if None, one that is called y, label,
            labels, class or target, in capital letters or small ones, if there is one.

    Returns:
        The data, the labels (None if there are none) and the names of the features, as a `Table`.

    Raises:
        StorageError: the file is missing, empty, damaged, or of an unknown kind.
        InvalidDataError: its content is no finite data matrix of at least two samples, or the
            labels do not fit it.
        MissingExtraError: a .parquet file is given and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import pullback as pb
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "flowers.csv"
        ...     _ = path.write_text("length,width,class\n5.1,3.5,iris\n4.9,3.0,rose\n")
        ...     table = pb.datasets.read_table(path)
        >>> table.feature_names, table.X.shape, table.y.tolist()
        (('length', 'width'), (2, 2), ['iris', 'rose'])
    """
    path = Path(path)
    try:
        read = _reader_for(path)
        X, y, names = read(path, label)
    except PermissionError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    return Table.checked(str(path), X, y, names)


def _reader_for(path: Path) -> Callable[[Path, str | None], Parts]:
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv, ".parquet": _read_parquet}
    kind = path.suffix.lower()
    if not path.exists():
        raise StorageError(f"There is no file {path}: check the path.")
    if not path.is_file():
        raise StorageError(f"{path} is no file: give the path of one of {listed(readers)}.")
    if kind not in readers:
        raise StorageError(
            f"{path} is of an unknown kind: its name must end in one of {listed(readers)}. "
            "Save the data as one of them, for instance with `numpy.savez(path, X=X, y=y)`."
        )
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise StorageError(f"{path} is empty (0 bytes): write it again.")
    if not start.startswith(MAGIC[kind]):
        raise _damaged(path, "it does not begin like one")
    return readers[kind]


def _damaged(path: Path, why: object) -> StorageError:
    reason = " ".join(str(why).split())  # other libraries end theirs with a new line
    return StorageError(
        f"{path} is damaged, or is no {path.suffix} file ({reason}): write it again."
    )


def _read_npz(path: Path, label: str | None) -> Parts:
    arrays = _load(path)
    label = _find_label(path, list(arrays), label, "array")
    y = None if label is None else arrays.pop(label)
    named = [name for name in DATA_NAMES if name in arrays]
    if not named and len(arrays) != 1:
        raise InvalidDataError(
            f"{path} must hold the data in an array called X, but holds besides the labels: "
            f"{listed(arrays) or 'nothing'}. Save it with `numpy.savez(path, X=X, y=y)`."
        )
    return arrays[(named or list(arrays))[0]], y, None


def _read_npy(path: Path, label: str | None) -> Parts:
    if label is not None:
        raise InvalidDataError(
            f"{path} holds one array, so it has no labels called {label!r}. Save data and labels "
            "together with `numpy.savez(path, X=X, y=y)`, or leave `label` out."
        )
    return _load(path)["X"], None, None


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz file by their names, that of a .npy file as X."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"X": loaded}
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" not in str(error):
            raise _damaged(path, error) from error
        raise InvalidDataError(
            f"{path} holds Python objects, which may run code when they are read. Save arrays of "
            "numbers or of text instead: `X = numpy.asarray(X, dtype=float)`, for instance."
        ) from error
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise _damaged(path, "it is an archive of something else than arrays")
    return arrays


def _read_csv(path: Path, label: str | None) -> Parts:
    first, second = _first_rows(path)
    _refuse_semicolons(path, first, second)
    try:
        header = None if _is_data(first) else 0
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, header=header, encoding="utf-8-sig", low_memory=False, index_col=False
            )
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise _damaged(path, error) from error
    except pd.errors.ParserWarning as error:
        raise InvalidDataError(
            f"{path} has rows with more fields than its first line has: give each column a name."
        ) from error
    names = [f"x{i}" for i in range(len(first))] if header is None else [n.strip() for n in first]
    if names[0] == "" and np.array_equal(frame.iloc[:, 0], np.arange(len(frame))):
        raise InvalidDataError(
            f"The first column of {path} has no name and counts the rows, so it is no feature. "
            "Delete it, or save with `frame.to_csv(path, index=False)`."
        )
    return _from_frame(path, frame.set_axis(names, axis=1), label)


def _first_rows(path: Path) -> tuple[list[str], list[str]]:
    """Return the first two rows that are not empty, or empty ones in their place."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first, second = islice(chain(filter(None, csv.reader(file)), ([], [])), 2)
    except (ValueError, csv.Error) as error:  # what is no UTF-8 is a ValueError
        raise _damaged(path, error) from error
    return first, second


def _refuse_semicolons(path: Path, *rows: Sequence[str]) -> None:
    if all(any(";" in field for field in row) for row in rows):
        raise InvalidDataError(
            f"{path} is separated by semicolons (;), but must be by commas, with points in its "
            "numbers. Convert it: `pandas.read_csv(path, sep=';', decimal=',').to_csv(path, "
            "index=False)`."
        )


def _is_data(fields: Sequence[str]) -> bool:
    """Return whether the first line is data: numbers, but not the count 0, 1, 2, ... ."""
    if list(fields) == [str(i) for i in range(len(fields))]:
        return False
    try:
        for field in fields:
            float(field)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, label: str | None) -> Parts:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data", "Reading a .parquet file") from error
    try:
        frame = parquet.read_table(path).to_pandas()
    except PermissionError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return _from_frame(path, frame.set_axis([str(name) for name in frame.columns], axis=1), label)


def _from_frame(path: Path, frame: pd.DataFrame, label: str | None) -> Parts:
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated) or frame.empty:
        wrong = f"columns of the same name ({listed(repeated)})" if len(repeated) else "no rows"
        raise InvalidDataError(f"{path} has {wrong}: mend it.")
    label = _find_label(path, list(frame.columns), label, "column")
    features = frame if label is None else frame.drop(columns=label)
    texts = [name for name in features.columns if not is_numeric_dtype(features[name].dtype)]
    if texts:
        raise InvalidDataError(
            f"{path} has columns that are not numeric: {listed(texts)} ({texts[0]!r} begins with "
            f"{str(features[texts[0]].iloc[0])!r}). Drop or encode them; if one holds the labels, "
            "say so with `label`."
        )
    X = features.to_numpy(dtype=np.float64, na_value=np.nan)
    return X, None if label is None else _labels(path, frame, label), list(features.columns)


def _labels(path: Path, frame: pd.DataFrame, label: str) -> NDArray[Any]:
    column = frame[label]
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise InvalidDataError(
            f"{path} lacks labels in row(s) {listed(missing)} of column {label!r} (counted "
            "from 0, without the line of names). Drop these rows, or fill them in."
        )
    if is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64)
    return column.astype(str).to_numpy(dtype=np.str_)


def _find_label(path: Path, names: list[str], label: str | None, noun: str) -> str | None:
    if label is not None and label not in names:
        raise InvalidDataError(
            f"{path} has no {noun} {label!r} that could hold the labels: it has {listed(names)}."
        )
    found = [label] if label is not None else [n for n in names if n.lower() in LABEL_NAMES]
    if len(found) > 1:
        raise InvalidDataError(
            f"{path} has more than one {noun} that may hold the labels: {listed(found)}. "
            "Say with `label` which one does, and drop the others."
        )
    return found[0] if found else None
