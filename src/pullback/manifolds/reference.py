"""Spaces whose geometry is known in closed form: truth to hold a solver, or a new metric, against.

`stereographic`, `paraboloid` and `torus` are immersions, so `Manifold(paraboloid, dim=2)` or
`PullbackMetric(paraboloid)` makes a space of one; `HalfPlane` is a metric with no immersion.
"""

import torch
from torch import Tensor

from pullback.errors import InvalidParameterError, check_number
from pullback.metrics import Metric
from pullback.shapes import Ambient, Latent, MetricMatrix, Scalars

__all__ = [
    "HalfPlane",
    "great_circle_dist",
    "meridian_length",
    "paraboloid",
    "stereographic",
    "torus",
]


def stereographic(z: Latent) -> Ambient:
    r"""Map R^d onto the unit sphere without its north pole, the inverse stereographic projection.

    phi(z) = (2 z, |z|^2 - 1) / (|z|^2 + 1), which pulls back M(z) = 4 I / (1 + |z|^2)^2.

    Args:
        z: points, shape `(*batch, d)`.

    Returns:
        Points of the sphere S^d, shape `(*batch, d + 1)`.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 0.

    Example:
        >>> stereographic(torch.tensor([[0.0, 0.0], [1.0, 0.0]])).tolist()
        [[0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
    """
    squared = z.square().sum(-1, keepdim=True)
    return torch.cat([2 * z, squared - 1], -1) / (squared + 1)


def great_circle_dist(point_a: Latent, point_b: Latent) -> Scalars:
    r"""Compute the geodesic distance on the sphere between points in stereographic coordinates.

    tan(dist / 2) = |a - b| / sqrt(1 + 2 <a, b> + |a|^2 |b|^2), which is accurate for near and for
    opposite points alike.

    Args:
        point_a: a, shape `(*batch, d)`.
        point_b: b, shape `(*batch, d)`.

    Returns:
        Distances in [0, pi], shape `(*batch,)`.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 3.

    Example:
        >>> round(great_circle_dist(torch.zeros(2), torch.tensor([1.0, 0.0])).item(), 6)
        1.570796
    """
    inner = (point_a * point_b).sum(-1)
    squared = point_a.square().sum(-1) * point_b.square().sum(-1)
    away = (1 + 2 * inner + squared).clamp(min=0).sqrt()
    return 2 * torch.atan2((point_a - point_b).norm(dim=-1), away)


class HalfPlane(Metric):
    r"""The hyperbolic plane in the half-plane model: M(x, y) = I / y^2 for y > 0.

    For y <= 0 the metric is NaN: those points are not in the space.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 8.

    Example:
        >>> HalfPlane().metric_matrix(torch.tensor([5.0, 2.0])).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
    """

    def __init__(self) -> None:
        super().__init__(dim=2)

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute I / y^2, shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        y = z[..., 1, None, None]
        eye = torch.eye(2, dtype=z.dtype, device=z.device)
        return eye / torch.where(y > 0, y, torch.nan).square()

    def dist(self, point_a: Latent, point_b: Latent) -> Scalars:
        r"""Compute the geodesic distance 2 arsinh(|a - b| / (2 sqrt(y_a y_b))).

        Args:
            point_a: a = (x_a, y_a), shape `(*batch, 2)`.
            point_b: b = (x_b, y_b), shape `(*batch, 2)`.

        Returns:
            Distances, shape `(*batch,)`: NaN for points outside the space.

        Example:
            >>> a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 10.0])
            >>> round(HalfPlane().dist(a, b).item(), 4)  # log 10
            2.3026
        """
        height_a, height_b = (torch.where(p > 0, p, torch.nan)[..., 1] for p in (point_a, point_b))
        gap = (point_a - point_b).norm(dim=-1)
        return 2 * torch.asinh(gap / (2 * (height_a * height_b).sqrt()))


def paraboloid(z: Latent) -> Ambient:
    r"""Map R^d onto the paraboloid: phi(z) = (z, |z|^2), which pulls back M(z) = I + 4 z z^T.

    Args:
        z: points, shape `(*batch, d)`.

    Returns:
        Points of the paraboloid, shape `(*batch, d + 1)`.

    Example:
        >>> paraboloid(torch.tensor([1.0, 2.0])).tolist()
        [1.0, 2.0, 5.0]
    """
    return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)


def meridian_length(radius: Tensor) -> Tensor:
    r"""Measure the geodesic on the paraboloid from its apex to a point z with |z| = r.

    It is the meridian, of length r sqrt(1 + 4 r^2) / 2 + arsinh(2 r) / 4, the integral of
    sqrt(1 + 4 s^2) from 0 to r.

    Args:
        radius: r >= 0, of any shape.

    Returns:
        Lengths, of the same shape.

    Example:
        >>> round(meridian_length(torch.tensor(1.0)).item(), 4)
        1.4789
    """
    return radius * (1 + 4 * radius.square()).sqrt() / 2 + torch.asinh(2 * radius) / 4


def torus(z: Latent, *, major_radius: float = 2.0, minor_radius: float = 1.0) -> Ambient:
    r"""Map angles (u, v) onto the torus that a circle of radius r sweeps at distance R of an axis.

    phi(u, v) = ((R + r cos v) cos u, (R + r cos v) sin u, r sin v) pulls back
    M = diag((R + r cos v)^2, r^2). Its circles of constant u are geodesics, and of those of
    constant v the outer and the inner equator, v = 0 and v = pi; the outer one ceases to be the
    shortest way after a length of at most pi sqrt(r (R + r)), where neighbours cross it.

    Args:
        z: angles (u, v), shape `(*batch, 2)`.
        major_radius: R, larger than r.
        minor_radius: r > 0.

    Returns:
        Points of the torus, shape `(*batch, 3)`.

    Raises:
        InvalidParameterError: not 0 < r < R.

    Source:
        do Carmo, Differential Geometry of Curves and Surfaces (1976), section 4-4.

    Example:
        >>> torus(torch.tensor([0.0, 0.0])).tolist()
        [3.0, 0.0, 0.0]
    """
    r = check_number("minor_radius", minor_radius, 0, open_low=True)
    R = check_number("major_radius", major_radius, 0, open_low=True)
    if r >= R:
        raise InvalidParameterError("major_radius", f"larger than `minor_radius` = {r:g}", R)
    u, v = z.unbind(-1)
    reach = R + r * v.cos()
    return torch.stack([reach * u.cos(), reach * u.sin(), r * v.sin()], -1)
