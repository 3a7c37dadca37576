import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pullback.errors import InvalidParameterError
from pullback.plots.style import CATEGORICAL, MARKERS, class_style, new_axes, styled, theme, to_png


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
    assert class_style(8) == class_style(0)


def test_a_figure_becomes_a_png_of_its_size():
    png = to_png(new_axes(2.0, 1.0))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20]) == 400
    assert int.from_bytes(png[20:24]) == 200
