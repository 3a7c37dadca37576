"""Random walks in the latent plane."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pullback.errors import InvalidDataError, check_array
from pullback.plots.style import CATEGORICAL, RIEMANNIAN, literal, new_axes, styled

__all__ = ["walks"]


@styled
def walks(
    points: Any, *, label: str = "", colour: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw walks, with a ring where each begins and a dot where it ends.

    Args:
        points: points along walks, shape `(n, 2)` or `(chains, n, 2)`.
        label: what they are, for a legend.
        colour: of all walks; None for one colour each.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the walks do not lie in a plane.

    Example:
        >>> import numpy as np
        >>> walks(np.cumsum(np.random.default_rng(0).normal(size=(2, 50, 2)), 1)).get_xlabel()
        '$z_1$'
    """
    chains = check_array("points", points)
    chains = chains[None] if chains.ndim == 2 else chains
    if chains.ndim != 3 or chains.shape[-1] != 2 or chains.shape[1] < 2:
        raise InvalidDataError(
            f"`points` must be walks of shape (n, 2) or (chains, n, 2), but got {chains.shape}."
        )
    ax = ax or new_axes()
    many = len(chains) > 1 and colour is None
    colours = [CATEGORICAL[i % len(CATEGORICAL)] for i in range(len(chains))]
    colours = colours if many else [colour or RIEMANNIAN] * len(chains)
    lines = LineCollection(list(chains), colors=colours, linewidths=0.5, alpha=0.75)
    lines.set_label(literal(label) if label else "")
    ax.add_collection(lines)
    ink = ax.xaxis.label.get_color()
    starts, ends = chains[:, 0], chains[:, -1]
    ax.scatter(
        starts[:, 0],
        starts[:, 1],
        s=26,
        facecolors="white",
        edgecolors=ink,
        linewidths=1.0,
        zorder=3,
    )
    ax.scatter(ends[:, 0], ends[:, 1], s=22, c=colours, edgecolors=ink, linewidths=0.6, zorder=3)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    ax.autoscale_view()
    return ax
