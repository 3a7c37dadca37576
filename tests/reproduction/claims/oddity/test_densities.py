"""The purity of clusters is right where it is known."""

import numpy as np
import pytest

from pullback.reproduction.claims.oddity.densities import purity


@pytest.mark.parametrize(
    ("labels", "share"),
    [
        ([0, 0, 0, 1, 1, 1], 1.0),
        ([1, 1, 1, 0, 0, 0], 1.0),
        ([0, 0, 0, 0, 0, 0], 0.5),
        ([0, 0, 1, 1, 1, 1], 5 / 6),
        ([-1, 0, 0, 1, 1, 1], 1.0),
    ],
)
def test_purity_is_the_share_of_the_most_frequent_class(labels, share):
    assert purity(np.array([0, 0, 0, 1, 1, 1]), np.array(labels)) == pytest.approx(share)
