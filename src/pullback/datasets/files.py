"""The user's own data from a file: read as they are meant, or refused with what is wrong."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Callable
from itertools import takewhile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from pullback.datasets.labels import labels_of_column, labels_of_text, listed
from pullback.datasets.table import Table
from pullback.datasets.text import UnreadableTextError, is_index, read_text
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    MissingExtraError,
    StorageError,
    TableWarning,
    check_path,
)

__all__ = ["read_table"]

DATA_NAMES = ("X", "x", "data")
LABEL_NAMES = ("y", "label", "labels", "class", "target")

# Where a kind of file begins with a mark of its own, anything else under its name is damaged.
MAGIC = {".npz": b"PK\x03\x04", ".npy": b"\x93NUMPY", ".csv": b"", ".parquet": b"PAR1"}

Parts = tuple[NDArray[Any], NDArray[Any] | None, list[str] | None, str]
"""Data, labels and names of the features if there are any, and what to warn of."""


def read_table(
    path: str | PathLike[str], *, label: str | None = None, header: bool | None = None
) -> Table:
    r"""Read a data matrix, and the labels if there are any, from a file.

    - `.npz`: the array `X`, `x` or `data`, or the only one besides the labels.
    - `.npy`: one array, without labels. Neither may hold pickled objects.
    - `.csv`: comma-separated numbers, with a line of column names or without.
    - `.parquet`: a table of numeric columns.

    Labels become numbers only if all of them are and none is lost: 7 and 007 stay apart, and so do
    whole numbers of any size. Of words "NA" is one, among numbers it is a gap. A first column
    without a name is the index of a data frame, and no feature.

    Warns with `TableWarning` where the first line of a .csv file may be names or a sample.

    Args:
        path: the file.
        label: the array or column that holds the labels; if None, one that is called y, label,
            labels, class or target, in capital letters or small ones, if there is one.
        header: whether the first line of a .csv file names the columns. If None, it does unless it
            consists of numbers; 0, 1, 2, ... are names all the same, as pandas gives them.

    Returns:
        The data, the labels (None if there are none) and the names of the features, as a `Table`.

    Raises:
        InvalidParameterError: `header` is given for another kind of file.
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
    path = check_path("path", path)
    if header is not None and not (isinstance(header, bool) and path.suffix.lower() == ".csv"):
        allowed = "True or False, for a .csv file, or None"
        raise InvalidParameterError("header", allowed, f"{header!r} for {path}")
    try:
        read = _reader_for(path)
        X, y, names, note = read(path, label, header)
    except PermissionError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    table = Table.checked(str(path), X, y, names)
    if note:
        warnings.warn(note, TableWarning, stacklevel=2)
    return table


def _reader_for(path: Path) -> Callable[[Path, str | None, bool | None], Parts]:
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


def _read_npz(path: Path, label: str | None, header: bool | None) -> Parts:
    del header  # of texts only, as read_table has made sure
    arrays = _load(path)
    label = _find_label(path, list(arrays), label, "array")
    y = None if label is None else arrays.pop(label)
    named = [name for name in DATA_NAMES if name in arrays]
    if not named and len(arrays) != 1:
        raise InvalidDataError(
            f"{path} must hold the data in an array called X, but holds besides the labels: "
            f"{listed(arrays) or 'nothing'}. Save it with `numpy.savez(path, X=X, y=y)`."
        )
    return arrays[(named or list(arrays))[0]], y, None, ""


def _read_npy(path: Path, label: str | None, header: bool | None) -> Parts:
    del header
    if label is not None:
        raise InvalidDataError(
            f"{path} holds one array, so it has no labels called {label!r}. Save data and labels "
            "together with `numpy.savez(path, X=X, y=y)`, or leave `label` out."
        )
    return _load(path)["X"], None, None, ""


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


def _read_csv(path: Path, label: str | None, header: bool | None) -> Parts:
    try:
        frame, label, note = read_text(
            path, header, lambda names: _find_label(path, names, label, "column")
        )
    except UnreadableTextError as error:
        raise _damaged(path, error) from error
    y = None
    if label is not None and not frame.empty:
        texts = frame.pop(label).to_numpy(dtype=np.str_)
        y = labels_of_text(f"Column {label!r} of {path}", texts)
    return _features(path, frame), y, list(frame.columns), note


def _read_parquet(path: Path, label: str | None, header: bool | None) -> Parts:
    del header
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
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InvalidDataError(
            f"{path} has columns of the same name ({listed(repeated)}): mend it."
        )
    label, y = _find_label(path, list(frame.columns), label, "column"), None
    if label is not None:
        y = labels_of_column(f"Column {label!r} of {path}", frame.pop(label))
    frame = frame.drop(columns=list(takewhile(is_index, frame.columns)))
    return _features(path, frame), y, list(frame.columns), ""


def _features(path: Path, frame: pd.DataFrame) -> NDArray[np.float64]:
    if len(frame) == 0:
        raise InvalidDataError(f"{path} has no rows: mend it.")
    texts = [name for name in frame.columns if not is_numeric_dtype(frame[name].dtype)]
    if texts:
        column = frame[texts[0]]
        numbers = pd.to_numeric(column.astype(str), errors="coerce")
        row = int((numbers.isna() & column.notna()).to_numpy().argmax())
        raise InvalidDataError(
            f"{path} has columns that are not numeric: {listed(texts)} ({texts[0]!r} holds "
            f"{str(column.iloc[row])!r} in row {row}, counted from 0). Drop or encode them; if one "
            "holds the labels, say so with `label`."
        )
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


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
