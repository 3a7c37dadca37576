import numpy as np
import pytest

from pullback.report.chapters.density import _purity


def test_purity_is_the_share_of_the_most_frequent_classes():
    y, component = np.array(list("aabbb")), np.array([0, 0, 0, 1, 1])
    assert _purity(y, component) == pytest.approx(4 / 5)
    assert _purity(None, component) is None
