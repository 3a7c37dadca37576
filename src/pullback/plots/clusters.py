"""Clusters of codes in the latent plane."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pullback.plots.maps.latent_map import scatter
from pullback.plots.style import new_axes, styled

__all__ = ["clusters"]


@styled
def clusters(
    Z: Any, labels: Any, centers: Any, *, wrong: Any = None, ax: Axes | None = None
) -> Axes:
    """Draw codes in the colour of their cluster, the centres, and rings around what went wrong.

    Args:
        Z: codes, shape `(n, 2)`.
        labels: the cluster of each code, shape `(n,)`.
        centers: the centres, shape `(k, 2)`.
        wrong: which codes to ring, booleans of shape `(n,)`, or None.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Example:
        >>> clusters(np.eye(2), [0, 1], np.eye(2)).get_xlabel()
        '$z_1$'
    """
    ax = ax or new_axes()
    scatter(Z, labels, ax=ax)
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    codes, centers = np.asarray(Z), np.asarray(centers)
    ink = ax.xaxis.label.get_color()
    if wrong is not None and np.any(wrong):
        rings = codes[np.asarray(wrong)]
        ax.scatter(
            rings[:, 0],
            rings[:, 1],
            s=42,
            facecolors="none",
            edgecolors=ink,
            linewidths=0.7,
            label="wrong",
        )
    paper = ax.get_facecolor()
    ax.scatter(
        centers[:, 0],
        centers[:, 1],
        s=150,
        marker="*",
        color=ink,
        edgecolors=[paper],
        label="centre",
    )
    return ax
