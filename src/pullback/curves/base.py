"""What a curve in the latent space is, and how it is measured."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pullback.errors import InvalidDataError, check_integer
from pullback.metrics import Metric
from pullback.shapes import Latent, Points, Scalars

__all__ = ["Curve", "energy", "length"]


class Curve(ABC):
    """A batch of curves c: [0, 1] -> R^d through given nodes.

    Args:
        nodes: points that the curves pass through at equal steps of t, shape `(*batch, n, d)`.

    Raises:
        InvalidDataError: there are fewer than two nodes.

    Example:
        >>> from pullback.curves import Polyline
        >>> curve = Polyline(torch.tensor([[0.0], [2.0]]))
        >>> curve.points(3).flatten().tolist(), curve.end.item()
        ([0.0, 1.0, 2.0], 2.0)
    """

    def __init__(self, nodes: Points) -> None:
        if nodes.ndim < 2 or nodes.shape[-2] < 2:
            raise InvalidDataError(
                f"`nodes` must have shape (..., n, d) with n >= 2 nodes, but got "
                f"{tuple(nodes.shape)}. A curve needs at least its two end points."
            )
        self.nodes = nodes

    @property
    def start(self) -> Latent:
        """The points c(0), shape `(*batch, d)`."""
        return self.nodes[..., 0, :]

    @property
    def end(self) -> Latent:
        """The points c(1), shape `(*batch, d)`."""
        return self.nodes[..., -1, :]

    @abstractmethod
    def at(self, t: Tensor) -> Points:
        """Evaluate c(t).

        Args:
            t: times in [0, 1], shape `(n,)`.

        Returns:
            Points, shape `(*batch, n, d)`.
        """

    @abstractmethod
    def velocity(self, t: Tensor) -> Points:
        """Evaluate c'(t) at times t of shape `(n,)`: tangent vectors `(*batch, n, d)`."""

    def points(self, n: int) -> Points:
        """Evaluate the curves at n equally spaced times, ends included: shape `(*batch, n, d)`."""
        check_integer("n", n, low=2)
        t = torch.linspace(0, 1, n, dtype=self.nodes.dtype, device=self.nodes.device)
        return self.at(t)

    def _locate(self, t: Tensor) -> tuple[Tensor, Tensor]:
        n_segments = self.nodes.shape[-2] - 1
        scaled = t.clamp(0, 1) * n_segments
        segment = scaled.floor().clamp(max=n_segments - 1).long()
        return segment, (scaled - segment).unsqueeze(-1)


def length(metric: Metric, points: Points) -> Scalars:
    r"""Measure the length of curves given by points on them: L = sum_i |chord_i|.

    L tends to int_0^1 |c'(t)| dt as the points get denser.

    Args:
        metric: the Riemannian metric.
        points: points along the curves, shape `(*batch, n, d)`.

    Returns:
        Lengths, shape `(*batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> doubled = PullbackMetric(lambda z: 2 * z)
        >>> length(doubled, torch.tensor([[0.0, 0.0], [3.0, 4.0]])).item()
        10.0
    """
    return metric.chords(points).sum(-1)


def energy(metric: Metric, points: Points) -> Scalars:
    r"""Measure the energy of curves given by points at n equal steps of t.

    E = (n - 1) / 2 sum_i |chord_i|^2, which tends to 1/2 int_0^1 |c'(t)|^2 dt. L^2 <= 2 E, with
    equality exactly for constant speed.

    Args:
        metric: the Riemannian metric.
        points: points along the curves, shape `(*batch, n, d)`.

    Returns:
        Energies, shape `(*batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> doubled = PullbackMetric(lambda z: 2 * z)
        >>> energy(doubled, torch.tensor([[0.0, 0.0], [3.0, 4.0]])).item()
        50.0
    """
    return metric.squared_chord_sum(points) * ((points.shape[-2] - 1) / 2)
