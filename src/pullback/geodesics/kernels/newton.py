"""Damped Newton steps on one chain of nodes, by block-tridiagonal factorisation."""

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.chains import Expansion, copied, expand, new_expansion
from pullback.geodesics.kernels.compiled import kernel

__all__ = ["Solution", "Work", "new_work", "relax", "solve", "squared_size"]

# As in `geodesics.Newton`, whose steps these are.
_HIGHEST_DAMPING = 1e8
_LOWEST_DAMPING = 1e-9  # weights of the H1 norm beside the Hessian: no damping, and the most
_FREE = 0.1  # with more damping, a small promise may only mean that the step was held back
_MAX_MOVE = 0.5  # no node moves further in one step than this share of the curve's length
_KEPT = 0.01  # share of the promised decrease that a step has to bring
_SINGULAR = 1e-14  # a pivot below this share of its diagonal entry counts as zero


class Solution(NamedTuple):
    """Room for the solution x of a block-tridiagonal system, and for its factors.

    Attributes:
        x: shape `(n, d)`.
        lower: unit triangular factors of the diagonal blocks, one over the pivots on the diagonal,
            shape `(n, d, d)`.
        right: what the factors make of the off-diagonal blocks, shape `(n, d, d)`.
    """

    x: Any
    lower: Any
    right: Any


class Work(NamedTuple):
    """Room for Newton's method on chains of up to n segments in d dimensions.

    Attributes:
        here: the expansion of the chain.
        there: that of the chain that a step leads to.
        solution: the step.
        moved: the chain that a step leads to, shape `(n + 1, d)`.
    """

    here: Expansion
    there: Expansion
    solution: Solution
    moved: Any


@kernel
def new_work(n, d):
    """Make room for chains of up to n segments."""
    solution = Solution(np.zeros((n, d)), np.zeros((n, d, d)), np.zeros((n, d, d)))
    return Work(new_expansion(n, d), new_expansion(n, d), solution, np.zeros((n + 1, d)))


@kernel
def solve(e, rhs, m, damping, into):
    """Solve (H + damping P) x = -rhs for m blocks; return whether the matrix is positive definite.

    P is the H1 inner product of the chain, sum_i |x_i+1 - x_i|^2 in the metric half-way.
    """
    d = rhs.shape[1]
    x, L, W = into.x, into.lower, into.right
    for i in range(m):
        for a in range(d):
            x[i, a] = -rhs[i, a]
            for b in range(a + 1):
                both = e.matrix[i, a, b] + e.matrix[i + 1, a, b]
                L[i, a, b] = e.diagonal[i, a, b] + 2 * damping * both
        if i > 0:
            for k in range(d):
                inverse = L[i - 1, k, k]
                for a in range(d):
                    scaled = W[i - 1, k, a] * inverse
                    x[i, a] -= scaled * x[i - 1, k]
                    for b in range(a + 1):
                        L[i, a, b] -= scaled * W[i - 1, k, b]
        for k in range(d):  # L D L^T of the block, and its part of the solution
            pivot = L[i, k, k]
            if not pivot > _SINGULAR * abs(e.diagonal[i, k, k]):
                return False
            L[i, k, k] = 1 / pivot
            for a in range(k + 1, d):
                share = L[i, a, k] * L[i, k, k]
                for b in range(k + 1, a + 1):
                    L[i, a, b] -= share * L[i, b, k]
            for a in range(k + 1, d):
                L[i, a, k] *= L[i, k, k]
                x[i, a] -= L[i, a, k] * x[i, k]
        if i < m - 1:
            for b in range(d):
                for a in range(d):
                    value = e.off_diagonal[i, a, b] - 2 * damping * e.matrix[i + 1, a, b]
                    for k in range(a):
                        value -= L[i, a, k] * W[i, k, b]
                    W[i, a, b] = value
    for i in range(m - 1, -1, -1):
        for a in range(d - 1, -1, -1):
            value = x[i, a]
            if i < m - 1:
                for b in range(d):
                    value -= W[i, a, b] * x[i + 1, b]
            value *= L[i, a, a]
            for b in range(a + 1, d):
                value -= L[i, b, a] * x[i, b]
            x[i, a] = value
    return True


@kernel
def squared_size(e, x, m):
    """Return the largest squared length of the moves x of m inner nodes."""
    d, largest = x.shape[1], 0.0
    for i in range(m):
        size = 0.0
        for a in range(d):
            for b in range(d):
                both = e.matrix[i, a, b] + e.matrix[i + 1, a, b]
                size += 0.5 * x[i, a] * both * x[i, b]
        largest = max(largest, size)
    return largest


@kernel
def _decrease(e, x, m, share):
    """Return by how much the quadratic model says that a share of the step x lowers S."""
    d = x.shape[1]
    slope = bend = 0.0
    for i in range(m):
        for a in range(d):
            slope += e.gradient[i, a] * x[i, a]
            for b in range(d):
                bend += x[i, a] * e.diagonal[i, a, b] * x[i, b]
                if i < m - 1:
                    bend += 2 * x[i, a] * e.off_diagonal[i, a, b] * x[i + 1, b]
    return -share * (slope + 0.5 * share * bend)


@kernel
def relax(C, table, nodes, n, tol, max_steps, initial_damping, work, f):
    """Relax a chain of n segments in place; return S, the steps taken and what became of it.

    That is 0 where the next step promises less than a share `tol`, 1 after `max_steps`, and 2 where
    no step led further.
    """
    here, there, x, moved = work.here, work.there, work.solution.x, work.moved
    d, m, damping = nodes.shape[1], n - 1, initial_damping
    value = expand(C, table, nodes, n, f, here)
    if not math.isfinite(value):
        return value, 0, 2
    for step in range(max_steps):
        while not solve(here, here.gradient, m, damping, work.solution):
            damping *= 4
            if damping > _HIGHEST_DAMPING:
                return value, step, 2
        size, longest = squared_size(here, x, m), _MAX_MOVE * _MAX_MOVE * value * n
        capped = size > longest
        share = math.sqrt(longest / size) if capped else 1.0
        promised = _decrease(here, x, m, share)
        converged = not capped and damping <= _FREE and abs(promised) <= tol * value
        for i in range(n + 1):
            for a in range(d):
                inner = 0 < i < n
                moved[i, a] = nodes[i, a] + (share * x[i - 1, a] if inner else 0.0)
        if converged:  # what is left is taken on trust: it changes less than is asked for
            copied(moved, nodes, n)
            return value - promised, step + 1, 0
        reached = expand(C, table, moved, n, f, there)
        gain = (value - reached) / promised
        if promised > 0 and gain > _KEPT:  # false also where S is NaN or infinite
            copied(moved, nodes, n)
            value = reached
            here, there = there, here
            if not capped:  # Marquardt's factor, smooth in the gain
                damping *= max(1 / 3, 1 - (2 * min(gain, 1.0) - 1) ** 3)
                damping = max(damping, _LOWEST_DAMPING)
        else:
            damping *= 8
            if damping > _HIGHEST_DAMPING:
                return value, step, 2
    return value, max_steps, 1
