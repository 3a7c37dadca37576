import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pullback.errors import InvalidParameterError
from pullback.plots.style import (
    CATEGORICAL,
    MARKERS,
    class_style,
    greys,
    legend_above,
    literal,
    new_axes,
    styled,
    theme,
    to_png,
)


def luminance(colour):
    """The relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_letters_stand_out_from_the_paper(name):
    with theme(name):
        ax = new_axes()
        ink = matplotlib.colors.to_rgb(ax.xaxis.label.get_color())
        assert contrast(ink, ax.figure.get_facecolor()) > 7  # WCAG AAA


def test_a_theme_ends_with_its_block():
    before = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError), theme("dark"):
        raise RuntimeError
    assert dict(matplotlib.rcParams) == before
    assert new_axes().figure.get_facecolor() == (1, 1, 1, 1)


def test_an_unknown_theme_is_refused():
    with (
        pytest.raises(InvalidParameterError, match="one of 'dark', 'light', but got 'sepia'"),
        theme("sepia"),
    ):
        pass


def test_axes_of_the_user_keep_their_style():
    @styled
    def plot(ax=None):
        ax = ax or new_axes()
        ax.set_title("t")
        return ax

    figure = Figure()
    FigureCanvasAgg(figure)
    theirs = figure.add_subplot()
    assert plot(ax=theirs) is theirs
    assert theirs._left_title.get_text() == ""
    assert plot()._left_title.get_text() == "t"


def test_classes_differ_in_colour_and_in_marker():
    assert len(set(CATEGORICAL)) == len(set(MARKERS)) == 8
    assert len({tuple(class_style(k).values()) for k in range(64)}) == 64


def test_a_figure_becomes_a_png_of_its_size():
    png = to_png(new_axes(2.0, 1.0))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20]) == 400
    assert int.from_bytes(png[20:24]) == 200


ODD = [
    "$\\frac$",
    "_hidden",
    "a\nb\tc",
    "\U0001f9ec gene",
    "x" * 60,
    "",
    "50 $",
    "\u7ec6\u80de",
    "\ud800",
]


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_drawn_as_it_is_and_stands_in_the_legend(text):
    ax = new_axes(2.0, 2.0)
    ax.plot([0, 1], label=literal(text))
    ax.set_title(literal(text))
    legend_above(ax)
    to_png(ax)  # a missing glyph would warn, and mathematics raise
    assert len(ax.get_legend().get_texts()) == 1


def test_different_texts_stay_different_and_short():
    shown = [literal(text) for text in ODD]
    assert len(set(shown)) == len(ODD)
    assert max(map(len, shown)) <= 30
    assert literal("$x_1$").count(r"\$") == 2
    assert literal("plain text") == "plain text"


@pytest.mark.slow
def test_a_legend_of_many_names_is_inside_the_figure_and_outside_the_axes():
    ax = new_axes()
    for k in range(14):
        ax.plot([0, 1], label=literal(f"a class of number {k}"))
    legend_above(ax)
    to_png(ax)
    whole = ax.figure.bbox
    legend = ax.get_legend().get_window_extent()
    assert whole.x0 <= legend.x0 < legend.x1 <= whole.x1
    assert ax.get_window_extent().y1 <= legend.y0 < legend.y1 <= whole.y1
    assert ax.xaxis.get_tightbbox().y0 >= whole.y0


def test_axes_of_the_user_keep_their_size_under_a_legend():
    figure = Figure(figsize=(4.0, 3.0))
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    for k in range(9):
        ax.plot([0, 1], label=f"class {k}")
    legend_above(ax)
    assert figure.get_size_inches().tolist() == [4.0, 3.0]
    assert len(ax.get_legend().get_texts()) == 9


def test_the_figures_of_a_theme_keep_it_when_more_is_drawn_on_them():
    @styled
    def size(ax=None):
        return matplotlib.rcParams["legend.fontsize"]

    assert size(ax=new_axes()) == size()
    figure = Figure()
    assert size(ax=figure.add_subplot()) == matplotlib.rcParams["legend.fontsize"]


def test_greys_follow_the_page():
    figure = Figure(facecolor="black")
    assert greys(figure.add_subplot()) == "gray"
    with theme("dark"):
        assert greys(new_axes()) == "gray"
    assert greys(new_axes()) == "gray_r"
