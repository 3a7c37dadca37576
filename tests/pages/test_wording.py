import numpy as np
import pytest

from pullback.pages.wording import bootstrap, count, interval, number, percent, signed


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (999.4, "999"),
        (0.00012, "0.000120"),
        (1e-8, "1.00e-08"),
        (3e7, "3.00e+07"),
    ],
)
def test_numbers_have_three_digits_that_matter(value, written):
    assert number(value) == written


def test_differences_shares_and_counts():
    assert signed(-0.5) == "\N{MINUS SIGN}0.500"
    assert interval((0.1, 0.2), percent) == "[10.0\N{NO-BREAK SPACE}%, 20.0\N{NO-BREAK SPACE}%]"
    assert count(0, "pair") == "0 pairs"


def test_the_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap(lambda times: float(times @ values / times.sum()), 400, seed=1)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)


def test_the_bootstrap_repeats_itself():
    values = np.arange(10.0)
    draws = [bootstrap(lambda times: float(times @ values), 10, seed=s) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
