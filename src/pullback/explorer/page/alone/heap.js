// @ts-check
/** A heap of nodes that know their place in it: the nearest one is always at hand. */

/** @typedef {{distance: Float64Array, begin: (source: number) => void, pop: () => number,
 *   offer: (node: number, distance: number) => boolean}} Heap `pop` gives the nearest node and takes it
 *   out, or -1; `offer` says whether a node was farther away until now, and keeps it so. */

const [UNSEEN, FINISHED] = [-1, -2];

/** A heap for n nodes.
 * @param {number} n
 * @returns {Heap} */
export function createHeap(n) {
  const distance = new Float64Array(n);
  const heap = new Int32Array(n + 1);
  const place = new Int32Array(n);
  let count = 0;

  /** @param {number} node @param {number} at */
  function put(node, at) {
    heap[at] = node;
    place[node] = at;
  }

  /** Put a node at a place, or nearer to the top. @param {number} node @param {number} at */
  function rise(node, at) {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (distance[heap[parent]] <= distance[node]) break;
      put(heap[parent], at);
      at = parent;
    }
    put(node, at);
  }

  /** Put the last node into the place of the first, which has left. */
  function sink() {
    const node = heap[count];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && distance[heap[child + 1]] < distance[heap[child]]) child++;
      if (distance[heap[child]] >= distance[node]) break;
      put(heap[child], at);
      at = child;
    }
    put(node, at);
  }

  return {
    distance,
    begin(source) {
      distance.fill(Infinity);
      place.fill(UNSEEN);
      distance[source] = 0;
      put(source, 0);
      count = 1;
    },
    pop() {
      if (!count) return -1;
      const node = heap[0];
      place[node] = FINISHED;
      count--;
      if (count) sink();
      return node;
    },
    offer(node, far) {
      if (place[node] === FINISHED || !(far < distance[node])) return false;
      distance[node] = far;
      rise(node, place[node] === UNSEEN ? count++ : place[node]);
      return true;
    },
  };
}
