"""The unit sphere in stereographic coordinates: its map, distances, exp and log."""

import torch

from pullback.shapes import Ambient, Latent, Scalars, Tangent

__all__ = ["great_circle_dist", "great_circle_exp", "great_circle_log", "stereographic"]


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
