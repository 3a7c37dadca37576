"""A metric that counts how often it is asked, which is what solvers are compared by."""

from torch import Tensor

from pullback.metrics import Metric

__all__ = ["CountingMetric"]


class CountingMetric(Metric):
    """A metric that counts the points at which it, or a derivative of it, is asked for.

    Args:
        metric: what is asked.

    Attributes:
        n_points: points asked for so far.

    Example:
        >>> import torch
        >>> from pullback.metrics import PullbackMetric
        >>> counting = CountingMetric(PullbackMetric(lambda z: z, dim=2))
        >>> M = counting.metric_matrix(torch.zeros(5, 2).double())
        >>> counting.n_points
        5
    """

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric.dim)
        self.metric = metric
        self.n_points = 0

    def metric_matrix(self, z: Tensor) -> Tensor:
        """Ask for M, see `Metric.metric_matrix`."""
        return self._count(z).metric_matrix(z)

    def inner_product(self, z: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Ask for u^T M v, see `Metric.inner_product`."""
        return self._count(z).inner_product(z, u, v)

    def acceleration(self, z: Tensor, v: Tensor) -> Tensor:
        """Ask for c'', see `Metric.acceleration`."""
        return self._count(z).acceleration(z, v)

    def _squared_chords(self, points: Tensor) -> Tensor:
        return self._count(points)._squared_chords(points)

    def _count(self, z: Tensor) -> Metric:
        self.n_points += z.shape[:-1].numel()
        return self.metric
