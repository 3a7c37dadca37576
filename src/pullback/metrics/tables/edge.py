"""The edge of a table, where it passes over into the exact metric, and all beyond it."""

import torch
from torch import Tensor

from pullback.autodiff import gradient
from pullback.metrics.base import Metric
from pullback.metrics.tables.bspline import BSpline
from pullback.metrics.tables.factors import read_matrix
from pullback.shapes import Latent, MetricMatrix, Tangent

__all__ = ["Edge"]


class Edge(Metric):
    """What a table does near its edge and beyond, written so that it can be differentiated.

    Args:
        metric: the exact metric.
        spline: log D and L on a grid.
        width: how wide the edge is, along each axis, shape `(d,)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> from pullback.metrics.tables.factors import tabulate
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> edge = Edge(HalfPlane(), tabulate(HalfPlane(), low, high, 8), (high - low) / 10)
        >>> edge.metric_matrix(torch.tensor([7.0, 4.0], dtype=torch.float64)).diagonal().tolist()
        [0.0625, 0.0625]
    """

    def __init__(self, metric: Metric, spline: BSpline, width: Tensor) -> None:
        super().__init__(len(spline.low))
        self._metric, self._spline, self._width = metric, spline, width

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Pass from the table to the exact metric, see `Metric.metric_matrix`."""
        spline = self._spline
        room = torch.minimum(z - spline.low, spline.high - z) / self._width
        t = room.clamp(0, 1)
        share = (t**3 * (10 - t * (15 - 6 * t))).prod(-1)[..., None, None]
        within = torch.minimum(torch.maximum(z, spline.low), spline.high)
        flat = within.reshape(-1, z.shape[-1])
        read = read_matrix(spline, flat).reshape(*z.shape, z.shape[-1])
        return share * read + (1 - share) * self._metric.metric_matrix(z)

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Ask the exact metric itself where no table is left, see `Metric.acceleration`."""
        spline, at = self._spline, z.detach()
        far = ((at < spline.low) | (at > spline.high)).any(-1)
        if not bool(far.any()):
            return super().acceleration(z, v)
        outer = self._metric.acceleration(z[far], v[far])
        if bool(far.all()):
            return outer
        a = outer.new_empty(z.shape)
        a[far], a[~far] = outer, super().acceleration(z[~far], v[~far])
        return a

    def chord_of_ends(self, ends: Latent) -> tuple[Tensor, Tensor]:
        """Differentiate squared chords once by both their ends `(*batch, 2 d)`.

        Returns:
            The squared chords, shape `(*batch,)`, and their gradients, `(*batch, 2 d)`.
        """
        value, pull = gradient(self._squared_chord_of_ends, ends)
        return value.squeeze(-1), pull
