"""Special functions of Fisher information matrices, to full precision over their whole range.

They are sums of elementary functions without cancellation, so derivatives of every order, forward
and reverse, come out of the same formulas in either floating-point type.
"""

import math
from functools import cache

import torch

from pullback.shapes import Scalars

__all__ = [
    "bessel_information",
    "log_cosh",
    "scaled_trigamma",
    "uniform_tilt_variance",
]

# The Bernoulli numbers B_2, B_4, ..., B_18 of the expansion of the trigamma function.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)

# The argument from which on the expansion of the trigamma function with these numbers is right to
# rounding in double precision. Smaller arguments are raised to it by the recurrence.
_SHIFT = 10
# The concentration kappa from which on the expansion of the Bessel ratio in 1 / kappa is right to
# rounding in double precision.
_LARGE_CONCENTRATION = 20.0
# Levels of the continued fraction that serves below it: enough for double precision up to 20.
_BESSEL_ORDERS = 45
# Terms of the expansion that serves above it: enough for double precision from 20 on.
_BESSEL_TERMS = 20


def scaled_trigamma(a: Scalars) -> Scalars:
    r"""Compute a^2 psi_1(a) - a, which falls from 1 at a = 0 to 1/2 at infinity.

    psi_1 is the trigamma function. Its recurrence and its expansion at infinity are written for
    the difference itself: every term of the sum is positive.

    Args:
        a: positive numbers, shape `(*batch,)`.

    Returns:
        The values, shape `(*batch,)`, to a few units in the last place.

    Source:
        Abramowitz, Stegun, Handbook of mathematical functions (1964), 6.4.6 and 6.4.12.

    Example:
        >>> round(scaled_trigamma(torch.tensor(1.0)).item(), 6)  # pi^2 / 6 - 1
        0.644934
    """
    total = 1 / (a + 1)
    for k in range(1, _SHIFT):
        total = total + (a / (a + k)).square() / (a + k + 1)
    y = 1 / (a + _SHIFT)
    y2 = y * y
    rest = torch.zeros_like(y)
    for number in reversed(_BERNOULLI[:7]):
        rest = rest * y2 + number
    return total + (a * y).square() * (0.5 + y * rest)


def bessel_information(concentration: Scalars) -> tuple[Scalars, Scalars]:
    r"""Compute kappa A and (1 + kappa^2) A' for the ratio A = I_1(kappa) / I_0(kappa).

    A' = 1 - A / kappa - A^2 would cancel for large kappa. Up to 20, the continued fraction of
    ratios of Bessel functions serves; beyond, the power series in 1 / kappa that solves the
    differential equation. The second value lies between 0.4 and 1.

    Args:
        concentration: kappa >= 0, shape `(*batch,)`.

    Returns:
        Both values, shapes `(*batch,)`.

    Source:
        Amos, Computation of modified Bessel functions and their ratios (1974).

    Example:
        >>> location, scale = bessel_information(torch.tensor(0.0))
        >>> location.item(), scale.item()
        (0.0, 0.5)
    """
    small = concentration < _LARGE_CONCENTRATION
    k = torch.where(small, concentration, 1.0)
    ratio = torch.zeros_like(k)
    for order in range(_BESSEL_ORDERS, 1, -1):
        ratio = k / (2 * order + k * ratio)  # I_order / I_(order - 1)
    over = 1 / (2 + k * ratio)  # A / kappa
    slope = over * (1 + k * (ratio - k * over))
    y = 1 / torch.where(small, _LARGE_CONCENTRATION, concentration)
    far, far_slope = torch.zeros_like(y), torch.zeros_like(y)
    for n, number in reversed(list(enumerate(_bessel_series()))):
        far = far * y + number
        if n:
            far_slope = far_slope * y - n * number
    location = torch.where(small, k * k * over, far / y)
    return location, torch.where(small, (1 + k * k) * slope, (1 + y * y) * far_slope)


@cache
def _bessel_series() -> tuple[float, ...]:
    """The a_n of A = sum_n a_n kappa^-n, from A' = 1 - A / kappa - A^2."""
    a = [1.0]
    for n in range(1, _BESSEL_TERMS):
        before = (n - 2) * a[n - 1] if n > 1 else -a[0]
        a.append((before - sum(a[i] * a[n - i] for i in range(1, n))) / 2)
    return tuple(a)


def uniform_tilt_variance(logit: Scalars) -> Scalars:
    r"""Compute (1 + eta^2) Var[x] for the density ~ exp(eta x) on [0, 1].

    The variance is 1 / eta^2 - 1 / (4 sinh^2(eta / 2)), or by its power series where |eta| < 1.

    Args:
        logit: eta, shape `(*batch,)`.

    Returns:
        The values between 1/12 and 1, shape `(*batch,)`.

    Source:
        Loaiza-Ganem, Cunningham, The continuous Bernoulli (2019).

    Example:
        >>> round(12 * uniform_tilt_variance(torch.tensor(0.0)).item(), 6)
        1.0
    """
    near = logit.abs() < 1
    x2 = torch.where(near, logit, 0.0).square()
    series = torch.zeros_like(logit)
    for n in range(len(_BERNOULLI), 0, -1):
        series = series * x2 + _BERNOULLI[n - 1] * (2 * n - 1) / math.factorial(2 * n)
    eta = torch.where(near, 1.0, logit).abs()
    csch = torch.exp(-eta / 2) / -torch.expm1(-eta)  # 1 / (2 sinh(eta / 2))
    far = 1 + (1 / eta).square() - csch.square() - (eta * csch).square()
    return torch.where(near, (1 + x2) * series, far)


def log_cosh(x: Scalars) -> Scalars:
    """Compute log cosh x without overflow.

    Args:
        x: numbers >= 0, shape `(*batch,)`.

    Returns:
        log cosh x, shape `(*batch,)`, to full relative precision at 0 too.

    Example:
        >>> round(log_cosh(torch.tensor(1000.0)).item(), 3)  # 1000 - log 2
        999.307
    """
    near = x < 1
    small = torch.where(near, x, 0.0)
    large = torch.where(near, 1.0, x)
    # log cosh x = log1p(2 sinh^2(x / 2))
    inside = torch.log1p(2 * torch.sinh(small / 2).square())
    return torch.where(near, inside, large + torch.log1p(torch.exp(-2 * large)) - math.log(2))
