"""The geodesic equation as a flow: the right side of y' = f(y) for a point with its velocity."""

from typing import Any

import torch
from torch import Tensor

from pullback.metrics import Metric

__all__ = ["geodesic_flow"]


def geodesic_flow(metric: Metric) -> Any:
    """Return the right side of y' = f(y) for y = (c, c'): f(y) = (c', acceleration(c, c')).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flow = geodesic_flow(PullbackMetric(lambda z: z))
        >>> flow(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist()
        [[3.0, 4.0, 0.0, 0.0]]
    """

    def flow(y: Tensor) -> Tensor:
        z, v = y.chunk(2, -1)
        return torch.cat([v, metric.acceleration(z, v)], -1)

    return flow
