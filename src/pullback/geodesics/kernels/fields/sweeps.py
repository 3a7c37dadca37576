"""Newton steps on a chain in the plane: one sweep over its nodes reads, eliminates and steps.

`newton.py` says what a step is; here the Hessian is factorised while the table is read, in numbers
and not in arrays, which takes a third of the time. So a step can only be judged by the next sweep,
and one that did harm, was too long, or had no minimum to go to is taken back and damped more.
"""

import math

from pullback.geodesics.kernels.chains import copied
from pullback.geodesics.kernels.compiled import inlined, kernel
from pullback.geodesics.kernels.plane import plane_bends

__all__ = ["MOVES", "relax_plainly"]

MOVES = 9
"""Numbers a node that a step is told by until the sweep back: A^-1 r, A^-1 O and M before it."""

_Z, _V = 16, 18  # places of the point and of the vector in a form, as in `plane.py`
_SINGULAR = 1e-14  # a pivot below this share of its diagonal entry counts as zero, as in `newton`
_MAX_MOVE = 0.5  # of the curve's length, that a node may move in a step, as in `newton`
_KEPT = 0.01  # share of the promised decrease that a step has to bring, as in `newton`
_FREE = 0.1  # with more damping a small promise may only mean that the step was held back
_MORE = 8  # times the damping, after a step that did harm


@kernel
def relax_plainly(C, table, nodes, n, tol, max_sweeps, damping, kept, moves, f):
    """Relax a chain of n segments in place; return S, or NaN where that fails.

    It ends with the step that promises less than a share `tol` of S, which is taken on trust. It
    fails on the edge of the table, and after `max_sweeps`: the chain is then somewhere on its way.

    Args:
        C: the coefficients of the table.
        table: the grid of the table, d = 2.
        nodes: the chain, shape `(n + 1, 2)` or longer.
        n: segments.
        tol: see above.
        max_sweeps: sweeps over the chain, at most, among them those whose steps are taken back.
        damping: in the first step, the weight of the H1 norm of the chain beside the Hessian.
        kept: room for the chain before a step, of the shape of `nodes`.
        moves: room, shape `(n, MOVES)`.
        f: room, see `forms.new_form`.
    """
    before = gained = math.nan  # of the last step: S before it, and what it promised
    for _ in range(max_sweeps):
        value, promised = _forward(C, table, nodes, n, damping, moves, f)
        if not (value < math.inf and not before - value < _KEPT * gained):  # the step did harm
            if math.isnan(before):
                return math.nan
            copied(kept, nodes, n)
            before, damping = math.nan, damping * _MORE
            continue
        if math.isnan(promised):  # the Hessian is not positive definite
            damping *= _MORE
            continue
        if not math.isnan(before):  # Marquardt's factor, smooth in the gain
            gain = min((before - value) / gained, 1.0)
            damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
        copied(nodes, kept, n)
        if not _back(nodes, n, moves, _MAX_MOVE**2 * value * n):
            copied(kept, nodes, n)
            before, damping = math.nan, damping * _MORE
            continue
        if promised <= tol * value and damping <= _FREE:
            return value - promised
        before, gained = value, promised
    return math.nan


@inlined
def _forward(C, table, nodes, n, damping, moves, f):
    """Return S and the decrease that a step promises; NaN where there is no step.

    With H + damping P = L D L^T by blocks, A is a block of D, O the block right of it and r what
    the elimination has made of the gradient.
    """
    value, promised, scale = 0.0, 0.0, 2 + 2 * damping
    a11 = a12 = a22 = r1 = r2 = e1 = e2 = 0.0
    for i in range(n):
        for k in range(2):
            middle = 0.5 * (nodes[i, k] + nodes[i + 1, k])
            f[_Z + k], f[_V + k] = middle, nodes[i + 1, k] - nodes[i, k]
            if not table.low[k] + table.margin[k] <= middle <= table.high[k] - table.margin[k]:
                return math.inf, math.nan
        value += plane_bends(C, table, f)
        s11, s12, s22 = scale * f[12], scale * f[13], scale * f[15]
        moves[i, 6], moves[i, 7], moves[i, 8] = f[12], f[13], f[15]
        o11, o12, o22 = 0.25 * f[4], 0.25 * f[5], 0.25 * f[7]
        twist = 0.5 * (f[10] - f[9])
        if i > 0:
            # The left node is complete: take it out.
            a11 += o11 + s11 - f[8]
            a12 += o12 + s12 - 0.5 * (f[9] + f[10])
            a22 += o22 + s22 - f[11]
            r1 += 0.5 * f[0] - f[2]
            r2 += 0.5 * f[1] - f[3]
            e1 += s11
            e2 += s22
            determinant = a11 * a22 - a12 * a12
            if not (a11 > _SINGULAR * e1 and determinant > _SINGULAR * a11 * e2):
                return value, math.nan
            inverse = 1 / determinant
            u1, u2 = inverse * (a22 * r1 - a12 * r2), inverse * (a11 * r2 - a12 * r1)
            promised += 0.5 * (r1 * u1 + r2 * u2)
            b11, b12, b21, b22 = o11 - s11, o12 - s12 + twist, o12 - s12 - twist, o22 - s22
            k11, k21 = inverse * (a22 * b11 - a12 * b21), inverse * (a11 * b21 - a12 * b11)
            k12, k22 = inverse * (a22 * b12 - a12 * b22), inverse * (a11 * b22 - a12 * b12)
            moves[i, 0], moves[i, 1] = u1, u2
            moves[i, 2], moves[i, 3], moves[i, 4], moves[i, 5] = k11, k12, k21, k22
            a11, a22 = -(b11 * k11 + b21 * k21), -(b12 * k12 + b22 * k22)
            a12 = -(b11 * k12 + b21 * k22)
            r1, r2 = -(b11 * u1 + b21 * u2), -(b12 * u1 + b22 * u2)
            e1 = e2 = 0.0
        a11 += o11 + s11 + f[8]
        a12 += o12 + s12 + 0.5 * (f[9] + f[10])
        a22 += o22 + s22 + f[11]
        r1 += 0.5 * f[0] + f[2]
        r2 += 0.5 * f[1] + f[3]
        e1 += s11
        e2 += s22
    return value, promised


@inlined
def _back(nodes, n, moves, longest):
    """Take the step; say whether no node moves farther than by a squared length."""
    x1 = x2 = largest = 0.0
    m11, m12, m22 = moves[n - 1, 6], moves[n - 1, 7], moves[n - 1, 8]
    for i in range(n - 1, 0, -1):
        x1, x2 = (
            -moves[i, 0] - moves[i, 2] * x1 - moves[i, 3] * x2,
            -moves[i, 1] - moves[i, 4] * x1 - moves[i, 5] * x2,
        )
        nodes[i, 0] += x1
        nodes[i, 1] += x2
        l11, l12, l22 = moves[i - 1, 6], moves[i - 1, 7], moves[i - 1, 8]
        size = (l11 + m11) * x1 * x1 + 2 * (l12 + m12) * x1 * x2 + (l22 + m22) * x2 * x2
        largest = max(largest, 0.5 * size)
        m11, m12, m22 = l11, l12, l22
    return largest <= longest
