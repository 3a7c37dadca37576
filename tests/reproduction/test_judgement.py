"""Verdicts: by the mean or by the whole interval, and never by a number that is missing."""

import math

import numpy as np
import pytest
from scipy import stats

from pullback.errors import InvalidParameterError
from pullback.pages import Verdict
from pullback.reproduction import Claim, Criterion
from pullback.reproduction.judgement import judge, mean_interval, verdict_of


def runs(*values):
    return [{"row": {"column": value}} for value in values]


def judged(values, **bounds):
    criterion = Criterion("", lambda found: found["row"]["column"], **bounds)
    claim = Claim("key", "", "", "", "", lambda lab, seed: {}, [criterion])
    (finding,) = judge(claim, runs(*values))
    return finding


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.3, -0.5, 0.1, 0.9]])
def test_the_interval_is_student_s(values):
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "bounds", "met"),
    [
        ([1.0, 2.0], {"at_least": 1.5}, True),
        ([1.0, 2.0], {"at_least": 1.6}, False),
        ([1.0, 2.0], {"at_most": 1.5}, True),
        ([1.0, 2.0], {"at_most": 1.4}, False),
        ([1.0, 1.1, 1.2], {"at_least": 0.0, "surely": True}, True),
        ([-1.0, 1.0, 1.2], {"at_least": 0.0, "surely": True}, False),
        ([-1.0, -1.1, -1.2], {"at_most": 0.0, "surely": True}, True),
        ([1.0], {"at_least": 0.0, "surely": True}, None),  # one seed is sure of nothing
        ([1.0], {"at_least": 0.0}, True),
        ([1.0, math.nan], {"at_least": 0.0}, False),
        ([1.0, math.nan], {"at_most": 9.0}, False),
        ([math.nan], {"at_least": -9.0, "surely": True}, False),
    ],
)
def test_a_criterion(values, bounds, met):
    assert judged(values, **bounds).met is met


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0.0, "at_most": 1.0}])
def test_one_bound_is_asked(bounds):
    with pytest.raises(InvalidParameterError, match="at_least"):
        Criterion("", lambda found: 0.0, **bounds)


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [([], Verdict.ABSENT), ([0.0, 1.0], Verdict.REPRODUCED), ([0.0, 9.0], Verdict.PARTLY),
     ([8.0, 9.0], Verdict.NOT_REPRODUCED)],
)  # fmt: skip
def test_a_verdict_is_of_all_criteria(bounds, verdict):
    assert verdict_of([judged([2.0, 2.1], at_least=bound) for bound in bounds]) is verdict


def test_one_seed_leaves_a_claim_of_a_sign_undecided():
    findings = [judged([2.0], at_least=9.0), judged([2.0], at_least=0.0, surely=True)]
    assert verdict_of(findings) is Verdict.OPEN


def test_the_interval_holds_the_mean_as_often_as_it_says():
    """2000 samples of 5 normal values: between 93.5 and 96.5 % hold it, three deviations around."""
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
    held = [low <= 3.0 <= high for low, high in map(mean_interval, draws.tolist())]
    assert 0.935 < np.mean(held) < 0.965
