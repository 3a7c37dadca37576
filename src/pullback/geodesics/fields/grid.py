"""The grid of a distance field over a table: its nodes, the metric there, and reading between."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pullback import linalg
from pullback.exclusive import exclusive
from pullback.metrics import TabulatedMetric
from pullback.shapes import Codes, Mask, MetricMatrix, Nodes

__all__ = ["Cells", "FieldGrid", "corners", "grid_over", "inverse"]

# The share of a cell that the grid stays inside of what the table covers: rounding must not take
# the outermost nodes to where the exact metric answers.
_INSIDE = 1e-9


class Cells(NamedTuple):
    """Where points lie among the nodes of a grid.

    Attributes:
        node: numbers of the nodes around each point, shape `(n, 2^d)`.
        share: of each of these, linear in the point, shape `(n, 2^d)`.
        away: from the node to the point, shape `(n, 2^d, d)`.

    Example:
        >>> matrix = torch.ones(5, 1, 1).double()
        >>> grid = FieldGrid(torch.zeros(1).double(), torch.ones(1).double(), (5,), matrix)
        >>> cells = grid.cells(torch.tensor([[2.25]]).double())
        >>> cells.node.tolist(), cells.share.tolist()
        ([[2, 3]], [[0.75, 0.25]])
    """

    node: Tensor
    share: Tensor
    away: Tensor


@dataclass(frozen=True, eq=False)
class FieldGrid:
    """A regular grid over what a table covers, on the CPU and in double precision.

    Attributes:
        low: the lowest corner, shape `(d,)`.
        step: between neighbouring nodes, along each axis, shape `(d,)`.
        size: nodes along each axis.
        matrix: M at the nodes, shape `(nodes, d, d)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[-1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-2)
        >>> FieldGrid.over(table, 4).coarser.size
        (3, 3)
    """

    low: Tensor
    step: Tensor
    size: tuple[int, ...]
    matrix: Tensor

    @classmethod
    def over(cls, table: TabulatedMetric, n_cells: int) -> "FieldGrid":
        """Lay a grid of as many cells along each axis over what a table answers alone."""
        _, low, high, margin = table.spline_parts
        low, high = (low + margin).double().cpu(), (high - margin).double().cpu()
        low, high = low + _INSIDE * (high - low), high - _INSIDE * (high - low)
        size = (n_cells + 1,) * len(low)
        step = (high - low) / n_cells
        nodes = low + step * _indices(size)
        with torch.no_grad():
            matrix = table.metric_matrix(nodes.to(table.low)).double().cpu()
        return cls(low, step, size, matrix)

    @cached_property
    def nodes(self) -> Nodes:
        """The points, shape `(nodes, d)`."""
        return self.low + self.step * _indices(self.size)

    @cached_property
    def coarser(self) -> "FieldGrid":
        """The grid of every second node along each axis."""
        size = tuple(n // 2 + 1 for n in self.size)
        d = len(size)
        matrix = self.matrix.reshape(*self.size, d, d)[(slice(None, None, 2),) * d]
        return FieldGrid(self.low, 2 * self.step, size, matrix.reshape(-1, d, d))

    @cached_property
    def inverse(self) -> Tensor:
        """The inverse metric at the nodes, which the eikonal equation asks for, `(nodes, d, d)`."""
        return inverse(self.matrix)

    @cached_property
    def stencils(self) -> Any:
        """The neighbours of all nodes, as of `kernels.fields.marching.Stencils`."""
        from pullback.geodesics.kernels.fields.entries import FIELD

        in_steps = self.inverse / (self.step * self.step.unsqueeze(-1))
        return FIELD.make_stencils(np.ascontiguousarray(in_steps), self.size)

    def covers(self, z: Codes) -> Mask:
        """Say which points `(n, d)` lie on the grid."""
        high = self.low + self.step * (torch.tensor(self.size) - 1)
        slack = _INSIDE * (high - self.low)  # so that points on the edge of the table count
        return ((z >= self.low - 2 * slack) & (z <= high + 2 * slack)).all(-1)

    def cells(self, z: Codes) -> Cells:
        """Find the nodes around points `(n, d)`, the nearest where a point lies beyond the grid."""
        size = torch.tensor(self.size)
        place = (z - self.low) / self.step
        first = torch.minimum(place.long().clamp(min=0), size - 2)
        around = first.unsqueeze(1) + corners(len(size))
        fraction = (place - first).clamp(0, 1).unsqueeze(1)
        share = torch.where(corners(len(size)) == 1, fraction, 1 - fraction).prod(-1)
        node = around[..., 0]
        for a, n in enumerate(self.size[1:], start=1):
            node = node * n + around[..., a]
        return Cells(node, share, (place.unsqueeze(1) - around) * self.step)


def grid_over(table: TabulatedMetric, n_cells: int) -> FieldGrid:
    """Return the grid over a table, which is kept while the table is: marches share stencils.

    Args:
        table: the table.
        n_cells: cells along each axis; of a table one grid is kept, that of the last number.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z)
        >>> table = TabulatedMetric.build(flat, torch.tensor([[0.0], [1.0]]).double())
        >>> grid_over(table, 8) is grid_over(table, 8)
        True
    """
    with exclusive():
        grid = _grids.get(table)
        if grid is None or grid.size[0] != n_cells + 1:
            grid = _grids[table] = FieldGrid.over(table, n_cells)
    return grid


def inverse(matrix: MetricMatrix) -> MetricMatrix:
    """Solve M X = 1, column by column.

    Example:
        >>> inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    columns = torch.eye(matrix.shape[-1]).to(matrix).expand_as(matrix).unbind(-1)
    return torch.stack([linalg.solve(matrix, column)[0] for column in columns], -1)


def corners(d: int) -> Tensor:
    """Return the corners of the unit cube, shape `(2^d, d)`.

    Example:
        >>> corners(1).tolist()
        [[0], [1]]
    """
    return _indices((2,) * d)


def _indices(size: Sequence[int]) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(n) for n in size]).reshape(-1, len(size))


# By table, the grid that was last laid over it.
_grids: "weakref.WeakKeyDictionary[TabulatedMetric, FieldGrid]" = weakref.WeakKeyDictionary()
