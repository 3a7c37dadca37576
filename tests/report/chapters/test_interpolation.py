import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.report.chapters.interpolation import jerkiness


def test_an_even_curve_has_one_and_a_jump_has_all_steps():
    t = torch.linspace(0, 1, 11)[:, None]
    even = torch.cat([t, 2 * t], -1)
    jump = (even > 0.95).float()
    torch.testing.assert_close(jerkiness(torch.stack([even, jump]))[0], torch.tensor(1.0))
    assert jerkiness((t > 0.5).float()) == 10


def test_one_point_is_no_curve():
    with pytest.raises(InvalidDataError, match="at least two points"):
        jerkiness(torch.zeros(1, 3))
