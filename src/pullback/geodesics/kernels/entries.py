"""What Python calls of the kernels: with arrays, numbers and plain tuples of these.

Of what a call is made is written down beside what was compiled for it: a class of this package
that a later version does not have any more would make that unreadable.
"""

from typing import Any, NamedTuple

from pullback.geodesics.kernels.certificate import excess_of
from pullback.geodesics.kernels.coarse import (
    Grid,
    Paths,
    measured_edges,
    new_paths,
    path_by,
    rows_from,
    shortest_path,
)
from pullback.geodesics.kernels.compiled import entry, sources
from pullback.geodesics.kernels.detours import find_detours, new_detours
from pullback.geodesics.kernels.forms import new_form
from pullback.geodesics.kernels.newton import new_work
from pullback.geodesics.kernels.pairs import is_apart, solve_pair, straight_start
from pullback.geodesics.kernels.room import STARTED, Answer, Settings, new_room
from pullback.geodesics.kernels.splines import Table

__all__ = ["SEARCH", "Entries"]


class Entries(NamedTuple):
    """Compiled functions.

    Attributes:
        measure_edges: fill in the lengths of the edges of a grid.
        trace_rows: fill in the rows of the shortest paths from some nodes of a grid.
        search: fill in the answers of pairs of points.
        excesses: fill in how far chains lie above geodesics, by forces on them from elsewhere.
    """

    measure_edges: Any
    trace_rows: Any
    search: Any
    excesses: Any


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
    def search(C, table, grid, paths, ends, last, n_starts, settings, answers):
        """Search the geodesics between pairs of `ends`, shape `(pairs, 2, d)`.

        The nodes nearest to their second points are `last`, shape `(pairs,)`.
        """
        source  # noqa: B018
        table, grid, paths = Table(*table), Grid(*grid), Paths(*paths)
        nodes, numbers, counts = answers
        room, route, detours = new_room(table), new_paths(grid, STARTED), new_detours(grid)
        for p in range(len(ends)):
            a, b, n = ends[p, 0], ends[p, 1], 1
            straight_start(a, b, room.starts[0])
            if n_starts > 1:
                first = shortest_path(
                    C, table, grid, paths, a, b, room.starts[1], STARTED, route, room.form
                )
                found = find_detours(grid, paths, first, last[p], detours)
                n = 2
                for k in range(found):
                    if n < n_starts - 1:
                        v = detours.found[k]
                        path_by(
                            grid, paths, a, b, first, last[p], v, room.starts[n], STARTED, route
                        )
                        n += is_apart(C, table, room.starts, n, room.form)
            answer = Answer(nodes[p], numbers[p], counts[p])
            solve_pair(C, table, n, Settings(*settings), room, answer)

    @entry
    def excesses(C, table, chains, energies, forces, found):
        """Fill in what was found of `chains`, shape `(chains, nodes, d)`: see `excess_of`.

        Of each is known its energy and the force on its inner nodes, `(chains, nodes - 2, d)`.
        """
        source  # noqa: B018
        table, n = Table(*table), chains.shape[1] - 1
        work, f = new_work(n, chains.shape[2]), new_form(table)
        for p in range(len(chains)):
            found[p] = excess_of(C, table, chains[p], n, energies[p], forces[p], work, f)

    return Entries(measure_edges, trace_rows, search, excesses)


SEARCH = _entries(sources())
"""The entries, which are compiled when they are first called."""
