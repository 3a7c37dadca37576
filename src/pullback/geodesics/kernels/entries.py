"""What Python calls of the kernels: with arrays, numbers and plain tuples of these.

Of what a call is made is written down beside what was compiled for it: a class of this package
that a later version does not have any more would make that unreadable.
"""

from typing import Any, NamedTuple

from pullback.geodesics.kernels.coarse import (
    Grid,
    Paths,
    measured_edges,
    new_paths,
    rows_from,
    shortest_path,
)
from pullback.geodesics.kernels.compiled import entry, sources
from pullback.geodesics.kernels.pairs import solve_pair, straight_start
from pullback.geodesics.kernels.room import STARTED, Answer, Settings, new_room
from pullback.geodesics.kernels.splines import Table

__all__ = ["SEARCH", "Entries"]


class Entries(NamedTuple):
    """Compiled functions.

    Attributes:
        measure_edges: fill in the lengths of the edges of a grid.
        trace_rows: fill in the rows of the shortest paths from some nodes of a grid.
        search: fill in the answers of pairs of points.
    """

    measure_edges: Any
    trace_rows: Any
    search: Any


def _entries(source: str) -> Entries:
    """Make the entries anew where any file of the room has changed: see `compiled.entry`."""

    @entry
    def measure_edges(C, table, grid):
        """Fill in the lengths of the edges of a grid."""
        source  # noqa: B018
        measured_edges(C, Table(*table), Grid(*grid))

    @entry
    def trace_rows(grid, rows, paths):
        """Fill in the rows of the shortest paths from some nodes of the grid."""
        source  # noqa: B018
        rows_from(Grid(*grid), rows, Paths(*paths))

    @entry
    def search(C, table, grid, paths, ends, n_starts, settings, answers):
        """Search the geodesics between pairs of `ends`, shape `(pairs, 2, d)`."""
        source  # noqa: B018
        table, grid, paths = Table(*table), Grid(*grid), Paths(*paths)
        nodes, numbers, counts = answers
        room, route = new_room(table), new_paths(grid, STARTED)
        for p in range(len(ends)):
            a, b = ends[p, 0], ends[p, 1]
            straight_start(a, b, room.starts[0])
            if n_starts > 1:
                shortest_path(
                    C, table, grid, paths, a, b, room.starts[1], STARTED, route, room.form
                )
            answer = Answer(nodes[p], numbers[p], counts[p])
            solve_pair(C, table, n_starts, Settings(*settings), room, answer)

    return Entries(measure_edges, trace_rows, search)


SEARCH = _entries(sources())
"""The entries, which are compiled when they are first called."""
