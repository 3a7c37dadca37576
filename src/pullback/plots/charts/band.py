"""What the members of an ensemble say, with the range that they span."""

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from pullback.errors import InvalidDataError, check_points
from pullback.manifolds import interval
from pullback.plots.style import RIEMANNIAN, new_axes, styled

__all__ = ["band"]


@styled
def band(
    t: Any,
    samples: Any,
    *,
    level: float = 0.9,
    label: str = "",
    colour: str = RIEMANNIAN,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean of samples of a curve over t, and the interval that holds most of them.

    Args:
        t: where the curve is known, shape `(n,)`.
        samples: one row for each member, such as `GeometryPosterior.log_volume` of points along a
            geodesic, shape `(members, n)`.
        level: share of the members within the band.
        label: what the values are, along the vertical axis.
        colour: of the curve and the band.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the shapes do not fit.

    Example:
        >>> band([0.0, 1.0], [[0.0, 1.0], [0.5, 2.0]], label="speed").get_ylabel()
        'speed'
    """
    values = check_points("samples", samples).detach().cpu()
    places = check_points("t", t).detach().cpu()
    if values.ndim != 2 or places.shape != values.shape[1:]:
        raise InvalidDataError(
            f"`samples` must have shape (members, {len(places)}), but got {tuple(values.shape)}."
        )
    between = interval(values, level)
    ax = ax or new_axes(4.4, 2.6)
    ax.fill_between(places, between.low, between.high, color=colour, alpha=0.25, linewidth=0)
    ax.plot(places, values.mean(0), color=colour, label=f"mean of {len(values)}")
    ax.set(xlabel="t", ylabel=label, xlim=_ends(places))
    return ax


def _ends(places: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(places)
    return float(low), float(high)
