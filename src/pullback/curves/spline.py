"""Twice continuously differentiable curves through their nodes."""

from functools import cached_property, lru_cache

import torch
from torch import Tensor

from pullback.curves.base import Curve
from pullback.shapes import Points

__all__ = ["CubicSpline"]


class CubicSpline(Curve):
    """The cubic spline through nodes at equal steps of t, with not-a-knot ends.

    It reproduces cubic polynomials, and its error on a smooth curve falls with the fourth power of
    the step.

    Args:
        nodes: the nodes, shape `(*batch, n, d)`, n >= 2.

    Source:
        de Boor, A Practical Guide to Splines (1978), chapter IV.

    Example:
        >>> t = torch.linspace(0, 1, 5, dtype=torch.float64).unsqueeze(-1)
        >>> round(CubicSpline(t**3).at(torch.tensor([0.3], dtype=torch.float64)).item(), 9)
        0.027
    """

    @cached_property
    def _slopes(self) -> Tensor:
        """The derivatives dc/ds at the nodes, where one segment has length one in s.

        They are found when a point is first asked for: many curves are only carried along.
        """
        nodes = self.nodes
        slopes = _slope_matrix(nodes.shape[-2], nodes.dtype, nodes.device)
        # By differences to the first node, so that a curve that stays at one point has slopes of
        # exactly zero.
        return slopes @ (nodes - nodes[..., :1, :])

    def at(self, t: Tensor) -> Points:
        """Evaluate c(t): points `(*batch, n, d)`, see `Curve.at`."""
        segment, s = self._locate(t)
        a, b = self.nodes[..., segment, :], self.nodes[..., segment + 1, :]
        slope_a, slope_b = self._slopes[..., segment, :], self._slopes[..., segment + 1, :]
        rest = 1 - s
        bump = s * rest * (rest * (slope_a - (b - a)) - s * (slope_b - (b - a)))
        return torch.lerp(a, b, s.expand(a.shape)) + bump

    def velocity(self, t: Tensor) -> Points:
        """Evaluate c'(t): tangent vectors `(*batch, n, d)`, see `Curve.velocity`."""
        segment, s = self._locate(t)
        n_segments = self.nodes.shape[-2] - 1
        chord = self.nodes[..., segment + 1, :] - self.nodes[..., segment, :]
        slope_a, slope_b = self._slopes[..., segment, :], self._slopes[..., segment + 1, :]
        slope = (
            6 * s * (1 - s) * chord + (1 - s) * (1 - 3 * s) * slope_a + s * (3 * s - 2) * slope_b
        )
        return slope * n_segments


@lru_cache(maxsize=64)
def _slope_matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The linear map from n node values to the spline's slopes, for unit steps."""
    if n <= 3:  # a line or a parabola: no interior knot to be smooth at
        rows = {2: [[-1, 1], [-1, 1]], 3: [[-1.5, 2, -0.5], [-0.5, 0, 0.5], [0.5, -2, 1.5]]}
        return torch.tensor(rows[n], dtype=dtype, device=device)
    left = torch.zeros(n, n, dtype=torch.float64)
    right = torch.zeros(n, n, dtype=torch.float64)
    interior = torch.arange(1, n - 1)
    left[interior, interior - 1], left[interior, interior], left[interior, interior + 1] = 1, 4, 1
    right[interior, interior - 1], right[interior, interior + 1] = -3, 3
    left[0, :2] = torch.tensor([1, 2], dtype=torch.float64)
    right[0, :3] = torch.tensor([-2.5, 2, 0.5], dtype=torch.float64)
    left[-1, -2:] = torch.tensor([2, 1], dtype=torch.float64)
    right[-1, -3:] = torch.tensor([-0.5, -2, 2.5], dtype=torch.float64)
    slopes: Tensor = torch.linalg.solve(left, right)
    return slopes.to(dtype=dtype, device=device)
