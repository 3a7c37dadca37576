"""Scores under two or more methods, side by side."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from pullback.plots.style import (
    CATEGORICAL,
    EUCLIDEAN,
    RIEMANNIAN,
    grow_figure,
    legend_above,
    literal,
    new_axes,
    styled,
)

__all__ = ["bars"]

# The most letters in a line of a score's name: a longer name goes on in the next line.
_WRAPPED = 22
_COLOURS = {"Euclidean": EUCLIDEAN, "Riemannian": RIEMANNIAN}


@styled
def bars(
    scores: Mapping[str, Sequence[float]],
    names: Sequence[str],
    *,
    intervals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw horizontal bars, grouped by score, one bar for each method, its number beside it.

    Args:
        scores: for each method the scores, as many as there are names.
        names: the names of the scores.
        intervals: for each method the ends of an interval around each score, or None.
        label: what the scores measure.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Example:
        >>> ax = bars({"Euclidean": [0.8], "Riemannian": [0.9]}, ["F1"])
        >>> len(ax.patches)
        2
    """
    thickness = 0.8 / len(scores)
    ax = ax or new_axes(4.4, 0.55 + 0.3 * len(names) * len(scores))
    largest = max(max(values) for values in scores.values())
    for index, (method, values) in enumerate(scores.items()):
        height = np.arange(len(names)) + (index - (len(scores) - 1) / 2) * thickness
        colour = _COLOURS.get(method, CATEGORICAL[index % len(CATEGORICAL)])
        ax.barh(height, values, 0.88 * thickness, color=colour, label=literal(method))
        ends = (intervals or {}).get(method, [(value, value) for value in values])
        for y, value, (low, high) in zip(height, values, ends, strict=True):
            if high > low:
                ax.plot([low, high], [y, y], color=ax.xaxis.label.get_color(), linewidth=1.2)
            ax.text(max(value, high) + 0.015 * largest, y, f"{value:.3f}", va="center", fontsize=10)
    wrapped = [textwrap.fill(literal(n, 60), _WRAPPED, break_long_words=False) for n in names]
    ax.set_yticks(np.arange(len(names)), wrapped)
    longest = max(len(line) for name in wrapped for line in name.split("\n"))
    lines = sum(1 + name.count("\n") for name in wrapped)
    thick = 0.3 * len(names) * len(scores)
    grow_figure(ax, width=0.08 * max(0, longest - 12), height=max(0.0, 0.2 * lines - thick))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.set_xticks([])
    ax.set(xlim=(0, 1.14 * largest), xlabel=label)
    legend_above(ax)
    return ax
