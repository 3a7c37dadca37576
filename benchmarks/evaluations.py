"""Count what passes through a decoder: how many points, and for which derivatives."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from pullback.autodiff import Jet
from pullback.metrics import PullbackMetric

__all__ = ["KINDS", "counted"]

KINDS = {
    (): "forward",
    ("vjp",): "gradient",
    ("jvp",): "tangents",
    ("jvp", "vjp"): "second order",
}
"""What a point is evaluated for, by the transforms of `torch.func` that it passes under.

A jet counts as what it stands for: tangents, and second order if it remembers or carries more."""


@contextmanager
def counted(metric: PullbackMetric) -> Iterator[Counter[str]]:
    """Count the rows that pass through the immersion of a metric while the context lasts.

    A row is one point, however many directions it is differentiated in at once.

    Yields:
        The number of rows of each of the `KINDS`.
    """
    rows: Counter[str] = Counter()
    active: list[str] = []
    immersion = metric.immersion

    def counting(z: Tensor) -> Tensor:
        kind = KINDS[tuple(sorted(set(active)))]
        if isinstance(z, Jet):
            kind = "tangents" if z.bends is None and not z.is_curved else "second order"
        rows[kind] += math.prod(z.shape[:-1])
        return immersion(z)

    smooth = metric.smooth
    metric.immersion, metric.smooth = counting, smooth.of(counting)
    try:
        with _noted(active, "vjp"), _noted(active, "jvp"):
            yield rows
    finally:
        metric.immersion, metric.smooth = immersion, smooth


@contextmanager
def _noted(active: list[str], name: str) -> Iterator[None]:
    """Hold the name of a transform in the list of active ones while it runs."""
    transform: Callable[..., Any] = getattr(torch.func, name)

    def noting(*args: Any, **kwargs: Any) -> Any:
        active.append(name)
        try:
            return transform(*args, **kwargs)
        finally:
            active.pop()

    with patch.object(torch.func, name, noting):
        yield
