"""The look of every figure, in one place: colours that the colour-blind can tell apart, two themes.

Figures are drawn for a phone first: narrow, one panel each, with letters that stay legible there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pullback.errors import check_choice

__all__ = [
    "CATEGORICAL",
    "EUCLIDEAN",
    "MARKERS",
    "RIEMANNIAN",
    "class_style",
    "new_axes",
    "styled",
    "theme",
    "to_png",
]

CATEGORICAL = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
)
"""Colours of classes, after Okabe and Ito, "Color Universal Design", 2008."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers of classes: they tell apart what a colour alone does not."""
EUCLIDEAN, RIEMANNIAN = "#D55E00", "#1F88C9"
"""The colours of straight lines and of geodesics, in every figure."""

_INK = {"light": ("#ffffff", "#1c2430", "#d5dae1"), "dark": ("#171b21", "#dfe5ec", "#39424e")}
_theme: ContextVar[str] = ContextVar("theme", default="light")

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def theme(name: str) -> Iterator[None]:
    """Draw figures for a light or a dark page within a `with` block.

    Args:
        name: `"light"`, the default elsewhere, or `"dark"`.

    Raises:
        InvalidParameterError: there is no such theme.

    Example:
        >>> with theme("dark"):
        ...     ax = new_axes()
        >>> ax.figure.get_facecolor()[0] < 0.2
        True
    """
    token = _theme.set(check_choice("name", name, _INK))
    try:
        with matplotlib.rc_context(_settings()):
            yield
    finally:
        _theme.reset(token)


def new_axes(width: float = 4.4, height: float = 3.4, *, bare: bool = False) -> Axes:
    """Return axes on a figure of their own, which no global state knows of.

    Args:
        width: of the figure, in inches.
        height: of the figure, in inches.
        bare: fill the figure to its edges, without room for ticks and labels.

    Example:
        >>> new_axes(3.0, 2.0).figure.get_size_inches().tolist()
        [3.0, 2.0]
    """
    with matplotlib.rc_context(_settings()):
        figure = Figure(figsize=(width, height), dpi=200, layout=None if bare else "constrained")
        FigureCanvasAgg(figure)
        return figure.add_axes((0, 0, 1, 1)) if bare else figure.add_subplot()


def styled(plot: Callable[P, R]) -> Callable[P, R]:
    """Decorate a plotting function: its own figures get this style, axes of the user keep theirs.

    Args:
        plot: a function that takes `ax=None` as a keyword.

    Example:
        >>> @styled
        ... def line(ax=None):
        ...     return (ax or new_axes()).plot([0, 1], [0, 1])[0]
        >>> line().get_linewidth()
        1.6
    """

    @wraps(plot)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("ax") is not None:
            return plot(*args, **kwargs)
        with matplotlib.rc_context(_settings()):
            return plot(*args, **kwargs)

    return wrapped


def class_style(index: int) -> dict[str, Any]:
    """Return colour and marker of the class of that index; both repeat after eight classes.

    Example:
        >>> class_style(0)
        {'color': '#0072B2', 'marker': 'o'}
    """
    return {
        "color": CATEGORICAL[index % len(CATEGORICAL)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def to_png(ax: Axes) -> bytes:
    """Return the figure that the axes belong to as a PNG file.

    Example:
        >>> to_png(new_axes(1.0, 1.0))[1:4]
        b'PNG'
    """
    buffer = BytesIO()
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.savefig(
        buffer, format="png", facecolor=figure.get_facecolor(), metadata={"Software": ""}
    )
    return buffer.getvalue()


def _settings() -> Any:
    paper, ink, line = _INK[_theme.get()]
    return {
        "image.cmap": "gray_r" if _theme.get() == "light" else "gray",
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelsize": 10.5,
        "axes.axisbelow": True,
        "axes.grid": False,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "font.family": "DejaVu Sans",
        "legend.fontsize": 10,
        "legend.frameon": False,
        "legend.handletextpad": 0.3,
        "legend.columnspacing": 1.0,
        "lines.linewidth": 1.6,
        "hatch.linewidth": 0.6,
    }
