"""What vectors are carried along: any kind of curve, seen in one way."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback.curves import Curve, Polyline
from pullback.display import as_html, as_line
from pullback.errors import check_points
from pullback.geodesics import GeodesicResult, Status, Trajectory
from pullback.metrics import Metric
from pullback.shapes import Latent

__all__ = ["Path"]

# The fewest steps along a smooth curve that the first of the two transports takes, whose difference
# is the error. Set by judgement: with fewer, both could miss a thin wall and agree.
_FEWEST = 32


@dataclass(frozen=True, eq=False)
class Path:
    """A batch of curves c: [0, 1] -> R^d with their velocities, however they were given.

    Attributes:
        curve: what knows c and c'.
        status: `Status` codes of the curves, 0 for any that was merely given, shape `(*batch,)`.
        n_pieces: equal intervals of t that suit the curve: of a broken line, its segments.

    Example:
        >>> path = Path.of(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]))
        >>> path.n_pieces, path.end.tolist()
        (2, [1.0, 2.0])
    """

    curve: Curve | Trajectory
    status: Tensor
    n_pieces: int

    __repr__ = as_line
    _repr_html_ = as_html

    @classmethod
    def of(cls, along: Any, metric: Metric | None = None) -> "Path":
        """See geodesics, trajectories, a curve, or points that straight segments join, as a path.

        Args:
            along: a `GeodesicResult`, a `Trajectory`, a `Curve`, or points `(*batch, n, d)`.
            metric: whose dimension, dtype of points and number of coordinates they must have.

        Raises:
            InvalidDataError: points that are not finite, of another dimension or fewer than two.
        """
        if isinstance(along, GeodesicResult):
            return cls(along.curve, along.status, _pieces(along.curve))
        if isinstance(along, Trajectory):
            return cls(along, along.status, _FEWEST)
        curve = along
        if not isinstance(curve, Curve):
            dim = None if metric is None else metric.dim
            curve = Polyline(check_points("along", along, dim).detach())
        status = torch.zeros(curve.nodes.shape[:-2], dtype=torch.long, device=curve.nodes.device)
        return cls(curve, status, _pieces(curve))

    @property
    def start(self) -> Latent:
        """The points c(0), shape `(*batch, d)`."""
        return self.curve.start

    @property
    def end(self) -> Latent:
        """The points c(1), shape `(*batch, d)`."""
        return self.curve.end

    def usable(self) -> Tensor:
        """Say which curves of the flattened batch were found or given, shape `(B,)`."""
        return self.status.flatten() == Status.CONVERGED

    def at(self, t: Tensor) -> Tensor:
        """Evaluate c at times `(n,)`, the batch flattened: shape `(B, n, d)`."""
        points = self.curve.at(t)
        return points.reshape(-1, *points.shape[-2:])

    def velocity(self, t: Tensor) -> Tensor:
        """Evaluate c' at times `(n,)`, the batch flattened: shape `(B, n, d)`."""
        velocities = self.curve.velocity(t)
        return velocities.reshape(-1, *velocities.shape[-2:])


def _pieces(curve: Curve) -> int:
    """Choose steps that end at the nodes: all of them on a broken line, some on a smooth one."""
    n = int(curve.nodes.shape[-2]) - 1
    if isinstance(curve, Polyline):
        return n
    while n % 2 == 0 and n // 2 >= _FEWEST:
        n //= 2
    return n * -(-_FEWEST // n)
