"""Steps along paths of images are measured right where they are known."""

import numpy as np
import pytest
import torch

from pullback.reproduction.claims.oddity.interpolation import class_axis, smoothness

ZERO = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
ONE = torch.tensor([0.0, 0.0, 0.0, 1.0]).double()
AXIS = ONE - ZERO, (ZERO + ONE) / 2


def test_the_axis_leads_from_the_mean_of_zeros_to_that_of_ones():
    X = np.float32([[0, 0], [2, 0], [5, 5]])
    direction, middle = class_axis(X, np.array([0, 0, 1]))
    assert direction.tolist() == [4, 5]
    assert middle.tolist() == [3, 2.5]


def test_an_even_path_has_a_largest_step_like_all():
    share = torch.linspace(0, 1, 12).double()[:, None]
    found = smoothness(torch.lerp(ZERO, ONE, share)[None], AXIS)
    assert found["largest over mean step"] == pytest.approx(1.0)
    assert found["change at the class boundary"] == pytest.approx(
        found["largest change of correlation"]
    )


def test_a_jump_is_all_of_the_path_and_lies_at_the_boundary():
    path = torch.stack([ZERO, ZERO, ZERO, ONE, ONE])[None]
    found = smoothness(path, AXIS)
    assert found["largest over mean step"] == pytest.approx(4.0)
    jump = 1 - float(np.corrcoef(ZERO.numpy(), ONE.numpy())[0, 1])
    assert found["change at the class boundary"] == pytest.approx(jump)


def test_a_jump_within_a_class_is_not_that_of_the_boundary():
    within = torch.tensor([1.0, 0.9, 0.0, 0.0]).double()
    share = torch.linspace(0, 1, 12).double()[:, None]
    path = torch.cat([within[None], torch.lerp(ZERO, ONE, share)])[None]
    found = smoothness(path, AXIS)
    assert found["change at the class boundary"] < found["largest change of correlation"]
    other = torch.lerp(ZERO, ONE, share)[None]
    assert found["change at the class boundary"] == pytest.approx(
        smoothness(other, AXIS)["change at the class boundary"]
    )
