"""Cubic B-splines on a regular grid: a twice smooth interpolant, with its derivatives."""

import torch
from torch import Tensor

from pullback.shapes import Latent

__all__ = ["BSpline"]


class BSpline:
    r"""The tensor-product cubic spline through values on a regular grid in up to three dimensions.

    s(z) = sum_k c_k prod_a B(z_a / h_a - k_a) with the cardinal cubic B-spline B and not-a-knot
    ends: twice continuously differentiable, with an error of fourth order in the step h. It is
    evaluated where the grid is, and nowhere else: callers keep points inside.

    Args:
        coefficients: c, shape `(components, n_1 + 2, ..., n_d + 2)` for n_a nodes along axis a.
        low: the lowest corner of the grid, shape `(d,)`.
        high: the highest corner, shape `(d,)`.

    Source:
        de Boor, A Practical Guide to Splines (1978), chapters IX and XVII.

    Example:
        >>> t = torch.linspace(0, 2, 9, dtype=torch.float64)
        >>> spline = BSpline.through((t**3).unsqueeze(0), t[:1], t[-1:])
        >>> at = spline(torch.tensor([[1.1]], dtype=torch.float64), order=1)
        >>> at.flatten().round(decimals=6).tolist()
        [1.331, 3.63]
    """

    def __init__(self, coefficients: Tensor, low: Tensor, high: Tensor) -> None:
        self.coefficients, self.low, self.high = coefficients, low, high
        self._cells = torch.tensor(coefficients.shape[1:], device=low.device) - 3
        self._step = (high - low) / self._cells
        sizes = coefficients.shape[1:]
        strides = [sizes[a + 1 :].numel() for a in range(len(sizes))]
        self._stride = torch.tensor(strides, device=low.device)
        around = torch.cartesian_prod(*[torch.arange(4, device=low.device)] * len(sizes))
        self._offsets = (around.reshape(-1, len(sizes)) * self._stride).sum(-1)
        self._flat = coefficients.flatten(1)
        basis = torch.tensor(_BASIS, dtype=low.dtype, device=low.device) / 6
        scale = self._step ** -torch.arange(3, device=low.device).unsqueeze(-1)
        self._basis = basis, scale.to(low)

    @classmethod
    def through(cls, values: Tensor, low: Tensor, high: Tensor) -> "BSpline":
        """Interpolate values on a grid.

        Args:
            values: shape `(components, n_1, ..., n_d)`, at least five nodes along each axis.
            low: the lowest corner of the grid, shape `(d,)`.
            high: the highest corner, shape `(d,)`.
        """
        for axis in range(1, values.ndim):
            columns = values.movedim(axis, 0)
            system = _interpolation_matrix(len(columns)).to(values)
            zero = torch.zeros_like(columns[:1])
            rhs = torch.cat([zero, columns, zero]).flatten(1)
            solved = torch.linalg.solve(system, rhs).reshape(-1, *columns.shape[1:])
            values = solved.movedim(0, axis)
        return cls(values.contiguous(), low, high)

    def float(self) -> "BSpline":
        """Return the same spline in single precision."""
        return BSpline(self.coefficients.float(), self.low.float(), self.high.float())

    def __call__(self, z: Latent, *, order: int = 0) -> Tensor:
        """Evaluate at points z `(points, d)` in the grid, with partial derivatives.

        Args:
            z: points, shape `(points, d)`.
            order: the highest order along each axis, 0, 1 or 2.

        Returns:
            Partial derivatives by their orders along the axes, shape
            `(order + 1, ..., order + 1, components, points)` with one axis for each of the d.
        """
        d = z.shape[-1]
        scaled = ((z - self.low) / self._step).T
        limit = (self._cells - 1).unsqueeze(-1)
        cell = torch.minimum(scaled.detach().long().clamp(min=0), limit)
        weights = self._weights(scaled - cell, order)
        index = (cell * self._stride.unsqueeze(-1)).sum(0) + self._offsets.unsqueeze(-1)
        local = self._flat.gather(1, index.reshape(1, -1).expand(len(self._flat), -1))
        part: Tensor = local.reshape(len(self._flat), *[4] * d, len(z))
        for axis in reversed(range(d)):
            # Of the axes left, the last is summed; its orders come first.
            weight = weights[:, :, axis].reshape(order + 1, *[1] * (part.ndim - 2), 4, len(z))
            total: Tensor = part[..., 0, :] * weight[..., 0, :]
            for k in range(1, 4):
                total = torch.addcmul(total, part[..., k, :], weight[..., k, :])
            part = total
        return part

    def _weights(self, fraction: Tensor, order: int) -> Tensor:
        """The four B-splines that reach a point in its cell: `(orders, 4, d, points)`."""
        basis, scale = self._basis
        powers = torch.stack([fraction**3, fraction**2, fraction, torch.ones_like(fraction)])
        found: Tensor = torch.tensordot(basis[: order + 1], powers, dims=1)
        return found * scale[: order + 1, None, :, None] if order > 0 else found


# Six times the four pieces of the B-spline and their derivatives, as polynomials in the fraction t
# of a cell: coefficients of t^3, t^2, t and 1.
_BASIS = [
    [[-1, 3, -3, 1], [3, -6, 0, 4], [-3, 3, 3, 1], [1, 0, 0, 0]],
    [[0, -3, 6, -3], [0, 9, -12, 0], [0, -9, 6, 3], [0, 3, 0, 0]],
    [[0, 0, -6, 6], [0, 0, 18, -12], [0, 0, -18, 6], [0, 0, 6, 0]],
]


def _interpolation_matrix(n: int) -> Tensor:
    """Node values of n + 2 coefficients, between two rows for a smooth third derivative."""
    A = torch.zeros(n + 2, n + 2, dtype=torch.float64)
    row = torch.arange(1, n + 1)
    A[row, row - 1], A[row, row], A[row, row + 1] = 1 / 6, 4 / 6, 1 / 6
    A[0, :5] = A[-1, -5:] = torch.tensor([1, -4, 6, -4, 1], dtype=torch.float64)
    return A
