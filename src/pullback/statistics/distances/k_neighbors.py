"""Nearest neighbours by geodesic distance: classes, values, and the sparse graph of neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, eye_array
from sklearn import neighbors
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import check_choice
from pullback.manifolds import Manifold
from pullback.statistics.base import to_array
from pullback.statistics.distances.neighbor_search import NeighborSearch

__all__ = ["KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer"]


class _Voting(NeighborSearch):
    """Neighbours with a vote, which scikit-learn counts."""

    weights: Any
    y_: NDArray[Any]

    def __init__(
        self,
        manifold: Manifold,
        n_neighbors: int = 5,
        *,
        weights: Any = "uniform",
        method: str = "auto",
    ) -> None:
        self.manifold = manifold
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.method = method

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _make_voter(self) -> Any:
        """Return the estimator of scikit-learn that counts."""
        raise NotImplementedError

    def _fit(self, Z: Any, y: Any) -> None:
        self._keep(Z)
        self.y_ = to_array(y) if isinstance(y, Tensor) else y
        self._vote()
        self.y_ = np.asarray(self.y_)

    def _vote(self) -> Any:
        voter = self._make_voter()
        # Of the distances between the training points only their number counts.
        self._voter = voter.fit(eye_array(len(self.Z_), format="csr"), self.y_)
        return self._voter

    def _ballot(self, Z: Any) -> tuple[Any, csr_matrix]:
        """Return who counts, and the distances to the neighbours."""
        graph = self.kneighbors_graph(Z, mode="distance")
        return getattr(self, "_voter", None) or self._vote(), graph

    def predict(self, X: Any) -> NDArray[Any]:
        """Let the neighbours vote.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            What was voted for, shape `(m,)`, or `(m, n_outputs)` if y has columns.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points, or a point that reaches fewer than k others.
        """
        check_is_fitted(self)
        voter, graph = self._ballot(X)
        predicted: NDArray[Any] = voter.predict(graph)
        return predicted


class KNeighborsClassifier(ClassifierMixin, _Voting):
    r"""Gives a point the class of most of its k nearest neighbours in geodesic distance.

    The neighbours are found with few geodesics, see `nearest.find_nearest`: with a decoder, a few
    times k for each point. scikit-learn counts the votes.

    Args:
        manifold: the latent space.
        n_neighbors: k.
        weights: `"uniform"`, `"distance"` for a vote of 1 / d, or a callable from distances to
            weights.
        method: how distances are measured, see `geodesics.Ruler`: `"newton"` and `"table"` give the
            nearest by geodesics; `"graph"` by shortest paths on a graph, with no geodesic at all;
            `"auto"` takes the table where it can.

    Attributes:
        Z_: the training points, shape `(n, d)`.
        y_: their classes, shape `(n,)` or `(n, n_outputs)`.
        classes_: the different classes.

    Source:
        Cover and Hart, Nearest neighbor pattern classification (1967).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> vote = KNeighborsClassifier(M, n_neighbors=1).fit([[0.0], [1.0]], ["low", "high"])
        >>> vote.predict([[0.2], [0.9]]).tolist()
        ['low', 'high']
    """

    classes_: Any

    def fit(self, X: Any, y: Any) -> "KNeighborsClassifier":
        """Keep points and classes.

        Args:
            X: points, shape `(n, d)`.
            y: classes, shape `(n,)` or `(n, n_outputs)`.

        Returns:
            The classifier itself.

        Raises:
            InvalidParameterError: a setting is out of range, or there are fewer points than k.
            InvalidDataError: bad points.
        """
        self._fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Count the shares of the votes.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            Shares in the order of `classes_`, shape `(m, n_classes)`; a list of such if y has
            columns.
        """
        check_is_fitted(self)
        voter, graph = self._ballot(X)
        return voter.predict_proba(graph)

    def _make_voter(self) -> Any:
        return neighbors.KNeighborsClassifier(
            self.n_neighbors, weights=self.weights, metric="precomputed"
        )

    def _vote(self) -> Any:
        voter = super()._vote()
        self.classes_ = voter.classes_
        return voter

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class KNeighborsRegressor(RegressorMixin, _Voting):
    r"""Gives a point the mean value of its k nearest neighbours in geodesic distance.

    Args:
        manifold: the latent space.
        n_neighbors: k.
        weights: `"uniform"`, `"distance"` for weights 1 / d, or a callable from distances to
            weights.
        method: how distances are measured, see `KNeighborsClassifier`.

    Attributes:
        Z_: the training points, shape `(n, d)`.
        y_: their values, shape `(n,)` or `(n, n_outputs)`.

    Source:
        Altman, An introduction to kernel and nearest-neighbor nonparametric regression (1992).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> mean = KNeighborsRegressor(M, n_neighbors=2).fit([[0.0], [1.0], [5.0]], [1.0, 2.0, 9.0])
        >>> mean.predict([[0.2]]).tolist()
        [1.5]
    """

    def fit(self, X: Any, y: Any) -> "KNeighborsRegressor":
        """Keep points and values.

        Args:
            X: points, shape `(n, d)`.
            y: values, shape `(n,)` or `(n, n_outputs)`.

        Returns:
            The regressor itself.

        Raises:
            InvalidParameterError: a setting is out of range, or there are fewer points than k.
            InvalidDataError: bad points.
        """
        self._fit(X, y)
        return self

    def _make_voter(self) -> Any:
        return neighbors.KNeighborsRegressor(
            self.n_neighbors, weights=self.weights, metric="precomputed"
        )


class KNeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeighborSearch):
    r"""Transforms points into the sparse graph of their k nearest training points.

    The bridge to scikit-learn for many points: k + 1 distances each, where `GeodesicDistances`
    gives all n. The point itself is counted among the neighbours of a training point, as one more.
    It goes before `DBSCAN(metric="precomputed")`, `SpectralClustering(affinity=
    "precomputed_nearest_neighbors")`, `Isomap(metric="precomputed")`, `TSNE(metric="precomputed",
    init="random")` and UMAP.

    Args:
        manifold: the latent space.
        n_neighbors: k.
        mode: `"distance"` for geodesic distances, `"connectivity"` for ones.
        method: how distances are measured, see `KNeighborsClassifier`.

    Attributes:
        Z_: the training points, shape `(n, d)`.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> graph = KNeighborsTransformer(M, n_neighbors=1).fit_transform([[0.0], [1.0], [5.0]])
        >>> graph.toarray()
        array([[0., 2., 0.],
               [2., 0., 0.],
               [0., 8., 0.]])
    """

    def __init__(
        self,
        manifold: Manifold,
        n_neighbors: int = 5,
        *,
        mode: str = "distance",
        method: str = "auto",
    ) -> None:
        self.manifold = manifold
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.method = method

    def fit(self, X: Any, y: Any = None) -> "KNeighborsTransformer":
        """Keep the points.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The transformer itself.

        Raises:
            InvalidParameterError: a setting is out of range, or there are too few points.
            InvalidDataError: bad points.
        """
        del y
        check_choice("mode", self.mode, ("connectivity", "distance"))
        self._keep(X, spare=1)
        return self

    def transform(self, X: Any) -> csr_matrix:
        """Find the k + 1 nearest training points.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            A sparse matrix `(m, n)`, k + 1 entries in each row (k if the mode is
            `"connectivity"`), nearest first.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points, or a point that reaches fewer others.
        """
        check_is_fitted(self)
        k = self.n_neighbors + (self.mode == "distance")
        return self.kneighbors_graph(X, k, self.mode)

    @property
    def _n_features_out(self) -> int:
        return len(self.Z_)
