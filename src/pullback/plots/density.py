"""A density over the latent plane, as contours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from pullback.plots.latent_map import scatter, survey
from pullback.plots.style import RIEMANNIAN, new_axes, styled

__all__ = ["density"]

_SHARES = (0.99, 0.9, 0.75, 0.5, 0.25)  # of the codes that lie within each contour


@styled
def density(
    log_density: Callable[[Any], Any],
    Z: Any,
    y: Any = None,
    *,
    samples: Any = None,
    resolution: int = 64,
    colour: str = RIEMANNIAN,
    ax: Axes | None = None,
) -> Axes:
    """Draw the contours of a density that hold 25, 50, 75, 90 and 99 % of the codes.

    Args:
        log_density: from points `(n, 2)` to log-densities `(n,)`, such as `LAND.score_samples`.
        Z: codes, shape `(n, 2)`.
        y: their labels, shape `(n,)`, or None.
        samples: points drawn from the density, shape `(k, 2)`, or None.
        resolution: points of the map along each axis.
        colour: of the contours.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Example:
        >>> Z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> density(lambda z: -np.square(np.asarray(z)).sum(-1), Z, resolution=16).get_xlabel()
        '$z_1$'
    """

    def value(points: Tensor) -> Tensor:
        return torch.as_tensor(np.asarray(log_density(points)), dtype=torch.float64)

    chart = survey(value, Z, resolution=resolution)
    codes = torch.as_tensor(Z).detach().cpu().double()
    here = np.asarray(log_density(codes), dtype=float)
    levels = np.unique(np.quantile(here[np.isfinite(here)], [1 - share for share in _SHARES]))
    ax = ax or new_axes()
    scatter(codes, y, ax=ax, size=9.0, on_map=True)
    left, right, bottom, top = chart.extent
    rows, columns = chart.values.shape
    x, y_axis = np.linspace(left, right, columns), np.linspace(bottom, top, rows)
    heights = np.nan_to_num(chart.values, nan=here.min() - 1e3, neginf=here.min() - 1e3)
    lines = {"colors": [colour], "linewidths": 1.1, "linestyles": "solid"}
    ax.contour(x, y_axis, heights, levels=levels, **lines)
    if samples is not None:
        drawn = np.asarray(samples.cpu() if isinstance(samples, Tensor) else samples)
        ink = ax.xaxis.label.get_color()
        ax.scatter(*drawn.T, s=20, marker="x", color=ink, linewidths=0.9, label="sample", zorder=4)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    return ax
