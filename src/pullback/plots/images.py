"""Images that are rows of a data matrix, laid out as a strip or a grid."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pullback.errors import InvalidDataError, InvalidParameterError, check_data, check_integer
from pullback.plots.style import greys, literal, new_axes, styled

__all__ = ["images"]


@styled
def images(
    X: Any,
    *,
    shape: tuple[int, int] | None = None,
    columns: int = 10,
    labels: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw images side by side, row after row: the lowest value has the colour of the page.

    Args:
        X: images, one a row, `(n, height * width)`.
        shape: (height, width); a square if None.
        columns: images in each row.
        labels: a name for each row of images, to its upper left; none if empty.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the rows of X are not of that shape.

    Example:
        >>> images(np.random.default_rng(0).random((20, 64))).axison
        False
    """
    data = check_data("X", X, min_samples=1).detach().cpu().numpy()
    side = math.isqrt(data.shape[1])
    height, width = (side, side) if shape is None else _check_shape(shape)
    if height * width != data.shape[1]:
        raise InvalidDataError(
            f"`X` must hold images of shape {(height, width)}, so have {height * width} features, "
            f"but has {data.shape[1]}. Give their `shape` as (height, width)."
        )
    columns = min(check_integer("columns", columns), len(data))
    rows = math.ceil(len(data) / columns)
    gap = 1 + height // 14
    head = round(0.7 * height) if labels else gap  # room for the label of a row
    canvas = np.full((rows * (height + head), columns * (width + gap) - gap), np.nan)
    for index, image in enumerate(data):
        row, column = divmod(index, columns)
        top, left = row * (height + head) + head, column * (width + gap)
        canvas[top : top + height, left : left + width] = image.reshape(height, width)
    ax = ax or new_axes(4.4, 4.4 * canvas.shape[0] / canvas.shape[1], bare=True)
    ax.imshow(canvas, cmap=greys(ax), vmin=data.min(), vmax=data.max(), aspect="auto")
    for row, label in enumerate(labels):
        ax.text(
            0, row * (height + head) + 0.8 * head, literal(label, 48), fontsize=10.5, va="baseline"
        )
    ax.set_axis_off()
    return ax


def _check_shape(shape: Any) -> tuple[int, int]:
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 2:
        raise InvalidParameterError("shape", "two numbers, (height, width)", f"{shape!r}"[:80])
    height, width = (check_integer("shape", side) for side in shape)
    return height, width
