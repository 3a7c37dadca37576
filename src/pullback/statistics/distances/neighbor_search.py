"""Estimators that search the nearest of their training points by geodesic distance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import InvalidParameterError, check_choice, check_integer
from pullback.geodesics import warn_of_failures
from pullback.statistics.base import LatentEstimator, to_array
from pullback.statistics.distances.nearest import Nearest, find_nearest

__all__ = ["NeighborSearch"]


class NeighborSearch(LatentEstimator):
    """The search for neighbours among training points: the base of what they are good for.

    Args:
        manifold: the latent space.
        n_neighbors: k.
        method: how distances are measured, see `geodesics.Ruler`.

    Attributes:
        Z_: the training points, shape `(n, d)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> from pullback.statistics import KNeighborsRegressor
        >>> search = KNeighborsRegressor(Manifold(lambda z: 2 * z, dim=1), n_neighbors=1)
        >>> search.fit([[0.0], [1.0]], [5.0, 6.0]).kneighbors([[0.75]])
        (array([[0.5]]), array([[1]]))
    """

    n_neighbors: int
    method: str
    Z_: Tensor

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest training points.

        Args:
            X: points, shape `(m, d)`; None for the training points, none its own neighbour.
            n_neighbors: k; that of the estimator if None.
            return_distance: whether distances are wanted too.

        Returns:
            Distances `(m, k)` in increasing order and indices `(m, k)`, or indices only.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points, or a point that reaches fewer than k others.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        found = self._nearest(None if X is None else self._points(X, reset=False), k)
        index = to_array(found.indices)
        return (to_array(found.length), index) if return_distance else index

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> csr_matrix:
        """Find the nearest training points as a sparse matrix.

        Args:
            X: points, shape `(m, d)`; None for the training points, none its own neighbour.
            n_neighbors: k; that of the estimator if None.
            mode: `"connectivity"` for ones, `"distance"` for geodesic distances.

        Returns:
            A matrix `(m, n)` with k entries in each row, nearest first.
        """
        check_choice("mode", mode, ("connectivity", "distance"))
        distances, index = self.kneighbors(X, n_neighbors)
        values = distances if mode == "distance" else np.ones_like(distances)
        return _sparse(values, index, len(self.Z_))

    def _keep(self, Z: Any, *, spare: int = 0) -> None:
        check_integer("n_neighbors", self.n_neighbors)
        self.Z_ = self._points(Z, reset=True)
        self._check_count(self.n_neighbors, spare)
        self._ruler = self.manifold.ruler(self.Z_, self.method)

    def _check_count(self, n_neighbors: int, spare: int) -> None:
        check_integer("n_neighbors", n_neighbors)
        n = len(self.Z_)
        if n_neighbors > n - spare:
            allowed = f"at most {n - spare} neighbours (n_samples = {n})"
            cure = "Ask for fewer neighbours or give more points."
            raise InvalidParameterError("n_neighbors", allowed, n_neighbors, cure)

    def _nearest(self, points: Tensor | None, k: int) -> Nearest:
        own = points is None
        self._check_count(k, int(own))
        if not hasattr(self, "_ruler"):  # read from a file
            self._ruler = self.manifold.ruler(self.Z_, self.method)
        found = find_nearest(self._ruler, self.Z_ if points is None else points, k, own=own)
        warn_of_failures(found.n_failed, found.n_solved, stacklevel=5)
        return found


def _sparse(values: NDArray[Any], index: NDArray[Any], n: int) -> csr_matrix:
    m, k = index.shape
    return csr_matrix((values.ravel(), index.ravel(), np.arange(0, m * k + 1, k)), shape=(m, n))
