"""The queue of marches: in the order of Python's heap, where distances are lowered too."""

import heapq

import numpy as np
import pytest

numba = pytest.importorskip("numba")


@pytest.mark.slow
def test_nodes_come_out_in_order_however_often_they_are_told():
    from pullback.geodesics.kernels.fields.queue import new_queue, next_node, tell

    @numba.njit
    def emptied(n, node, distance, every):
        queue, out, k = new_queue(n), np.empty(n, np.int64), 0
        for i in range(len(node)):
            if i % every == every - 1 and queue.size[0] > 0:
                tell(queue, next_node(queue), 1e9)  # out, and in again as the last
            tell(queue, node[i], distance[i])
        while queue.size[0] > 0:
            out[k] = next_node(queue)
            k += 1
        return out[:k]

    rng = np.random.default_rng(0)
    n, node = 50, rng.integers(0, 50, 400)
    distance = np.sort(rng.random(400))[::-1].copy()  # each time nearer than before
    found = emptied(n, node, distance, 1000)
    heap, done, expected = list(zip(distance, node, strict=True)), set(), []
    heapq.heapify(heap)
    while heap:
        _, u = heapq.heappop(heap)
        if u not in done:
            done.add(u)
            expected.append(u)
    np.testing.assert_array_equal(found, expected)
    assert sorted(emptied(n, node, distance, 7)) == sorted(set(node.tolist()))
