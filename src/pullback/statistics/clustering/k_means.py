"""K-means clustering by geodesic distance."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, numpy_generator, to_array
from pullback.statistics.clustering.lloyd import ClusterGraph, Lloyd, logs_to_centers
from pullback.statistics.clustering.medoids import nearest_medoid

__all__ = ["KMeans"]

_METHODS = ("auto", "graph", "log", "newton")
# The most data, drawn at random, among which starts are sought on a graph: it holds all their
# distances.
_SEEDED = 1000


class KMeans(TransformerMixin, ClusterMixin, LatentEstimator):
    r"""K-means in a curved space: assign by geodesic distance, update by Frechet mean.

    Lowers sum_i w_i min_k d(z_i, c_k)^2 by turns, from centres that k-means++ draws among the data.
    A cluster that loses all its points takes the one that is furthest from its centre.

    Args:
        manifold: the latent space.
        n_clusters: the number of clusters k.
        method: `"graph"` measures on a graph over the data (and a grid, for d <= 3), where a mean
            is the best of the graph's nodes: one shortest-path sweep for each point, after which
            all starts are nearly free; distances are a few per cent too long. `"log"` goes on from
            there: short geodesics until the clusters settle, then exact ones for the means, the
            inertia and every point whose label is in doubt. `"newton"` takes exact geodesics in
            every turn. `"auto"` is `"log"` where the metric is a table (`Manifold.tabulated`), on
            which geodesics are cheap, or the graph falls into parts, else `"graph"`.
        n_init: starts on the graph; the best is kept.
        max_iter: most turns for each start.
        tol: stop when a turn lowers the inertia by less than this share.
        random_state: seed of the starts: an integer, a NumPy `Generator` or `RandomState`, or None.

    Attributes:
        cluster_centers_: the centres, a tensor of shape `(k, d)`.
        labels_: cluster of each point, an array of shape `(n,)`: -1 for a point that no centre
            reaches, which counts nowhere.
        inertia_: the sum of squared geodesic distances to the nearest centre, weighted.
        n_iter_: turns that the best start took, or those of geodesics.
        n_failed_: geodesics to the nearest centre that did not converge, and points without one.
        method_: what `"auto"` has chosen.
        points_: on a graph, the data that it lies over, `(n, d)`; else None.
        n_features_in_: the latent dimension d.

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

    cluster_centers_: Tensor
    labels_: NDArray[np.int64]
    inertia_: float
    n_iter_: int
    n_failed_: int
    method_: str
    points_: Tensor | None

    def __init__(
        self,
        manifold: Manifold,
        n_clusters: int = 8,
        *,
        method: str = "auto",
        n_init: int = 10,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.manifold = manifold
        self.n_clusters = n_clusters
        self.method = method
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "KMeans":
        """Find the clusters.

        Args:
            X: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points or weights, fewer points than clusters, or, for `"graph"`,
                a graph that falls into parts.
            ConvergenceError: no centre reaches any point.
        """
        del y
        self._check_settings()
        X = self._points(X, reset=True)
        weights = self._weights(sample_weight, X)
        check_enough(X, self.n_clusters)
        rng = numpy_generator(self.random_state)
        graph = self._graph_or_none(X)
        self.points_ = None if graph is None else X
        if graph is None:
            self.method_ = "newton" if self.method == "newton" else "log"
            centers, self.n_iter_ = self._turn(X, weights, rng)
        else:
            self.method_, self._graph = "graph", graph
            centers, self.n_iter_ = self._choose(graph, weights, rng)
        self.cluster_centers_ = centers
        self._describe(X, weights)
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Assign points to the clusters.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            Cluster labels, shape `(n,)`: -1 for a point that no centre reaches.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        distances, _ = self._measure(self._points(X, reset=False), sure=False)
        labels, _ = nearest_medoid(distances)
        _warn_of_unreached(int((labels < 0).sum()), stacklevel=3)
        return to_array(labels)

    def transform(self, X: Any) -> NDArray[Any]:
        """Measure from points to all centres.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            Geodesic distances, shape `(n, k)`: inf where a centre cannot be reached.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        return to_array(self._measure(self._points(X, reset=False), sure=True)[0])

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """Return minus the inertia of points: higher is better.

        Args:
            X: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The score; -inf if a point of positive weight cannot be reached.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        del y
        check_is_fitted(self)
        points = self._points(X, reset=False)
        weights = self._weights(sample_weight, points)
        lengths = self._measure(points, sure=False)[0].amin(-1)
        return -float((weights * lengths.square())[weights > 0].sum())

    def _check_settings(self) -> None:
        check_choice("method", self.method, _METHODS)
        check_integer("n_clusters", self.n_clusters)
        check_integer("n_init", self.n_init)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, low=0)

    def _choose(
        self, graph: ClusterGraph, weights: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, int]:
        options = {"n_init": self.n_init, "max_iter": self.max_iter}
        return graph.choose(weights, self.n_clusters, rng=rng, **options)

    def _turn(self, Z: Codes, weights: Tensor, rng: np.random.Generator) -> tuple[Tensor, int]:
        some = np.arange(len(Z))
        if len(Z) > max(_SEEDED, self.n_clusters):
            some = rng.choice(len(Z), max(_SEEDED, self.n_clusters), replace=False)
        rows = torch.as_tensor(some, device=Z.device)
        centers, _ = self._choose(ClusterGraph(self.manifold, Z[rows]), weights[rows], rng)
        exact = self.method_ == "newton"
        lloyd = Lloyd(self.manifold, Z, weights, exact=exact, max_iter=self.max_iter, tol=self.tol)
        return lloyd.run(centers)

    def _graph_or_none(self, Z: Codes) -> ClusterGraph | None:
        """Return the graph to measure on, or None to measure by geodesics."""
        cheap = self.manifold.metric.is_cheap
        if self.method in ("log", "newton") or (self.method == "auto" and cheap):
            return None
        graph = ClusterGraph(self.manifold, Z)
        if graph.joins_all():
            return graph
        if self.method == "auto":
            return None
        raise InvalidDataError(
            "The graph over the points falls into parts that no edge joins: use `method='log'`, or "
            "give the manifold `data` between them."
        )

    def _measure(self, Z: Codes, *, sure: bool) -> tuple[Tensor, Tensor]:
        """Return the distances to the centres and which converged, both `(n, k)`."""
        if self.method_ != "graph":
            sure = sure or self.method_ == "newton"
            logs = logs_to_centers(self.manifold, Z, self.cluster_centers_, sure=sure)
            return logs.lengths.T, logs.converged.T
        if not hasattr(self, "_graph"):  # read from a file
            assert self.points_ is not None
            self._graph = ClusterGraph(self.manifold, self.points_)
        distances = self._graph.dist(Z, self.cluster_centers_)
        return distances, distances.isfinite()

    def _describe(self, Z: Codes, weights: Tensor) -> None:
        distances, converged = self._measure(Z, sure=False)
        labels, lengths = nearest_medoid(distances)
        reached = labels >= 0
        if not bool(reached.any()):
            raise ConvergenceError(
                f"No geodesic from the {self.n_clusters} centres to the {len(Z)} points was found: "
                "the decoder is not finite between them. `Manifold.geodesic` says why."
            )
        self.labels_ = to_array(labels)
        self.inertia_ = float((weights * lengths.square())[reached].sum())
        found = converged.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        self.n_failed_ = int((~(found & reached)).sum())
        _warn_of_unreached(int((~reached).sum()), stacklevel=4)
        n_loose = self.n_failed_ - int((~reached).sum())
        if n_loose:
            warnings.warn(
                f"{n_loose} of {len(Z)} geodesics to the nearest centre did not converge: their "
                "lengths are upper bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )


def check_enough(Z: Codes, n_clusters: int) -> None:
    """Refuse more clusters than points.

    Raises:
        InvalidDataError: there are.

    Example:
        >>> check_enough(torch.zeros(3, 2), 3)
    """
    if len(Z) < n_clusters:
        raise InvalidDataError(
            f"`n_clusters` must be at most the number of points, but got {n_clusters} "
            f"clusters for {len(Z)} points. Ask for fewer clusters or give more points."
        )


def _warn_of_unreached(n: int, *, stacklevel: int) -> None:
    if n:
        warnings.warn(
            f"{n} points are reached from no centre: their label is -1.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
