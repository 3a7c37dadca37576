"""Bars, clusters, the history of a training, the steps of a curve."""

import numpy as np
import pytest

from pullback.errors import InvalidDataError
from pullback.plots import bars, clusters, history, steps, to_png


def test_bars_are_as_long_as_the_scores():
    ax = bars(
        {"Euclidean": [0.5, 0.6], "Riemannian": [0.7, 0.8]},
        ["F1", "ARI"],
        intervals={"Euclidean": [(0.4, 0.65), (0.6, 0.6)]},
    )
    assert [patch.get_width() for patch in ax.patches] == [0.5, 0.6, 0.7, 0.8]
    assert [text.get_text() for text in ax.texts] == ["0.500", "0.600", "0.700", "0.800"]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0.4, 0.65]]


def test_clusters_show_their_centres_and_what_is_wrong():
    Z = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    ax = clusters(Z, [0, 0, 1], Z[[0, 2]], wrong=[False, True, False])
    drawn = {c.get_label(): np.asarray(c.get_offsets()).tolist() for c in ax.collections}
    assert drawn["wrong"] == [[1, 0]]
    assert drawn["centre"] == [[0, 0], [5, 5]]


def test_the_history_of_one_stage():
    rows = [
        {"stage": stage, "epoch": e, "elbo": -10.0 / e, "validation_elbo": v}
        for stage, v in (("mean", -9.0), ("std", None))
        for e in (1, 2, 3)
    ]
    training, validation = history(rows).lines
    assert training.get_ydata().tolist() == pytest.approx([-10, -5, -10 / 3])
    assert validation.get_ydata().tolist() == [-9] * 3
    assert len(history(rows, stage="std").lines) == 1


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(InvalidDataError, match="stage 'mean', but has none"):
        history([])


def test_steps_in_units_of_their_mean():
    (line,) = steps({"geodesic": np.array([[0.0], [1.0], [4.0]])}).lines
    assert line.get_ydata().tolist() == [0.5, 1.5]
    assert line.get_xdata().tolist() == [0.25, 0.75]


def test_a_curve_that_does_not_move_is_refused():
    with pytest.raises(InvalidDataError, match="'geodesic' does not move"):
        steps({"geodesic": np.ones((3, 2))})


def test_long_names_of_bars_are_wrapped_and_inside_the_figure():
    names = ["adjusted Rand index against the labels of the data", "macro F1 in $ and %"]
    ax = bars({"a method of a long name": [0.5, 0.6], "_another": [0.7, 0.8]}, names)
    to_png(ax)
    whole = ax.figure.bbox
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
    assert not boxes[0].overlaps(boxes[1])
    shown = ax.get_yticklabels()[0].get_text().replace("\n", " ")
    assert shown == names[0]
    assert len(ax.get_legend().get_texts()) == 2


def test_names_of_curves_are_text():
    ax = steps({"$\\frac$": np.eye(3)[:2].repeat(2, 0) * np.arange(4)[:, None]})
    to_png(ax)
