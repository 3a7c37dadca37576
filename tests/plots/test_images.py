import numpy as np
import pytest
from matplotlib.figure import Figure

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.plots import images, theme


def test_every_image_is_there_in_its_place():
    X = np.arange(6.0)[:, None] * np.ones((6, 12))
    canvas = np.asarray(images(X, shape=(3, 4), columns=3).images[0].get_array())
    seen = [np.unique(row[~np.isnan(row)]).tolist() for row in canvas if not np.isnan(row).all()]
    assert seen == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3


def test_rows_have_labels():
    ax = images(np.eye(4), columns=2, labels=("first", "second"))
    assert [text.get_text() for text in ax.texts] == ["first", "second"]


def test_zero_has_the_colour_of_the_page():
    for name, level in (("light", 1.0), ("dark", 0.0)):
        with theme(name):
            cmap = images(np.eye(4)).images[0].get_cmap()
        assert cmap(0.0)[0] == level


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(InvalidDataError, match=r"shape \(2, 2\), so have 4 features, but has 6"):
        images(np.ones((2, 6)))
    with pytest.raises(InvalidParameterError, match="columns"):
        images(np.eye(4), columns=0)


def test_axes_of_the_user_have_the_same_greys():
    theirs = Figure(facecolor="white").add_subplot()
    assert images(np.eye(4), ax=theirs).images[0].get_cmap()(0.0)[0] == 1.0
