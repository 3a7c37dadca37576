"""Shortest paths on a graph in the latent space: global, and never trapped in a local minimum.

Nodes are data codes, a grid, or both; an edge weighs what its straight segment measures in the
metric. A path on a graph is longer than the geodesic, by how coarse the graph is and by how few
directions its edges have; it is a start for a solver and a distance where an estimate will do.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from pullback.curves import CubicSpline
from pullback.errors import InvalidDataError, check_data, check_integer, check_number
from pullback.geodesics.search.graph.grid import fine_enough, grid_edges, grid_nodes
from pullback.geodesics.search.graph.nearest_nodes import NearestNodes
from pullback.geodesics.tally import note
from pullback.metrics import Metric
from pullback.shapes import Codes, Nodes, Pairs, Points

__all__ = ["LatentGraph"]

# Nodes of the graph, the nearest ones, that a point which is asked about is joined to. By
# judgement: the nearest alone may lie behind the point, as seen from the other end.
_ENTRIES = 8
# Points whose shortest paths SciPy searches in one call. Those with like limits go together, for
# SciPy takes one limit for all of a call; by judgement, for in larger groups limits differ more.
_GROUP = 24


class LatentGraph:
    """A graph over nodes of the latent space whose edges weigh their length in the metric.

    An edge on which the metric is not finite is left out.

    Args:
        metric: the Riemannian metric.
        nodes: the nodes, shape `(n, d)`.
        edges: pairs of node indices, shape `(n_edges, 2)`, each undirected edge once.
        weights: lengths of the edges, shape `(n_edges,)`; measured if None.

    Raises:
        InvalidDataError: the metric is not finite on any edge.

    Source:
        Chen, Ferroni, Klushyn, Paraschos, Bayer, van der Smagt, Fast approximate geodesics for deep
        generative models (2019).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
        >>> edges = torch.tensor([[0, 1], [1, 2]])
        >>> graph = LatentGraph(PullbackMetric(lambda z: 2 * z), nodes, edges)
        >>> graph.dist(nodes[:1], nodes[2:]).item()
        6.0
    """

    def __init__(
        self,
        metric: Metric,
        nodes: Nodes,
        edges: Pairs,
        weights: Tensor | None = None,
    ) -> None:
        self.metric = metric
        self.nodes = nodes
        if weights is None:
            weights = _edge_lengths(metric, nodes, edges)
        usable = weights.isfinite()
        if len(edges) > 0 and not bool(usable.any()):
            raise InvalidDataError(
                "The decoder returned NaN or infinity on every edge of the graph: "
                "check its weights, or keep the graph nearer to the data."
            )
        row, column = edges[usable].cpu().numpy().T
        shape = (len(nodes), len(nodes))
        upper = csr_matrix((_as_values(weights[usable]), (row, column)), shape=shape)
        self._adjacency = upper.maximum(upper.T).tocsr()
        self._nearest = NearestNodes(nodes)

    @classmethod
    def build(
        cls,
        metric: Metric,
        codes: Codes,
        *,
        n_neighbors: int = 20,
        resolution: int | None = None,
        margin: float = 0.1,
    ) -> "LatentGraph":
        """Build a graph on data codes, and for d <= 3 on a grid around them as well.

        Each code is joined to its nearest neighbours, each node of the grid to those one cell away,
        in the plane up to three: in 32 directions.

        Args:
            metric: the Riemannian metric.
            codes: points of the latent space to cover, shape `(n, d)`.
            n_neighbors: neighbours of each code.
            resolution: nodes of the grid along each axis; 0 for no grid; None for 64, twice as many
                in the plane where the metric changes from node to node, and 20 if d = 3.
            margin: how far the grid reaches beyond the codes, as a share of their extent.

        Returns:
            The graph, its codes first among the nodes.
        """
        codes = check_data("codes", codes, min_samples=1).detach()
        check_integer("n_neighbors", n_neighbors)
        check_number("margin", margin, low=0)
        d = codes.shape[1]
        if resolution is None:
            resolution = {1: 64, 2: 64, 3: 20}.get(d, 0)
            if d == 2 and not fine_enough(metric, codes, resolution, margin=margin):
                resolution *= 2
        check_integer("resolution", resolution, low=0)
        nodes, edges = codes, codes.new_zeros(0, 2, dtype=torch.long)
        weights = codes.new_zeros(0)
        if d <= 3 and resolution >= 2:
            grid = grid_nodes(codes, resolution=resolution, margin=margin)
            edges, weights = grid_edges(metric, codes, resolution=resolution, margin=margin)
            nodes, edges, weights = torch.cat([codes, grid]), len(codes) + edges, _usable(weights)
        # A code that comes many times would else be joined to nothing but itself.
        distinct = torch.cat([_first_of_each(codes), _range(len(codes), nodes)])
        neighbors = distinct[NearestNodes(nodes[distinct])(codes, n_neighbors + 1)]
        own = torch.arange(len(codes), device=codes.device).unsqueeze(-1).expand_as(neighbors)
        pairs = torch.stack([own, neighbors], -1).reshape(-1, 2)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]].sort(-1).values.unique(dim=0)
        weights = torch.cat([weights, _edge_lengths(metric, nodes, pairs)])
        return cls(metric, nodes, torch.cat([edges, pairs]), weights)

    def covers(self, points: Codes) -> bool:
        """Say whether all points `(n, d)` lie in the bounding box of the nodes."""
        if points.shape[-1] != self.nodes.shape[-1]:
            return False  # a manifold of any dimension was asked about two of them
        low, high = self.nodes.amin(0), self.nodes.amax(0)
        return bool(((points >= low) & (points <= high)).all())

    def dist(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Measure the shortest paths from every point a to every point b.

        Args:
            point_a: start points, shape `(n_a, d)`.
            point_b: end points, shape `(n_b, d)`.

        Returns:
            Distances along the graph, shape `(n_a, n_b)`: inf where no path exists.
        """
        entry, entry_cost = self._connect(point_b)
        through = self.dist_to_nodes(point_a)
        distances = through.new_full((len(point_a), len(point_b)), torch.inf)
        for neighbor in range(entry.shape[1]):
            candidate = through[:, entry[:, neighbor]] + entry_cost[:, neighbor]
            distances = torch.minimum(distances, candidate)
        # Points nearer to each other than to the graph need no node between them.
        near = torch.cdist(point_a, point_b) <= self._reach(point_a).unsqueeze(-1)
        i, j = near.nonzero().T
        direct = _segment_lengths(self.metric, point_a[i], point_b[j]).to(distances)
        direct = torch.where((point_a[i] == point_b[j]).all(-1), 0.0, direct)
        distances[i, j] = torch.minimum(distances[i, j], direct)
        return distances

    def dist_to_nodes(self, points: Codes) -> Tensor:
        """Measure the shortest paths from every point to every node: shape `(n, n_nodes)`."""
        note(graph=len(points))
        distances, _ = self._dijkstra(points)
        return torch.as_tensor(distances, dtype=points.dtype, device=points.device)

    def paths(
        self, point_a: Codes, point_b: Codes, n_segments: int, *, limit: Tensor | None = None
    ) -> Points:
        """Follow the shortest path from each a to its b, in steps of equal length, smoothed.

        Args:
            point_a: start points, shape `(n, d)`.
            point_b: end points, shape `(n, d)`.
            n_segments: segments of each path.
            limit: do not look for paths that are longer than this, shape `(n,)`; the search then
                visits the nodes within that distance only.

        Returns:
            Points along the paths, shape `(n, n_segments + 1, d)`; where the graph has no path, the
            straight line.
        """
        if len(point_a) == 0:
            return point_a.new_zeros(0, n_segments + 1, point_a.shape[-1])
        entry, entry_cost = (part.cpu().numpy() for part in self._connect(point_b))
        sources, owner = point_a.unique(dim=0, return_inverse=True)
        owner = owner.cpu().numpy()
        reach = np.full(len(sources), np.inf)
        if limit is not None:
            reach[:] = 0
            np.maximum.at(reach, owner, _usable(limit).cpu().numpy().astype(float))
        reached = np.zeros(len(owner), dtype=bool)
        # Sources of like reach go together, for SciPy takes one limit for all.
        by_reach = reach.argsort(kind="stable")
        rank = np.empty_like(by_reach)
        rank[by_reach] = np.arange(len(rank))
        groups = []
        for first in range(0, len(sources), _GROUP):
            group = by_reach[first : first + _GROUP]
            at = torch.as_tensor(group, device=sources.device)
            distances, predecessors = self._dijkstra(sources[at], limit=reach[group].max())
            pairs = ((rank[owner] >= first) & (rank[owner] < first + _GROUP)).nonzero()[0]
            row = rank[owner[pairs]] - first
            total = distances[row[:, None], entry[pairs]] + entry_cost[pairs]
            reached[pairs] = np.isfinite(total).any(-1)
            end = entry[pairs, total.argmin(-1)]
            groups.append((pairs, _trace(predecessors, row, end, n_nodes=len(self.nodes))))
        corners = self._corners(groups, point_a)
        found = torch.as_tensor(reached, device=point_a.device)[:, None, None]
        corners = torch.where(found, corners, point_a.unsqueeze(1))
        corners = torch.cat([point_a.unsqueeze(1), corners, point_b.unsqueeze(1)], 1)
        return CubicSpline(_smooth(corners)).points(n_segments + 1)

    def _corners(self, groups: list[tuple[np.ndarray, np.ndarray]], point_a: Tensor) -> Tensor:
        """Put the nodes along all paths into one tensor, the first repeated on shorter ones."""
        most = max(via.shape[1] for _, via in groups)
        index = np.zeros((len(point_a), most), dtype=np.int64)
        for pairs, via in groups:
            index[pairs, most - via.shape[1] :] = via
            index[pairs, : most - via.shape[1]] = via[:, :1]
        return self.nodes[torch.as_tensor(index, device=point_a.device)]

    def _dijkstra(self, points: Tensor, limit: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
        from scipy.sparse.csgraph import dijkstra

        entry, cost = self._connect(points)
        n, joined = len(self.nodes), self._adjacency
        # The points' edges lead into the graph only: no path of another passes through a point.
        n_edges = joined.indptr[-1] + entry.shape[1] * np.arange(1, len(points) + 1)
        graph = csr_matrix(
            (
                np.concatenate([joined.data, _as_values(cost.flatten())]),
                np.concatenate([joined.indices, entry.cpu().numpy().ravel().astype(np.int32)]),
                np.concatenate([joined.indptr, n_edges.astype(joined.indptr.dtype)]),
            ),
            shape=(n + len(points), n + len(points)),
        )
        sources = np.arange(n, n + len(points))
        distances, predecessors = dijkstra(
            graph, indices=sources, return_predecessors=True, limit=limit
        )
        return distances[:, :n], predecessors

    def _connect(self, points: Tensor) -> tuple[Tensor, Tensor]:
        entry = self._nearest(points, _ENTRIES)
        start = points.unsqueeze(1).expand(-1, entry.shape[1], -1)
        return entry, _segment_lengths(self.metric, start, self.nodes[entry])

    def _reach(self, points: Tensor) -> Tensor:
        entry = self._nearest(points, _ENTRIES)
        gap = (self.nodes[entry] - points.unsqueeze(1)).square().sum(-1)
        return gap.amax(-1).sqrt()


def _first_of_each(codes: Tensor) -> Tensor:
    _, first = np.unique(codes.cpu().numpy(), axis=0, return_index=True)
    return torch.as_tensor(np.sort(first), device=codes.device)


def _range(start: int, nodes: Tensor) -> Tensor:
    return torch.arange(start, len(nodes), device=nodes.device)


def _edge_lengths(metric: Metric, nodes: Tensor, edges: Tensor) -> Tensor:
    """Measure each edge as two chords."""
    middle = (nodes[edges[:, 0]] + nodes[edges[:, 1]]) / 2
    via = len(nodes) + torch.arange(len(edges), device=nodes.device)
    halves = torch.stack([edges[:, 0], via, via, edges[:, 1]], -1).reshape(-1, 2)
    with torch.no_grad():
        chords = metric.chords_between(torch.cat([nodes, middle]), halves)
    return _usable(chords.reshape(-1, 2).sum(-1))


def _segment_lengths(metric: Metric, start: Tensor, end: Tensor) -> Tensor:
    """Measure straight segments `(*batch, d)` as two chords."""
    shape = start.shape[:-1]
    nodes = torch.cat([start.reshape(-1, start.shape[-1]), end.reshape(-1, start.shape[-1])])
    row = torch.arange(len(nodes) // 2, device=nodes.device)
    return _edge_lengths(metric, nodes, torch.stack([row, row + len(row)], -1)).reshape(shape)


def _usable(lengths: Tensor) -> Tensor:
    return lengths.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _as_values(weights: Tensor) -> np.ndarray:
    # A zero would be no edge in a sparse matrix: nodes with one image are a tiny step apart.
    values: np.ndarray = np.maximum(weights.cpu().numpy().astype(float), np.finfo(float).tiny)
    return values


def _trace(predecessors: np.ndarray, row: np.ndarray, node: np.ndarray, n_nodes: int) -> np.ndarray:
    """Follow all paths back at once: nodes in order, the first one repeated on shorter paths."""
    via = [node]
    while True:
        node = predecessors[row, via[-1]]
        inside = (node >= 0) & (node < n_nodes)
        if not inside.any():
            return np.stack(via[::-1], 1)
        via.append(np.where(inside, node, via[-1]))


def _smooth(corners: Tensor, n_segments: int = 128) -> Tensor:
    """Walk along polylines `(n, corners, d)` at constant speed in z, their corners rounded off."""
    step = corners.diff(dim=1).norm(dim=-1)
    position = torch.cat([step.new_zeros(len(step), 1), step.cumsum(1)], 1)
    t = torch.linspace(0, 1, n_segments + 1, dtype=corners.dtype, device=corners.device)
    t = t * position[:, -1:]
    right = torch.searchsorted(position, t).clamp(1, corners.shape[1] - 1)
    before, after = position.gather(1, right - 1), position.gather(1, right)
    fraction = (t - before) / (after - before).clamp(min=torch.finfo(step.dtype).tiny)
    rows = torch.arange(len(corners), device=corners.device).unsqueeze(1)
    start, end = corners[rows, right - 1], corners[rows, right]
    path = torch.lerp(start, end, fraction.clamp(0, 1).unsqueeze(-1).expand_as(start))
    return _smoothing(n_segments + 1).to(path) @ path


@lru_cache
def _smoothing(n: int) -> Tensor:
    """Average neighbours, ends held, until the bell is about sqrt(n) / 2 steps wide."""
    once = torch.zeros(n, n, dtype=torch.float64)
    i = torch.arange(1, n - 1)
    once[i, i - 1] = once[i, i + 1] = 0.25
    once[i, i] = 0.5
    once[0, 0] = once[-1, -1] = 1
    often: Tensor = torch.linalg.matrix_power(once, n // 2)
    return often
