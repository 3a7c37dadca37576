"""Special functions against SciPy, over their whole range and through second derivatives."""

import numpy as np
import pytest
import torch
from scipy import special

from pullback.autodiff import second_order
from pullback.metrics.information.special_functions import (
    bessel_information,
    log_cosh,
    scaled_trigamma,
    uniform_tilt_variance,
)


def points(low, high, n=41):
    return torch.logspace(low, high, n, dtype=torch.float64)


def test_trigamma_is_scipy_s():
    a = points(-6, 3)
    truth = a.numpy() ** 2 * special.polygamma(1, a.numpy()) - a.numpy()
    torch.testing.assert_close(scaled_trigamma(a), torch.from_numpy(truth), rtol=2e-12, atol=0)


def test_trigamma_keeps_its_digits_where_the_difference_has_none():
    a = torch.tensor([1e-300, 1e8, 1e30], dtype=torch.float64)  # 1, 1/2 + 1/(6 a), 1/2
    truth = torch.tensor([1, 0.5 + 1 / 6e8, 0.5], dtype=torch.float64)
    torch.testing.assert_close(scaled_trigamma(a), truth, rtol=1e-15, atol=0)


def test_bessel_ratio_is_scipy_s():
    k = points(-6, 2).numpy()  # SciPy's own digits cancel beyond
    ratio = special.i1e(k) / special.i0e(k)
    location, spread = bessel_information(torch.from_numpy(k))
    truth = (1 + k**2) * (1 - ratio / k - ratio**2)
    torch.testing.assert_close(location, torch.from_numpy(k * ratio), rtol=1e-14, atol=0)
    torch.testing.assert_close(spread, torch.from_numpy(truth), rtol=1e-10, atol=1e-10)


def test_bessel_ratio_has_no_seam_and_ends_well():
    k = 20 + torch.tensor([-1e-9, 1e-9], dtype=torch.float64)
    for part in bessel_information(k):
        assert abs(part[1] / part[0] - 1) < 1e-9
    location, spread = bessel_information(torch.tensor([0.0, 1e200], dtype=torch.float64))
    assert location.tolist() == [0, 1e200]
    torch.testing.assert_close(spread, torch.tensor([0.5, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("eta", [1e-3, 0.3, 0.999999, 1.000001, 4.0, 30.0])
def test_variance_of_a_tilted_uniform_is_that_of_its_integral(eta):
    x, weight = np.polynomial.legendre.leggauss(80)
    x, weight = (x + 1) / 2, weight * np.exp(eta * ((x + 1) / 2 - 1))
    mean = (weight * x).sum() / weight.sum()
    truth = (1 + eta**2) * (weight * (x - mean) ** 2).sum() / weight.sum()
    for sign in (1, -1):
        found = uniform_tilt_variance(torch.tensor(sign * eta, dtype=torch.float64)).item()
        assert found == pytest.approx(truth, rel=1e-12)


def test_log_cosh_is_numpy_s_and_does_not_overflow():
    x = torch.tensor([0.0, 1e-3, 0.5, 1.0, 3.0, 30.0], dtype=torch.float64)
    truth = torch.from_numpy(np.log(np.cosh(x.numpy())))
    torch.testing.assert_close(log_cosh(x), truth, rtol=1e-9, atol=1e-16)
    assert log_cosh(torch.tensor(1e-9, dtype=torch.float64)).item() == pytest.approx(5e-19)
    assert log_cosh(torch.tensor(1e300, dtype=torch.float64)).item() == 1e300


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "function",
    [
        scaled_trigamma,
        lambda k: bessel_information(k)[0],
        lambda k: bessel_information(k)[1],
        uniform_tilt_variance,
        log_cosh,
    ],
)
def test_second_derivatives_are_finite_and_those_of_differences(function, dtype):
    x = torch.tensor([[1e-6], [0.5], [1.0], [3.0], [19.9], [20.0], [50.0], [1e6]], dtype=dtype)
    at = second_order(function, x, torch.ones_like(x))
    assert all(part.isfinite().all() for part in at)
    x, step = x[1:6].double() + 0.01, 1e-3
    bend = (function(x + step) - 2 * function(x) + function(x - step)) / step**2
    exact = second_order(function, x, torch.ones_like(x)).hessian[..., 0]
    torch.testing.assert_close(exact, bend, rtol=1e-4, atol=1e-6)
