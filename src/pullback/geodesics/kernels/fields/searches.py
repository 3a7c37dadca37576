"""The search for geodesics from given curves, as Python calls it."""

from typing import Any

from pullback.geodesics.kernels.chains import copied
from pullback.geodesics.kernels.compiled import entry, sources
from pullback.geodesics.kernels.pairs import solve_pair
from pullback.geodesics.kernels.room import STARTED, Answer, Settings, new_room
from pullback.geodesics.kernels.splines import Table

__all__ = ["SEARCH_FROM"]


def _entry(source: str) -> Any:
    """Make the entry anew where a kernel of searches has changed: see `compiled.entry`."""

    @entry
    def search_from(C, table, curves, settings, answers):
        """Search geodesics from curves, shape `(pairs, STARTED + 1, d)`, and from nothing else.

        The other arguments are those of `kernels.entries.Entries.search`.
        """
        source  # noqa: B018
        table = Table(*table)
        nodes, numbers, counts = answers
        room = new_room(table)
        for p in range(len(curves)):
            copied(curves[p], room.starts[0], STARTED)
            answer = Answer(nodes[p], numbers[p], counts[p])
            solve_pair(C, table, 1, Settings(*settings), room, answer)

    return search_from


SEARCH_FROM = _entry(sources())
"""The entry, which is compiled when it is first called: that takes half a minute."""
