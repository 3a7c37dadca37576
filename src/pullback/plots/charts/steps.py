"""How evenly a curve moves: the steps in data space along it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pullback.errors import InvalidDataError
from pullback.plots.style import (
    CATEGORICAL,
    EUCLIDEAN,
    RIEMANNIAN,
    legend_above,
    literal,
    new_axes,
    styled,
)

__all__ = ["steps"]

_COLOURS = {"straight line": EUCLIDEAN, "geodesic": RIEMANNIAN}


@styled
def steps(curves: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw the length of each step in data space, in units of the mean step, along curves.

    Args:
        curves: for each name the images along a curve, `(k, D)`, taken at equal steps of t.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes. A curve that moves evenly is a level line at 1.

    Raises:
        InvalidDataError: a curve does not move.

    Example:
        >>> t = np.linspace(0, 1, 5)[:, None]
        >>> steps({"straight line": t ** 2, "geodesic": t}).get_xlabel()
        't'
    """
    ax = ax or new_axes(4.4, 2.4)
    for index, (name, points) in enumerate(curves.items()):
        step = np.linalg.norm(np.diff(np.asarray(points), axis=0), axis=-1)
        if not step.mean() > 0:
            raise InvalidDataError(
                f"The curve {name!r} does not move: all of its images are equal."
            )
        t = (np.arange(len(step)) + 0.5) / len(step)
        colour = _COLOURS.get(name, CATEGORICAL[index % len(CATEGORICAL)])
        style = "--" if name == "straight line" else "-"
        ax.plot(t, step / step.mean(), style, color=colour, label=literal(name))
    ax.set(xlabel="t", ylabel="step / mean step", xlim=(0, 1), ylim=(0, None))
    ax.grid(axis="y")
    legend_above(ax)
    return ax
