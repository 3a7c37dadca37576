"""What can be said for a chain on a table: how long it is, and how near it is to a geodesic."""

import math

from pullback.geodesics.kernels.chains import copied, doubled, energy_and_length, expand, force
from pullback.geodesics.kernels.compiled import kernel, part
from pullback.geodesics.kernels.newton import solve, squared_size

__all__ = ["certify", "excess_of", "measure"]

_CONJUGATE = 0.02  # second variations below this share of the H1 norm count as vanishing
_CAUTION = 1e-3  # damping of the corrections, in the H1 norm
_CORRECTIONS = 4  # at most, of a chain to fourth order; set by judgement, nearly all take two
_LARGEST = 0.1  # of the curve's length: a larger correction is no small one
_MISMATCH = 8  # a chain's length errs by more than the curve through it, measured with more points
_SWINGING, _UNEVEN = 0.004, 2.5  # variation of the speed, and its square in units of `rtol`


@kernel
def measure(C, table, chain, n, rtol, room):
    """Return the length of the curve through a chain, and by how much fewer nodes change it."""
    fine, f = room.fine, room.form
    _, narrow = energy_and_length(C, table, chain, n, f)
    for i in range(n // 2 + 1):
        for a in range(chain.shape[1]):
            fine[i, a] = chain[2 * i, a]
    _, wide = energy_and_length(C, table, fine, n // 2, f)
    copied(chain, fine, n)
    doubled(fine, n)
    energy, finer = energy_and_length(C, table, fine, 2 * n, f)
    length, extrapolated = (4 * finer - narrow) / 3, (4 * narrow - wide) / 3
    mismatch = abs(extrapolated - length) / length
    # Else it is the curve that is off, for it swings between its nodes.
    uneven = 2 * n * energy / (finer * finer) - 1
    if uneven < max(_SWINGING**2, _UNEVEN * rtol) or length < extrapolated:
        mismatch /= _MISMATCH
    return length, mismatch, abs(finer - narrow) / length


@part
def certify(C, table, chain, n, settings, room, answer):
    """Correct a chain to fourth order, and fill in what `search.certify` would say."""
    e, solution, f, g = room.work.here, room.work.solution, room.form, room.force
    numbers, m = answer.numbers, n - 1
    expand(C, table, chain, n, f, e)
    energy = force(C, table, chain, n, f, g)
    minimal = solve(e, g, m, -_CONJUGATE, solution)
    excess, residual = math.inf, _residual(chain, n, e, g, energy, room.position)
    if minimal and solve(e, g, m, _CAUTION, solution):
        excess = _excess(g, solution.x, m, energy)
        for _ in range(_CORRECTIONS):
            small = squared_size(e, solution.x, m) <= _LARGEST**2 * energy * n
            if excess <= settings.excess or not small:
                break
            copied(chain, room.fine, n)
            for i in range(m):
                for a in range(chain.shape[1]):
                    chain[i + 1, a] += solution.x[i, a]
            energy_now = force(C, table, chain, n, f, g)
            residual_now = _residual(chain, n, e, g, energy_now, room.position)
            if not residual_now <= residual:  # it did not help: take it back
                copied(room.fine, chain, n)
                break
            solve(e, g, m, _CAUTION, solution)
            energy, residual = energy_now, residual_now
            excess = _excess(g, solution.x, m, energy)
    length, mismatch, _ = measure(C, table, chain, n, settings.steps, room)
    numbers[0], numbers[1], numbers[2] = length, mismatch, excess
    numbers[3], numbers[4] = residual, 1.0 if minimal else 0.0


@kernel
def excess_of(C, table, chain, n, energy, force, work, f):
    """Estimate how far a chain lies above a geodesic, by a force on it from elsewhere.

    The Hessian is that of the table. NaN where the chain leaves it, or is not the shortest near by.
    """
    e, solution, m = work.here, work.solution, n - 1
    if not math.isfinite(expand(C, table, chain, n, f, e)):
        return math.nan
    if solve(e, force, m, -_CONJUGATE, solution) and solve(e, force, m, _CAUTION, solution):
        return _excess(force, solution.x, m, energy)
    return math.nan


@kernel
def _excess(g, x, m, energy):
    """Estimate the share of the energy that a correction x gains."""
    total = 0.0
    for i in range(m):
        for a in range(g.shape[1]):
            total += g[i, a] * x[i, a]
    return abs(total) / (2 * energy)


@kernel
def _residual(chain, n, e, g, energy, room):
    """Return the largest geodesic curvature in units of one over the length.

    It is that part of the force g which is normal to the curve; along it only the speed changes.
    """
    largest = 0.0
    for i in range(1, n):
        whole, along, size = _parts(chain, i, e, g, room)
        if size > 0:
            whole -= along * along / size
        largest = max(largest, whole)
    return 0.5 * n**1.5 * math.sqrt(largest / energy)


@kernel
def _parts(chain, i, e, g, room):
    """Return g M^-1 g, g c' and c' M c' at an inner node, with c' over two steps."""
    d = chain.shape[1]
    whole = along = size = 0.0
    # L D L^T of M, with y = L^-1 g: g M^-1 g is the sum of y^2 / D.
    for a in range(d):
        y = g[i - 1, a]
        for b in range(a + 1):
            entry = 0.5 * (e.matrix[i - 1, a, b] + e.matrix[i, a, b])
            for k in range(b):
                entry -= room[d * a + k] * room[d * b + k] * room[d * k + k]
            if b < a:
                room[d * a + b] = entry / room[d * b + b]
                y -= room[d * a + b] * room[d * d + b]
            else:
                room[d * a + a] = entry
        room[d * d + a] = y
        whole += y * y / room[d * a + a]
    for a in range(d):
        step = chain[i + 1, a] - chain[i - 1, a]
        along += g[i - 1, a] * step
        for b in range(d):
            both = 0.5 * (e.matrix[i - 1, a, b] + e.matrix[i, a, b])
            size += step * both * (chain[i + 1, b] - chain[i - 1, b])
    return whole, along, size
