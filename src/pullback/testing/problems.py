"""Small problems to try a method on: spaces, points in them, and other coordinates for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.errors import InvalidDataError
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.metrics import FieldMetric, Metric, PullbackMetric
from pullback.shapes import Codes, Latent, Mask, MetricMatrix

__all__ = [
    "Problem",
    "draw_points",
    "in_other_coordinates",
    "small_problems",
    "to_other_coordinates",
]

# Points are drawn from the cube [-1/2, 1/2]^d.
_REACH = 0.5
# Points lie so far from the boundary of a space, in the unit of z, that curves between them have
# room.
_MARGIN = 0.25


class Problem(NamedTuple):
    """A metric to find geodesics of.

    Attributes:
        name: what it is called.
        metric: the metric, defined somewhere in the cube [-1/2, 1/2]^d.
        dist: the distances from points to points, `(n, d)` each, where they are known.

    Example:
        >>> Problem.of(HalfPlane()).name
        'HalfPlane'
    """

    name: str
    metric: Metric
    dist: Callable[[Tensor, Tensor], Tensor] | None = None

    @classmethod
    def of(cls, metric: Metric) -> "Problem":
        """Make a problem of a metric whose distances are not known."""
        return cls(type(metric).__name__, metric)


def small_problems() -> list[Problem]:
    """Return the sphere, the half-plane, the paraboloid and a smooth random decoder.

    Example:
        >>> [problem.name for problem in small_problems()]
        ['sphere', 'half-plane', 'paraboloid', 'random decoder']
    """
    generator = torch.Generator().manual_seed(7)
    A = torch.randn(2, 8, generator=generator, dtype=torch.float64, device="cpu")
    B = torch.randn(8, 5, generator=generator, dtype=torch.float64, device="cpu")
    plane = HalfPlane()
    return [
        Problem("sphere", PullbackMetric(stereographic, dim=2), great_circle_dist),
        Problem("half-plane", plane, plane.dist),
        Problem("paraboloid", PullbackMetric(paraboloid, dim=2)),
        Problem("random decoder", PullbackMetric(lambda z: torch.tanh(z @ A) @ B, dim=2)),
    ]


def draw_points(metric: Metric, n: int, *, generator: torch.Generator | None = None) -> Codes:
    """Draw points of the cube [-1/2, 1/2]^d that lie well within a space.

    Args:
        metric: the metric; d = 2 if it has no dimension of its own.
        n: how many points.
        generator: draws them; seed 0 if None.

    Returns:
        Points, shape `(n, d)`: the space holds what lies 1/4 to either side of them, too.

    Raises:
        InvalidDataError: hardly any of the cube lies within the space.

    Example:
        >>> points = draw_points(HalfPlane(), 5)
        >>> points.shape, bool((points[:, 1] > 0.25).all())
        (torch.Size([5, 2]), True)
    """
    d = 2 if metric.dim is None else metric.dim
    generator = generator or torch.Generator().manual_seed(0)
    kind: Any = {"dtype": torch.float64, "device": generator.device}
    draws = torch.rand(100 * n, d, generator=generator, **kind)
    z = _REACH * (2 * draws - 1)
    around = _MARGIN * torch.cat([torch.eye(d), -torch.eye(d)]).to(z)
    inside = metric.contains(z.unsqueeze(1) + around).all(-1)
    if int(inside.sum()) < n:
        raise InvalidDataError(
            f"`metric` must be defined somewhere in the cube [-1/2, 1/2]^{d}, but hardly any of it "
            f"lies in the space of {type(metric).__name__}. Choose points of your own."
        )
    return z[inside][:n]


def in_other_coordinates(metric: Metric) -> Metric:
    """Express a metric in coordinates w with z = sinh(w) A, where A is a shear.

    Args:
        metric: the metric M(z).

    Returns:
        J^T M(z(w)) J with J = dz/dw; the pull-back through z(w) of a pull-back.

    Example:
        >>> plane, z = HalfPlane(), torch.tensor([0.5, 1.0])
        >>> changed = in_other_coordinates(plane)
        >>> bool(changed.contains(to_other_coordinates(z)))
        True
    """
    if isinstance(metric, PullbackMetric) and not isinstance(metric, FieldMetric):
        return PullbackMetric(lambda w: metric.immersion(_from_other(w)), metric.dim)
    return _Changed(metric)


def to_other_coordinates(z: Latent) -> Latent:
    """Return the coordinates w of points z `(*batch, d)`, see `in_other_coordinates`.

    Example:
        >>> round(to_other_coordinates(torch.tensor([1.0])).sinh().item(), 6)
        1.0
    """
    flat = z.reshape(-1, z.shape[-1])
    w: Tensor = torch.linalg.solve_triangular(_shear(z), flat, upper=True, left=False)
    return w.asinh().reshape(z.shape)


def _from_other(w: Tensor) -> Tensor:
    return w.sinh() @ _shear(w)


def _shear(like: Tensor) -> Tensor:
    d = like.shape[-1]
    return torch.eye(d, dtype=like.dtype, device=like.device) + 0.3 * like.new_ones(d, d).triu(1)


class _Changed(Metric):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric.dim)
        self._metric = metric

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        J = _shear(z).T * z.cosh().unsqueeze(-2)
        return J.mT @ self._metric.metric_matrix(_from_other(z)) @ J

    def contains(self, z: Latent) -> Mask:
        return self._metric.contains(_from_other(z))
