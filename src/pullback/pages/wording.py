"""Numbers as words: how a report writes them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap", "count", "interval", "number", "percent", "signed", "to_json"]


def number(value: float) -> str:
    """Write a number with three digits that matter.

    Example:
        >>> number(0.012345), number(1234.5), number(2.0), number(-68.249)
        ('0.0123', '1234', '2.00', '-68.2')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def percent(share: float) -> str:
    r"""Write a share as per cent.

    Example:
        >>> percent(0.8512)
        '85.1\xa0%'
    """
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def signed(value: float) -> str:
    """Write a difference with its sign.

    Example:
        >>> signed(0.031), signed(-2.0)
        ('+0.031', '−2.000')
    """
    return f"{value:+.3f}".replace("-", "−")


def interval(ends: Sequence[float], write: Callable[[float], str] = signed) -> str:
    """Write an interval.

    Example:
        >>> interval((0.01, 0.05))
        '[+0.010, +0.050]'
    """
    return f"[{write(ends[0])}, {write(ends[1])}]"


def count(n: int, noun: str) -> str:
    """Write how many of a thing there are.

    Example:
        >>> count(1, "geodesic"), count(100, "geodesic")
        ('1 geodesic', '100 geodesics')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")


def bootstrap(
    statistic: Callable[[NDArray[Any]], float], n: int, *, seed: int, n_draws: int = 1000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic when the n samples are drawn again.

    Args:
        statistic: from the number of times that each sample is drawn, `(n,)`, to a value.
        n: how many samples there are.
        seed: seed of the draws.
        n_draws: how often they are drawn.

    Returns:
        The ends of the interval.

    Source:
        Efron, "Bootstrap methods: another look at the jackknife", 1979.

    Example:
        >>> values = np.array([1.0, 2.0, 3.0])
        >>> low, high = bootstrap(lambda times: times @ values / 3, 3, seed=0)
        >>> 1.0 <= low < 2.0 < high <= 3.0
        True
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=n_draws)
    values = np.array([statistic(times) for times in draws])
    low, high = np.percentile(values[np.isfinite(values)], [2.5, 97.5])
    return float(low), float(high)


def to_json(values: Any) -> Any:
    """Return values as JSON knows them: no NaN and no infinity, but null.

    Example:
        >>> to_json({"a": [1.0, math.nan], "b": (True, None)})
        {'a': [1.0, None], 'b': [True, None]}
    """
    if isinstance(values, dict):
        return {str(key): to_json(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [to_json(value) for value in values]
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    return values
