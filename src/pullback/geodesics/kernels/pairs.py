"""One pair of points: from its starts, from coarse to fine, to a curve with a certificate."""

import math

from pullback.geodesics.kernels.certificate import certify, measure
from pullback.geodesics.kernels.chains import (
    chord,
    copied,
    doubled,
    energy_and_length,
    spaced_evenly,
)
from pullback.geodesics.kernels.compiled import kernel, part
from pullback.geodesics.kernels.detours import BENDS, bent
from pullback.geodesics.kernels.newton import relax

__all__ = ["is_apart", "solve_pair", "straight_start"]

# On the coarse chain a search ends when the next step promises to lower the energy by less than
# this share: the finer chains go on from there. As `Thresholds.rough_tol` without kernels.
_ROUGH_TOL = 1e-3
# The weight of the H1 norm in the first step: on the coarse chain that of `Newton`, and a tenth of
# it on finer ones, which begin near their solution. Set by judgement.
_ROUGH_DAMPING, _FINE_DAMPING = 1e-2, 1e-3
_STEPS = 40  # of Newton's method on one chain: four times what nearly all take
_HOPELESS = 1.15  # a start that is longer than another by more hardly ends on the shorter curve
_BESIDE = 0.03  # of its length, within which a start runs beside the shortest, and ends as it does
_ASIDE = 0.1  # of its length, by which a detour leads aside of the path that it is another way to
_TUNNELLED = 1.2  # a curve longer than its chain by more stepped over a wall: more nodes, again
_CLOSE = 1.01  # a rival that is longer by less may still turn out to be the shorter one
_DISTINCT = 0.02  # of the extent, within which two curves are one


@kernel
def straight_start(a, b, curve):
    """Fill in the straight line from a to b, as a start."""
    m = len(curve) - 1
    for k in range(len(a)):
        for i in range(m):
            curve[i, k] = a[k] + i / m * (b[k] - a[k])
        curve[m, k] = b[k]


@kernel
def is_apart(C, table, starts, s, f):
    """Say whether a start from a grid runs apart from the others from there, as 1 or 0."""
    n = starts.shape[1] - 1
    _, length = energy_and_length(C, table, starts[s], n, f)
    for k in range(1, s):
        if _runs_beside(C, table, starts[s], starts[k], n, _ASIDE * length, f):
            return 0
    return 1


@part
def solve_pair(C, table, n_starts, settings, room, answer):
    """Follow the starts in `room.starts`, refine the best curve, and fill in the answer.

    In the plane, where starts end on unlike curves, bends of the best are followed too: a place for
    what they lead to is the last in the answer, if there is one beside those of the starts.
    """
    numbers, counts = answer.numbers, answer.counts
    numbers[:] = math.nan
    counts[:] = 0
    lengths = numbers[7:]
    for s in range(n_starts):
        lengths[s] = spaced_evenly(
            C, table, room.starts[s], room.chains[s], settings.coarsest, room.position, room.form
        )
    shortest = _smallest(lengths, n_starts)
    numbers[5] = lengths[0]
    if not (math.isfinite(lengths[shortest]) and lengths[shortest] > 0):
        return
    _choose(C, table, n_starts, lengths, settings.coarsest, room)
    _relax_starts(C, table, n_starts, settings, room, answer)
    best = room.leader[_smallest(lengths, n_starts)]
    if not (best >= 0 and math.isfinite(lengths[best])):
        return
    rival = _rival(n_starts, best, lengths, room)
    if rival >= 0 and len(lengths) > n_starts and len(table.low) == 2:
        _follow_bends(C, table, best, n_starts, settings, room, answer)
        n_starts = len(lengths)
        best = room.leader[_smallest(lengths, n_starts)]
        rival = _rival(n_starts, best, lengths, room)
    if rival >= 0:
        numbers[6] = lengths[rival]
    counts[2] = best
    rough = lengths[best]
    _refine(C, table, room.chains[best], room.segments[best], settings, room, answer)
    room.segments[best] = counts[0]
    for _ in range(n_starts - 1):
        room.leader[best] = -1  # it has been refined
        rival = _rival(n_starts, counts[2], lengths, room)
        if rival < 0 or not (counts[3] == 0 or lengths[rival] <= max(_CLOSE * rough, numbers[0])):
            return
        _refine_rival(C, table, rival, settings, room, answer)
        best = rival


@kernel
def _smallest(values, n):
    least = 0
    for k in range(n):
        if values[k] < values[least] or math.isnan(values[least]):
            least = k
    return least


@part
def _choose(C, table, n_starts, lengths, n, room):
    """Say which starts are followed, and which run beside a shorter one or are without hope."""
    leader = room.leader
    for s in range(n_starts):
        leader[s] = -2
    shortest = _smallest(lengths, n_starts)
    near = _BESIDE * lengths[shortest]
    for _ in range(n_starts):
        s = -1
        for k in range(n_starts):
            if leader[k] == -2 and (s < 0 or lengths[k] < lengths[s]):
                s = k
        leader[s] = s if lengths[s] <= _HOPELESS * lengths[shortest] else -1
        for k in range(n_starts):
            followed = leader[s] == s and k != s and leader[k] == k and lengths[k] <= lengths[s]
            if followed and _runs_beside(
                C, table, room.chains[s], room.chains[k], n, near, room.form
            ):
                leader[s] = k


@part
def _relax_starts(C, table, n_starts, settings, room, answer):
    """Relax the starts that are followed on few nodes, and fill in their lengths."""
    lengths, coarsest, finest = answer.numbers[7:], settings.coarsest, settings.finest
    for s in range(n_starts):
        lengths[s] = math.nan
        if room.leader[s] == s:
            lengths[s], room.segments[s] = _relax_start(C, table, s, coarsest, finest, room, answer)
    for s in range(n_starts):
        if room.leader[s] >= 0:
            lengths[s] = lengths[room.leader[s]]


@part
def _follow_bends(C, table, best, n_starts, settings, room, answer):
    """Relax bends of the best curve, and keep the shortest that lies apart from it as a start."""
    lengths, last, tried = answer.numbers[7:], len(answer.numbers) - 8, len(room.chains) - 1
    for s in range(n_starts, last + 1):
        room.leader[s] = -1
    for height in BENDS:
        bent(room.chains[best], room.segments[best], height, room.starts[tried])
        start, chain = room.starts[tried], room.chains[tried]
        if not math.isfinite(
            spaced_evenly(C, table, start, chain, settings.coarsest, room.position, room.form)
        ):
            continue
        length, n = _relax_start(C, table, tried, settings.coarsest, settings.finest, room, answer)
        if room.leader[last] == last and not length < lengths[last]:
            continue
        if _apart(chain, n, room.chains[best], room.segments[best]):
            copied(chain, room.chains[last], n)
            lengths[last], room.segments[last], room.leader[last] = length, n, last


@kernel
def _rival(n_starts, best, lengths, room):
    """Return the shortest other curve that a start led to, or -1."""
    rival = -1
    for s in range(n_starts):
        if room.leader[s] != s or s == best or not math.isfinite(lengths[s]):
            continue
        if rival >= 0 and lengths[s] >= lengths[rival]:
            continue
        if _apart(room.chains[s], room.segments[s], room.chains[best], room.segments[best]):
            rival = s
    return rival


@kernel
def _runs_beside(C, table, chain, other, n, limit, f):
    """Say whether a curve of n segments runs within a distance beside another."""
    for i in range(2, n, 2):  # noqa: SIM110 - numba has no generators
        if chord(C, table, chain, i, other, i, 0, f) > limit * limit:
            return False
    return True


@kernel
def _apart(chain, n, other, m):
    """Say whether two curves run apart, by more than a share of the extent of the other."""
    gap = extent = 0.0
    fewest = min(n, m)
    for a in range(chain.shape[1]):
        low = high = other[0, a]
        for i in range(m + 1):
            low, high = min(low, other[i, a]), max(high, other[i, a])
        extent += (high - low) ** 2
    for i in range(fewest + 1):
        distance = 0.0
        for a in range(chain.shape[1]):
            distance += (chain[i * (n // fewest), a] - other[i * (m // fewest), a]) ** 2
        gap = max(gap, distance)
    return gap > _DISTINCT**2 * extent


@kernel
def _relax_start(C, table, s, n, finest, room, answer):
    """Relax a start, on more nodes where it tunnels; return its length and its segments."""
    chain, fine, f = room.chains[s], room.fine, room.form
    while True:
        _, steps, _ = relax(C, table, chain, n, _ROUGH_TOL, _STEPS, _ROUGH_DAMPING, room.work, f)
        answer.counts[1] += steps
        _, coarse = energy_and_length(C, table, chain, n, f)
        copied(chain, fine, n)
        doubled(fine, n)
        doubled(fine, 2 * n)
        _, length = energy_and_length(C, table, fine, 4 * n, f)
        if length <= _TUNNELLED * coarse or 2 * n >= finest:
            return length, n
        n *= 2
        spaced_evenly(C, table, room.starts[s], chain, n, room.position, f)


@kernel
def _refine(C, table, chain, n, settings, room, answer):
    """Double the nodes of a chain until its length settles, and certify it."""
    while True:
        if n < settings.finest:
            doubled(chain, n)
            n *= 2
        _, steps, status = relax(
            C, table, chain, n, settings.steps, _STEPS, _FINE_DAMPING, room.work, room.form
        )
        answer.counts[1] += steps
        _, _, change = measure(C, table, chain, n, settings.steps, room)
        if n >= settings.finest or (change < settings.seen and status == 0):
            if status == 0:
                certify(C, table, chain, n, settings, room, answer)
                if n < settings.finest and not _is_settled(settings, answer.numbers):
                    continue
            answer.counts[3] = 1 if status == 0 else 0
            break
    answer.counts[0] = n
    copied(chain, answer.nodes, n)


@kernel
def _is_settled(settings, numbers):
    return numbers[1] <= settings.steps and numbers[3] <= 0.1


@kernel
def _refine_rival(C, table, rival, settings, room, answer):
    """Refine another curve that may turn out to be the shorter one, and keep that."""
    numbers, counts = answer.numbers, answer.counts
    kept = (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
    segments, best, done = counts[0], counts[2], counts[3]
    _refine(C, table, room.chains[rival], room.segments[rival], settings, room, answer)
    room.segments[rival] = counts[0]
    if counts[3] == 1 and (done == 0 or numbers[0] < kept[0]):
        counts[2] = rival
        return
    for k in range(5):
        numbers[k] = kept[k]
    counts[0], counts[2], counts[3] = segments, best, done
    copied(room.chains[best], answer.nodes, segments)
