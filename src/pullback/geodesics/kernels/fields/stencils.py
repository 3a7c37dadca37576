"""Which neighbours of a node tell its distance: Selling's decomposition of the inverse metric."""

import numpy as np

from pullback.geodesics.kernels.compiled import kernel

__all__ = ["STEPS", "connect_nodes", "fill_stencils", "listeners"]

STEPS = (-1, 1, -2, 2)
"""Steps along an offset that an update may look at; the bits of `inside` are in this order."""

_ROUNDING = 1e-12  # of the trace: products above zero by less are rounding, and end the reduction


@kernel
def fill_stencils(D, weight, offset):
    """Decompose D = sum_i w_i e_i e_i^T with w_i >= 0 and integer e_i, at each node.

    Args:
        D: the inverse metric, in steps of the grid, shape `(nodes, d, d)`, d = 2 or 3.
        weight: to fill in: w, shape `(nodes, d (d + 1) / 2)`.
        offset: to fill in: e, shape `(nodes, d (d + 1) / 2, d)`.
    """
    d = D.shape[1]
    base = np.zeros((d + 1, d), np.int64)
    for u in range(len(D)):
        _reduce(D[u], base)
        _read_off(D[u], base, weight[u], offset[u])


@kernel
def _product(D, base, i, j):
    """Return v_i D v_j."""
    total = 0.0
    for a in range(len(D)):
        for b in range(len(D)):
            total += base[i, a] * D[a, b] * base[j, b]
    return total


@kernel
def _reduce(D, base):
    """Fill in an obtuse superbase: d + 1 integer vectors of sum 0, v_i D v_j <= 0."""
    d, trace = len(D), 0.0
    for a in range(d):
        trace += D[a, a]
        base[d, a] = -1
        for b in range(d):
            base[a, b] = 1 if a == b else 0
    i = j = 0
    while i < d:
        j += 1
        if j > d:
            i, j = i + 1, i + 1
            continue
        if _product(D, base, i, j) <= _ROUNDING * trace:
            continue
        # Turn v_i round, and give what the sum gains by it to the others but v_j.
        for a in range(d):
            moved = base[i, a] * (2 // (d - 1))
            base[i, a] = -base[i, a]
            for k in range(d + 1):
                if k not in (i, j):
                    base[k, a] += moved
        i = j = 0


@kernel
def _read_off(D, base, weight, offset):
    """Fill in w = -v_i D v_j for each pair, and e, which is normal to the other vectors."""
    d, n = len(D), 0
    for i in range(d):
        for j in range(i + 1, d + 1):
            weight[n] = max(-_product(D, base, i, j), 0.0)
            k = 0
            while k in (i, j):
                k += 1
            if d == 2:
                offset[n, 0], offset[n, 1] = -base[k, 1], base[k, 0]
            else:
                m = 6 - i - j - k
                for a in range(3):
                    b, c = (a + 1) % 3, (a + 2) % 3
                    offset[n, a] = base[k, b] * base[m, c] - base[k, c] * base[m, b]
            n += 1


@kernel
def connect_nodes(offset, size, jump, inside):
    """Fill in where offsets lead, and how far: see `marching.Stencils`."""
    d, at = len(size), np.zeros(len(size), np.int64)
    for u in range(len(offset)):
        for i in range(offset.shape[1]):
            jump[u, i], inside[u, i] = 0, 0
            for a in range(d):
                jump[u, i] = jump[u, i] * size[a] + offset[u, i, a]
            for k in range(4):
                steps, within = STEPS[k], True
                for a in range(d):
                    within = within and 0 <= at[a] + steps * offset[u, i, a] < size[a]
                if within:
                    inside[u, i] |= 1 << k
        a = d - 1
        at[a] += 1
        while a > 0 and at[a] == size[a]:
            at[a] = 0
            a -= 1
            at[a] += 1


@kernel
def listeners(jump, inside):
    """Return the nodes that each node tells its distance, and where those of each begin."""
    n, m = jump.shape
    begin = np.zeros(n + 2, np.int64)
    for u in range(n):
        for i in range(m):
            for k in range(2):
                if inside[u, i] >> k & 1:
                    begin[u + STEPS[k] * jump[u, i] + 2] += 1
    for v in range(n):
        begin[v + 2] += begin[v + 1]
    told = np.empty(begin[n + 1], np.int32)
    for u in range(n):
        for i in range(m):
            for k in range(2):
                if inside[u, i] >> k & 1:
                    v = u + STEPS[k] * jump[u, i]
                    told[begin[v + 1]] = u
                    begin[v + 1] += 1
    return begin, told
