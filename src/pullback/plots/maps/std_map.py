"""What a decoder says about its own uncertainty: the mean log sigma over the latent plane."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Distribution

from pullback.plots.maps.latent_map import latent_map, survey
from pullback.plots.style import styled
from pullback.shapes import Scalars

__all__ = ["mean_log_std", "std_map"]


@torch.no_grad()
def mean_log_std(decoder: Callable[[Tensor], Distribution], z: Tensor) -> Scalars:
    """Compute the mean over the features of log sigma_j(z).

    Args:
        decoder: z `(n, d)` -> a distribution with standard deviations `(n, D)`.
        z: latent points, shape `(n, d)`.

    Returns:
        `(1 / D) sum_j log sigma_j(z)`, shape `(n,)`.

    Example:
        >>> decoder = lambda z: torch.distributions.Normal(z, torch.full_like(z, 0.5))
        >>> mean_log_std(decoder, torch.zeros(2, 2)).exp()
        tensor([0.5000, 0.5000])
    """
    blocks = [decoder(part).stddev.log().flatten(1).mean(-1) for part in z.split(4096)]
    return torch.cat(blocks)


@styled
def std_map(
    decoder: Callable[[Tensor], Distribution],
    Z: Any,
    y: Any = None,
    *,
    resolution: int = 128,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean log sigma of a decoder over the latent plane, with the codes on top.

    Args:
        decoder: z `(n, 2)` -> a distribution over x.
        Z: codes, shape `(n, 2)`.
        y: labels, shape `(n,)`, or None.
        resolution: points of the map along each axis.
        limits: the values at the ends of the colour bar, to compare maps.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Example:
        >>> decoder = lambda z: torch.distributions.Normal(z, 1 + z.square())
        >>> std_map(decoder, torch.eye(2), resolution=16).get_ylabel()
        '$z_2$'
    """
    chart = survey(lambda z: mean_log_std(decoder, z), Z, resolution=resolution)
    return latent_map(chart, Z, y, label=r"mean $\log\sigma$", limits=limits, ax=ax)
