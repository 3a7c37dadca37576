"""How sure a geodesic is: those of the members of an ensemble, about the expected one."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pullback.errors import InvalidDataError
from pullback.manifolds import GeometryPosterior
from pullback.plots.style import CATEGORICAL, RIEMANNIAN, legend_above, new_axes, styled

__all__ = ["posterior"]


@styled
def posterior(
    geometries: GeometryPosterior,
    point_a: Any,
    point_b: Any,
    *,
    n_points: int = 100,
    ax: Axes | None = None,
) -> Axes:
    """Draw the geodesics of all members between points, and those of the expected metric.

    Members whose geodesic did not converge are drawn dotted.

    Args:
        geometries: what `Manifold.posterior` returned, d = 2.
        point_a: start points, shape `(n, 2)` or `(2,)`.
        point_b: end points, of the same shape.
        n_points: points along each curve.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the curves do not lie in a plane.

    Example:
        >>> import torch
        >>> import pullback as pb
        >>> M = pb.Manifold([lambda z: torch.cat([z, k * z**2], -1) for k in (1, 2)], dim=2)
        >>> posterior(M.posterior(), [-1.0, 0.2], [1.0, 0.2]).get_xlabel()
        '$z_1$'
    """
    ax = ax or new_axes()
    for result in geometries.geodesics(point_a, point_b):
        points = result.points(n_points).detach().cpu()
        if points.shape[-1] != 2:
            raise InvalidDataError(
                f"Curves are drawn in two latent dimensions, but these have {points.shape[-1]}."
            )
        dotted = ~result.converged.cpu().reshape(-1).numpy()
        styles = np.where(dotted, "dotted", "solid").tolist()
        ax.add_collection(
            LineCollection(
                list(points.reshape(-1, n_points, 2).numpy()),
                colors=CATEGORICAL[4],
                linestyles=styles,
                linewidths=0.9,
                alpha=0.7,
            )
        )
    expected = geometries.expected.geodesic(point_a, point_b).points(n_points).detach().cpu()
    curves = expected.reshape(-1, n_points, 2).numpy()
    ax.add_collection(LineCollection(list(curves), colors=RIEMANNIAN, linewidths=1.8))
    ends = curves[:, [0, -1]].reshape(-1, 2)
    ax.scatter(
        ends[:, 0], ends[:, 1], s=14, color="white", edgecolors="black", linewidths=0.7, zorder=3
    )
    ax.plot([], [], color=CATEGORICAL[4], label=f"{len(geometries.members)} members")
    ax.plot([], [], color=RIEMANNIAN, label="expected metric")
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    legend_above(ax)
    ax.autoscale_view()
    return ax
