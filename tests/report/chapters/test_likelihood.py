"""What the chapter on the likelihood says of values that are not as exact as they should be."""

import pytest

from pullback.report.chapters.likelihood import _told


@pytest.mark.parametrize(
    ("method", "read"),
    [("quadrature", "may be off to either side"), ("importance", "read as lower bounds")],
)
def test_only_draws_are_lower_bounds(method, read):
    numbers = {"method": method, "mean_error": {"RBF": 0.02}, "n_not_converged": {"RBF": 3}}
    assert read in _told(numbers)
    assert "3 values" in _told(numbers)
    assert read not in _told(numbers | {"n_not_converged": {"RBF": 0}})
