"""Other starts for a pair of points: ways on a coarse grid beside the shortest, and bends."""

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import kernel

__all__ = ["BENDS", "N_DETOURS", "Detours", "bent", "find_detours", "new_detours"]

N_DETOURS = 1
"""Ways that are followed beside the straight line and the best path, at most.

On four decoders of digits, of 2880 pairs, 13 answers are too long by more than 1 % without, and 6
with one, which takes 1.2 to 1.3 times as long.
"""

BENDS = (0.15, -0.15, 0.3, -0.3)
"""Heights of the arches by which the best curve is bent, as shares of its chord.

To both sides; as high as those of `Thresholds.scout_arch`, and half as high.
"""

# Share of the best path by which a detour on the grid may be longer: paths on the grid are too long
# by up to 5 %, and by unlike shares. Set by judgement.
_LONGER = 0.08
# Share of the best path by which ways between two detours are longer than the longer of these. Set
# by judgement: with much less, rounding makes detours.
_PASS = 0.005
_SECTIONS = (0.25, 0.5, 0.75)  # shares of a way at which ways are told apart, set by judgement

_STRETCH = 0.2  # of a way, that no edge of the grid takes but for very near points
_MOST = 6  # ways that are drawn for a pair, of which most run beside others: set by judgement


class Detours(NamedTuple):
    """Room to look for detours. A way leads by each node: to it from a, and on to b.

    Attributes:
        total: length of the way by each node, shape `(nodes,)`.
        share: of that length that lies before the node, shape `(nodes,)`.
        near: nodes by which ways are short enough, shape `(nodes,)`.
        section: nodes of a section, from the shortest way on, shape `(nodes,)`.
        label: the place of each node in `section`, or -1, shape `(nodes,)`.
        valley: the place in `section` of an older node of the same valley, shape `(nodes,)`.
        found: the nodes that detours lead by, the shortest first, shape `(most,)`.
    """

    total: Any
    share: Any
    near: Any
    section: Any
    label: Any
    valley: Any
    found: Any


@kernel
def new_detours(grid):
    """Make room to look for detours on a grid."""
    n, most = len(grid.length), _MOST
    return Detours(
        np.empty(n),
        np.empty(n),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.full(n, -1, np.int64),
        np.empty(n, np.int64),
        np.empty(most, np.int64),
    )


@kernel
def find_detours(grid, paths, first, last, room):
    """Fill in the nodes that detours from one node to another lead by; return how many.

    The rows of both must be known. Where a share of the way has been gone, the shortest ways by all
    nodes there have valleys, one for each way round what parts them: those between which one has to
    go over a pass are as many ways.
    """
    best = paths.distance[first, last]
    limit, height = (1 + _LONGER) * best, _PASS * best
    n_near = n_found = 0
    for v in range(len(grid.length)):
        to, on = paths.distance[first, v], paths.distance[last, v]
        room.total[v] = to + on
        room.share[v] = to / (to + on)
        if to + on <= limit:
            room.near[n_near] = v
            n_near += 1
    if not (best > 0 and math.isfinite(best)):
        return 0
    for share in _SECTIONS:
        n = _section(grid, share, n_near, room)
        n_found = _valleys(grid, n, limit, height, n_found, room)
        for k in range(n):
            room.label[room.section[k]] = -1
    return n_found


@kernel
def _neighbour(grid, v, code):
    """Return the neighbour of a node in one of 3^d directions, or -1 where there is none."""
    w = v
    for a in range(len(grid.size)):
        step = code % 3 - 1
        code //= 3
        if not 0 <= v // grid.stride[a] % grid.size[a] + step < grid.size[a]:
            return -1
        w += step * grid.stride[a]
    return w


@kernel
def _section(grid, share, n_near, room):
    """Fill in the last nodes before a share of the way, sorted by length; return how many."""
    n = 0
    for k in range(n_near):
        v, ends = room.near[k], False
        if not share - _STRETCH < room.share[v] <= share:
            continue
        for a in range(len(grid.size)):
            at, stride = v // grid.stride[a] % grid.size[a], grid.stride[a]
            ends = ends or (at > 0 and room.share[v - stride] > share)
            ends = ends or (at < grid.size[a] - 1 and room.share[v + stride] > share)
        if not ends:
            continue
        at = n
        while at > 0 and room.total[room.section[at - 1]] > room.total[v]:
            room.section[at] = room.section[at - 1]
            at -= 1
        room.section[at] = v
        n += 1
    return n


@kernel
def _valleys(grid, n, limit, height, n_found, room):
    """Flood a section from its lowest node on, and note the valleys that are deep enough."""
    d = len(grid.size)
    for k in range(n):
        v = room.section[k]
        room.label[v] = room.valley[k] = k
        for code in range(3**d):
            w = _neighbour(grid, v, code)
            if w < 0 or room.label[w] < 0:
                continue
            mine, other = _oldest(room.valley, k), _oldest(room.valley, room.label[w])
            old, young = min(mine, other), max(mine, other)
            if young != old:
                if room.total[v] - room.total[room.section[young]] >= height:
                    n_found = _noted(room, room.section[young], n_found)
                room.valley[young] = old
    for k in range(n):  # those that never met, and the lowest
        if room.valley[k] == k and (k == 0 or limit - room.total[room.section[k]] >= height):
            n_found = _noted(room, room.section[k], n_found)
    return n_found


@kernel
def _oldest(valley, k):
    while valley[k] != k:
        k = valley[k]
    return k


@kernel
def _noted(room, v, n_found):
    """Put a node among those found, in the order of length; return how many there are."""
    at = n_found
    while at > 0 and room.total[room.found[at - 1]] > room.total[v]:
        at -= 1
    n = min(n_found + 1, len(room.found))
    for k in range(n - 1, at, -1):
        room.found[k] = room.found[k - 1]
    if at < n:
        room.found[at] = v
    return n


@kernel
def bent(chain, n, height, curve):
    """Fill in a chain of n segments with a sine arch added, at right angles to its chord."""
    m = len(curve) - 1
    dx, dy = chain[n, 0] - chain[0, 0], chain[n, 1] - chain[0, 1]
    for i in range(m + 1):
        k = min(i * n // m, n - 1)
        share, arch = i * n / m - k, height * math.sin(math.pi * i / m)
        curve[i, 0] = chain[k, 0] + share * (chain[k + 1, 0] - chain[k, 0]) - arch * dy
        curve[i, 1] = chain[k, 1] + share * (chain[k + 1, 1] - chain[k, 1]) + arch * dx
    for a in range(2):
        curve[0, a], curve[m, a] = chain[0, a], chain[n, a]
