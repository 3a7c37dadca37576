"""How much the decoder magnifies: the volume of the metric over the latent plane."""

from typing import Any

from matplotlib.axes import Axes

from pullback.manifolds import Manifold
from pullback.plots.maps.latent_map import latent_map, survey
from pullback.plots.style import styled

__all__ = ["volume"]


@styled
def volume(
    manifold: Manifold, Z: Any, y: Any = None, *, resolution: int = 128, ax: Axes | None = None
) -> Axes:
    """Draw the log-volume log sqrt det M(z) over the latent plane, with the codes on top.

    Args:
        manifold: the latent space with its metric, d = 2.
        Z: codes, shape `(n, 2)`.
        y: labels, shape `(n,)`, or None.
        resolution: points of the map along each axis.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Source:
        Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", 2018, figure 5.

    Example:
        >>> import pullback as pb
        >>> import torch
        >>> manifold = pb.Manifold(lambda z: z ** 3, dim=2)
        >>> volume(manifold, torch.eye(2), resolution=16).get_xlabel()
        '$z_1$'
    """
    chart = survey(manifold.log_volume, Z, resolution=resolution)
    return latent_map(chart, Z, y, label=r"log volume $\log\sqrt{\det M}$", cmap="magma", ax=ax)
