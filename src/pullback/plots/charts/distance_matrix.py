"""All distances between points as an image, the points sorted by class."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pullback.errors import InvalidDataError, check_array
from pullback.plots.style import grow_figure, literal, new_axes, styled

__all__ = ["distance_matrix"]

# The side of the matrix in a figure of its own, in inches.
_SIDE = 2.8
# The room that a name takes up, in inches: the height of a line, and the width of a letter, at 10
# points.
_LINE, _LETTER = 0.15, 0.075


@styled
def distance_matrix(distances: Any, y: Any = None, *, ax: Axes | None = None) -> Axes:
    """Draw a distance matrix; with labels, sorted by class, the classes named on both sides.

    Where a distance is NaN or infinite the image is left blank.

    Args:
        distances: D, shape `(n, n)`.
        y: labels, shape `(n,)`, or None for the order that is given.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the matrix is not square, or the labels do not fit.

    Example:
        >>> ax = distance_matrix([[0.0, 1.0], [1.0, 0.0]], ["a", "b"])
        >>> [text.get_text() for text in ax.get_xticklabels()]
        ['a', 'b']
    """
    D = check_array("distances", distances).copy()
    if D.ndim != 2 or D.shape[0] != D.shape[1] or len(D) == 0:
        raise InvalidDataError(f"`distances` must have shape (n, n), but got {D.shape}.")
    D[~np.isfinite(D)] = np.nan
    ax = ax or new_axes(4.4, 3.7)
    if y is not None:
        y = np.asarray(y)
        if y.shape != (len(D),):
            raise InvalidDataError(f"`y` must hold {len(D)} labels, but got shape {y.shape}.")
        order = np.argsort(y, kind="stable")
        D = D[np.ix_(order, order)]
        classes, sizes = np.unique(y, return_counts=True)
        ends = np.cumsum(sizes)
        for end in ends[:-1]:
            ax.axhline(end - 0.5, color="white", linewidth=0.8)
            ax.axvline(end - 0.5, color="white", linewidth=0.8)
        middles = ends - sizes / 2 - 0.5
        _name_groups(ax, classes, middles, len(D))
    image = ax.imshow(D, cmap="viridis", interpolation="nearest")
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, pad=0.02, aspect=24)
    bar.set_label("distance")
    bar.outline.set_visible(False)
    ax.tick_params(length=0)
    return ax


def _name_groups(ax: Axes, classes: Any, middles: NDArray[Any], n: int) -> None:
    """Name the groups on both sides, as many as have room, and across where they are long."""
    names = [literal(name) for name in classes]
    longest = max(map(len, names))
    places = middles * _SIDE / n
    upright = longest * _LETTER > np.diff(places, prepend=-_SIDE).min()
    gap = _LINE if upright else longest * _LETTER
    for axis, room in ((ax.xaxis, gap), (ax.yaxis, _LINE)):
        shown = _apart(places, room)
        axis.set_ticks(middles[shown], [names[k] for k in shown])
    ax.tick_params("x", rotation=90 if upright else 0)
    # The names at both sides come on top of the room for the matrix.
    if upright:
        grow_figure(ax, width=longest * _LETTER, height=longest * _LETTER)


def _apart(places: NDArray[Any], room: float) -> list[int]:
    """Return the indices of places, from the first on, that are no nearer to each other than so."""
    shown = [0]
    for k in range(1, len(places)):
        if places[k] - places[shown[-1]] >= room:
            shown.append(k)
    return shown
