"""Fast marching: distances from a point to all nodes of a grid, each told by nearer ones."""

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import inlined, kernel
from pullback.geodesics.kernels.fields.queue import new_queue, next_node, tell
from pullback.geodesics.kernels.fields.stencils import STEPS

__all__ = ["Front", "Stencils", "march"]


class Stencils(NamedTuple):
    """The neighbours of each node: m = d (d + 1) / 2 to either side.

    Attributes:
        weight: w, shape `(nodes, m)`.
        offset: e, shape `(nodes, m, d)`.
        jump: what e adds to the number of a node, shape `(nodes, m)`.
        inside: which of `STEPS` along e stay in the grid, a bit for each, shape `(nodes, m)`.
        begin: where those that a node tells begin in `told`, shape `(nodes + 1,)`.
        told: nodes.
    """

    weight: Any
    offset: Any
    jump: Any
    inside: Any
    begin: Any
    told: Any


class Front(NamedTuple):
    """What a march fills in, and what it starts from.

    Attributes:
        distance: finite at the nodes that the march starts from, shape `(nodes,)`.
        velocity: D grad u, in steps of the grid, shape `(nodes, d)`.
        model: u_0, the distance were the metric constant, shape `(nodes,)`.
        slope: its gradient by steps of the grid, shape `(nodes, d)`.
        modelled: where differences of the model are replaced by its gradient, shape `(nodes,)`.
        edge: how long a step of the grid is along each axis, shape `(nodes, d)`.
    """

    distance: Any
    velocity: Any
    model: Any
    slope: Any
    modelled: Any
    edge: Any


@kernel
def march(stencils, front, size):
    """Fill in the distances and velocities of all nodes, from the nearest to the farthest.

    Args:
        stencils: the neighbours of each node.
        front: finite distances at the nodes that the march starts from.
        size: nodes along each axis.

    Source:
        Mirebeau, Riemannian fast-marching on Cartesian grids, using Voronoi's first reduction of
        quadratic forms (2019). Second differences where nodes behind allow it, and the model of a
        constant metric around the source: Fomel, Luo, Zhao, Fast sweeping method for the factored
        eikonal equation (2009).
    """
    n, m = stencils.weight.shape
    done = np.zeros(n, np.bool_)
    seed = np.zeros(n, np.bool_)
    terms = np.empty((m, 3))
    signs = np.zeros(m, np.int64)
    queue = new_queue(n)
    for u in range(n):
        if front.distance[u] < math.inf:
            seed[u] = True
            tell(queue, u, front.distance[u])
    while queue.size[0] > 0:
        u = next_node(queue)
        if not seed[u]:
            front.distance[u] = _update(stencils, front, done, u, terms, signs)
            _velocity(stencils, front, u, terms, signs)
        done[u] = True
        for k in range(stencils.begin[u], stencils.begin[u + 1]):
            v = np.int64(stencils.told[k])
            if done[v] or seed[v]:
                continue
            through = _update(stencils, front, done, v, terms, signs)
            if through < front.distance[v]:
                front.distance[v] = through
                tell(queue, v, through)
    _reach_rest(front, done, size)


@kernel
def _reach_rest(front, done, size):
    """Go along the axes to nodes near the edge of the grid whose neighbours lie beyond it."""
    d, moved = len(size), True
    while moved:
        moved = False
        for u in range(len(done)):
            if done[u]:
                continue
            stride = 1
            for a in range(d - 1, -1, -1):
                at = u // stride % size[a]
                for s in (-1, 1):
                    v = u + s * stride
                    if not 0 <= at + s < size[a]:
                        continue
                    step = 0.5 * (front.edge[u, a] + front.edge[v, a])
                    if front.distance[v] + step < front.distance[u]:
                        front.distance[u], moved = front.distance[v] + step, True
                        front.velocity[u, :] = 0.0
                        front.velocity[u, a] = -s / step
                stride *= size[a]


@inlined
def _update(stencils, front, done, u, terms, signs):
    """Return the u of sum_i w_i max(0, u - u(x - e_i), u - u(x + e_i))^2 = 1."""
    m, d, modelled = stencils.weight.shape[1], front.slope.shape[1], front.modelled[u]
    for i in range(m):
        terms[i, 0], terms[i, 1], signs[i] = 0.0, math.inf, 0
        if not stencils.weight[u, i] > 0:
            continue
        along, jump, inside = 0.0, stencils.jump[u, i], stencils.inside[u, i]
        if modelled:
            for a in range(d):
                along += front.slope[u, a] * stencils.offset[u, i, a]
        for k in range(2):
            v = u + STEPS[k] * jump
            if not (inside >> k & 1 and done[v]):
                continue
            scale, value, w = 1.0, front.distance[v], u + STEPS[k + 2] * jump
            if inside >> (k + 2) & 1 and done[w] and front.distance[w] <= value:
                scale, value = 1.5, (4 * value - front.distance[w]) / 3
            if modelled:
                value += STEPS[k] * along / scale + front.model[u] - front.model[v]
                if scale > 1.0:
                    value -= (front.model[v] - front.model[w]) / 3
            if signs[i] == 0 or value < terms[i, 1]:
                terms[i, 0], terms[i, 1], signs[i] = scale, value, STEPS[k]
    return _solve(stencils.weight, u, terms)


@inlined
def _solve(weight, node, terms):
    """Solve sum_i w_i (s_i max(0, u - m_i))^2 = 1, adding terms from the least m_i on."""
    least = math.inf
    for i in range(len(terms)):
        terms[i, 2] = 0.0
        least = min(least, terms[i, 1])
    if least == math.inf:
        return math.inf
    square = linear = constant = 0.0
    u = math.inf
    while True:
        best = -1
        for i in range(len(terms)):
            if (
                terms[i, 2] == 0.0
                and terms[i, 1] < u
                and (best < 0 or terms[i, 1] < terms[best, 1])
            ):
                best = i
        if best < 0:
            return u
        terms[best, 2] = 1.0
        w = weight[node, best] * terms[best, 0] ** 2
        m = terms[best, 1] - least
        square += w
        linear += w * m
        constant += w * m * m
        u = (
            least
            + (linear + math.sqrt(max(linear * linear - square * (constant - 1), 0.0))) / square
        )


@inlined
def _velocity(stencils, front, u, terms, signs):
    """Fill in D grad u = sum_i w_i (e_i grad u) e_i."""
    for a in range(front.slope.shape[1]):
        total = 0.0
        for i in range(len(terms)):
            if signs[i] != 0:
                gain = terms[i, 0] * max(front.distance[u] - terms[i, 1], 0.0)
                total -= stencils.weight[u, i] * gain * signs[i] * stencils.offset[u, i, a]
        front.velocity[u, a] = total
