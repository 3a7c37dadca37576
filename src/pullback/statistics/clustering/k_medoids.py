"""K-medoids clustering by geodesic distance: centres are points of the data."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import ConvergenceError, check_choice
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import numpy_generator, to_array
from pullback.statistics.clustering.cluster_estimator import ClusterEstimator
from pullback.statistics.clustering.medoids import choose_medoids, with_penalty

__all__ = ["KMedoids"]

_METHODS = ("alternate", "pam")
_DISTANCES = ("auto", "graph", "newton", "table")


class KMedoids(ClusterEstimator):
    r"""K-medoids: choose k of the data so that the sum of distances to the nearest is small.

    Needs all distances between the data once, and no means: it holds where means are not unique,
    and is less moved by outliers than k-means.

    Args:
        manifold: the latent space.
        n_clusters: the number of clusters k.
        method: `"pam"` takes the best swap of a medoid for another point until none helps;
            `"alternate"` assigns the points and chooses the medoid of each cluster by turns, which
            is faster and ends in worse minima.
        distances: how they are measured: `"auto"`, `"graph"`, `"newton"` or `"table"`, see
            `Manifold.pairwise`.
        n_init: starts, drawn as by k-means++; the best end is kept.
        max_iter: most swaps or turns for each start.
        random_state: seed of the starts: an integer, a NumPy `Generator` or `RandomState`, or None.

    Attributes:
        medoid_indices_: which of the data are the medoids, an array of shape `(k,)`.
        cluster_centers_: the medoids, a tensor of shape `(k, d)`.
        labels_: cluster of each point, an array of shape `(n,)`: -1 for a point that no medoid
            reaches, which happens where the data fall into more than k parts.
        inertia_: the sum of geodesic distances to the nearest medoid, weighted, over the points
            that are reached.
        n_iter_: swaps or turns that the best start took.
        n_failed_: pairs of the data without a finite distance.
        n_features_in_: the latent dimension d.

    Source:
        Kaufman and Rousseeuw, Finding Groups in Data (1990), chapter 2; Schubert and Rousseeuw,
        Fast and eager k-medoids clustering: O(k) runtime improvement of the PAM, CLARA, and CLARANS
        algorithms (2021).

    Example:
        >>> M = Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
        >>> medoids = KMedoids(M, 2, random_state=0).fit([[-1.2], [-1.0], [-0.9], [1.0], [1.2]])
        >>> medoids.cluster_centers_.flatten().tolist(), round(medoids.inertia_, 2)
        ([1.0, -1.0], 1.18)
    """

    medoid_indices_: NDArray[np.int64]
    _power = 1

    def __init__(
        self,
        manifold: Manifold,
        n_clusters: int = 8,
        *,
        method: str = "pam",
        distances: str = "auto",
        n_init: int = 3,
        max_iter: int = 300,
        random_state: Any = None,
    ) -> None:
        self.manifold = manifold
        self.n_clusters = n_clusters
        self.method = method
        self.distances = distances
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "KMedoids":
        """Find the medoids.

        Args:
            X: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points or weights, or fewer points than clusters.
            ConvergenceError: no two points have a finite distance.
        """
        del y
        check_choice("method", self.method, _METHODS)
        check_choice("distances", self.distances, _DISTANCES)
        X, weights = self._opened(X, sample_weight)
        distances = self._all_distances(X)
        found = choose_medoids(
            with_penalty(distances),
            weights,
            self.n_clusters,
            rng=numpy_generator(self.random_state),
            n_init=self.n_init,
            max_iter=self.max_iter,
            swaps=self.method == "pam",
        )
        self.medoid_indices_, self.n_iter_ = to_array(found.chosen), found.n_iter
        self.cluster_centers_ = X[found.chosen]
        self._label(distances[:, found.chosen], weights)
        return self

    def _all_distances(self, Z: Codes) -> Tensor:
        distances = _or_infinite(
            self.manifold.pairwise_dist(Z, method=self.distances, progress=False)
        )
        n_pairs = len(Z) * (len(Z) - 1) // 2
        self.n_failed_ = int((~distances.isfinite()).sum()) // 2
        # A point where the metric is not finite is not even reached from itself.
        finite = self.manifold.metric_matrix(Z).isfinite().all(-1).all(-1)
        distances.diagonal().masked_fill_(~finite, torch.inf)
        if 0 < n_pairs == self.n_failed_:
            raise ConvergenceError(
                f"None of the {self.n_failed_} geodesics between the {len(Z)} points was found: "
                "the decoder is not finite between them. `Manifold.geodesic` says why."
            )
        return distances

    def _distances(self, Z: Codes, *, sure: bool) -> Tensor:
        """Measure to all medoids by one method, see `ClusterEstimator._distances`."""
        del sure
        return _or_infinite(
            self.manifold.pairwise_dist(
                Z, self.cluster_centers_, method=self.distances, progress=False
            )
        )


def _or_infinite(distances: Tensor) -> Tensor:
    return torch.where(distances.isfinite(), distances, torch.inf)
