"""Tables as text: what is a name, what an index, what a label, and what a number."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from pullback.datasets.labels import listed
from pullback.errors import InvalidDataError
from pullback.exclusive import exclusive

__all__ = ["UnreadableTextError", "is_index", "read_text"]

_SEPARATORS = {";": "semicolons (;)", "\t": "tabs", "|": "vertical bars (|)"}
_GAPS = [
    "",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
    "None",
]
# The names under which pandas writes the index of a frame to a file: no feature of the data.
_INDEX = re.compile(r"|Unnamed: \d+(\.\d+)*|__index_level_\d+__")


class UnreadableTextError(Exception):
    """What a parser said of a text that is no table."""


def read_text(
    path: Path, header: bool | None, find_label: Callable[[list[str]], str | None]
) -> tuple[pd.DataFrame, str | None, str]:
    r"""Read a table of comma-separated values, its labels as text.

    Args:
        path: the file.
        header: whether the first line holds the names of the columns; if None, see `read_table`.
        find_label: takes the names of the columns, returns that of the labels.

    Returns:
        The columns by their names, the name of the labels, and what is to be said of the first
        line if it could have been meant in another way.

    Raises:
        UnreadableTextError: the file is no such text.
        InvalidDataError: it is separated in another way, or names are missing or twice there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.csv"
        ...     _ = path.write_text("a,y\n1,007\n2,7\n")
        ...     frame, label, note = read_text(path, None, lambda names: "y")
        >>> frame["y"].tolist(), frame["a"].tolist(), note
        (['007', '7'], [1, 2], '')
    """
    first, second = _first_rows(path)
    if not first:
        raise UnreadableTextError("No columns to parse from file")
    _refuse_other_separators(path, first, second)
    named, note = (header, "") if header is not None else _are_names(first, second)
    names = _names_of(path, first, second) if named else [f"x{i}" for i in range(len(first))]
    repeated = {name for name in names if name and names.count(name) > 1}
    if repeated:
        raise InvalidDataError(
            f"{path} has columns of the same name ({listed(sorted(repeated))}): mend it."
        )
    label = find_label([name for name in names if name])
    frame = _parse(path, len(first), header=0 if named else None, label=_place(names, label))
    if first[-1] == "" and len(frame) and bool(frame.iloc[:, -1].isna().all()):
        frame, names = frame.iloc[:, :-1], names[:-1]  # commas at the ends of the lines
    return _without_index(path, frame, names, label), label, note and f"{path}: {note}"


def is_index(name: str) -> bool:
    """Return whether a column is an index that was saved without a name.

    Example:
        >>> is_index(""), is_index("Unnamed: 0"), is_index("a")
        (True, True, False)
    """
    return _INDEX.fullmatch(name) is not None


def _first_rows(path: Path) -> tuple[list[str], list[str]]:
    """Return the first two rows that are not blank, or empty ones in their place."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = (row for row in csv.reader(file) if len(row) > 1 or "".join(row).strip())
            first, second = islice(chain(rows, ([], [])), 2)
    except UnicodeDecodeError as error:
        raise UnreadableTextError(f"it is no text in UTF-8: {error}") from error
    except csv.Error as error:
        raise UnreadableTextError(error) from error
    return [field.strip() for field in first], [field.strip() for field in second]


def _refuse_other_separators(path: Path, first: list[str], second: list[str]) -> None:
    found = [sep for sep in _SEPARATORS if all(sep in ",".join(row) for row in (first, second))]
    spaced = len(second) == 1 and [_kind(word) for word in second[0].split()].count("number") > 1
    if not found and not spaced:
        return
    word, sep = (_SEPARATORS[found[0]], found[0]) if found else ("spaces", r"\s+")
    raise InvalidDataError(
        f"{path} is separated by {word}, but must be by commas, with points in its numbers. "
        f"Convert it: `pandas.read_csv(path, sep={sep!r}, decimal=',').to_csv(path, index=False)`"
        ", with `decimal='.'` if it has points."
    )


def _kind(field: str) -> str:
    if field in _GAPS:
        return "gap"
    try:
        float(field)
    except ValueError:
        return "text"
    return "number"


def _are_names(first: Sequence[str], second: Sequence[str]) -> tuple[bool, str]:
    """Judge whether the first line holds names, and say so where it may have been meant otherwise.

    Numbers are data, but for the count 0, 1, 2, ... by which pandas names columns.
    """
    kinds = [_kind(field) for field in first]
    counted = list(first[1:] if first[:1] == [""] else first)
    if "number" not in kinds or counted == [str(i) for i in range(len(counted))]:
        return True, ""
    if "text" not in kinds and first[0]:
        note = (
            "the first line consists of numbers and was taken for a sample. If they name the "
            "columns, say `header=True`; if not, say `header=False` or put a line of names before "
            "it."
        )
        # Names of columns differ from each other: if numbers are repeated, they are none, and no
        # doubt is left.
        return False, note if len(set(first)) == len(first) else ""
    if any(
        kind == "text" and _kind(below) != "text"
        for kind, below in zip(kinds, second, strict=False)
    ):
        return True, ""
    return True, (
        "the first line holds numbers and was taken for the names of the columns. If it is a "
        "sample, say `header=False` or put a line of names before it; if not, say `header=True`."
    )


def _names_of(path: Path, first: list[str], second: list[str]) -> list[str]:
    if not first or not first[0].startswith("#"):
        return first
    if len(first) != len(second):
        raise InvalidDataError(
            f"{path} begins with a comment ({first[0]!r}): delete all lines but the names of the "
            "columns and the samples."
        )
    return [first[0].lstrip("# "), *first[1:]]  # as numpy.savetxt writes names


def _place(names: list[str], label: str | None) -> int:
    return -1 if label is None else names.index(label)


def _parse(path: Path, n_columns: int, *, header: int | None, label: int) -> pd.DataFrame:
    """Read columns, known by their numbers.

    A label that says "NA" is a word like any other: only empty labels are missing ones.
    """
    gaps: Any = {i: _GAPS for i in range(n_columns) if i != label}
    try:
        with exclusive(), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                header=header,
                names=list(range(n_columns)),
                dtype={label: str},
                keep_default_na=False,
                na_values=gaps,
                encoding="utf-8-sig",
                low_memory=False,
                index_col=False,
            )
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise UnreadableTextError(error) from error
    except pd.errors.ParserWarning as error:
        raise InvalidDataError(
            f"{path} has rows with more fields than its first line has: give each column a name."
        ) from error
    if label >= 0:
        frame[label] = frame[label].fillna("").str.strip()
    return frame


def _without_index(
    path: Path, frame: pd.DataFrame, names: list[str], label: str | None
) -> pd.DataFrame:
    """Name the columns, and leave out an index at their left."""
    first = next((i for i, n in enumerate(names) if n == label or not is_index(n)), len(names))
    nameless = [i + 1 for i in range(first, len(names)) if not names[i]]
    if nameless:
        raise InvalidDataError(
            f"{path} has columns without a name, number {listed(nameless)} from the left: give "
            "them one."
        )
    return frame.set_axis(names, axis=1).iloc[:, first:]
