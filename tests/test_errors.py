"""What the checks at the door refuse, and that they say why."""

import numpy as np
import pytest
import torch

from pullback.errors import InvalidDataError, cast_points, check_data, check_points

ENTRIES = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(3, 2, dtype=torch.complex64), "`x` must hold real numbers.*complex64"),
        (1j * ENTRIES, "`x` must hold real numbers.*complex128"),
        (np.ma.masked_equal(ENTRIES, 3.0), "`x` must hold a number.*1 of them are masked"),
        ([[1.0, 2.0], [3.0]], "`x` must be a regular array, but its rows differ in length"),
    ],
)
@pytest.mark.parametrize("check", [check_points, check_data])
def test_what_is_no_real_array_is_refused(check, points, message):
    with pytest.raises(InvalidDataError, match=message):
        check("x", points)


def test_a_masked_array_without_masked_entries_is_an_array():
    assert torch.equal(check_points("x", np.ma.masked_array(ENTRIES)), torch.tensor(ENTRIES))


def test_values_beyond_the_range_of_the_dtype_are_refused():
    points = torch.tensor([1.0, -1e39], dtype=torch.float64)
    with pytest.raises(InvalidDataError, match=r"`x` .*float32, at most 3\.4e\+38, .*1e\+39"):
        cast_points("x", points, torch.zeros(()))
    assert torch.equal(cast_points("x", points, points), points)
