"""What the chapter on random walks sums up and says."""

import numpy as np
import pytest
import torch

from pullback.report.chapters.random_walks import _in_the_long_run, _summary, _table, _thinned

AWAY = torch.arange(101.0).double().reshape(1, -1)


def test_distances_are_summed_up():
    assert _summary(AWAY) == {"mean": 50, "median": 50, "p95": pytest.approx(95), "max": 100}


@pytest.mark.parametrize("volume", [True, False])
def test_the_law_of_the_long_run_has_a_row_where_it_was_drawn(volume):
    names = ["riemannian", "euclidean"] + ["volume"] * volume
    numbers = {"distance": {name: _summary(AWAY) for name in names}}
    rows = [row[0] for row in _table(numbers).rows]
    assert rows == ["Riemannian walk", "Euclidean walk"] + ["uniform by volume"] * volume
    told = _in_the_long_run(numbers)
    assert "the Riemannian volume" in told
    assert ("last row" in told) == volume


def test_points_at_equal_times_include_both_ends():
    walk = torch.arange(5001.0).reshape(1, -1, 1)
    assert np.array_equal(_thinned(walk, 5).flatten(), [0, 1250, 2500, 3750, 5000])
