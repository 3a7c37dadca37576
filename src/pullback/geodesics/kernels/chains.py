"""Chains of nodes on a table: squared chords, their derivatives, and other nodes on a curve."""

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import inlined, kernel
from pullback.geodesics.kernels.forms import form, point_at

__all__ = [
    "Expansion",
    "chord",
    "copied",
    "doubled",
    "energy_and_length",
    "expand",
    "force",
    "new_expansion",
    "spaced_evenly",
]


class Expansion(NamedTuple):
    """Room for a chain's sum S of squared chords to second order in its nodes, up to n segments.

    Attributes:
        gradient: dS/dz_i of the inner nodes, shape `(n, d)`.
        diagonal: d^2 S / dz_i^2, shape `(n, d, d)`.
        off_diagonal: d^2 S / dz_i dz_i+1, shape `(n, d, d)`.
        matrix: M in the middle of each chord, shape `(n, d, d)`.
    """

    gradient: Any
    diagonal: Any
    off_diagonal: Any
    matrix: Any


@kernel
def new_expansion(n, d):
    """Make room for chains of up to n segments."""
    return Expansion(
        np.zeros((n, d)), np.zeros((n, d, d)), np.zeros((n, d, d)), np.zeros((n, d, d))
    )


@inlined
def chord(C, table, a, i, b, j, order, f):
    """Return the squared chord from a[i] to b[j], M taken half-way; infinite beyond the table."""
    d = len(table.low)
    z = point_at(d)
    for k in range(d):
        middle = 0.5 * (a[i, k] + b[j, k])
        f[z + k], f[z + d + k] = middle, b[j, k] - a[i, k]
        if not table.low[k] + table.margin[k] <= middle <= table.high[k] - table.margin[k]:
            return math.inf
    return form(C, table, order, f)


@kernel
def energy_and_length(C, table, nodes, n, f):
    """Return the sums of squared chords and of chords of a chain of n segments."""
    energy = length = 0.0
    for i in range(n):
        q = chord(C, table, nodes, i, nodes, i + 1, 0, f)
        energy += q
        length += math.sqrt(q)
    return energy, length


@kernel
def expand(C, table, nodes, n, f, into):
    """Return S of a chain of n segments, and fill in its derivatives; infinite beyond the table."""
    d = len(table.low)
    zz, vz, m = 2 * d, 2 * d + d * d, 2 * d + 2 * d * d
    total = 0.0
    for i in range(n - 1):
        for a in range(d):
            into.gradient[i, a] = 0.0
            for b in range(d):
                into.diagonal[i, a, b] = 0.0
    for i in range(n):
        total += chord(C, table, nodes, i, nodes, i + 1, 2, f)
        if total == math.inf:
            return total
        left, right = i - 1, i
        for a in range(d):
            if i > 0:
                into.gradient[left, a] += 0.5 * f[a] - f[d + a]
            if i < n - 1:
                into.gradient[right, a] += 0.5 * f[a] + f[d + a]
            for b in range(d):
                outer, square = 0.25 * f[zz + d * a + b], 2 * f[m + d * a + b]
                ab, ba = f[vz + d * a + b], f[vz + d * b + a]
                into.matrix[i, a, b] = f[m + d * a + b]
                if i > 0:
                    into.diagonal[left, a, b] += outer + square - 0.5 * (ab + ba)
                if i < n - 1:
                    into.diagonal[right, a, b] += outer + square + 0.5 * (ab + ba)
                if 0 < i < n - 1:
                    into.off_diagonal[left, a, b] = outer - square + 0.5 * (ba - ab)
    return total


@kernel
def _differences(nodes, n, i, a):
    """First and second derivatives to fourth order at an inner node, for unit steps."""
    if 2 <= i <= n - 2:
        near, far = nodes[i + 1, a] - nodes[i - 1, a], nodes[i + 2, a] - nodes[i - 2, a]
        slope = (8 * near - far) / 12
        near, far = nodes[i + 1, a] + nodes[i - 1, a], nodes[i + 2, a] + nodes[i - 2, a]
        return slope, (16 * near - far - 30 * nodes[i, a]) / 12
    e, s = (0, 1) if i == 1 else (n, -1)
    z0, z1, z2 = nodes[e, a], nodes[e + s, a], nodes[e + 2 * s, a]
    z3, z4, z5 = nodes[e + 3 * s, a], nodes[e + 4 * s, a], nodes[e + 5 * s, a]
    slope = s * (-3 * z0 - 10 * z1 + 18 * z2 - 6 * z3 + z4) / 12
    return slope, (10 * z0 - 15 * z1 - 4 * z2 + 14 * z3 - 6 * z4 + z5) / 12


@kernel
def force(C, table, nodes, n, f, into):
    """Fill in the gradient of the energy at the inner nodes to fourth order; return the energy.

    Both in units of S: see `TabulatedMetric.energy_gradient`. It takes at least 5 segments.
    """
    d = len(table.low)
    vz, m, z = 2 * d + d * d, 2 * d + 2 * d * d, point_at(d)
    total = 0.0
    for i in range(1, n):
        for a in range(d):
            f[z + a] = nodes[i, a]
            f[z + d + a], into[i - 1, a] = _differences(nodes, n, i, a)
        total += form(C, table, 1, f)
        for a in range(d):
            f[z + a] = f[a]
            for b in range(d):
                f[z + a] -= f[vz + d * a + b] * f[z + d + b]
                f[z + a] -= 2 * f[m + d * a + b] * into[i - 1, b]
        for a in range(d):
            into[i - 1, a] = f[z + a]
    return total * n / (n - 1)


@kernel
def copied(nodes, into, n):
    """Copy the nodes of a chain of n segments."""
    for i in range(n + 1):
        for a in range(nodes.shape[1]):
            into[i, a] = nodes[i, a]


@kernel
def doubled(nodes, n):
    """Put a node into each of n segments, on the cubic through its neighbours, in place."""
    d = nodes.shape[1]
    for i in range(n, 0, -1):
        for a in range(d):
            nodes[2 * i, a] = nodes[i, a]
    last = 2 * n
    for i in range(n):
        for a in range(d):
            if i == 0:
                value = 5 * nodes[0, a] + 15 * nodes[2, a] - 5 * nodes[4, a] + nodes[6, a]
            elif i == n - 1:
                value = 5 * nodes[last, a] + 15 * nodes[last - 2, a]
                value += nodes[last - 6, a] - 5 * nodes[last - 4, a]
            else:
                value = 9 * (nodes[2 * i, a] + nodes[2 * i + 2, a])
                value -= nodes[2 * i - 2, a] + nodes[2 * i + 4, a]
            nodes[2 * i + 1, a] = value / 16


@kernel
def spaced_evenly(C, table, points, nodes, n, position, f):
    """Put n + 1 nodes at equal distances on the line through points; return its length."""
    m = len(points) - 1
    position[0] = 0.0
    for i in range(m):
        position[i + 1] = position[i] + math.sqrt(chord(C, table, points, i, points, i + 1, 0, f))
    d, length, k = len(table.low), position[m], 0
    for i in range(n + 1):
        wanted = length * i / n
        while k < m - 1 and position[k + 1] < wanted:
            k += 1
        step = position[k + 1] - position[k]
        share = min((wanted - position[k]) / step, 1.0) if step > 0 else 0.0
        for a in range(d):
            nodes[i, a] = points[k, a] + share * (points[k + 1, a] - points[k, a])
    for a in range(d):
        nodes[0, a], nodes[n, a] = points[0, a], points[m, a]
    return length
