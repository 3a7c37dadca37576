"""What k-means and k-medoids share: their door, and what they say by the nearest centre."""

import warnings
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import ConvergenceWarning, InvalidDataError, check_integer
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, to_array
from pullback.statistics.clustering.medoids import nearest_medoid

__all__ = ["ClusterEstimator"]


class ClusterEstimator(TransformerMixin, ClusterMixin, LatentEstimator):
    r"""An estimator of k centres, each the centre of the points that it is nearest to.

    It lowers sum_i w_i min_k d(z_i, c_k)^p, with p = 2 for means and p = 1 for medoids. A derived
    class takes `n_clusters`, `n_init`, `max_iter` and `random_state` among its settings, finds the
    centres in `fit`, and measures to them in `_distances`.

    Attributes:
        cluster_centers_: the centres, a tensor of shape `(k, d)`.
        labels_: cluster of each point, an array of shape `(n,)`: -1 for a point that no centre
            reaches, which counts nowhere.
        inertia_: the sum that was lowered, over the points that are reached.
        n_iter_: steps that the best start took.
        n_failed_: what could not be measured.
        n_features_in_: the latent dimension d.

    Example:
        >>> from pullback.statistics import KMeans, KMedoids
        >>> issubclass(KMeans, ClusterEstimator) and issubclass(KMedoids, ClusterEstimator)
        True
    """

    n_clusters: int
    n_init: int
    max_iter: int
    random_state: Any
    cluster_centers_: Tensor
    labels_: NDArray[np.int64]
    inertia_: float
    n_iter_: int
    n_failed_: int
    _power: ClassVar[int]

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Assign points to the nearest centres.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            Cluster labels, shape `(n,)`: -1 for a point that no centre reaches.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        labels, _ = nearest_medoid(self._distances(self._points(X, reset=False), sure=False))
        _warn_of_unreached(labels, stacklevel=3)
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
        return to_array(self._distances(self._points(X, reset=False), sure=True))

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
        lengths = self._distances(points, sure=False).amin(-1)
        return -self._inertia(lengths, weights, weights > 0)

    @abstractmethod
    def _distances(self, Z: Codes, *, sure: bool) -> Tensor:
        """Measure from points to the centres, `(n, k)`.

        With `sure` each is to be exact, else only those to the nearest centres.
        """

    def _opened(self, X: Any, sample_weight: Any) -> tuple[Codes, Tensor]:
        """Return the points and weights to fit; raise if they or the settings are bad."""
        check_integer("n_clusters", self.n_clusters)
        check_integer("n_init", self.n_init)
        check_integer("max_iter", self.max_iter)
        points = self._points(X, reset=True)
        weights = self._weights(sample_weight, points)
        if len(points) < self.n_clusters:
            raise InvalidDataError(
                f"`n_clusters` must be at most the number of points, but got {self.n_clusters} "
                f"clusters for {len(points)} points. Ask for fewer clusters or give more points."
            )
        return points, weights

    def _label(self, distances: Tensor, weights: Tensor) -> Tensor:
        """Set the labels and the inertia of the data by their distances to the centres `(n, k)`."""
        labels, lengths = nearest_medoid(distances)
        self.labels_ = to_array(labels)
        self.inertia_ = self._inertia(lengths, weights, labels >= 0)
        _warn_of_unreached(labels, stacklevel=4)
        return labels

    def _inertia(self, lengths: Tensor, weights: Tensor, counted: Tensor) -> float:
        return float((weights * lengths**self._power)[counted].sum())


def _warn_of_unreached(labels: Tensor, *, stacklevel: int) -> None:
    unreached = int((labels < 0).sum())
    if unreached:
        warnings.warn(
            f"{unreached} of {len(labels)} points are reached from no centre: their label is -1. "
            "Ask for more clusters, or give the manifold `data` between the points.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
