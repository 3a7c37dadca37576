"""Geodesics between samples, each with its certificate."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.errors import InvalidParameterError, check_integer
from pullback.geodesics import GeodesicResult
from pullback.runs import Stream, draw_pairs

__all__ = ["find_geodesics", "parse_pairs"]

# The most geodesics in the picture: with more, single ones can no longer be followed by the eye.
_DRAWN = 25


def find_geodesics(subject: Subject, *, n_pairs: int, between: Sequence[str] = ()) -> Analysis:
    """Find geodesics between random pairs of samples, or between given ones.

    Args:
        subject: the run.
        n_pairs: how many random pairs, where none are given.
        between: pairs of sample numbers, such as `"3,17"`.

    Returns:
        A row for each pair: samples, labels, length, and the certificate.

    Raises:
        InvalidParameterError: a pair is not two different samples of the run.

    Example:
        >>> find_geodesics(subject, n_pairs=10)  # doctest: +SKIP
    """
    pairs = _random_pairs(subject, n_pairs)
    if between:
        numbers = [number for pair in parse_pairs(between) for number in pair]
        pairs = np.array(subject.rows_of(numbers)).reshape(-1, 2)
    paths = subject.manifold.geodesic(subject.Z[pairs[:, 0]], subject.Z[pairs[:, 1]])
    frame = paths.to_frame()
    for place, (name, rows) in enumerate([("sample_a", pairs[:, 0]), ("sample_b", pairs[:, 1])]):
        frame.insert(place, name, subject.index[rows])
        if subject.y is not None:
            frame[f"label_{name[-1]}"] = subject.y[rows]
    return Analysis(frame, str(paths).splitlines()[:1], _picture(subject, paths))


def parse_pairs(words: Sequence[str]) -> list[tuple[int, int]]:
    """Read pairs of sample numbers.

    Raises:
        InvalidParameterError: a word is no pair of different numbers.

    Example:
        >>> parse_pairs(["3,17"])
        [(3, 17)]
        >>> parse_pairs(["3"])
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `--between` must be two different numbers ...
    """
    pairs = []
    for word in words:
        numbers = word.split(",")
        if not all(n.strip().isdecimal() for n in numbers) or len({int(n) for n in numbers}) != 2:
            allowed = "two different numbers of samples with a comma between them"
            raise InvalidParameterError("--between", allowed, repr(word), "For instance 3,17.")
        pairs.append((int(numbers[0]), int(numbers[1])))
    return pairs


def _random_pairs(subject: Subject, n_pairs: int) -> NDArray[np.int64]:
    check_integer("--pairs", n_pairs)
    return draw_pairs(len(subject.index), n_pairs, Stream.PAIRS.generator(subject.seed))


def _picture(subject: Subject, paths: GeodesicResult) -> Callable[[], Axes] | None:
    if not subject.is_plane:
        return None

    def draw() -> Axes:
        ax = plots.volume(subject.manifold, subject.Z.cpu())
        return plots.geodesics(paths, most=_DRAWN, ax=ax)

    return draw
