"""Shortest paths on a graph in the latent space: global, and never trapped in a local minimum.

Nodes are data codes, a grid, or both; an edge weighs what its straight segment measures in the
metric. A path on a graph is longer than the geodesic, by how coarse the graph is and by how few
directions its edges have; it is a start for a solver and a distance where an estimate will do.
"""

import itertools
import math

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from pullback.curves import CubicSpline
from pullback.errors import InvalidDataError, check_data, check_integer, check_number
from pullback.metrics import Metric
from pullback.shapes import Codes, Nodes, Points

__all__ = ["LatentGraph", "grid_nodes"]


class LatentGraph:
    """A graph over nodes of the latent space whose edges weigh their length in the metric.

    An edge on which the metric is not finite is left out.

    Args:
        metric: the Riemannian metric.
        nodes: the nodes, shape `(n, d)`.
        edges: pairs of node indices, shape `(n_edges, 2)`, each undirected edge once.

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

    def __init__(self, metric: Metric, nodes: Nodes, edges: Tensor) -> None:
        self.metric = metric
        self.nodes = nodes
        weights = _segment_lengths(metric, nodes[edges[:, 0]], nodes[edges[:, 1]])
        usable = weights.isfinite()
        if len(edges) > 0 and not bool(usable.any()):
            raise InvalidDataError(
                "The decoder returned NaN or infinity on every edge of the graph: "
                "check its weights, or keep the graph nearer to the data."
            )
        row, column = edges[usable].cpu().numpy().T
        shape = (len(nodes), len(nodes))
        upper = csr_matrix((_as_values(weights[usable]), (row, column)), shape=shape)
        self._adjacency = upper.maximum(upper.T).tocoo()

    @classmethod
    def build(
        cls,
        metric: Metric,
        codes: Codes,
        *,
        n_neighbors: int = 10,
        resolution: int = 64,
        margin: float = 0.2,
    ) -> "LatentGraph":
        """Build a graph on data codes, and for d <= 2 on a grid around them as well.

        Each node is joined to its nearest neighbours; each node of the grid is joined to those one
        and two cells away, in 16 directions.

        Args:
            metric: the Riemannian metric.
            codes: points of the latent space to cover, shape `(n, d)`.
            n_neighbors: neighbours of each code.
            resolution: nodes of the grid along each axis; 0 for no grid.
            margin: how far the grid reaches beyond the codes, as a share of their extent.

        Returns:
            The graph, its codes first among the nodes.
        """
        codes = check_data("codes", codes, min_samples=1).detach()
        check_integer("n_neighbors", n_neighbors)
        check_integer("resolution", resolution, low=0)
        check_number("margin", margin, low=0)
        nodes, edges = codes, codes.new_zeros(0, 2, dtype=torch.long)
        if codes.shape[1] <= 2 and resolution >= 2:
            grid = grid_nodes(codes, resolution=resolution, margin=margin)
            nodes = torch.cat([codes, grid])
            edges = len(codes) + _grid_edges(resolution, codes.shape[1]).to(codes.device)
        # A code that comes many times would else be joined to nothing but itself.
        distinct = torch.cat([_first_of_each(codes), _range(len(codes), nodes)])
        neighbors = distinct[_nearest(nodes[distinct], codes, n_neighbors + 1)]
        own = torch.arange(len(codes), device=codes.device).unsqueeze(-1).expand_as(neighbors)
        pairs = torch.stack([own, neighbors], -1).reshape(-1, 2)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]].sort(-1).values.unique(dim=0)
        return cls(metric, nodes, torch.cat([edges, pairs]))

    def covers(self, points: Codes) -> bool:
        """Say whether all points `(n, d)` lie in the bounding box of the nodes."""
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
        distances[i, j] = torch.minimum(distances[i, j], direct)
        return distances

    def dist_to_nodes(self, points: Codes) -> Tensor:
        """Measure the shortest paths from every point to every node: shape `(n, n_nodes)`."""
        distances, _ = self._dijkstra(points)
        return torch.as_tensor(distances, dtype=points.dtype, device=points.device)

    def paths(self, point_a: Codes, point_b: Codes, n_segments: int) -> Points:
        """Follow the shortest path from each a to its b, in steps of equal length, smoothed.

        Args:
            point_a: start points, shape `(n, d)`.
            point_b: end points, shape `(n, d)`.
            n_segments: segments of each path.

        Returns:
            Points along the paths, shape `(n, n_segments + 1, d)`; where the graph has no path, the
            straight line.
        """
        entry, entry_cost = self._connect(point_b)
        sources, owner = point_a.unique(dim=0, return_inverse=True)
        distances, predecessors = self._dijkstra(sources)
        total = distances[owner.cpu().numpy()[:, None], entry.cpu().numpy()]
        total = total + entry_cost.cpu().numpy()
        last, reached = total.argmin(-1), np.isfinite(total).any(-1)
        end = entry.cpu().numpy()[np.arange(len(last)), last]
        via = _trace(predecessors, owner.cpu().numpy(), end, n_nodes=len(self.nodes))
        corners = self.nodes[torch.as_tensor(via, device=point_a.device)]
        found = torch.as_tensor(reached, device=point_a.device)[:, None, None]
        corners = torch.where(found, corners, point_a.unsqueeze(1))
        corners = torch.cat([point_a.unsqueeze(1), corners, point_b.unsqueeze(1)], 1)
        return CubicSpline(_smooth(corners)).points(n_segments + 1)

    def _dijkstra(self, points: Tensor) -> tuple[np.ndarray, np.ndarray]:
        from scipy.sparse.csgraph import dijkstra

        entry, cost = self._connect(points)
        n = len(self.nodes)
        row = np.repeat(np.arange(n, n + len(points)), entry.shape[1])
        column, joined = entry.cpu().numpy().ravel(), self._adjacency
        graph = csr_matrix(
            (
                np.concatenate([joined.data, _as_values(cost.flatten())]),
                (np.concatenate([joined.row, row]), np.concatenate([joined.col, column])),
            ),
            shape=(n + len(points), n + len(points)),
        )
        # The points' edges lead into the graph only: no path of another passes through a point.
        sources = np.arange(n, n + len(points))
        distances, predecessors = dijkstra(graph, indices=sources, return_predecessors=True)
        return distances[:, :n], predecessors

    def _connect(self, points: Tensor) -> tuple[Tensor, Tensor]:
        entry = _nearest(self.nodes, points, 8)
        start = points.unsqueeze(1).expand(-1, entry.shape[1], -1)
        return entry, _segment_lengths(self.metric, start, self.nodes[entry])

    def _reach(self, points: Tensor) -> Tensor:
        entry = _nearest(self.nodes, points, 8)
        gap = (self.nodes[entry] - points.unsqueeze(1)).square().sum(-1)
        return gap.amax(-1).sqrt()


def grid_nodes(codes: Codes, *, resolution: int, margin: float = 0.2) -> Nodes:
    """Lay a regular grid over the bounding box of codes, widened by a share of its extent.

    Args:
        codes: points to cover, shape `(n, d)`.
        resolution: nodes along each axis.
        margin: how far the grid reaches beyond the codes, as a share of their extent.

    Returns:
        Nodes, shape `(resolution ** d, d)`, the last axis running fastest.

    Example:
        >>> grid_nodes(torch.tensor([[0.0], [1.0]]), resolution=3, margin=0.5).flatten().tolist()
        [-0.5, 0.5, 1.5]
    """
    low, high = codes.amin(0), codes.amax(0)
    extent = (high - low).amax().clamp(min=1e-6)
    low, high = low - margin * extent, high + margin * extent
    axes = [
        torch.linspace(float(a), float(b), resolution, dtype=codes.dtype, device=codes.device)
        for a, b in zip(low, high, strict=True)
    ]
    return torch.cartesian_prod(*axes).reshape(-1, codes.shape[1])


def _grid_edges(resolution: int, d: int) -> Tensor:
    index = torch.arange(resolution**d).reshape((resolution,) * d)
    edges = []
    for offset in itertools.product(range(-2, 3), repeat=d):
        if offset <= (0,) * d or math.gcd(*offset) != 1:
            continue  # the opposite direction, or a longer step of the same one
        here = tuple(slice(max(0, -o), min(resolution, resolution - o)) for o in offset)
        there = tuple(slice(max(0, o), min(resolution, resolution + o)) for o in offset)
        edges.append(torch.stack([index[here].flatten(), index[there].flatten()], -1))
    return torch.cat(edges)


def _first_of_each(codes: Tensor) -> Tensor:
    _, first = np.unique(codes.cpu().numpy(), axis=0, return_index=True)
    return torch.as_tensor(np.sort(first), device=codes.device)


def _range(start: int, nodes: Tensor) -> Tensor:
    return torch.arange(start, len(nodes), device=nodes.device)


def _nearest(nodes: Tensor, points: Tensor, n_neighbors: int) -> Tensor:
    from sklearn.neighbors import NearestNeighbors

    n_neighbors = min(n_neighbors, len(nodes))
    index = NearestNeighbors(n_neighbors=n_neighbors).fit(nodes.detach().cpu().numpy())
    found = index.kneighbors(points.detach().cpu().numpy(), return_distance=False)
    return torch.as_tensor(found, device=nodes.device)


def _segment_lengths(metric: Metric, start: Tensor, end: Tensor) -> Tensor:
    t = torch.tensor([0.0, 0.5, 1.0], dtype=start.dtype, device=start.device).unsqueeze(-1)
    segments = start.unsqueeze(-2) * (1 - t) + end.unsqueeze(-2) * t
    with torch.no_grad():
        return metric.chords(segments).sum(-1).nan_to_num(nan=torch.inf, posinf=torch.inf)


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
    for _ in range(n_segments // 2):  # a bell of width sqrt(n_segments) / 2 segments
        inner = (path[:, :-2] + 2 * path[:, 1:-1] + path[:, 2:]) / 4
        path = torch.cat([path[:, :1], inner, path[:, -1:]], 1)
    return path
