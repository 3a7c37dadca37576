"""Descent: ways back to the source of a distance field, against its gradient."""

import math

import numpy as np

from pullback.geodesics.kernels.compiled import inlined, kernel

__all__ = ["descend"]

_STEP = 0.5  # of a cell, that a step of the descent goes
_NEAR = 1.5  # cells from the source, from where on the way goes straight to it


@kernel
def descend(velocity, size, source, point, way, curve):
    """Fill in a curve from the source to a point; say whether the descent came there.

    Args:
        velocity: D grad u in steps of the grid, shape `(nodes, d)`.
        size: nodes along each axis.
        source: where the descent shall end, in steps of the grid from the lowest corner, `(d,)`.
        point: where it begins, the same.
        way: room for its points, shape `(steps, d)`.
        curve: to fill in: nodes at equal distances in steps of the grid, shape `(n + 1, d)`.
    """
    d, n = len(size), 0
    here = np.empty(d)
    for a in range(d):
        way[0, a] = point[a]
    while not _is_near(way, n, source):
        if n + 2 >= len(way) or not _direction(velocity, size, way, n, here):
            return False
        for a in range(d):  # the middle of the step, for a moment in the place of its end
            way[n + 1, a] = way[n, a] - 0.5 * _STEP * here[a]
        if not _direction(velocity, size, way, n + 1, here):
            return False
        for a in range(d):
            way[n + 1, a] = min(max(way[n, a] - _STEP * here[a], 0.0), size[a] - 1.0)
        n += 1
    for a in range(d):
        way[n + 1, a] = source[a]
    _resample(way, n + 1, curve)
    return True


@inlined
def _is_near(way, n, source):
    for a in range(len(source)):  # noqa: SIM110 - numba has no generators
        if abs(way[n, a] - source[a]) > _NEAR:
            return False
    return True


@inlined
def _direction(velocity, size, way, n, into):
    """Read the velocity between the nodes, and fill in its direction; say whether there is one."""
    d, square = len(size), 0.0
    for a in range(d):
        into[a] = 0.0
    for c in range(2**d):
        share, node = 1.0, 0
        for a in range(d):
            cell = min(max(int(way[n, a]), 0), size[a] - 2)
            t = min(max(way[n, a] - cell, 0.0), 1.0)
            side = c >> a & 1
            share *= t if side else 1.0 - t
            node = node * size[a] + cell + side
        for a in range(d):
            into[a] += share * velocity[node, a]
    for a in range(d):
        square += into[a] * into[a]
    if not 0.0 < square < math.inf:
        return False
    scale = 1 / math.sqrt(square)
    for a in range(d):
        into[a] *= scale
    return True


@kernel
def _resample(way, n, curve):
    """Put the nodes of a curve at equal distances on the line through n + 1 points, backwards."""
    d, m, total = curve.shape[1], len(curve) - 1, 0.0
    for i in range(n):
        total += _step(way, i)
    i, passed, step = 0, 0.0, _step(way, 0)
    for k in range(m + 1):
        wanted = total * k / m
        while i < n - 1 and passed + step < wanted:
            passed += step
            i += 1
            step = _step(way, i)
        t = min((wanted - passed) / step, 1.0) if step > 0 else 0.0
        for a in range(d):
            curve[m - k, a] = way[i, a] + t * (way[i + 1, a] - way[i, a])


@inlined
def _step(way, i):
    square = 0.0
    for a in range(way.shape[1]):
        square += (way[i + 1, a] - way[i, a]) ** 2
    return math.sqrt(square)
