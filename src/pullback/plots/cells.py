"""Which region of the latent plane belongs to which cluster or class."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from pullback.errors import InvalidDataError
from pullback.geodesics import grid_nodes
from pullback.plots.maps.latent_map import plane_of, scatter
from pullback.plots.style import CATEGORICAL, new_axes, styled

__all__ = ["cells"]


@styled
def cells(
    predict: Callable[[Any], Any],
    Z: Any,
    y: Any = None,
    *,
    resolution: int = 100,
    margin: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    """Draw the regions of the latent plane that a rule gives one label, with the codes on top.

    For a rule that takes the nearest centre they are the Voronoi cells of the centres.

    Args:
        predict: from points `(n, 2)` to labels `(n,)`, such as `KMeans.predict` or that of a
            classifier.
        Z: codes, shape `(n, 2)`.
        y: their labels, or those of their cluster, shape `(n,)`; what `predict` says if None.
        resolution: points of the map along each axis.
        margin: how far the map reaches beyond the codes, as a share of their extent.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane, or there are more than 64 labels.

    Example:
        >>> cells(lambda z: np.asarray(z)[:, 0] > 0.5, torch.eye(2), resolution=8).get_xlabel()
        '$z_1$'
    """
    nodes = grid_nodes(plane_of(Z, square=False), resolution=resolution, margin=margin)
    (left, bottom), (right, top) = nodes[0].tolist(), nodes[-1].tolist()
    codes = torch.as_tensor(Z).detach().cpu()
    y = np.asarray(predict(codes)) if y is None else np.asarray(y)
    labels = np.asarray(predict(nodes))
    names = np.unique(np.concatenate([labels.astype(y.dtype), y]))
    if len(names) > 64:
        raise InvalidDataError(f"`predict` must give at most 64 labels, but gave {len(names)}.")
    ax = ax or new_axes()
    colours = ListedColormap([CATEGORICAL[i % len(CATEGORICAL)] for i in range(len(names))])
    place = np.searchsorted(names, labels).reshape(resolution, resolution).T
    ax.imshow(
        place,
        extent=(left, right, bottom, top),
        origin="lower",
        cmap=colours,
        vmin=-0.5,
        vmax=len(names) - 0.5,
        alpha=0.3,
        interpolation="nearest",
    )
    scatter(codes, y, ax=ax, on_map=True)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    return ax
