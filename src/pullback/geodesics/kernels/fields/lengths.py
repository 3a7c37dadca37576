"""Lengths alone of the geodesics that ways become, in the plane: no certificate, and few sweeps."""

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.chains import doubled, spaced_evenly
from pullback.geodesics.kernels.compiled import entry, kernel, sources
from pullback.geodesics.kernels.fields.sweeps import MOVES, relax_plainly
from pullback.geodesics.kernels.forms import form, new_form, point_at
from pullback.geodesics.kernels.room import FINEST, STARTED
from pullback.geodesics.kernels.splines import Table

__all__ = ["LENGTHS_OF", "Ends", "LengthRoom", "smooth_length"]

# Of Newton's method: the weight of the H1 norm in the first step, and sweeps on one chain. From the
# ways down fields on digits 64 segments took 21, 20 and 19 us with 0.01, 0.05 and 0.09, and were
# least often in another valley with 0.05: 2 of 9900. Fewer than one in a thousand took 24 sweeps;
# what takes 30 is left to the careful search.
_DAMPING, _SWEEPS = 0.05, 30


@kernel
def smooth_length(C, table, nodes, n, f):
    """Return the length of the curve through a chain, and how uneven its speed is.

    Point and velocity half-way between the nodes are told by four nodes, to fourth order. As the
    speed of a geodesic is constant, the mean of the speeds there is the length to the order of the
    chain; the second number is the mean square of the speed over the square of its mean, less 1.
    """
    d, total, square = len(table.low), 0.0, 0.0
    z = point_at(d)
    for i in range(n):
        for a in range(d):
            z1, z2 = nodes[i, a], nodes[i + 1, a]
            if 0 < i < n - 1:
                z0, z3 = nodes[i - 1, a], nodes[i + 2, a]
                f[z + a] = (9 * (z1 + z2) - z0 - z3) / 16
                f[z + d + a] = (27 * (z2 - z1) - (z3 - z0)) / 24
            else:
                e, s = (0, 1) if i == 0 else (n, -1)
                z0, z1, z2, z3 = (
                    nodes[e, a],
                    nodes[e + s, a],
                    nodes[e + 2 * s, a],
                    nodes[e + 3 * s, a],
                )
                f[z + a] = (5 * z0 + 15 * z1 - 5 * z2 + z3) / 16
                f[z + d + a] = s * (21 * z1 - 23 * z0 + 3 * z2 - z3) / 24
        q = form(C, table, 0, f)
        square += q
        total += math.sqrt(q)
    return total, n * square / (total * total) - 1


class Ends(NamedTuple):
    """When a search ends.

    Attributes:
        rough: the share of S that a step of Newton's method may leave.
        even: how uneven the speed may be, see `smooth_length`; else the nodes are doubled.
        trusted: how uneven that of the finest chain may be.
    """

    rough: float
    even: float
    trusted: float


class LengthRoom(NamedTuple):
    """Room for the search of one length.

    Attributes:
        chain: shape `(FINEST + 1, 2)`.
        kept: the same, before a step.
        moves: of a step, shape `(FINEST, MOVES)`.
        position: places along the way.
        form: of the table.
    """

    chain: Any
    kept: Any
    moves: Any
    position: Any
    form: Any


@kernel
def _length(C, table, way, ends, room):
    """Return the length of the geodesic that a way becomes, or NaN where that fails."""
    n, chain, f = STARTED, room.chain, room.form
    if not spaced_evenly(C, table, way, chain, n, room.position, f) < math.inf:
        return math.nan
    while True:
        energy = relax_plainly(
            C, table, chain, n, ends.rough, _SWEEPS, _DAMPING, room.kept, room.moves, f
        )
        length, uneven = smooth_length(C, table, chain, n, f)
        if not (energy < math.inf and uneven < math.inf):
            return math.nan
        if uneven <= ends.even:
            return length
        if n >= FINEST:
            return length if uneven <= ends.trusted else math.nan
        doubled(chain, n)
        n *= 2


def _entry(source: str) -> Any:
    """Make the entry anew where a kernel has changed: see `compiled.entry`."""

    @entry
    def lengths_of(C, table, ways, ends, lengths):
        """Fill in the lengths of the geodesics that ways become, shape `(pairs, nodes, 2)`.

        They are NaN where a search does not come to an end of `Ends`.
        """
        source  # noqa: B018
        table, ends = Table(*table), Ends(*ends)
        chains, moves = np.empty((2, FINEST + 1, 2)), np.empty((FINEST, MOVES))
        room = LengthRoom(chains[0], chains[1], moves, np.empty(ways.shape[1]), new_form(table))
        for p in range(len(ways)):
            lengths[p] = _length(C, table, ways[p], ends, room)

    return lengths_of


def _sources() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    here = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return sources() + here


LENGTHS_OF = _entry(_sources())
"""The entry, which is compiled when it is first called."""
