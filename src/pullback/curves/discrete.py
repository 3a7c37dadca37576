"""Curves that are straight between their nodes."""

import torch
from torch import Tensor

from pullback.curves.base import Curve
from pullback.shapes import Latent, Points

__all__ = ["Polyline", "straight_line"]


class Polyline(Curve):
    """Curves that join their nodes by straight segments, at equal steps of t.

    Args:
        nodes: the nodes, shape `(*batch, n, d)`, n >= 2.

    Example:
        >>> Polyline(torch.tensor([[0.0], [1.0], [4.0]])).at(torch.tensor([0.25, 0.75])).tolist()
        [[0.5], [2.5]]
    """

    def at(self, t: Tensor) -> Points:
        """Evaluate c(t): points `(*batch, n, d)`, see `Curve.at`."""
        segment, fraction = self._locate(t)
        start, end = self.nodes[..., segment, :], self.nodes[..., segment + 1, :]
        return torch.lerp(start, end, fraction.expand(start.shape))

    def velocity(self, t: Tensor) -> Points:
        """Evaluate c'(t): tangent vectors `(*batch, n, d)`, see `Curve.velocity`."""
        segment, _ = self._locate(t)
        n_segments = self.nodes.shape[-2] - 1
        return (self.nodes[..., segment + 1, :] - self.nodes[..., segment, :]) * n_segments


def straight_line(point_a: Latent, point_b: Latent, n_segments: int = 1) -> Points:
    """Place nodes on the straight lines from a to b: shape `(*batch, n_segments + 1, d)`.

    Args:
        point_a: start points, shape `(*batch, d)`.
        point_b: end points, shape `(*batch, d)`.
        n_segments: the number of equal segments.

    Example:
        >>> straight_line(torch.zeros(1), torch.ones(1), 2).tolist()
        [[0.0], [0.5], [1.0]]
    """
    t = torch.linspace(0, 1, n_segments + 1, dtype=point_a.dtype, device=point_a.device)
    start, end = point_a.unsqueeze(-2), point_b.unsqueeze(-2)
    return torch.lerp(start, end, t.unsqueeze(-1))
