"""What the search of one pair is told, what it works in, and what it answers."""

from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import kernel
from pullback.geodesics.kernels.detours import N_DETOURS
from pullback.geodesics.kernels.forms import new_form
from pullback.geodesics.kernels.newton import Work, new_work

__all__ = ["FINEST", "N_STARTS", "STARTED", "Answer", "Room", "Settings", "new_room"]

N_STARTS = 3 + N_DETOURS
"""The straight line, the path on the coarse grid, a detour from it where there is one, and a bend.

The last is a bend of what the others led to, in the plane, where they part.
"""
STARTED = 64
"""Segments of the curves that a search starts from."""
FINEST = 256
"""Segments of the finest chain, as of `geodesics.connect`."""


class Settings(NamedTuple):
    """What is asked for.

    Attributes:
        coarsest: segments that starts are compared on.
        finest: segments of the finest chain.
        steps: the share of S that a step of Newton's method may leave.
        seen: the share by which a length may still change with twice the nodes.
        excess: the share of the energy that corrections may leave.
    """

    coarsest: int
    finest: int
    steps: float
    seen: float
    excess: float


class Answer(NamedTuple):
    """What is known of one pair; numbers in arrays, so that they can be filled in.

    Attributes:
        nodes: of the curve, shape `(FINEST + 1, d)`, of which the first `n_segments + 1` count.
        numbers: length, mismatch, excess, residual and second variation on the table, length of the
            straight line, that of the shortest other curve, and that from each start.
        counts: segments, steps, the start that won, and whether the search came to its end.
    """

    nodes: Any
    numbers: Any
    counts: Any


class Room(NamedTuple):
    """Room for the search of one pair.

    Attributes:
        starts: curves to start from, and one that is tried, shape `(starts + 1, STARTED + 1, d)`.
        chains: a chain of each start, shape `(starts + 1, 2 FINEST + 1, d)`.
        segments: how many each chain has, shape `(starts + 1,)`.
        leader: the start that each runs beside, or itself, or -1 without hope, shape `(starts,)`.
        fine: a chain with more nodes, or the one before a correction, shape `(2 FINEST + 1, d)`.
        position: places along a curve.
        force: the gradient of the energy, shape `(FINEST, d)`.
        work: of Newton's method.
        form: of the table.
    """

    starts: Any
    chains: Any
    segments: Any
    leader: Any
    fine: Any
    position: Any
    force: Any
    work: Work
    form: Any


@kernel
def new_room(table):
    """Make room for the search of one pair."""
    d, most = len(table.low), 2 * FINEST + 1
    return Room(
        np.zeros((N_STARTS + 1, STARTED + 1, d)),
        np.zeros((N_STARTS + 1, most, d)),
        np.zeros(N_STARTS + 1, np.int64),
        np.zeros(N_STARTS, np.int64),
        np.zeros((most, d)),
        np.zeros(most),
        np.zeros((FINEST, d)),
        new_work(FINEST, d),
        new_form(table),
    )
