"""A map of the latent plane: a value at every point of it, with the codes of the data on top."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_array,
    check_data,
    check_integer,
    check_number,
)
from pullback.geodesics import grid_nodes
from pullback.plots.style import (
    CATEGORICAL,
    class_style,
    legend_above,
    literal,
    new_axes,
    styled,
)
from pullback.shapes import Codes

__all__ = ["LatentMap", "latent_map", "plane_of", "scatter", "survey"]

# The most classes that a legend names. Labels that are whole numbers of more different values are
# drawn as a scale of colours instead.
_MOST_CLASSES = 24
# Labels that are numbers with fractions, such as doses, count as names of classes up to this many
# different values, and as a scale of colours beyond.
_FEW_VALUES = 8


class LatentMap(NamedTuple):
    """Values on a regular grid of the latent plane.

    Attributes:
        values: the values, shape `(rows, columns)`, rows along the second axis from below.
        extent: left, right, bottom and top of the grid.

    Example:
        >>> LatentMap(np.zeros((2, 2)), (0.0, 1.0, 0.0, 1.0)).values.shape
        (2, 2)
    """

    values: NDArray[Any]
    extent: tuple[float, float, float, float]


@torch.no_grad()
def survey(
    value: Callable[[Tensor], Any],
    Z: Any,
    *,
    resolution: int = 128,
    margin: float = 0.25,
    square: bool = True,
) -> LatentMap:
    """Measure a function of the latent plane on a grid around the codes.

    Args:
        value: from points `(n, 2)` to values `(n,)`.
        Z: codes to cover, shape `(n, 2)`.
        resolution: points along each axis.
        margin: how far the grid reaches beyond the codes, as a share of their extent.
        square: give the grid as much room along both axes; else each as much as the codes take.

    Raises:
        InvalidDataError: the codes do not lie in a plane, or the function does not return a number
            for each point.
        InvalidParameterError: `value` cannot be called, or another argument is out of range.

    Example:
        >>> chart = survey(lambda z: z.square().sum(-1), torch.eye(2), resolution=16)
        >>> chart.values.shape, chart.extent
        ((16, 16), (-0.25, 1.25, -0.25, 1.25))
    """
    check_integer("resolution", resolution, 2)
    check_number("margin", margin, 0)
    if not callable(value):
        raise InvalidParameterError("value", "a function of points `(n, 2)`", f"{value!r}"[:80])
    nodes = grid_nodes(plane_of(Z, square=square), resolution=resolution, margin=margin)
    (left, bottom), (right, top) = nodes[0].tolist(), nodes[-1].tolist()
    values = value(nodes)
    values = check_array("value", values)
    if values.size != len(nodes):
        raise InvalidDataError(
            f"`value` must return one number for each of {len(nodes)} points, but returned an "
            f"array of shape {values.shape}."
        )
    return LatentMap(values.reshape(resolution, resolution).T, (left, right, bottom, top))


def plane_of(Z: Any, *, square: bool = True) -> Codes:
    """Return the lower left and the upper right corner of the smallest square around codes.

    Args:
        Z: codes, shape `(n, 2)`.
        square: the smallest square; else the smallest rectangle.

    Raises:
        InvalidDataError: the codes do not lie in a plane.

    Example:
        >>> plane_of([[0.0, 0.0], [1.0, 0.0]]).tolist()
        [[0.0, -0.5], [1.0, 0.5]]
    """
    codes = check_data("Z", Z).detach()
    if codes.shape[1] != 2:
        raise InvalidDataError(
            f"`Z` must have two latent dimensions to draw a map, but has {codes.shape[1]}."
        )
    low, high = codes.amin(0), codes.amax(0)
    if not square:
        return torch.stack([low, high])
    center, half = (low + high) / 2, (high - low).amax() / 2
    return torch.stack([center - half, center + half])


@styled
def latent_map(
    chart: LatentMap,
    Z: Any = None,
    y: Any = None,
    *,
    label: str = "",
    cmap: str = "viridis",
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of the latent plane, with the codes on top.

    Args:
        chart: the values, see `survey`.
        Z: codes to draw, shape `(n, 2)`, or None.
        y: their labels, shape `(n,)`, or None.
        label: what the values are, along the colour bar.
        cmap: matplotlib's name of the colour map.
        limits: the values at the ends of the colour bar; the 1st and 99th percentile if None.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Example:
        >>> chart = survey(lambda z: z.square().sum(-1), torch.eye(2), resolution=16)
        >>> latent_map(chart, torch.eye(2), label="height").get_xlabel()
        '$z_1$'
    """
    ax = ax or new_axes(4.4, 3.7)
    low, high = limits or np.percentile(chart.values[np.isfinite(chart.values)], [1, 99])
    image = ax.imshow(
        chart.values,
        extent=chart.extent,
        origin="lower",
        cmap=cmap,
        vmin=low,
        vmax=high,
        interpolation="bilinear",
        aspect="equal",
    )
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, pad=0.02, aspect=24)
    bar.set_label(label)
    bar.outline.set_visible(False)
    if Z is not None:
        scatter(Z, y, ax=ax, on_map=True)
    ax.set(xlim=chart.extent[:2], ylim=chart.extent[2:])
    return ax


@styled
def scatter(
    Z: Any,
    y: Any = None,
    *,
    size: float = 16.0,
    on_map: bool = False,
    label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw codes as points, each class in its own colour and marker, numbers by a scale of colours.

    Args:
        Z: codes, shape `(n, 2)`.
        y: labels, shape `(n,)`, or a number for each code, which is shown by colours and a bar;
            or None. Numbers count as labels if they are whole and 24 at most, or 8 and repeat.
        size: area of a marker in square points.
        on_map: give the points white edges, for a coloured background.
        label: what the numbers are, along their colour bar.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the codes do not lie in a plane, or there is no label for each.
        InvalidParameterError: `size` is no positive number.

    Example:
        >>> ax = scatter(torch.eye(2), ["a", "b"])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['a', 'b']
    """
    ax = ax or new_axes()
    size = check_number("size", size, 0, open_low=True)
    codes = check_data("Z", Z, dim=2, min_samples=1).detach().cpu().numpy()
    edge: dict[str, Any] = (
        {"edgecolors": "white", "linewidths": 0.4} if on_map else {"linewidths": 0}
    )
    if y is None:
        colour = "#e8ecf2" if on_map else CATEGORICAL[0]
        # Many codes without a name are background: what is drawn over them must stand out.
        size = size / (1 + len(codes) / 150) if on_map else size
        ax.scatter(codes[:, 0], codes[:, 1], s=size, color=colour, **edge)
    else:
        labels = _labels(y, len(codes))
        if is_continuous(labels):
            _colour_by(ax, codes, labels, size=size, label=label, on_map=on_map, edge=edge)
        else:
            _colour_classes(ax, codes, labels, size=size, edge=edge)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    ax.set_aspect("equal", adjustable="box" if on_map else "datalim")
    return ax


def is_continuous(y: NDArray[Any]) -> bool:
    """Say whether values are numbers to be measured, and not names of classes.

    Example:
        >>> is_continuous(np.arange(10) % 3), is_continuous(np.linspace(0, 1, 10))
        (False, True)
    """
    if y.dtype.kind not in "iuf":
        return False
    known = y[np.isfinite(y)]
    n_values = len(np.unique(known))
    if (known == np.round(known)).all():
        return n_values > _MOST_CLASSES
    return n_values > _FEW_VALUES or n_values == len(known)


def _labels(y: Any, n: int) -> NDArray[Any]:
    labels = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if labels.shape != (n,):
        raise InvalidDataError(f"`y` must hold {n} labels, but got shape {labels.shape}.")
    return labels.astype(np.str_) if labels.dtype.kind == "O" else labels


def _colour_by(
    ax: Axes,
    codes: NDArray[Any],
    values: NDArray[Any],
    *,
    size: float,
    label: str,
    on_map: bool,
    edge: dict[str, Any],
) -> None:
    """Draw points in colours by their values: grey where one is not finite."""
    known = np.isfinite(values)
    ax.scatter(codes[~known, 0], codes[~known, 1], s=size, color=CATEGORICAL[-1], **edge)
    cmap = "turbo" if on_map else "viridis"  # over a map of other colours
    points = ax.scatter(
        codes[known, 0], codes[known, 1], s=size, c=values[known], cmap=cmap, **edge
    )
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(points, ax=ax, pad=0.02, aspect=24)
    bar.set_label(literal(label) if label else "")
    bar.outline.set_visible(False)


def _colour_classes(
    ax: Axes, codes: NDArray[Any], labels: NDArray[Any], *, size: float, edge: dict[str, Any]
) -> None:
    """Draw each class in its colour and marker, and name those that a legend has room for."""
    names, which = np.unique(labels, return_inverse=True)
    for index, name in enumerate(names):
        own = codes[which == index]
        told = literal(name) if index < _MOST_CLASSES else ""
        ax.scatter(own[:, 0], own[:, 1], s=size, label=told, **class_style(index), **edge)
    if len(names) > _MOST_CLASSES:
        ax.plot([], [], " ", label=f"and {len(names) - _MOST_CLASSES} more")
    legend_above(ax, markerscale=1.6, handlelength=1.0)
