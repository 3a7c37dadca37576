"""K-means clustering by geodesic distance."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    check_choice,
    check_number,
)
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import numpy_generator
from pullback.statistics.clustering.cluster_estimator import ClusterEstimator
from pullback.statistics.clustering.lloyd import ClusterGraph, Lloyd, logs_to_centers

__all__ = ["KMeans"]

_METHODS = ("auto", "graph", "log", "newton")
# The most data, drawn at random, among which starts are sought on a graph: it holds all their
# distances.
_SEEDED = 1000


class KMeans(ClusterEstimator):
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

    method_: str
    points_: Tensor | None
    _power = 2

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
        check_choice("method", self.method, _METHODS)
        check_number("tol", self.tol, low=0)
        X, weights = self._opened(X, sample_weight)
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

    def _distances(self, Z: Codes, *, sure: bool) -> Tensor:
        """Measure to the centres, see `ClusterEstimator._distances`."""
        return self._measure(Z, sure=sure)[0]

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
        if not bool(distances.amin(-1).isfinite().any()):
            raise ConvergenceError(
                f"No geodesic from the {self.n_clusters} centres to the {len(Z)} points was found: "
                "the decoder is not finite between them. `Manifold.geodesic` says why."
            )
        labels = self._label(distances, weights)
        found = converged.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        self.n_failed_ = int((~found | (labels < 0)).sum())
        n_loose = int((~found & (labels >= 0)).sum())
        if n_loose:
            warnings.warn(
                f"{n_loose} of {len(Z)} geodesics to the nearest centre did not converge: their "
                "lengths are upper bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )
