"""What those who compare several metrics of a space ask of it: its geodesics and lengths."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from pullback.curves import Curve
from pullback.geodesics import GeodesicResult
from pullback.metrics import Metric
from pullback.shapes import Scalars

__all__ = ["GeodesicSpace"]


@runtime_checkable
class GeodesicSpace(Protocol):
    """A space with a metric and geodesics, such as `Manifold`, whose methods say more.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> space: GeodesicSpace = Manifold(lambda z: 2 * z, dim=2)
        >>> space.dist([0.0, 0.0], [1.0, 0.0]).item()
        2.0
    """

    metric: Metric

    def geodesic(self, point_a: Any, point_b: Any, **options: Any) -> GeodesicResult:
        """Find the geodesics from points a to points b."""

    def dist(self, point_a: Any, point_b: Any, *, samples: bool = False, **options: Any) -> Tensor:
        """Measure the geodesic distances from points a to points b."""

    def length(self, curve: Curve | Any) -> Scalars:
        """Measure the length of curves."""

    def log_volume(self, point: Any) -> Scalars:
        """Compute log sqrt det M(z)."""
