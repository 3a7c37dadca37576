"""What a result says of itself."""

import numpy as np
import pytest
import torch

from pullback.curves import straight_line
from pullback.errors import ConvergenceError
from pullback.geodesics import Newton, Status, connect
from pullback.manifolds.reference import paraboloid
from pullback.metrics import PullbackMetric

METRIC = PullbackMetric(paraboloid)


def test_a_table_for_people():
    a = torch.tensor([[-1.0, 0.2], [0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.2], [0.0, 0.0]], dtype=torch.float64)
    header, titles, first, second = str(connect(METRIC, a, b)).splitlines()
    assert header == "2 of 2 geodesics converged"
    assert titles.split() == (
        [
            "pair",
            "status",
            "length",
            "gain",
            "%",
            "bound",
            "error",
            "residual",
            "speed",
            "steps",
            "start",
            "won",
            "by",
            "%",
        ]
    )
    number, status, length, gain, bound, *_, start, margin = first.split()
    assert (number, status, start, margin) == ("0", "converged", "straight", "-")
    assert 2 < float(length) < 3
    assert float(gain) > 0
    assert 0.5 < float(bound) < 1
    assert second.split()[:3] == ["1", "converged", "0"]


@pytest.mark.slow
def test_a_frame_holds_every_number():
    a, b = torch.randn(2, 3, 4, 2, dtype=torch.float64)
    result = connect(METRIC, a, b)
    frame = result.to_frame()
    assert len(frame) == 12
    assert set(frame["status"]) == {"converged"}
    for name in ("length", "energy", "gain", "residual", "refinement", "n_steps"):
        np.testing.assert_allclose(frame[name], getattr(result, name).flatten(), err_msg=name)
    np.testing.assert_allclose(frame["gain"], 1 - frame["length"] / frame["straight_length"])


def test_several_starts_are_compared():
    a, b = torch.tensor([[-1.0, 0.2], [1.0, 0.2]], dtype=torch.float64)
    bulge = straight_line(a, b, 20)
    bulge[1:-1, 1] += 0.05
    result = connect(METRIC, a, b, initial=[bulge, straight_line(a, b, 4)])
    assert result.starts == ("straight", "given 0", "given 1")
    assert result.start_lengths.shape == (3,)
    assert 0 <= result.start_margin < 1e-2
    assert result.start_lengths[result.start] == result.start_lengths.min()


@pytest.mark.slow
def test_a_long_table_is_cut_and_failures_are_counted():
    b = torch.stack([torch.linspace(0.5, 1, 30), torch.full((30,), 0.2)], -1).double()
    a = b * torch.tensor([-1.0, 1.0]).double()
    text = str(connect(METRIC, a, b, solver=Newton(max_steps=1), levels=(16, 32)))
    assert text.startswith("0 of 30 geodesics converged")
    assert "... and 10 more" in text
    assert text.endswith("(pair 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)")
    assert text.count("\n") == 23 + ("conjugate" in text)


def test_a_result_without_failures_passes():
    result = connect(METRIC, [0.0, 0.0], [1.0, 1.0])
    assert result.raise_if_failed() is result
    assert str(result).count("\n") == 2


@pytest.mark.slow
def test_failures_are_raised_on_demand():
    result = connect(METRIC, [[-1.0, 0.1]], [[1.0, 0.1]], solver=Newton(max_steps=1))
    with pytest.raises(ConvergenceError, match=r"1 of 1 geodesics were not found: .* \(pair 0\)"):
        result.raise_if_failed()


@pytest.mark.parametrize("status", Status)
def test_every_status_has_its_message(status):
    assert len(status.message) > 10
