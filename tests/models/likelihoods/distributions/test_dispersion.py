"""The information of the dispersion against sums over counts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pullback.autodiff import jvp, second_order
from pullback.models.likelihoods.distributions.dispersion import dispersion_information


def summed(mean, theta):
    """theta^2 sum_k P(X > k) / (theta + k)^2 - m theta / (theta + m), up to the tail."""
    counts = np.arange(int(mean + 60 * np.sqrt(mean + mean**2 / theta)) + 2000)
    tail = stats.nbinom.sf(counts, theta, theta / (theta + mean))
    return (theta**2 * tail / (theta + counts) ** 2).sum() - mean * theta / (theta + mean)


def information(mean, theta, dtype=torch.float64):
    odds, dispersion = torch.tensor([mean / theta, theta], dtype=dtype)
    return dispersion_information(odds, dispersion.log()).item()


@pytest.mark.slow
@pytest.mark.parametrize("mean", [1e-3, 0.1, 1.0, 30.0, 1e3, 1e4])
@pytest.mark.parametrize("theta", [3e-2, 0.3, 1.0, 10.0, 1e2, 1e4])
def test_it_is_the_sum_over_counts(mean, theta):
    assert information(mean, theta) == pytest.approx(summed(mean, theta), abs=1e-11)


@pytest.mark.slow
@given(st.floats(-7, 9), st.floats(-5, 9))
def test_it_lies_between_0_and_1_and_grows_with_the_mean(log_mean, log_theta):
    mean, theta = np.exp(log_mean), np.exp(log_theta)
    small, large = information(mean, theta), information(1.5 * mean, theta)
    assert -1e-11 < small <= large + 1e-10
    assert large < 1


def test_single_precision_is_close():
    assert information(5.0, 2.0, torch.float32) == pytest.approx(information(5.0, 2.0), rel=1e-4)


def test_derivatives_are_those_of_differences():
    def function(x):
        return dispersion_information(x[..., :1], x[..., 1:])

    x = torch.tensor([[0.3, -1.0], [2.0, 0.0], [50.0, 2.0], [1e-2, -3.0]], dtype=torch.float64)
    one, step = torch.ones(4, 1, dtype=torch.float64), 1e-4 * x[:, :1] * torch.eye(2)[0]
    at = second_order(function, x, one)
    axes = [(step, 0), (torch.tensor([0.0, 1e-4], dtype=torch.float64).expand(4, 2), 1)]
    for move, axis in axes:
        size = move[:, axis : axis + 1]
        slope = (function(x + move) - function(x - move)) / (2 * size)
        torch.testing.assert_close(at.gradient[:, axis : axis + 1], slope, rtol=1e-5, atol=1e-9)
        before, after = (second_order(function, x + sign * move, one).gradient for sign in (-1, 1))
        bend = (after - before) / (2 * size)
        torch.testing.assert_close(at.hessian[:, axis], bend, rtol=1e-5, atol=1e-8)
    forward = jvp(lambda x: jvp(function, x, torch.ones_like(x))[1], x, torch.ones_like(x))[1]
    torch.testing.assert_close(forward[:, 0], at.hessian.sum((-1, -2)))
