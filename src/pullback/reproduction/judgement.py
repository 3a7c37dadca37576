"""Judging a claim by what several seeds measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pullback.pages import Verdict
from pullback.reproduction.claim import Claim, Criterion, Numbers

__all__ = ["Finding", "judge", "mean_interval", "verdict_of"]

# The share of intervals that hold the true mean, if the seeds' values are normal: what papers of
# the field print.
_LEVEL = 0.95


@dataclass(frozen=True)
class Finding:
    """What the seeds say of one criterion.

    Attributes:
        criterion: the criterion.
        values: its number by each seed.
        mean: their mean; NaN where a seed measured none.
        interval: the 95 % t-interval of the mean; infinite for one seed.
        met: whether the criterion is met; None where one seed cannot tell, for it has no interval.

    Example:
        >>> criterion = Criterion("Positive.", lambda found: found["a"]["b"], at_least=0.0)
        >>> Finding(criterion, [1.0], 1.0, (-math.inf, math.inf), True).met
        True
    """

    criterion: Criterion
    values: Sequence[float]
    mean: float
    interval: tuple[float, float]
    met: bool | None


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean, `mean -+ t s / sqrt(n)`, of normal values.

    Args:
        values: n numbers.

    Returns:
        Its ends; infinite for one value, NaN if a value is.

    Source:
        Student, "The probable error of a mean", 1908.

    Example:
        >>> low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(low, 2), round(high, 2)
        (-0.48, 4.48)
    """
    n, mean = len(values), float(np.mean(values))
    if not math.isfinite(mean):
        return math.nan, math.nan
    if n < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + _LEVEL) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return mean - half, mean + half


def judge(claim: Claim, runs: Sequence[Numbers]) -> list[Finding]:
    """Judge each criterion of a claim.

    Args:
        claim: the claim.
        runs: the table of each seed, at least one.

    Example:
        >>> criterion = Criterion("Positive.", lambda found: found["a"]["b"], at_least=0.0)
        >>> claim = Claim("one", "", "", "", "", lambda lab, seed: {}, [criterion])
        >>> [found] = judge(claim, [{"a": {"b": 1.0}}, {"a": {"b": 2.0}}])
        >>> found.mean, found.met
        (1.5, True)
    """
    return [_judge(criterion, runs) for criterion in claim.criteria]


def _judge(criterion: Criterion, runs: Sequence[Numbers]) -> Finding:
    values = [float(criterion.value(found)) for found in runs]
    mean, (low, high) = float(np.mean(values)), mean_interval(values)
    met: bool | None
    if criterion.surely and len(values) == 1 and math.isfinite(mean):
        met = None
    elif criterion.at_least is not None:
        # A comparison with NaN is false, so a number that could not be measured meets nothing.
        met = (low if criterion.surely else mean) >= criterion.at_least
    else:
        assert criterion.at_most is not None
        met = (high if criterion.surely else mean) <= criterion.at_most
    return Finding(criterion, values, mean, (low, high), met)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Return whether a claim is reproduced: wholly, in part, not, or undecided after one seed.

    Example:
        >>> verdict_of([]).label
        'not applicable'
    """
    met = [finding.met for finding in findings]
    if not met:
        return Verdict.ABSENT
    if None in met:
        return Verdict.OPEN
    if all(met):
        return Verdict.REPRODUCED
    return Verdict.PARTLY if any(met) else Verdict.NOT_REPRODUCED
