"""The quadratic form of a table, v^T M(z) v, with its derivatives at one point.

The table is a cubic B-spline of log D and of the entries of the unit triangular L, M = L D L^T:
see `metrics.TabulatedMetric`, whose numbers these are.
"""

import math

import numpy as np

from pullback.geodesics.kernels.compiled import inlined, kernel
from pullback.geodesics.kernels.plane import plane_bends, plane_slopes, plane_value
from pullback.geodesics.kernels.splines import place

__all__ = ["form", "new_form", "point_at"]


@inlined
def point_at(d):
    """The place of the point in the numbers of a form; the vector follows."""
    return 2 * d + 3 * d * d


@kernel
def new_form(table):
    """Make room for the forms of a table: see `form`."""
    d = len(table.low)
    half = d * (d + 1) // 2
    return np.zeros(point_at(d) + 14 * d + (1 + d + half) * half + (2 + 2 * d) * d)


@inlined
def form(C, table, order, f):
    """Return q at the point z and the vector v in f, and fill in derivatives up to an order.

    One array holds, one after the other: dq/dz (d numbers), dq/dv (d), d^2 q / dz dz (d d),
    d^2 q / dv dz (d d, v first), M (d d), z (d), v (d), the B-splines around z (12 d), what was
    read off the table (its value, d slopes and d (d + 1) / 2 bends, each of d (d + 1) / 2
    components), and y = L^T v with what follows from it (2 d + 2 times d). An array for each would
    cost more time than the numbers in it: numba counts the references to each in every call.

    Args:
        C: the coefficients of the table.
        table: the grid of the table.
        order: 0, 1 or 2: with 1 come dq/dz, dq/dv, d^2 q / dv dz and M.
        f: the numbers.
    """
    # numba leaves out the branches of other dimensions by that of an argument.
    if C.ndim == 3:
        if order == 0:
            return plane_value(C, table, f)
        if order == 1:
            return plane_slopes(C, table, f)
        return plane_bends(C, table, f)
    d = len(table.low)
    basis = point_at(d) + 2 * d
    s = basis + 12 * d
    y = s + (1 + d + d * (d + 1) // 2) * (d * (d + 1) // 2)
    if C.ndim == 2:
        _read_line(C, table, order, f, basis, s)
    else:
        _read_space(C, table, order, f, basis, s)
    q = _value(d, f, basis - d, s, y)
    if order > 0:
        _slopes(d, f, basis - d, s, y)
        _matrix(d, f, s)
    if order > 1:
        _bends(d, f, basis - d, s, y)
    return q


@kernel
def _read_line(C, table, order, f, basis, s):
    z = f[point_at(1)]
    i = place(z, table.low[0], table.inverse_step[0], C.shape[0] - 3, f, basis, order)
    for o in range(order + 1):
        total = 0.0
        for k in range(4):
            total += f[basis + 4 * o + k] * C[i + k, 0]
        f[s + o] = total


@kernel
def _read_space(C, table, order, f, b1, s):
    z, b2, b3 = point_at(3), b1 + 12, b1 + 24
    i = place(f[z], table.low[0], table.inverse_step[0], C.shape[0] - 3, f, b1, order)
    j = place(f[z + 1], table.low[1], table.inverse_step[1], C.shape[1] - 3, f, b2, order)
    h = place(f[z + 2], table.low[2], table.inverse_step[2], C.shape[2] - 3, f, b3, order)
    for c in range(6):
        v = v1 = v2 = v3 = v11 = v12 = v13 = v22 = v23 = v33 = 0.0
        for k in range(4):
            r = r2 = r3 = r22 = r23 = r33 = 0.0
            for m in range(4):
                q = q3 = q33 = 0.0
                for n in range(4):
                    x = C[i + k, j + m, h + n, c]
                    q += f[b3 + n] * x
                    q3 += f[b3 + 4 + n] * x
                    q33 += f[b3 + 8 + n] * x
                r += f[b2 + m] * q
                r2 += f[b2 + 4 + m] * q
                r3 += f[b2 + m] * q3
                r22 += f[b2 + 8 + m] * q
                r23 += f[b2 + 4 + m] * q3
                r33 += f[b2 + m] * q33
            v += f[b1 + k] * r
            v1 += f[b1 + 4 + k] * r
            v2 += f[b1 + k] * r2
            v3 += f[b1 + k] * r3
            v11 += f[b1 + 8 + k] * r
            v12 += f[b1 + 4 + k] * r2
            v13 += f[b1 + 4 + k] * r3
            v22 += f[b1 + k] * r22
            v23 += f[b1 + k] * r23
            v33 += f[b1 + k] * r33
        at = s + c
        f[at], f[at + 6], f[at + 12], f[at + 18] = v, v1, v2, v3
        f[at + 24], f[at + 30], f[at + 36] = v11, v12, v13
        f[at + 42], f[at + 48], f[at + 54] = v22, v23, v33


@kernel
def _entry(d, s, kind, row, column):
    """The place of L[row, column], row > column, or of one of its derivatives."""
    return s + kind * (d * (d + 1) // 2) + d + row * (row - 1) // 2 + column


@kernel
def _log_pivot(d, s, kind, k):
    """The place of log D[k], or of one of its derivatives."""
    return s + kind * (d * (d + 1) // 2) + k


@kernel
def _value(d, f, v, s, y):
    """Return q = sum_k e^(p_k) y_k^2 with y = L^T v, for p and L read off the table."""
    q = 0.0
    for k in range(d):
        total = f[v + k]
        for r in range(k + 1, d):
            total += f[_entry(d, s, 0, r, k)] * f[v + r]
        f[y + k], f[y + d + k] = total, math.exp(f[_log_pivot(d, s, 0, k)]) * total
        q += f[y + d + k] * total
    return q


@kernel
def _slopes(d, f, v, s, y):
    scaled, slope, scaled_slope = y + d, y + 2 * d, y + 2 * d + d * d
    for r in range(d):
        total = f[scaled + r]
        for k in range(r):
            total += f[_entry(d, s, 0, r, k)] * f[scaled + k]
        f[d + r] = 2 * total
    for a in range(d):
        f[a] = 0.0
        for k in range(d):
            ya, pa = 0.0, f[_log_pivot(d, s, 1 + a, k)]
            for r in range(k + 1, d):
                ya += f[_entry(d, s, 1 + a, r, k)] * f[v + r]
            f[a] += f[scaled + k] * (pa * f[y + k] + 2 * ya)
            f[slope + d * a + k] = ya
            e = math.exp(f[_log_pivot(d, s, 0, k)])
            f[scaled_slope + d * a + k] = pa * f[scaled + k] + e * ya
    dv_dz = 2 * d + d * d
    for a in range(d):
        for r in range(d):
            total = f[scaled_slope + d * a + r]
            for k in range(r):
                total += f[_entry(d, s, 0, r, k)] * f[scaled_slope + d * a + k]
                total += f[_entry(d, s, 1 + a, r, k)] * f[scaled + k]
            f[dv_dz + d * r + a] = 2 * total


@kernel
def _bends(d, f, v, s, y):
    scaled, slope, bend = y + d, y + 2 * d, 1 + d
    for a in range(d):
        for b in range(a, d):
            total = 0.0
            for k in range(d):
                yab = 0.0
                for r in range(k + 1, d):
                    yab += f[_entry(d, s, bend, r, k)] * f[v + r]
                pa, pb = f[_log_pivot(d, s, 1 + a, k)], f[_log_pivot(d, s, 1 + b, k)]
                ya, yb = f[slope + d * a + k], f[slope + d * b + k]
                total += f[scaled + k] * f[y + k] * (f[_log_pivot(d, s, bend, k)] + pa * pb)
                total += 2 * f[scaled + k] * (yab + pa * yb + pb * ya)
                total += 2 * math.exp(f[_log_pivot(d, s, 0, k)]) * ya * yb
            f[2 * d + d * a + b] = total
            f[2 * d + d * b + a] = total
            bend += 1


@kernel
def _matrix(d, f, s):
    """Multiply L D L^T out."""
    at = 2 * d + 2 * d * d
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for k in range(j + 1):
                left = 1.0 if k == i else f[_entry(d, s, 0, i, k)]
                right = 1.0 if k == j else f[_entry(d, s, 0, j, k)]
                total += left * right * math.exp(f[_log_pivot(d, s, 0, k)])
            f[at + d * i + j] = total
            f[at + d * j + i] = total
