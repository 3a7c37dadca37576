"""The quadratic form of a table in the plane, where most tables are: written out for speed.

`forms.py` says what is computed, and how it is done in other dimensions: in this one, six times
more slowly.
"""

import math

from pullback.geodesics.kernels.compiled import inlined
from pullback.geodesics.kernels.splines import place

__all__ = ["plane_bends", "plane_slopes", "plane_value"]

# Places in the numbers of a form, as `forms.form` lays them out, for d = 2.
_Z, _V, _BASIS, _NEXT = 16, 18, 20, 32


@inlined
def plane_value(C, table, f):
    """Return q(z, v) alone: the point and the vector are in f, see `forms.form`."""
    i = place(f[_Z], table.low[0], table.inverse_step[0], C.shape[0] - 3, f, _BASIS, 0)
    j = place(f[_Z + 1], table.low[1], table.inverse_step[1], C.shape[1] - 3, f, _NEXT, 0)
    p = r = c = 0.0
    for k in range(4):
        p0 = r0 = c0 = 0.0
        for m in range(4):
            u = f[_NEXT + m]
            p0 += u * C[i + k, j + m, 0]
            r0 += u * C[i + k, j + m, 1]
            c0 += u * C[i + k, j + m, 2]
        u = f[_BASIS + k]
        p += u * p0
        r += u * r0
        c += u * c0
    y = f[_V] + c * f[_V + 1]
    return math.exp(p) * y * y + math.exp(r) * f[_V + 1] * f[_V + 1]


@inlined
def plane_slopes(C, table, f):
    """Return q(z, v), and fill in its slopes, `dv_dz` and M."""
    i = place(f[_Z], table.low[0], table.inverse_step[0], C.shape[0] - 3, f, _BASIS, 1)
    j = place(f[_Z + 1], table.low[1], table.inverse_step[1], C.shape[1] - 3, f, _NEXT, 1)
    p = p1 = p2 = r = r1 = r2 = c = c1 = c2 = 0.0
    for k in range(4):
        pa = pb = ra = rb = ca = cb = 0.0
        for m in range(4):
            u, du = f[_NEXT + m], f[_NEXT + 4 + m]
            x0, x1, x2 = C[i + k, j + m, 0], C[i + k, j + m, 1], C[i + k, j + m, 2]
            pa += u * x0
            pb += du * x0
            ra += u * x1
            rb += du * x1
            ca += u * x2
            cb += du * x2
        u, du = f[_BASIS + k], f[_BASIS + 4 + k]
        p += u * pa
        p1 += du * pa
        p2 += u * pb
        r += u * ra
        r1 += du * ra
        r2 += u * rb
        c += u * ca
        c1 += du * ca
        c2 += u * cb
    return _first(math.exp(p), math.exp(r), c, (p1, p2), (r1, r2), (c1, c2), f)


@inlined
def plane_bends(C, table, f):
    """Return q(z, v), and fill in all its derivatives up to the second and M."""
    i = place(f[_Z], table.low[0], table.inverse_step[0], C.shape[0] - 3, f, _BASIS, 2)
    j = place(f[_Z + 1], table.low[1], table.inverse_step[1], C.shape[1] - 3, f, _NEXT, 2)
    p = p1 = p2 = p11 = p12 = p22 = 0.0
    r = r1 = r2 = r11 = r12 = r22 = 0.0
    c = c1 = c2 = c11 = c12 = c22 = 0.0
    for k in range(4):
        pa = pb = pc = ra = rb = rc = ca = cb = cc = 0.0
        for m in range(4):
            u, du, ddu = f[_NEXT + m], f[_NEXT + 4 + m], f[_NEXT + 8 + m]
            x0, x1, x2 = C[i + k, j + m, 0], C[i + k, j + m, 1], C[i + k, j + m, 2]
            pa += u * x0
            pb += du * x0
            pc += ddu * x0
            ra += u * x1
            rb += du * x1
            rc += ddu * x1
            ca += u * x2
            cb += du * x2
            cc += ddu * x2
        u, du, ddu = f[_BASIS + k], f[_BASIS + 4 + k], f[_BASIS + 8 + k]
        p += u * pa
        p1 += du * pa
        p2 += u * pb
        p11 += ddu * pa
        p12 += du * pb
        p22 += u * pc
        r += u * ra
        r1 += du * ra
        r2 += u * rb
        r11 += ddu * ra
        r12 += du * rb
        r22 += u * rc
        c += u * ca
        c1 += du * ca
        c2 += u * cb
        c11 += ddu * ca
        c12 += du * cb
        c22 += u * cc
    scale, other = math.exp(p), math.exp(r)
    y, t = f[_V] + c * f[_V + 1], f[_V + 1]
    n, m_, g, e = scale * y * y, other * t * t, 2 * scale * y * t, 2 * scale * t * t
    f[4] = n * (p1 * p1 + p11) + g * (2 * p1 * c1 + c11) + e * c1 * c1 + m_ * (r1 * r1 + r11)
    f[5] = n * (p1 * p2 + p12) + g * (p1 * c2 + p2 * c1 + c12) + e * c1 * c2 + m_ * (r1 * r2 + r12)
    f[6] = f[5]
    f[7] = n * (p2 * p2 + p22) + g * (2 * p2 * c2 + c22) + e * c2 * c2 + m_ * (r2 * r2 + r22)
    return _first(scale, other, c, (p1, p2), (r1, r2), (c1, c2), f)


@inlined
def _first(scale, other, c, dp, dr, dc, f):
    """Fill in first derivatives, `dv_dz` and M of q = scale (v_1 + c v_2)^2 + other v_2^2."""
    y, t = f[_V] + c * f[_V + 1], f[_V + 1]
    g, h = scale * y, other * t
    for a in range(2):
        f[a] = g * y * dp[a] + 2 * g * t * dc[a] + h * t * dr[a]
        slope = 2 * (g * dp[a] + scale * dc[a] * t)
        f[8 + a] = slope
        f[10 + a] = slope * c + 2 * g * dc[a] + 2 * h * dr[a]
    f[2] = 2 * g
    f[3] = 2 * (g * c + h)
    f[12] = scale
    f[13] = scale * c
    f[14] = f[13]
    f[15] = scale * c * c + other
    return g * y + h * t
