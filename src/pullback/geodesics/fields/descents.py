"""Ways down a distance field, from any points back to its source."""

import numpy as np
import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics.fields.spreading import Spread
from pullback.shapes import Codes, Mask, Points

__all__ = ["NODES", "descend"]

NODES = 65
"""Of a way, as many as of the curves that compiled searches start from."""
# Places that a descent may visit, at most, in units of the nodes along all axes added up. A step
# goes half a cell: a way may so be four times as long as the edges of the grid together, and one
# that turns in circles ends there.
_FARTHEST = 8


def descend(spread: Spread, points: Codes) -> tuple[Points, Mask]:
    """Follow -M^-1 grad u from points `(n, d)` of the grid's box.

    Args:
        spread: the distances.
        points: where to begin, shape `(n, d)`.

    Returns:
        Nodes from the source to each point at equal steps of the grid, shape `(n, 65, d)`, and
        which descents arrived; the others are straight lines.

    Example:
        >>> from pullback.geodesics.fields.grid import FieldGrid
        >>> from pullback.geodesics.fields.spreading import spread
        >>> from pullback.metrics import PullbackMetric, TabulatedMetric
        >>> codes = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(PullbackMetric(lambda z: 2 * z), codes)
        >>> found = spread(table, FieldGrid.over(table, 8), codes[0])
        >>> descend(found, codes[1:])[0][0, ::32].flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    grid, source = spread.grid, spread.cone.source
    lines = straight_line(source.expand_as(points), points, NODES - 1)
    if len(grid.size) == 1:  # there is one way only
        return lines, torch.ones(len(points), dtype=torch.bool)
    from pullback.geodesics.kernels.fields.entries import FIELD

    ways = np.zeros(lines.shape)
    arrived = np.zeros(len(points), np.bool_)
    steps = [_in_steps(grid.low, grid.step, z) for z in (source, points)]
    velocity = np.ascontiguousarray((spread.velocity / grid.step).numpy())
    room = np.empty((_FARTHEST * sum(grid.size), len(source)))
    FIELD.descend(velocity, grid.size, *steps, room, ways, arrived)
    curves, known = grid.low + grid.step * torch.from_numpy(ways), torch.from_numpy(arrived)
    curves[:, 0], curves[:, -1] = source, points
    return torch.where(known[:, None, None], curves, lines), known


def _in_steps(low: Tensor, step: Tensor, z: Tensor) -> np.ndarray:
    return np.ascontiguousarray(((z - low) / step).numpy())
