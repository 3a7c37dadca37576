"""All distances between points as an image, the points sorted by class."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from pullback.errors import InvalidDataError
from pullback.plots.style import new_axes, styled

__all__ = ["distance_matrix"]


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
    given = distances.detach().cpu().numpy() if isinstance(distances, Tensor) else distances
    D = np.array(given, dtype=float)
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
        ax.set_xticks(middles, [str(name) for name in classes])
        ax.set_yticks(middles, [str(name) for name in classes])
    image = ax.imshow(D, cmap="viridis", interpolation="nearest")
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, pad=0.02, aspect=24)
    bar.set_label("distance")
    bar.outline.set_visible(False)
    ax.tick_params(length=0)
    return ax
