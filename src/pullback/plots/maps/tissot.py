"""What the metric does to a small circle: Tissot's ellipses over the latent plane."""

import math
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

from pullback.errors import check_integer, check_number
from pullback.geodesics import grid_nodes
from pullback.manifolds import Manifold
from pullback.plots.maps.latent_map import plane_of
from pullback.plots.style import RIEMANNIAN, new_axes, styled

__all__ = ["tissot"]

# Unless a radius is given, it is chosen so that this share of the ellipses is drawn to scale; the
# others, near walls and where the metric is tiny, are cut.
_FIT = 0.8
# The diameter of the largest ellipse that is drawn, as a share of the grid's cell: neighbours do
# not touch.
_ROOM = 0.9


@styled
@torch.no_grad()
def tissot(
    manifold: Manifold,
    Z: Any,
    *,
    resolution: int = 13,
    radius: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the ellipses {z + v : v^T M(z) v = r^2} on a grid: unit circles of the metric.

    A small ellipse is where a step in the latent plane changes the data much; its long axis is the
    direction in which it changes them least. An ellipse that is larger than its cell of the grid is
    drawn that large, and hollow.

    Args:
        manifold: the latent space with its metric, d = 2.
        Z: codes that the grid covers, shape `(n, 2)`.
        resolution: ellipses along each axis.
        radius: r, in the unit of the metric; None for the one with which four of five ellipses lie
            within their cells.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Source:
        Tissot, Mémoire sur la représentation des surfaces (1881).

    Example:
        >>> manifold = Manifold(lambda z: z**3, dim=2)
        >>> tissot(manifold, torch.eye(2), resolution=5).get_xlabel()
        '$z_1$'
    """
    check_integer("resolution", resolution, 2)
    nodes, cell = grid_nodes(plane_of(Z), resolution=resolution, margin=0.1), 0.0
    cell = float((nodes[1:] - nodes[:-1]).norm(dim=-1).amin())
    matrices = manifold.metric_matrix(nodes).cpu()
    usable = matrices.isfinite().all(-1).all(-1)
    values, axes = torch.linalg.eigh(torch.where(usable[:, None, None], matrices, torch.eye(2)))
    spans = values.clamp(min=torch.finfo(values.dtype).tiny).rsqrt()  # half-axes for r = 1
    if radius is None:
        radius = _ROOM * cell / 2 / float(spans[usable].amax(-1).quantile(_FIT))
    check_number("radius", radius, 0, open_low=True)
    full = 2 * radius * spans
    capped = usable & (full.amax(-1) > _ROOM * cell)
    full = full * (_ROOM * cell / full.amax(-1, keepdim=True)).clamp(max=1)
    angle = torch.atan2(axes[:, 1, 0], axes[:, 0, 0]) * 180 / math.pi
    ax = ax or new_axes()
    for rows, face in ((usable & ~capped, RIEMANNIAN), (capped, "none")):
        ellipses = EllipseCollection(
            full[rows, 0].numpy(),
            full[rows, 1].numpy(),
            angle[rows].numpy(),
            units="xy",
            offsets=nodes[rows].cpu().numpy(),
            transOffset=ax.transData,
            facecolors=face,
            edgecolors="white" if face == RIEMANNIAN else RIEMANNIAN,
            linewidths=0.5 if face == RIEMANNIAN else 0.9,
        )
        ax.add_collection(ellipses)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    ax.autoscale_view()
    return ax
