"""Voronoi cells: which of some centres each point is nearest to."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_data, check_integer
from pullback.geodesics import build_graph, grid_nodes
from pullback.manifolds.latent_space import LatentSpace
from pullback.shapes import Nodes, Scalars

__all__ = ["VoronoiCells", "voronoi_cells", "voronoi_on_graph"]


class VoronoiCells(NamedTuple):
    """Points and the centre that each is nearest to.

    Attributes:
        points: the points, shape `(n, d)`.
        centers: the centres, shape `(k, d)`.
        labels: the index of the nearest centre, -1 where none can be reached, shape `(n,)`.
        distances: those to all centres, shape `(n, k)`.

    Example:
        >>> cells = voronoi_cells(torch.cdist, [[0.0], [1.0]], [[0.2], [0.7]])
        >>> cells.labels.tolist(), cells.margin.round(decimals=4).tolist()
        ([0, 1], [0.6, 0.4])
    """

    points: Nodes
    centers: Nodes
    labels: Tensor
    distances: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def margin(self) -> Scalars:
        """How much farther the second nearest centre is, shape `(n,)`: small near an edge."""
        if self.distances.shape[1] < 2:
            return torch.full_like(self.distances[:, 0], torch.inf)
        nearest = _reachable(self.distances).topk(2, largest=False).values
        gap = nearest[:, 1] - nearest[:, 0]
        return torch.where(gap.isnan(), torch.inf, gap)


def voronoi_cells(
    dist: Callable[[Tensor, Tensor], Tensor], centers: Any, points: Any
) -> VoronoiCells:
    """Assign points to the nearest of some centres, by any distance.

    Args:
        dist: takes points `(n, d)` and centres `(k, d)` to distances `(n, k)`, such as
            `LatentGraph.dist`, or a `partial` of `Manifold.pairwise_dist`.
        centers: the centres, shape `(k, d)`.
        points: the points, shape `(n, d)`, such as `geodesics.grid_nodes` over some codes.

    Returns:
        The labels, with all distances; of equal ones the first centre is taken.

    Raises:
        InvalidDataError: points are not finite, there is none, or the distance has another shape.

    Example:
        >>> voronoi_cells(torch.cdist, [[0.0, 0.0], [2.0, 0.0]], [[0.5, 9.0]]).labels.tolist()
        [0]
    """
    c = check_data("centers", centers, min_samples=1).detach()
    z = check_data("points", points, dim=c.shape[1], min_samples=1).detach().to(c)
    distances = dist(z, c)
    if distances.shape != (len(z), len(c)):
        raise InvalidDataError(
            f"`dist` must return distances of shape {(len(z), len(c))}, but returned "
            f"{tuple(distances.shape)}. Give a function of points (n, d) and centres (k, d)."
        )
    usable = _reachable(distances)
    labels = torch.where(usable.isfinite().any(-1), usable.argmin(-1), -1)
    return VoronoiCells(z, c, labels, distances)


def voronoi_on_graph(
    space: LatentSpace, centers: Any, points: Any = None, *, resolution: int = 100
) -> VoronoiCells:
    """Assign points to the nearest of some centres, by shortest paths on a graph.

    Args:
        space: the latent space.
        centers: the centres, shape `(k, d)`.
        points: the points, shape `(n, d)`; if None, a regular grid over the data and centres.
        resolution: points of the grid along each axis.

    Returns:
        The labels, with all distances.

    Raises:
        InvalidParameterError: the resolution is below 2.
        InvalidDataError: centres or points are not finite, or there is none.

    Example:
        >>> flat = LatentSpace(lambda z: 2 * z, dim=1)
        >>> voronoi_on_graph(flat, [[0.0], [1.0]], [[0.2], [0.7]]).labels.tolist()
        [0, 1]
    """
    c = space._points("centers", check_data("centers", centers, dim=space.dim, min_samples=1))
    covered = c if space.data is None else torch.cat([c, space.data])
    if points is None:
        check_integer("resolution", resolution, low=2)
        points = grid_nodes(covered, resolution=resolution)
    z = space._points("points", points)
    graph = None if space.data is None else space.graph_over(z)
    if graph is None:
        graph = build_graph(space.metric, torch.cat([covered, z]).unique(dim=0))
    # One search of the graph for each centre, not for each point.
    return voronoi_cells(lambda z, c: graph.dist(c, z).T, c, z)


def _reachable(distances: Tensor) -> Tensor:
    return torch.where(distances.isnan(), torch.inf, distances)
