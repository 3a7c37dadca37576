"""How the decoder bends the latent plane: its curvature at every point."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm

from pullback.manifolds import Manifold
from pullback.plots.maps.latent_map import LatentMap, latent_map, survey
from pullback.plots.style import styled

__all__ = ["curvature"]

# How many times the largest |K| (the 99th percentile) may exceed the median one: up to 30 times the
# colours are linear in K; beyond, they are logarithmic, but for what is below a thousandth of the
# largest. Set by judgement: a linear scale over more shows a map with one coloured spot.
_FEW, _MOST = 30.0, 1000.0


@styled
def curvature(
    manifold: Manifold,
    Z: Any,
    y: Any = None,
    *,
    resolution: int = 100,
    chart: LatentMap | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the Gaussian curvature K(z) of the latent plane, with the codes on top.

    Red is curved like a sphere, blue like a saddle. Where |K| spans decades, colours go by its
    logarithm, and linearly around zero. Where the metric is singular there is no colour.

    Args:
        manifold: the latent space with its metric, d = 2.
        Z: codes, shape `(n, 2)`.
        y: labels, shape `(n,)`, or None.
        resolution: points of the map along each axis.
        chart: the curvatures, where they have been surveyed before; None to survey them.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Source:
        do Carmo, Differential Geometry of Curves and Surfaces (1976), section 4-3.

    Example:
        >>> import pullback as pb
        >>> import torch
        >>> manifold = pb.Manifold(pb.manifolds.reference.paraboloid, dim=2)
        >>> curvature(manifold, torch.eye(2), resolution=16).get_xlabel()
        '$z_1$'
    """
    if chart is None:
        chart = survey(lambda z: manifold.scalar_curvature(z) / 2, Z, resolution=resolution)
    size = np.abs(chart.values[np.isfinite(chart.values)])
    middle, top = np.percentile(size, [50, 99]) if size.any() else (1.0, 1.0)
    label, limits = "Gaussian curvature $K$", (-top, top)
    ax = latent_map(chart, Z, y, label=label, cmap="RdBu_r", limits=limits, ax=ax)
    if top > _FEW * middle:
        linear = max(middle, top / _MOST)
        ax.images[-1].set_norm(SymLogNorm(linear, vmin=-top, vmax=top))
    return ax
