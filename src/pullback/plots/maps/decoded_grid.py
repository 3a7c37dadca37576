"""What the decoder makes of every place in the latent plane: a grid of images."""

from typing import Any

from matplotlib.axes import Axes

from pullback.errors import check_integer
from pullback.geodesics import grid_nodes
from pullback.manifolds import Manifold
from pullback.plots.images import images
from pullback.plots.maps.latent_map import plane_of
from pullback.plots.style import styled

__all__ = ["decoded_grid"]


@styled
def decoded_grid(
    manifold: Manifold,
    Z: Any,
    *,
    resolution: int = 12,
    shape: tuple[int, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the images of a grid of latent points, each at the place of its point.

    Args:
        manifold: the latent space of an image decoder, d = 2.
        Z: codes that the grid covers, shape `(n, 2)`.
        resolution: images along each axis.
        shape: (height, width) of an image; a square if None.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane, or the images have another shape.

    Example:
        >>> manifold = Manifold(lambda z: z.repeat(1, 8).sigmoid(), dim=2)
        >>> decoded_grid(manifold, [[0.0, 0.0], [1.0, 1.0]], resolution=3).axison
        False
    """
    check_integer("resolution", resolution, 2)
    nodes = grid_nodes(plane_of(Z), resolution=resolution, margin=0.0)
    # Rows of images run from above, the second latent axis from below.
    rows = nodes.reshape(resolution, resolution, 2).transpose(0, 1).flip(0).reshape(-1, 2)
    return images(manifold.decode(rows).cpu(), shape=shape, columns=resolution, ax=ax)
