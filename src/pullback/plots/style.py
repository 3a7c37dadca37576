"""The look of every figure, in one place: colours that the colour-blind can tell apart, two themes.

Figures are drawn for a phone first: narrow, one panel each, with letters that stay legible there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from io import BytesIO
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from pullback.errors import check_choice
from pullback.exclusive import exclusive

__all__ = [
    "CATEGORICAL",
    "EUCLIDEAN",
    "MARKERS",
    "RIEMANNIAN",
    "class_style",
    "greys",
    "grow_figure",
    "legend_above",
    "literal",
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

# How much room a legend takes up at 10 points, in inches: a letter, a marker with its gaps, and a
# line; and the margin of the page.
_LETTER, _HANDLE, _LINE, _EDGE = 0.077, 0.5, 0.21, 0.2
# The colours of background, text and grid lines, for each theme.
_INK = {"light": ("#ffffff", "#1c2430", "#d5dae1"), "dark": ("#171b21", "#dfe5ec", "#39424e")}
_theme: ContextVar[str] = ContextVar("theme", default="light")
_drawn_for: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()  # figures of ours: their theme

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
    with exclusive(), matplotlib.rc_context(_settings()):
        figure = Figure(figsize=(width, height), dpi=200, layout=None if bare else "constrained")
        FigureCanvasAgg(figure)
        _drawn_for[figure] = _theme.get()
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
        given: Any = kwargs.get("ax")
        own = given is None or given.get_figure(root=True) in _drawn_for
        if not own:
            return plot(*args, **kwargs)
        with exclusive(), matplotlib.rc_context(_settings()):
            return plot(*args, **kwargs)

    return wrapped


def class_style(index: int) -> dict[str, Any]:
    """Return colour and marker of the class of that index: 64 of them differ.

    Example:
        >>> class_style(0)
        {'color': '#0072B2', 'marker': 'o'}
    """
    return {
        "color": CATEGORICAL[index % len(CATEGORICAL)],
        "marker": MARKERS[(index + index // len(CATEGORICAL)) % len(MARKERS)],
    }


def literal(text: Any, most: int = 28) -> str:
    r"""Return a text of the data as a figure shall show it: never as mathematics, never left out.

    Dollars are escaped, white space is one space, the middle of what is long gives way to an
    ellipsis, characters that the font lacks are shown as their code, and a leading underscore,
    which would keep the text out of a legend, comes after an invisible space.

    Args:
        text: a label, the name of a column or of a method; shown by its `str`.
        most: characters, at least 3.

    Example:
        >>> literal("cost in $"), literal("a\nb"), literal("abcdefgh", 5), literal("")
        ('cost in \\$', 'a b', 'ab…gh', '(empty)')
    """
    words = " ".join(str(text).split())
    if len(words) > most:
        head, tail = most // 2, (most - 1) // 2
        words = f"{words[:head]}…{words[-tail:]}"
    known = frozenset().union(*map(_glyphs, map(str, matplotlib.rcParams["font.family"])))
    words = "".join(c if ord(c) in known else f"[{ord(c):X}]" for c in words) or "(empty)"
    hidden = "\N{ZERO WIDTH SPACE}" if words.startswith("_") else ""
    return hidden + words.replace("$", r"\$")


@lru_cache(maxsize=32)
def _glyphs(family: str) -> frozenset[int]:
    """Return the characters that a font family has."""
    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())


def legend_above(ax: Axes, **options: Any) -> None:
    """Put a legend over the axes, in as many columns as have room; our own figures grow with it.

    Args:
        ax: the axes, whose artists have labels.
        options: further ones of `Axes.legend`.

    Example:
        >>> ax = new_axes()
        >>> line = ax.plot([0, 1], label="a")
        >>> legend_above(ax)
        >>> len(ax.get_legend().get_texts())
        1
    """
    _, names = ax.get_legend_handles_labels()
    if not names:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    own = isinstance(figure, Figure) and figure in _drawn_for
    room = figure.get_size_inches()[0] * (1 if own else ax.get_position(original=True).width)
    ncols = _columns(names, room - _EDGE)
    given: dict[str, Any] = {"ncols": ncols, "borderaxespad": 0.2, "handlelength": 1.4} | options
    if not own:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), **given)
        return
    # The legend gets a strip of its own at the top of the figure. As a part of the axes, a wide one
    # would make them narrower.
    assert isinstance(figure, Figure)
    engine: Any = figure.get_layout_engine()
    assert engine is not None
    strip = _LINE * math.ceil(len(names) / ncols) + _EDGE / 2
    width, height = figure.get_size_inches()
    before = (1 - engine.get()["rect"][3]) * height or _LINE + _EDGE / 2
    height += strip - before
    figure.set_size_inches(width, height)
    engine.set(rect=(0, 0, 1, 1 - strip / height))
    corner = (_EDGE / 2 / width, 1)
    where: dict[str, Any] = {"bbox_to_anchor": corner, "bbox_transform": figure.transFigure}
    ax.legend(loc="upper left", **where, **given).set_in_layout(False)
    # Matplotlib's layout only moves towards the right one; after a large change it has to be run
    # twice.
    if strip > before:
        figure.draw_without_rendering()


def _columns(names: Sequence[str], room: float) -> int:
    """Return the most columns in which names, column by column, are no wider than so, in inches."""
    for ncols in range(len(names), 1, -1):
        rows = math.ceil(len(names) / ncols)
        columns = [names[first : first + rows] for first in range(0, len(names), rows)]
        if sum(_LETTER * max(map(len, part)) + _HANDLE for part in columns) <= room:
            return len(columns)
    return 1


def grow_figure(ax: Axes, *, width: float = 0.0, height: float = 0.0) -> None:
    """Give a figure of `new_axes` more room, in inches; one of the user's keeps its size.

    Example:
        >>> ax = new_axes(2.0, 1.0)
        >>> grow_figure(ax, height=0.5)
        >>> ax.figure.get_size_inches().tolist()
        [2.0, 1.5]
    """
    figure = ax.get_figure(root=True)
    if isinstance(figure, Figure) and figure in _drawn_for:
        before = figure.get_size_inches()
        figure.set_size_inches(before[0] + width, before[1] + height)


def greys(ax: Axes) -> str:
    """Return the colour map of images on axes: the lowest value has the colour of the page.

    Example:
        >>> greys(new_axes())
        'gray_r'
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    page = to_rgba(figure.get_facecolor())
    # A transparent page is taken for white, as it is on paper.
    return "gray" if sum(page[:3]) < 1.5 and page[3] > 0.5 else "gray_r"


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
