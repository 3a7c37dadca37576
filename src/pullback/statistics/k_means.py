"""K-means clustering by geodesic distance."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    InvalidDataError,
    check_choice,
    check_data,
    check_integer,
    check_number,
)
from pullback.geodesics import LatentGraph
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.frechet_mean import FrechetMean

__all__ = ["KMeans"]


class KMeans(ClusterMixin, BaseEstimator):
    r"""K-means in a curved space: assign by geodesic distance, update by Frechet mean.

    Lowers sum_i min_k d(z_i, c_k)^2 by turns, from centres that k-means++ draws among the data.

    Args:
        manifold: the latent space.
        n_clusters: the number of clusters k.
        method: `"graph"` measures on a graph over the data (and a grid, for d <= 2), where a mean
            is the best of the graph's nodes: one shortest-path sweep for each point, after which
            all starts are nearly free. `"newton"` solves every geodesic and descends to every mean:
            exact, for any dimension, and far slower.
        n_init: how many starts; the best is kept.
        max_iter: most turns for each start.
        tol: stop when a turn lowers the inertia by less than this share.
        random_state: seed of the starts.

    Attributes:
        cluster_centers_: the centres, a tensor of shape `(k, d)`.
        labels_: cluster of each point, an array of shape `(n,)`.
        inertia_: the sum of squared geodesic distances to the nearest centre.
        n_iter_: turns that the best start took.

    Source:
        Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018), section 5.1; Arthur and Vassilvitskii, k-means++: the advantages of careful
        seeding (2007).

    Example:
        >>> M = Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
        >>> Z = torch.tensor([[-1.1], [-1.0], [1.0], [1.2]])
        >>> labels = KMeans(M, n_clusters=2, random_state=0).fit_predict(Z)
        >>> bool(labels[0] == labels[1] and labels[2] == labels[3] and labels[0] != labels[2])
        True
    """

    def __init__(
        self,
        manifold: Manifold,
        n_clusters: int = 8,
        *,
        method: str = "graph",
        n_init: int = 10,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: int | None = None,
    ) -> None:
        self.manifold = manifold
        self.n_clusters = n_clusters
        self.method = method
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, Z: Any, y: Any = None) -> "KMeans":
        """Find the clusters.

        Args:
            Z: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points, or fewer than clusters.
        """
        del y
        Z = self._check(Z)
        space = _SPACES[self.method](self.manifold, Z)
        rng = np.random.default_rng(self.random_state)
        self.inertia_ = np.inf
        for _ in range(self.n_init):
            labels, inertia, n_iter = self._run(space, rng)
            if inertia < self.inertia_:
                self.inertia_, self.n_iter_ = inertia, n_iter
                self.labels_, self.cluster_centers_ = labels, space.centers().clone()
        self._space = space
        return self

    def predict(self, Z: Any) -> NDArray[np.int64]:
        """Assign new points to the clusters.

        Args:
            Z: latent points, shape `(n, d)`.

        Returns:
            Cluster labels, shape `(n,)`.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        Z = check_data("Z", Z, dim=self.manifold.dim, min_samples=1).to(self.cluster_centers_)
        return _to_array(self._space.dist(self.cluster_centers_, Z).argmin(0))

    def _check(self, Z: Any) -> Codes:
        check_choice("method", self.method, _SPACES)
        check_integer("n_clusters", self.n_clusters)
        check_integer("n_init", self.n_init)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, low=0)
        codes = check_data("Z", Z, dim=self.manifold.dim, min_samples=1).detach()
        if len(codes) < self.n_clusters:
            raise InvalidDataError(
                f"`n_clusters` must be at most the number of points, but got {self.n_clusters} "
                f"clusters for {len(codes)} points. Ask for fewer clusters or give more points."
            )
        return codes.to(device=self.manifold.device, dtype=self.manifold.dtype)

    def _run(
        self, space: "_Space", rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], float, int]:
        squared = self._seed(space, rng).square()
        inertia, n_iter, settled = np.inf, 0, False
        while n_iter < self.max_iter and not settled:
            n_iter += 1
            nearest = squared.min(0)
            before, inertia = inertia, float(nearest.values.sum())
            labels = _refill_empty(nearest.indices, nearest.values, len(squared))
            settled = inertia >= before * (1 - self.tol)
            if not settled:
                space.update(labels, len(squared))
                squared = space.dist_to_centers().square()
        nearest = squared.min(0)
        return _to_array(nearest.indices), float(nearest.values.sum()), n_iter

    def _seed(self, space: "_Space", rng: np.random.Generator) -> Tensor:
        chosen = [int(rng.integers(space.n_points))]
        distances = [space.dist_to_point(chosen[0])]
        while len(chosen) < self.n_clusters:
            weights = _to_array(torch.stack(distances).amin(0).square())
            weights[chosen] = 0
            # Where all points coincide with a centre, any other will do.
            weights = weights if weights.sum() > 0 else np.isin(range(len(weights)), chosen) < 1
            chosen.append(int(rng.choice(len(weights), p=weights / weights.sum())))
            distances.append(space.dist_to_point(chosen[-1]))
        space.seed(chosen)
        return torch.stack(distances)


class _Space(ABC):
    """Distances and means on one set of points; centres are its state."""

    n_points: int

    @abstractmethod
    def __init__(self, manifold: Manifold, Z: Codes) -> None: ...

    @abstractmethod
    def seed(self, chosen: list[int]) -> None:
        """Put the centres on points."""

    @abstractmethod
    def update(self, labels: Tensor, n_clusters: int) -> None:
        """Move each centre to the mean of its points."""

    @abstractmethod
    def centers(self) -> Tensor:
        """Return the centres, `(k, d)`."""

    @abstractmethod
    def dist_to_point(self, index: int) -> Tensor:
        """Measure from all points to one of them, `(n,)`."""

    @abstractmethod
    def dist_to_centers(self) -> Tensor:
        """Measure from the centres to all points, `(k, n)`."""

    @abstractmethod
    def dist(self, centers: Tensor, Z: Tensor) -> Tensor:
        """Measure from given centres to new points, `(k, n)`."""


class _GraphSpace(_Space):
    def __init__(self, manifold: Manifold, Z: Codes) -> None:
        nodes = Z if manifold.data is None else torch.cat([Z, manifold.data.to(Z)])
        self.graph = LatentGraph.build(manifold.metric, nodes)
        self.n_points = len(Z)
        self.to_nodes = self.graph.dist_to_nodes(Z)
        if not bool(self.to_nodes[:, : self.n_points].isfinite().all()):
            raise InvalidDataError(
                "The graph over the points falls into parts that no edge joins: use "
                "`method='newton'`, or give the manifold `data` between them."
            )
        # Where the decoder is not finite, or the data fall into parts, no mean can lie.
        self.reached = self.to_nodes.isfinite().all(0).nonzero().squeeze(-1)
        self.to_nodes = self.to_nodes[:, self.reached]
        self.squared = self.to_nodes.square()
        self.chosen = torch.zeros(0, dtype=torch.long)

    def seed(self, chosen: list[int]) -> None:
        self.chosen = torch.tensor(chosen, device=self.to_nodes.device)

    def update(self, labels: Tensor, n_clusters: int) -> None:
        member = torch.nn.functional.one_hot(labels, n_clusters).T.to(self.squared)
        self.chosen = (member @ self.squared).argmin(-1)

    def centers(self) -> Tensor:
        return self.graph.nodes[self.reached[self.chosen]]

    def dist_to_point(self, index: int) -> Tensor:
        return self.to_nodes[:, index]

    def dist_to_centers(self) -> Tensor:
        return self.to_nodes[:, self.chosen].T

    def dist(self, centers: Tensor, Z: Tensor) -> Tensor:
        # Measured as in `fit`, so that a point keeps its label: the centres are nodes of the graph.
        gap = (centers.unsqueeze(1) - self.graph.nodes).square().sum(-1)
        distances: Tensor = self.graph.dist_to_nodes(Z)[:, gap.argmin(-1)].T
        return distances


class _NewtonSpace(_Space):
    def __init__(self, manifold: Manifold, Z: Codes) -> None:
        self.manifold, self.Z, self.n_points = manifold, Z, len(Z)
        self.current = Z[:0]

    def seed(self, chosen: list[int]) -> None:
        self.current = self.Z[chosen]

    def update(self, labels: Tensor, n_clusters: int) -> None:
        mean = FrechetMean(self.manifold, max_iter=20, tol=1e-2)
        self.current = torch.stack(
            [
                mean.fit(self.Z[labels == k], start=self.current[k]).estimate_
                for k in range(n_clusters)
            ]
        )

    def centers(self) -> Tensor:
        return self.current

    def dist_to_point(self, index: int) -> Tensor:
        return self.manifold.dist(self.Z, self.Z[index]).to(self.Z)

    def dist_to_centers(self) -> Tensor:
        return self.dist(self.current, self.Z)

    def dist(self, centers: Tensor, Z: Tensor) -> Tensor:
        return self.manifold.dist(centers.unsqueeze(1), Z).to(Z)


_SPACES: dict[str, type[_Space]] = {"graph": _GraphSpace, "newton": _NewtonSpace}


def _refill_empty(labels: Tensor, squared: Tensor, n_clusters: int) -> Tensor:
    """Give each empty cluster the point that is furthest from its centre."""
    labels, squared = labels.clone(), squared.clone()
    for cluster in range(n_clusters):
        if not bool((labels == cluster).any()):
            alone = torch.bincount(labels, minlength=n_clusters)[labels] < 2
            furthest = squared.masked_fill(alone, -1).argmax()
            labels[furthest], squared[furthest] = cluster, -1
    return labels


def _to_array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.cpu().numpy()
    return array
