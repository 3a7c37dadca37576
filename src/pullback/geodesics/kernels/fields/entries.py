"""What Python calls of the kernels of distance fields: with arrays, numbers and plain tuples."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import entry
from pullback.geodesics.kernels.fields.descent import descend
from pullback.geodesics.kernels.fields.marching import Front, Stencils, march
from pullback.geodesics.kernels.fields.stencils import connect_nodes, fill_stencils, listeners

__all__ = ["FIELD", "Entries"]


class Entries(NamedTuple):
    """Compiled functions.

    Attributes:
        make_stencils: find the neighbours of the nodes of a grid.
        march: fill in the distances from a point.
        descend: fill in the ways back from points; says from which of them it arrived.
    """

    make_stencils: Any
    march: Any
    descend: Any


def _entries(source: str) -> Entries:
    """Make the entries anew where any file of this room has changed: see `compiled.entry`."""

    @entry
    def make_stencils(D, size):
        """Return the neighbours of the nodes of a grid, as a tuple: see `marching.Stencils`."""
        source  # noqa: B018
        n, d = D.shape[:2]
        m = d * (d + 1) // 2
        weight, offset = np.empty((n, m)), np.empty((n, m, d), np.int16)
        jump, inside = np.empty((n, m), np.int32), np.empty((n, m), np.uint8)
        fill_stencils(D, weight, offset)
        connect_nodes(offset, size, jump, inside)
        begin, told = listeners(jump, inside)
        return weight, offset, jump, inside, begin, told

    @entry
    def march_over(stencils, front, size):
        """Fill in the distances of a `Front`."""
        source  # noqa: B018
        march(Stencils(*stencils), Front(*front), size)

    @entry
    def descend_from(velocity, size, point, points, way, curves, arrived):
        """Fill in the curves from a point to others, all in steps of the grid."""
        source  # noqa: B018
        for i in range(len(points)):
            arrived[i] = descend(velocity, size, point, points[i], way, curves[i])

    return Entries(make_stencils, march_over, descend_from)


def _sources() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


FIELD = _entries(_sources())
"""The entries, which are compiled when they are first called."""
