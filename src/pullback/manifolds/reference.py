"""Spaces whose geometry is known in closed form: truth to hold a solver, or a new metric, against.

`stereographic`, `paraboloid`, `torus` and `curved_plane` are immersions, so
`Manifold(paraboloid, dim=2)` or `PullbackMetric(paraboloid)` makes a space of one; `HalfPlane` is a
metric with no immersion.
"""

import torch
from torch import Tensor

from pullback.errors import InvalidParameterError, check_number
from pullback.metrics import Metric
from pullback.shapes import Ambient, Latent, Mask, MetricMatrix, Scalars, Tangent

__all__ = [
    "HalfPlane",
    "curved_plane",
    "curved_plane_inverse",
    "great_circle_dist",
    "great_circle_exp",
    "great_circle_log",
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


def great_circle_exp(point: Latent, tangent_vector: Tangent) -> Latent:
    r"""Follow the great circle from a with velocity v for unit time, in stereographic coordinates.

    With w = tan(|v| / (1 + |a|^2)) v / |v| the end is
    ((1 - 2 <a, w> - |w|^2) a + (1 + |a|^2) w) / (1 - 2 <a, w> + |a|^2 |w|^2).

    Args:
        point: a, shape `(*batch, d)`.
        tangent_vector: v, shape `(*batch, d)`, of any length.

    Returns:
        End points, shape `(*batch, d)`; infinite at the north pole.

    Source:
        Ungar, Analytic Hyperbolic Geometry (2005), whose addition of velocities it is with the sign
        of the curvature changed.

    Example:
        >>> a, v = torch.zeros(2), torch.tensor([torch.pi / 4, 0.0])
        >>> great_circle_exp(a, v)  # a quarter of a circle, from the south pole
        tensor([1., 0.])
    """
    squared = 1 + point.square().sum(-1, keepdim=True)
    size = tangent_vector.norm(dim=-1, keepdim=True)
    turned = torch.tan(size / squared)
    w = torch.where(size > 0, turned * tangent_vector / size, torch.zeros_like(tangent_vector))
    across = 1 - 2 * (point * w).sum(-1, keepdim=True)
    top = (across - turned.square()) * point + squared * w
    return top / (across + (squared - 1) * turned.square())


def great_circle_log(point_a: Latent, point_b: Latent) -> Tangent:
    r"""Compute the velocity with which the shorter great circle from a reaches b in unit time.

    log = dist(a, b) (1 + |a|^2) / 2 u / |u| with u = (1 + |a|^2) (b - a) + |b - a|^2 a.

    Args:
        point_a: a, shape `(*batch, d)`.
        point_b: b, shape `(*batch, d)`.

    Returns:
        Tangent vectors at a, shape `(*batch, d)`: NaN for opposite points, which all great circles
        through one of them join.

    Source:
        Ungar, Analytic Hyperbolic Geometry (2005), see `great_circle_exp`.

    Example:
        >>> great_circle_log(torch.zeros(2), torch.tensor([1.0, 0.0]))  # pi / 4
        tensor([0.7854, 0.0000])
    """
    squared = 1 + point_a.square().sum(-1, keepdim=True)
    gap = point_b - point_a
    u = squared * gap + gap.square().sum(-1, keepdim=True) * point_a
    size = u.norm(dim=-1, keepdim=True)
    same = (gap == 0).all(-1, keepdim=True)
    direction = torch.where(same, torch.zeros_like(u), u / size)
    return great_circle_dist(point_a, point_b).unsqueeze(-1) * squared / 2 * direction


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

    def contains(self, z: Latent) -> Mask:
        """Say which points lie above the boundary, y > 0, see `Metric.contains`."""
        return z[..., 1] > 0

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

    def exp(self, point: Latent, tangent_vector: Tangent) -> Latent:
        r"""Follow the geodesic from a = (x, y) with velocity v for unit time.

        It ends at (x + v_x sinh(s) / (s D), y / D) with s = |v| / y, its length, and
        D = cosh(s) - v_y sinh(s) / (s y).

        Args:
            point: a, shape `(*batch, 2)`.
            tangent_vector: v, shape `(*batch, 2)`.

        Returns:
            End points, shape `(*batch, 2)`: NaN for a outside the space.

        Source:
            do Carmo, Riemannian Geometry (1992), chapter 8.

        Example:
            >>> HalfPlane().exp(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.3026]))  # log 10
            tensor([ 0.0000, 10.0001])
        """
        x, y = torch.where(self.contains(point).unsqueeze(-1), point, torch.nan).unbind(-1)
        across, up = (tangent_vector / y.unsqueeze(-1)).unbind(-1)
        s = across.hypot(up)
        cosine = torch.where(s > 0, up / s, 0)
        # 1 - cosine, which must not cancel on the way up
        defect = torch.where(up > 0, (across / s).square() / (1 + cosine), 1 - cosine)
        D = torch.exp(-s) + defect * torch.sinh(s)
        stretch = torch.where(s > 0, torch.sinh(s) / s, 1)
        return torch.stack([x + y * across * stretch / D, y / D], -1)

    def log(self, point_a: Latent, point_b: Latent) -> Tangent:
        r"""Compute the velocity with which the geodesic from a reaches b in unit time.

        log = y_a s / sinh(s) (2 X, X^2 + Y^2 - 1) / (2 Y) with s = dist(a, b), Y = y_b / y_a and
        X = (x_b - x_a) / y_a.

        Args:
            point_a: a = (x_a, y_a), shape `(*batch, 2)`.
            point_b: b = (x_b, y_b), shape `(*batch, 2)`.

        Returns:
            Tangent vectors at a, shape `(*batch, 2)`: NaN for points outside the space.

        Source:
            do Carmo, Riemannian Geometry (1992), chapter 8.

        Example:
            >>> a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 10.0])
            >>> HalfPlane().log(a, b)  # log 10
            tensor([0.0000, 2.3026])
        """
        s = self.dist(point_a, point_b)
        height = point_a[..., 1]
        X, rise = ((point_b - point_a) / height.unsqueeze(-1)).unbind(-1)
        Y = point_b[..., 1] / height
        stretch = height * torch.where(s > 0, s / torch.sinh(s), torch.where(s == 0, 1, s))
        return (
            torch.stack([X / Y, (X.square() + rise * (Y + 1)) / (2 * Y)], -1) * stretch[..., None]
        )


def curved_plane(z: Latent) -> Ambient:
    r"""Map the plane onto itself by two shears: phi(x, y) = (u, y + sin u) with u = x + y^2 / 2.

    A flat space in curved coordinates: its metric varies, its curvature is 0, and its geodesics are
    straight lines between images. With phi^-1 = `curved_plane_inverse`, dist(a, b) =
    |phi(b) - phi(a)|, exp(a, v) = phi^-1(phi(a) + J_phi(a) v), and log(a, b) is the derivative of
    phi^-1 at phi(a) in the direction phi(b) - phi(a).

    Args:
        z: points (x, y), shape `(*batch, 2)`.

    Returns:
        Points of the plane, shape `(*batch, 2)`.

    Example:
        >>> curved_plane(torch.tensor([-2.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    x, y = z.unbind(-1)
    u = x + y.square() / 2
    return torch.stack([u, y + u.sin()], -1)


def curved_plane_inverse(image: Ambient) -> Latent:
    r"""Map the plane back: the point (x, y) with image (u, w), y = w - sin u, x = u - y^2 / 2.

    Args:
        image: points (u, w), shape `(*batch, 2)`.

    Returns:
        The coordinates of which they are the images, see `curved_plane`, shape `(*batch, 2)`.

    Example:
        >>> curved_plane_inverse(torch.tensor([0.0, 2.0])).tolist()
        [-2.0, 2.0]
    """
    u, w = image.unbind(-1)
    y = w - u.sin()
    return torch.stack([u - y.square() / 2, y], -1)


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
