"""Searches for geodesics from given curves, as Python calls them: with care, and shortly."""

import math
from typing import Any, NamedTuple

from pullback.geodesics.kernels.certificate import measure
from pullback.geodesics.kernels.chains import copied, doubled, spaced_evenly
from pullback.geodesics.kernels.compiled import entry, kernel, sources
from pullback.geodesics.kernels.newton import relax
from pullback.geodesics.kernels.pairs import solve_pair, straight_start
from pullback.geodesics.kernels.room import FINEST, STARTED, Answer, Settings, new_room
from pullback.geodesics.kernels.splines import Table

__all__ = ["FOLLOW", "SEARCH_FROM", "Brief"]

# Of Newton's method on one chain: the weight of the H1 norm in the first step, as of `Newton`, and
# the most steps. Nearly all take three to five; what takes more than this is left to PyTorch.
_DAMPING, _STEPS = 1e-2, 20


class Brief(NamedTuple):
    """When a short search ends.

    Attributes:
        steps: the share of S that a step of Newton's method may leave.
        seen: the share by which twice the nodes may change the length; else they are doubled.
    """

    steps: float
    seen: float


@kernel
def _follow(C, table, ends, room, nodes):
    """Follow the shorter of the first two starts, and fill in nodes, shape `(STARTED + 1, d)`.

    Return the length of the curve that it leads to, or NaN where that fails.
    """
    best, least, f = -1, math.inf, room.form
    for s in range(2):
        length = spaced_evenly(
            C, table, room.starts[s], room.chains[s], STARTED // 2, room.position, f
        )
        if length < least:  # false where a start is not finite, or leaves the table
            best, least = s, length
    if best < 0:
        return math.nan
    chain, n = room.chains[best], STARTED // 2
    while least > 0:
        _, _, status = relax(C, table, chain, n, ends.steps, _STEPS, _DAMPING, room.work, f)
        if status != 0:
            return math.nan
        least, _, change = measure(C, table, chain, n, ends.steps, room)
        if change <= ends.seen or n >= FINEST:
            break
        doubled(chain, n)
        n *= 2
    if n < STARTED:
        doubled(chain, n)
        n *= 2
    for i in range(STARTED + 1):
        for a in range(chain.shape[1]):
            nodes[i, a] = chain[i * (n // STARTED), a]
    return least


def _entries(source: str) -> tuple[Any, Any]:
    """Make the entries anew where a kernel of searches has changed: see `compiled.entry`."""

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

    @entry
    def follow(C, table, curves, ends, nodes, lengths):
        """Search shortly from `curves` or straight lines, whichever of both is shorter.

        Curves and the nodes to fill in have shape `(pairs, STARTED + 1, d)`; the lengths,
        `(pairs,)`, are NaN where a search does not come to an end of `Brief`.
        """
        source  # noqa: B018
        table, ends = Table(*table), Brief(*ends)
        room = new_room(table)
        for p in range(len(curves)):
            straight_start(curves[p, 0], curves[p, STARTED], room.starts[0])
            copied(curves[p], room.starts[1], STARTED)
            lengths[p] = _follow(C, table, ends, room, nodes[p])

    return search_from, follow


SEARCH_FROM, FOLLOW = _entries(sources())
"""The entries, which are compiled when they are first called: the first takes half a minute."""
