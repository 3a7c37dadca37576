"""Starts for any pair of points: shortest paths on a coarse grid over the table."""

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.chains import chord, copied
from pullback.geodesics.kernels.compiled import kernel, part
from pullback.geodesics.kernels.forms import new_form

__all__ = [
    "Grid",
    "Paths",
    "measured_edges",
    "new_paths",
    "path_by",
    "rows_from",
    "shortest_path",
]

_CHORDS = 8  # that measure an edge of the grid
_NEAR_CHORDS = 4  # that measure the way from a point to a corner of its cell, half an edge long
_ROUNDINGS = 16  # passes that round the corners of a path, each by a quarter of both neighbours


class Grid(NamedTuple):
    """A regular grid with edges to near nodes. The tuples are of length d.

    Attributes:
        low: the lowest corner.
        step: between nodes, along each axis.
        size: nodes along each axis.
        stride: between the numbers of neighbouring nodes.
        offset: steps along each axis that the edges of a node take, shape `(edges, d)`.
        length: of the edges, shape `(nodes, edges)`; infinite where there is no node.
    """

    low: tuple[float, ...]
    step: tuple[float, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: Any
    length: Any


class Paths(NamedTuple):
    """Shortest paths on the grid, from those nodes that were asked for, and room to follow them.

    Attributes:
        distance: on the grid, shape `(nodes, nodes)`, by source.
        previous: the node before on the path from the source, shape `(nodes, nodes)`.
    """

    distance: Any
    previous: Any


class _Route(NamedTuple):
    """Room to follow a path."""

    points: Any
    position: Any
    rounded: Any
    corner: Any
    way: Any
    ends: Any


@kernel
def measured_edges(C, table, grid):
    """Fill in the lengths of the edges of a grid."""
    d, n_edges = len(grid.low), len(grid.offset)
    f = new_form(table)
    ends = np.empty((2, d))
    for u in range(len(grid.length)):
        for o in range(n_edges):
            inside, length = True, 0.0
            for a in range(d):
                to = u // grid.stride[a] % grid.size[a] + grid.offset[o, a]
                inside = inside and 0 <= to < grid.size[a]
            if inside:
                for c in range(_CHORDS):
                    for a in range(d):
                        step = grid.offset[o, a] * grid.step[a] / _CHORDS
                        here = grid.low[a] + u // grid.stride[a] % grid.size[a] * grid.step[a]
                        ends[0, a], ends[1, a] = here + c * step, here + (c + 1) * step
                    length += math.sqrt(chord(C, table, ends, 0, ends, 1, 0, f))
            grid.length[u, o] = length if inside else math.inf


@kernel
def rows_from(grid, sources, paths):
    """Fill in the rows of `paths` of some sources, by Dijkstra's algorithm."""
    n = len(grid.length)
    jump = np.zeros(len(grid.offset), np.int64)
    for o in range(len(grid.offset)):
        for a in range(len(grid.low)):
            jump[o] += grid.offset[o, a] * grid.stride[a]
    distance, previous = np.empty(n), np.empty(n, np.int64)
    heap, place = np.empty(n + 1, np.int64), np.empty(n, np.int64)
    for source in sources:
        _dijkstra(grid, jump, source, distance, previous, heap, place)
        for u in range(n):
            paths.distance[source, u] = distance[u]
            paths.previous[source, u] = previous[u]


@part
def _dijkstra(grid, jump, source, distance, previous, heap, place):
    """Shortest paths from one node, with a heap of nodes that know their place in it."""
    unseen, finished = -1, -2
    distance[:] = math.inf
    place[:] = unseen
    distance[source], previous[source] = 0.0, source
    heap[0], place[source], count = source, 0, 1
    while count > 0:
        u = heap[0]
        count -= 1
        place[u] = finished
        if count > 0:
            _sink(heap, place, distance, count)
        for o in range(len(jump)):
            through = distance[u] + grid.length[u, o]
            if not through < math.inf:
                continue
            v = u + jump[o]
            if place[v] != finished and through < distance[v]:
                distance[v], previous[v] = through, u
                at = place[v]
                if at == unseen:
                    at = count
                    count += 1
                _rise(heap, place, distance, v, at)


@kernel
def _sink(heap, place, distance, count):
    """Put the last node of the heap into the place of the first, which has left it."""
    node, at = heap[count], 0
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and distance[heap[child + 1]] < distance[heap[child]]:
            child += 1
        if distance[heap[child]] >= distance[node]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at], place[node] = node, at


@kernel
def _rise(heap, place, distance, node, at):
    """Put a node at a place of the heap, or nearer to its top."""
    while at > 0:
        parent = (at - 1) // 2
        if distance[heap[parent]] <= distance[node]:
            break
        heap[at] = heap[parent]
        place[heap[at]] = at
        at = parent
    heap[at], place[node] = node, at


@kernel
def new_paths(grid, m):
    """Make room to follow paths on a grid, by curves of m segments."""
    d, n = len(grid.low), 2 * len(grid.length) + 2
    corners = 2**d
    return _Route(
        np.empty((n, d)),
        np.empty(n),
        np.empty((m + 1, d)),
        np.empty((2, corners), np.int64),
        np.empty((2, corners)),
        np.empty((4, d)),
    )


@kernel
def _corners(C, table, grid, point, side, route, f):
    """Find the nodes around a point, and the lengths of the ways to them."""
    d, ends = len(grid.low), route.ends
    for c in range(2**d):
        node = 0
        for a in range(d):
            cell = min(max(int((point[a] - grid.low[a]) / grid.step[a]), 0), grid.size[a] - 2)
            at = cell + (c >> a & 1)
            node += at * grid.stride[a]
            ends[2, a], ends[3, a] = point[a], grid.low[a] + at * grid.step[a]
        route.corner[side, c], route.way[side, c] = node, 0.0
        for k in range(_NEAR_CHORDS):
            for a in range(d):
                step = (ends[3, a] - ends[2, a]) / _NEAR_CHORDS
                ends[0, a], ends[1, a] = ends[2, a] + k * step, ends[2, a] + (k + 1) * step
            q = chord(C, table, ends, 0, ends, 1, 0, f)
            route.way[side, c] += math.sqrt(q)


@part
def shortest_path(C, table, grid, paths, a, b, curve, m, route, f):
    """Fill in a curve of m segments along the shortest path from a to b, its corners rounded.

    The rows of the nodes around a must be known. Returns the first node of the path.
    """
    _corners(C, table, grid, a, 0, route, f)
    _corners(C, table, grid, b, 1, route, f)
    best, first, last = math.inf, route.corner[0, 0], route.corner[1, 0]
    for k in range(route.corner.shape[1]):
        for j in range(route.corner.shape[1]):
            u, v = route.corner[0, k], route.corner[1, j]
            length = route.way[0, k] + paths.distance[u, v] + route.way[1, j]
            if length < best:
                best, first, last = length, u, v
    _placed(b, route.points, 0)
    n = _traced(grid, paths, last, first, route.points, 1)
    _placed(a, route.points, n)
    _drawn(route, n + 1, curve, m)
    return first


@kernel
def path_by(grid, paths, a, b, first, last, v, curve, m, route):
    """Fill in a curve of m segments from a to b by the nodes `first`, v and `last`.

    The rows of `first` and `last` must be known.
    """
    points = route.points
    n = _traced(grid, paths, v, last, points, 1)
    for k in range(1, n // 2 + 1):  # as it leads from b
        for i in range(len(grid.low)):
            points[k, i], points[n - k, i] = points[n - k, i], points[k, i]
    n = _traced(grid, paths, v, first, points, n - 1)
    _placed(b, points, 0)
    _placed(a, points, n)
    _drawn(route, n + 1, curve, m)


@kernel
def _placed(point, points, n):
    for k in range(len(point)):
        points[n, k] = point[k]


@kernel
def _traced(grid, paths, u, source, points, n):
    """Put the nodes from u back to a source into points from the n-th on; return where they end."""
    while True:
        for k in range(len(grid.low)):
            points[n, k] = grid.low[k] + u // grid.stride[k] % grid.size[k] * grid.step[k]
        n += 1
        if u == source:
            return n
        u = int(paths.previous[source, u])


@kernel
def _drawn(route, n, curve, m):
    """Draw a curve through n points, from the last of them on."""
    _resample(route.points, n, curve, m, route.position)
    _round_corners(curve, m, route.rounded)


@part
def _resample(points, n, curve, m, position):
    """Put m + 1 nodes at equal latent steps on the line through n points, from its end on."""
    d, k = curve.shape[1], 0
    position[0] = 0.0
    for i in range(n - 1):
        step = 0.0
        for a in range(d):
            step += (points[i + 1, a] - points[i, a]) ** 2
        position[i + 1] = position[i] + math.sqrt(step)
    for i in range(m + 1):
        wanted = position[n - 1] * i / m
        while k < n - 2 and position[k + 1] < wanted:
            k += 1
        step = position[k + 1] - position[k]
        share = min((wanted - position[k]) / step, 1.0) if step > 0 else 0.0
        for a in range(d):
            curve[m - i, a] = points[k, a] + share * (points[k + 1, a] - points[k, a])
    for a in range(d):
        curve[m, a], curve[0, a] = points[0, a], points[n - 1, a]


@part
def _round_corners(curve, m, rounded):
    copied(curve, rounded, m)
    for _ in range(_ROUNDINGS):
        for i in range(1, m):
            for a in range(curve.shape[1]):
                rounded[i, a] = 0.25 * (curve[i - 1, a] + curve[i + 1, a]) + 0.5 * curve[i, a]
        copied(rounded, curve, m)
