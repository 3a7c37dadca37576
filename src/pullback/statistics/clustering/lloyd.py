"""Clusters round centres: turns of assignment and means, by geodesics or on a graph."""

import numpy as np
import torch
from torch import Tensor

from pullback.geodesics import LatentGraph
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.centers.descent import Descent
from pullback.statistics.centers.frechet_mean import SquaredDistance
from pullback.statistics.centers.mass import Mass
from pullback.statistics.clustering.medoids import (
    choose_medoids,
    nearest_medoid,
    refill,
    with_penalty,
)
from pullback.statistics.logarithms import Logarithms, Logs

__all__ = ["ClusterGraph", "Lloyd", "logs_to_centers"]

# A centre that a short search finds more than 1.1 times as far as the nearest one is not measured
# again: short searches err by much less than a tenth.
_CLOSE = 1.1
# How exact the mean of a cluster is at the end, as a share of the cluster's spread.
_MEAN_TOL = 1e-4
# The most steps towards the mean of a cluster in one turn: the next turn goes on from there.
_MEAN_STEPS = 10


class ClusterGraph:
    """Distances on a graph over the data, where a centre may be any node that all data reach.

    Args:
        manifold: the latent space.
        Z: the data, shape `(n, d)`.

    Example:
        >>> graph = ClusterGraph(Manifold(lambda z: 2 * z, dim=1), torch.tensor([[0.0], [1.0]]))
        >>> graph.dist(torch.tensor([[0.0]]), torch.tensor([[1.0]])).tolist()
        [[2.0]]
    """

    def __init__(self, manifold: Manifold, Z: Codes) -> None:
        self.Z = Z
        nodes = Z if manifold.data is None else torch.cat([Z, manifold.data.to(Z)])
        self.graph = LatentGraph.build(manifold.metric, nodes)

    def choose(
        self, weights: Tensor, n_clusters: int, *, rng: np.random.Generator, **options: int
    ) -> tuple[Tensor, int]:
        """Choose nodes with the least sum of squared distances, see `choose_medoids`.

        Returns:
            The centres, shape `(k, d)`, and the number of turns.
        """
        squared = self.graph.dist_to_nodes(self.Z).square()
        # Nodes that no point reaches, as where the metric is not finite, are no candidates; the
        # data always are.
        usable = squared.isfinite().any(0)
        usable[: len(self.Z)] = True
        columns = usable.nonzero().squeeze(-1)
        costs = with_penalty(squared[:, columns])
        found = choose_medoids(costs, weights, n_clusters, rng=rng, swaps=False, **options)
        return self.graph.nodes[columns[found.chosen]], found.n_iter

    def joins_all(self) -> bool:
        """Say whether the graph has a path between any two of the data."""
        reached = self.graph.dist_to_nodes(self.Z[:1])[0, : len(self.Z)]
        return bool(reached.isfinite().all())

    def dist(self, Z: Codes, centers: Tensor) -> Tensor:
        """Measure from points to centres, which are nodes: shape `(n, k)`."""
        gap = (centers.unsqueeze(1) - self.graph.nodes).square().sum(-1)
        return self.graph.dist_to_nodes(Z)[:, gap.argmin(-1)]


class Lloyd:
    """Turns of assignment to the nearest centre and moves of the centres to their means.

    Short searches serve until the inertia has settled, each from the curves of the turn before;
    then the means are found by exact geodesics.

    Args:
        manifold: the latent space.
        Z: the data, shape `(n, d)`.
        weights: w >= 0, shape `(n,)`.
        exact: use exact geodesics in every turn.
        max_iter: most turns.
        tol: stop when a turn lowers the inertia by less than this share.

    Example:
        >>> Z = torch.tensor([[0.0], [1.0], [8.0], [9.0]]).double()
        >>> M, weights = Manifold(lambda z: 2 * z, dim=1), torch.ones(4).double()
        >>> lloyd = Lloyd(M, Z, weights, exact=False, max_iter=9, tol=1e-4)
        >>> lloyd.run(torch.tensor([[1.0], [2.0]]).double())[0].round(decimals=3).flatten().tolist()
        [0.5, 8.5]
    """

    def __init__(
        self,
        manifold: Manifold,
        Z: Codes,
        weights: Tensor,
        *,
        exact: bool,
        max_iter: int,
        tol: float,
    ) -> None:
        self.manifold = manifold
        self.Z = Z
        self.weights = weights
        self.exact = exact
        self.max_iter = max_iter
        self.tol = tol

    def run(self, centers: Tensor) -> tuple[Tensor, int]:
        """Turn until the inertia has settled.

        Args:
            centers: where to begin, shape `(k, d)`.

        Returns:
            The centres, shape `(k, d)`, and the number of turns.
        """
        logarithms = Logarithms(self.manifold, self.Z, exact=self.exact)
        settled, inertia, turn = centers, np.inf, 0
        while turn < self.max_iter:
            labels, squared = self._assign(logarithms, centers)
            now = float(self.weights @ squared)
            if not now < inertia * (1 - self.tol):
                break
            settled, inertia, turn = centers, now, turn + 1
            labels = refill(labels, self.weights * squared, len(centers))
            centers = self._means(labels, centers, exact=self.exact)
        labels, squared = self._assign(Logarithms(self.manifold, self.Z, exact=self.exact), settled)
        labels = refill(labels, self.weights * squared, len(centers))
        return self._means(labels, settled, exact=True), turn

    def _assign(self, logarithms: Logarithms, centers: Tensor) -> tuple[Tensor, Tensor]:
        labels, lengths = nearest_medoid(logarithms.at(centers).lengths.T)
        # A point that no centre reaches counts as far from them as the furthest one that is
        # reached.
        most = torch.where(lengths.isfinite(), lengths, 0).max()
        return labels, torch.where(lengths.isfinite(), lengths, most).square()

    def _means(self, labels: Tensor, centers: Tensor, *, exact: bool) -> Tensor:
        reached = labels >= 0
        mass = Mass(labels[reached], self.weights[reached], len(centers))
        descent = Descent(
            self.manifold,
            self.Z[reached],
            mass,
            SquaredDistance(),
            max_iter=_MEAN_STEPS,
            tol=_MEAN_TOL,
        )
        return descent.settle(centers, exact=exact).state.points


def logs_to_centers(manifold: Manifold, Z: Codes, centers: Tensor, *, sure: bool) -> Logs:
    """Measure from points to centres exactly.

    Args:
        manifold: the latent space.
        Z: points, shape `(n, d)`.
        centers: centres, shape `(k, d)`.
        sure: measure every pair exactly; else only those that may be nearest by a short search.

    Returns:
        Logs with batch shape `(k, n)`.

    Example:
        >>> M, Z = Manifold(lambda z: 2 * z, dim=1), torch.tensor([[0.0], [9.0]]).double()
        >>> logs_to_centers(M, Z, Z, sure=True).lengths.tolist()
        [[0.0, 18.0], [18.0, 0.0]]
    """
    if sure:
        return Logarithms(manifold, Z, exact=True).at(centers)
    rough = Logarithms(manifold, Z).at(centers)
    near = (rough.lengths <= _CLOSE * rough.lengths.amin(0)) | ~rough.lengths.isfinite()
    owner, point = near.nonzero().T
    exact = Logarithms(manifold, Z[point], exact=True).at(centers, owner=owner)
    for whole, part in zip(rough, exact, strict=True):
        whole[owner, point] = part
    return rough
