"""All the ways to go from one point: a fan of geodesics, and the balls that they sweep."""

import math
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from pullback import linalg
from pullback.errors import InvalidDataError, check_integer, check_number, check_points
from pullback.manifolds import Manifold
from pullback.plots.style import CATEGORICAL, RIEMANNIAN, new_axes, styled

__all__ = ["fan"]

# Points along each geodesic: enough for a curve to look smooth.
_TIMES = 61
# Geodesics that are followed for each ray that is drawn: the rings, which join points at equal
# distance, pass through all of them and look smooth.
_ROUND = 6


@styled
def fan(
    manifold: Manifold,
    point: Any,
    *,
    length: float,
    n_rays: int = 24,
    n_rings: int = 4,
    ax: Axes | None = None,
) -> Axes:
    """Draw geodesics that leave a point in all directions, and the ends of equal length as rings.

    Each ring is the boundary of a geodesic ball, up to where geodesics cross: beyond that it folds.
    A geodesic that cannot be followed to its end is drawn as far as it goes.

    Args:
        manifold: the latent space with its metric, d = 2.
        point: where they begin, shape `(2,)`.
        length: of the geodesics, the radius of the largest ball.
        n_rays: geodesics to draw.
        n_rings: balls to draw.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the point does not lie in a plane.

    Example:
        >>> flat = Manifold(lambda z: z, dim=2)
        >>> fan(flat, [0.0, 0.0], length=1.0, n_rays=4, n_rings=1).get_xlabel()
        '$z_1$'
    """
    check_number("length", length, 0, open_low=True)
    check_integer("n_rays", n_rays, 2)
    check_integer("n_rings", n_rings, 0)
    z = check_points("point", point, 2).to(device=manifold.device, dtype=manifold.dtype)
    if z.shape != (2,):
        raise InvalidDataError(f"`point` must have shape (2,), but got {tuple(z.shape)}.")
    paths = manifold.shoot(z, length * _unit_circle(manifold, z, n_rays * _ROUND))
    curves = paths.points(_TIMES).cpu().numpy()  # NaN beyond what was reached
    ax = ax or new_axes()
    rays = LineCollection(list(curves[::_ROUND]), colors=RIEMANNIAN, linewidths=0.9)
    rays.set_label("geodesic")
    ax.add_collection(rays)
    closed = np.concatenate([curves, curves[:1]])
    steps = [round((_TIMES - 1) * (ring + 1) / n_rings) for ring in range(n_rings)]
    rings = LineCollection([closed[:, step] for step in steps], colors=CATEGORICAL[1])
    ax.add_collection(rings)
    ink = ax.xaxis.label.get_color()
    ax.scatter(float(z[0]), float(z[1]), s=22, color="white", edgecolors=ink, zorder=3)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    ax.autoscale_view()
    return ax


def _unit_circle(manifold: Manifold, z: Tensor, n: int) -> Tensor:
    """Return n tangent vectors at z of length 1 in the metric, evenly spread by its angles."""
    angle = torch.arange(n, dtype=z.dtype, device=z.device) * (2 * math.pi / n)
    circle = torch.stack([angle.cos(), angle.sin()])
    L, _ = linalg.cholesky(manifold.metric_matrix(z))
    vectors: Tensor = torch.linalg.solve_triangular(L.mT, circle, upper=True).T
    return vectors
