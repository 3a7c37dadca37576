"""Which nodes of a graph are nearest to a point, as the latent space's own coordinates tell."""

import torch
from torch import Tensor

from pullback.shapes import Codes, Nodes

__all__ = ["NearestNodes"]


class NearestNodes:
    """An index over nodes that finds the nearest of them, exactly.

    Args:
        nodes: the nodes, shape `(n, d)`.

    Example:
        >>> NearestNodes(torch.tensor([[0.0], [1.0], [5.0]]))(torch.tensor([[4.0]]), 2).tolist()
        [[2, 1]]
    """

    def __init__(self, nodes: Nodes) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._n_nodes = len(nodes)
        self._index = NearestNeighbors().fit(nodes.detach().cpu().numpy())

    def __call__(self, points: Codes, n_neighbors: int) -> Tensor:
        """Return the indices of the nearest nodes of points `(n, d)`: shape `(n, n_neighbors)`."""
        found = self._index.kneighbors(
            points.detach().cpu().numpy(), min(n_neighbors, self._n_nodes), return_distance=False
        )
        return torch.as_tensor(found, device=points.device)
