"""The squared length q(z, v) = v^T M(z) v of a vector, differentiated as it is read off a table."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.metrics.tables.bspline import BSpline
from pullback.metrics.tables.factors import assemble, lower_product

__all__ = ["QuadraticForm", "quadratic_form"]


class QuadraticForm(NamedTuple):
    """The quadratic form q(z, v) = v^T M(z) v and its derivatives, points last.

    Attributes:
        value: q, shape `(points,)`.
        matrix: M(z), shape `(d, d, points)`.
        dv: by the vector, shape `(d, points)`.
        dz: by the point, shape `(d, points)`.
        dv_dz: by the vector first and the point second, shape `(d, d, points)`.
        dz_dz: twice by the point, shape `(d, d, points)`; empty where only first ones were asked.

    Example:
        >>> QuadraticForm(*torch.ones(6, 1)).value.item()
        1.0
    """

    value: Tensor
    matrix: Tensor
    dv: Tensor
    dz: Tensor
    dv_dz: Tensor
    dz_dz: Tensor


def quadratic_form(spline: BSpline, z: Tensor, v: Tensor, *, order: int) -> QuadraticForm:
    """Differentiate q = sum_k e^(p_k) y_k^2 with y = L^T v, for p and L read off the spline.

    Args:
        spline: p = log D and L, as `factors.tabulate` makes it.
        z: points in the grid, shape `(points, d)`.
        v: a vector at each, shape `(points, d)`.
        order: 1, or 2 for `dz_dz` too.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> from pullback.metrics.tables.factors import tabulate
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
        >>> spline = tabulate(HalfPlane(), low, high, n_cells=64)
        >>> z, v = torch.tensor([[[0.5, 2.0]], [[1.0, 0.0]]], dtype=torch.float64)
        >>> q = quadratic_form(spline, z, v, order=1)  # of v^2 / y^2
        >>> q.dz.flatten().round(decimals=4).abs().tolist()
        [0.0, 0.25]
    """
    d = z.shape[-1]
    partial = spline(z, order=order)
    v = v.T
    components, axes = partial[(0,) * d], range(d)
    first = torch.stack([partial[_orders(d, a)] for a in axes], 1)
    p_a, y_a = first[:d], lower_product(first[d:], v.unsqueeze(1), transpose=True)
    scale, low = components[:d].exp(), components[d:]
    y = v + lower_product(low, v, transpose=True)
    g = scale * y
    r = p_a * y.unsqueeze(1) + 2 * y_a
    h = scale.unsqueeze(1) * (r - y_a)
    dv_dz = h + lower_product(low.unsqueeze(1), h) + lower_product(first[d:], g.unsqueeze(1))
    dz_dz = z.new_zeros(0)
    if order > 1:
        second = torch.stack([partial[_orders(d, a, b)] for a in axes for b in axes], 1)
        second = second.reshape(len(second), d, d, z.shape[0])
        y_ab = lower_product(second[d:], v[:, None, None], transpose=True)
        bend = r.unsqueeze(2) * r.unsqueeze(1) - 2 * y_a.unsqueeze(2) * y_a.unsqueeze(1)
        inner = g[:, None, None] * (y[:, None, None] * second[:d] + 2 * y_ab)
        dz_dz = (inner + scale[:, None, None] * bend).sum(0)
    return QuadraticForm(
        value=(g * y).sum(0),
        matrix=assemble(scale, low),
        dv=2 * (g + lower_product(low, g)),
        dz=(g.unsqueeze(1) * r).sum(0),
        dv_dz=2 * dv_dz,
        dz_dz=dz_dz,
    )


def _orders(d: int, *axes: int) -> tuple[int, ...]:
    return tuple(axes.count(axis) for axis in range(d))
