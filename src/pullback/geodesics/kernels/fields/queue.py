"""The nodes that a march may go on to, the nearest first: a heap in which distances can be lowered.

Four children to a parent: half as deep as a heap of two, and they lie in one cache line.
"""

from typing import Any, NamedTuple

import numpy as np

from pullback.geodesics.kernels.compiled import inlined, kernel

__all__ = ["Queue", "new_queue", "next_node", "tell"]

_NONE = -1  # the place of a node that is not in the queue


class Queue(NamedTuple):
    """A heap of nodes.

    Attributes:
        key: the distances of those in the queue, in the order of the heap, shape `(nodes,)`.
        node: which they are, shape `(nodes,)`.
        place: where in the heap each node is, shape `(nodes,)`.
        size: how many there are, shape `(1,)`.
    """

    key: Any
    node: Any
    place: Any
    size: Any


@kernel
def new_queue(n):
    """Make an empty queue for n nodes."""
    return Queue(
        np.empty(n), np.empty(n, np.int32), np.full(n, _NONE, np.int32), np.zeros(1, np.int64)
    )


@inlined
def tell(queue, node, distance):
    """Put a node into the queue, or lower its distance there."""
    key, at = queue.key, np.int64(queue.place[node])
    if at == _NONE:
        at = queue.size[0]
        queue.size[0] += 1
    while at > 0:
        parent = (at - 1) >> 2
        if key[parent] <= distance:
            break
        _put(queue, at, key[parent], queue.node[parent])
        at = parent
    _put(queue, at, distance, node)


@inlined
def next_node(queue):
    """Take the nearest node out of a queue that has some."""
    key, nearest = queue.key, np.int64(queue.node[0])
    queue.size[0] -= 1
    n, at = queue.size[0], 0
    distance, node = key[n], queue.node[n]
    while True:
        first = 4 * at + 1
        if first >= n:
            break
        child = first
        for k in range(first + 1, min(first + 4, n)):
            if key[k] < key[child]:
                child = k
        if key[child] >= distance:
            break
        _put(queue, at, key[child], queue.node[child])
        at = child
    _put(queue, at, distance, node)
    queue.place[nearest] = _NONE
    return nearest


@inlined
def _put(queue, at, distance, node):
    queue.key[at], queue.node[at], queue.place[node] = distance, node, at
