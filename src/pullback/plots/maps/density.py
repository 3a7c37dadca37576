"""A density over the latent plane, as contours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import InvalidParameterError
from pullback.plots.maps.latent_map import LatentMap, scatter, survey
from pullback.plots.style import RIEMANNIAN, new_axes, styled

__all__ = ["density"]

# Contours are drawn on a grid of at least this many points along each axis, interpolated where
# fewer were measured: on fewer they look angular.
_SMOOTH = 200
# The shares of the codes that lie within the contours, from the outermost to the innermost.
_SHARES = (0.99, 0.9, 0.75, 0.5, 0.25)


@styled
def density(
    log_density: Callable[[Any], Any] | LatentMap,
    Z: Any,
    y: Any = None,
    *,
    samples: Any = None,
    resolution: int = 64,
    margin: float = 0.1,
    colour: str = RIEMANNIAN,
    ax: Axes | None = None,
) -> Axes:
    """Draw the contours of a density that hold 25, 50, 75, 90 and 99 % of the codes.

    Args:
        log_density: from points `(n, 2)` to log-densities `(n,)`, such as `LAND.score_samples`; or
            what `survey` measured of it.
        Z: codes, shape `(n, 2)`.
        y: their labels, shape `(n,)`, or None.
        samples: points drawn from the density, shape `(k, 2)`, or None.
        resolution: points along each axis where the density is measured.
        margin: how far that reaches beyond the codes, as a share of their extent.
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
    chart = log_density
    if not isinstance(chart, LatentMap):
        _check_density(chart)
        chart = survey(chart, Z, resolution=resolution, margin=margin, square=False)
    codes = torch.as_tensor(Z).detach().cpu().double()
    ax = ax or new_axes()
    scatter(codes, y, ax=ax, size=9.0, on_map=len(ax.images) > 0)
    ax.set_aspect("equal", adjustable="box")
    _contours(chart, codes.numpy(), colour, ax)
    if samples is not None:
        drawn = np.asarray(samples.cpu() if isinstance(samples, Tensor) else samples)
        ink = ax.xaxis.label.get_color()
        ax.scatter(
            drawn[:, 0],
            drawn[:, 1],
            s=20,
            marker="x",
            color=ink,
            linewidths=0.9,
            label="sample",
            zorder=4,
        )
    left, right, bottom, top = chart.extent
    ax.set(xlim=(left, right), ylim=(bottom, top))
    return ax


def _check_density(log_density: Any) -> None:
    if not callable(log_density) or isinstance(log_density, type):
        allowed = "a function of points `(n, 2)`, such as `score_samples`, or a `LatentMap`"
        raise InvalidParameterError("log_density", allowed, f"{log_density!r}"[:80])


def _refined(x: NDArray[Any], heights: NDArray[Any], n: int, *, cliffs: bool) -> NDArray[Any]:
    """Interpolate heights `(..., len(x))` at n points: at cliffs by what cannot overshoot."""
    from scipy.interpolate import CubicSpline, PchipInterpolator

    kind = PchipInterpolator if cliffs else CubicSpline
    values: NDArray[Any] = kind(x, heights, axis=-1)(np.linspace(x[0], x[-1], n))
    return values


def _contours(chart: LatentMap, codes: NDArray[Any], colour: str, ax: Axes) -> None:
    from scipy.interpolate import RegularGridInterpolator

    left, right, bottom, top = chart.extent
    rows, columns = chart.values.shape
    x, y = np.linspace(left, right, columns), np.linspace(bottom, top, rows)
    known = chart.values[np.isfinite(chart.values)]
    lowest = known.min() - 1  # where there is no density at all
    heights = np.where(np.isfinite(chart.values), chart.values, lowest)
    n = max(_SMOOTH, rows, columns)
    cliffs = len(known) < chart.values.size
    heights = _refined(x, heights, n, cliffs=cliffs)
    heights = _refined(y, heights.T, n, cliffs=cliffs).T
    x, y = np.linspace(left, right, n), np.linspace(bottom, top, n)
    here = RegularGridInterpolator((y, x), heights, bounds_error=False, fill_value=lowest)
    levels = np.unique(np.quantile(here(codes[:, ::-1]), [1 - share for share in _SHARES]))
    ax.contour(x, y, heights, levels=levels, colors=[colour], linewidths=1.1, linestyles="solid")
