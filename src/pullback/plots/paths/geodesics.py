"""Geodesics in the latent plane, over the straight lines between the same points."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from pullback.errors import InvalidDataError, InvalidParameterError, check_integer
from pullback.plots.style import EUCLIDEAN, RIEMANNIAN, legend_above, new_axes, styled

__all__ = ["geodesics"]


@styled
def geodesics(
    result: Any, *, most: int | None = None, n_points: int = 100, ax: Axes | None = None
) -> Axes:
    """Draw geodesics, and dashed the straight lines between the same end points.

    Those that did not converge are drawn dotted.

    Args:
        result: what `Manifold.geodesic` returned for pairs of points, d = 2.
        most: how many of the pairs to draw, the first ones; all if None.
        n_points: points along each curve.
        ax: axes to draw on, for instance those of a map; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the curves do not lie in a plane.
        InvalidParameterError: `result` is none, or `most` no number of curves.

    Example:
        >>> import torch
        >>> import pullback as pb
        >>> manifold = pb.Manifold(lambda z: torch.cat([z, z ** 2], -1), dim=2)
        >>> a = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)
        >>> len(geodesics(manifold.geodesic(a, -a)).collections) >= 2
        True
    """
    if not (hasattr(result, "points") and hasattr(result, "converged")):
        allowed = "what `Manifold.geodesic` returns"
        raise InvalidParameterError("result", allowed, f"{result!r}"[:80])
    most = None if most is None else check_integer("most", most)
    curves = result.points(n_points).detach().cpu()
    if curves.shape[-1] != 2:
        raise InvalidDataError(
            f"Curves are drawn in two latent dimensions, but these have {curves.shape[-1]}."
        )
    ax = ax or new_axes()
    curves = curves.reshape(-1, n_points, 2)[:most].numpy()
    converged = result.converged.detach().cpu().reshape(-1)[:most].numpy()
    _draw(ax, curves[:, [0, -1]], EUCLIDEAN, "dashed", "straight line")
    _draw(ax, curves[converged], RIEMANNIAN, "solid", "geodesic")
    _draw(ax, curves[~converged], RIEMANNIAN, "dotted", "failed")
    ends = curves[:, [0, -1]].reshape(-1, 2)
    ax.scatter(
        ends[:, 0], ends[:, 1], s=12, color="white", edgecolors="black", linewidths=0.7, zorder=3
    )
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    legend_above(ax, columnspacing=0.8, fontsize=9)
    ax.autoscale_view()
    return ax


def _draw(ax: Axes, curves: NDArray[Any], colour: str, style: str, label: str) -> None:
    if len(curves) == 0:
        return
    # Above codes of a map, whichever was drawn first.
    lines = LineCollection(
        list(curves), colors=colour, linestyles=style, linewidths=1.5, zorder=2.5
    )
    lines.set_label(label)
    # A light rim sets the lines off from whatever map is below them.
    lines.set_path_effects([Stroke(linewidth=2.6, foreground="white", alpha=0.75), Normal()])
    ax.add_collection(lines)
