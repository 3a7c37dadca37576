"""Surfaces in space with known curvature: a flat one that is bent, a paraboloid, a torus."""

import torch
from torch import Tensor

from pullback.errors import InvalidParameterError, check_number
from pullback.shapes import Ambient, Latent

__all__ = ["curved_plane", "curved_plane_inverse", "meridian_length", "paraboloid", "torus"]


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
