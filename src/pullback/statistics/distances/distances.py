"""The bridge to scikit-learn: geodesic distances and affinities as what its estimators take."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import InvalidDataError, InvalidParameterError, check_number
from pullback.geodesics import Lengths, Ruler, warn_of_failures
from pullback.manifolds import Manifold
from pullback.statistics.base import LatentEstimator, to_array

__all__ = ["GeodesicAffinity", "GeodesicDistances"]


class GeodesicDistances(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentEstimator):
    r"""Transforms points into their geodesic distances from the training points.

    Before an estimator of scikit-learn with `metric="precomputed"` it makes a geodesic one of it,
    as `make_pipeline(GeodesicDistances(M), DBSCAN(metric="precomputed"))`; likewise `HDBSCAN`,
    `OPTICS`, `AgglomerativeClustering(linkage="average")`, `TSNE(init="random")` and any other.

    Those estimators refuse NaN, and all but `HDBSCAN` infinity. So a pair with no path between
    them, or whose geodesic was not found, is an error unless `unreachable` says how far apart to
    put it. Memory is that of the `(n, n)` matrix: for many points take `KNeighborsTransformer`.

    Args:
        manifold: the latent space.
        method: `"auto"`, `"graph"`, `"table"` or `"newton"`, see `geodesics.Ruler`.
        unreachable: `"raise"`, or the distance to give to a pair that has no finite one, such as
            `10.0` or `numpy.inf`; it is warned of.

    Attributes:
        Z_: the training points, shape `(n, d)`.
        n_failed_: pairs of training points that failed, set by `fit_transform`.

    Source:
        Tenenbaum, de Silva, Langford, A global geometric framework for nonlinear dimensionality
        reduction (2000), give geodesic distances to a method that knows distances only.

    Example:
        >>> from sklearn.cluster import DBSCAN
        >>> from sklearn.pipeline import make_pipeline
        >>> M = Manifold(lambda z: torch.cat([z, 3 * z**2], -1), dim=1)
        >>> clusters = DBSCAN(eps=1.0, min_samples=2, metric="precomputed")
        >>> make_pipeline(GeodesicDistances(M), clusters).fit_predict([[0.0], [0.2], [1.0], [1.1]])
        array([0, 0, 1, 1])
    """

    Z_: Tensor
    n_failed_: int

    def __init__(
        self, manifold: Manifold, *, method: str = "auto", unreachable: str | float = "raise"
    ) -> None:
        self.manifold = manifold
        self.method = method
        self.unreachable = unreachable

    def fit(self, X: Any, y: Any = None) -> "GeodesicDistances":
        """Keep the points to measure from; nothing is measured yet.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The transformer itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points.
        """
        del y
        self._begin(X)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Measure from points to the training points.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            Distances, shape `(m, n)`.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points, or a pair with no finite distance.
        """
        check_is_fitted(self)
        points = self._points(X, reset=False)
        lengths = self._ruler_of_fit().to(points)
        return to_array(self._settled(lengths, lengths.length.numel()))

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Measure between the training points, each pair once.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            Distances, shape `(n, n)`, symmetric with a zero diagonal.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points, or a pair with no finite distance.
        """
        del y
        self._begin(X)
        return to_array(self._measured_by_fit())

    def _begin(self, Z: Any) -> None:
        if self.unreachable != "raise":
            _check_distance(self.unreachable)
        self.Z_ = self._points(Z, reset=True)
        self._ruler = self.manifold.ruler(self.Z_, self.method)

    def _measured_by_fit(self) -> Tensor:
        lengths = self._ruler.among()
        self.n_failed_ = lengths.n_failed
        n = len(self.Z_)
        return self._settled(lengths, n * (n - 1) // 2)

    def _ruler_of_fit(self) -> Ruler:
        if not hasattr(self, "_ruler"):  # read from a file
            self._ruler = self.manifold.ruler(self.Z_, self.method)
        return self._ruler

    def _settled(self, lengths: Lengths, n_pairs: int) -> Tensor:
        """Raise for pairs with no finite distance, or put them where they were said to be."""
        lost = ~lengths.length.isfinite()
        if self.unreachable == "raise" and bool(lost.any()):
            i, j = lost.nonzero()[0].tolist()
            n_lost = int((lost & ~lengths.converged).sum())
            raise InvalidDataError(
                f"{n_lost} of {n_pairs} pairs have no finite distance (the first: points {i} "
                f"and {j}): the decoder is not finite between them, or the graph falls into parts. "
                "Remove such points, give the manifold `data` between them, try another `method`, "
                "or say by `unreachable` how far apart to put them."
            )
        warn_of_failures(lengths.n_failed, n_pairs)
        distance = torch.inf if self.unreachable == "raise" else float(self.unreachable)
        return torch.where(lost, distance, lengths.length)

    @property
    def _n_features_out(self) -> int:
        return len(self.Z_)


class GeodesicAffinity(GeodesicDistances):
    r"""Transforms points into affinities exp(-d^2 / (2 s^2)) to the training points.

    For estimators that take a precomputed affinity or kernel: `SpectralClustering(affinity=
    "precomputed")`, `AffinityPropagation(affinity="precomputed")`, `SVC(kernel="precomputed")`,
    kernel ridge regression. In a curved space it need not be positive definite at every scale,
    which an `SVC` bears and a Cholesky factorisation does not.

    Args:
        manifold: the latent space.
        scale: s > 0, a distance; None for the median distance between the training points, for
            which all of them are measured.
        method: `"auto"`, `"graph"`, `"table"` or `"newton"`, see `geodesics.Ruler`.
        unreachable: `"raise"`, or the distance to give to a pair that has no finite one:
            `numpy.inf` is an affinity of 0.

    Attributes:
        Z_: the training points, shape `(n, d)`.
        scale_: s.
        n_failed_: pairs of training points that failed, if they were measured.

    Source:
        Feragen, Lauze, Hauberg, Geodesic exponential kernels: when curvature and linearity conflict
        (2015).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> GeodesicAffinity(M, scale=1.0).fit_transform([[0.0], [0.5]]).round(3)  # exp(-1/2)
        array([[1.   , 0.607],
               [0.607, 1.   ]])
    """

    scale_: float

    def __init__(
        self,
        manifold: Manifold,
        *,
        scale: float | None = None,
        method: str = "auto",
        unreachable: str | float = "raise",
    ) -> None:
        super().__init__(manifold, method=method, unreachable=unreachable)
        self.scale = scale

    def fit(self, X: Any, y: Any = None) -> "GeodesicAffinity":
        """Keep the points to measure from, and find the scale, see `GeodesicDistances.fit`."""
        del y
        self._begin(X)
        if self.scale is None:
            self.scale_ = _median(self._measured_by_fit())
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Compute affinities `(m, n)` to the training points, see `GeodesicDistances.transform`."""
        return self._affinity(super().transform(X))

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Compute affinities `(n, n)`, see `GeodesicDistances.fit_transform`."""
        del y
        self._begin(X)
        distances = self._measured_by_fit()
        if self.scale is None:
            self.scale_ = _median(distances)
        return self._affinity(to_array(distances))

    def _begin(self, Z: Any) -> None:
        if self.scale is not None:
            self.scale_ = check_number("scale", self.scale, 0, open_low=True)
        super()._begin(Z)

    def _affinity(self, distances: NDArray[Any]) -> NDArray[Any]:
        affinity: NDArray[Any] = np.exp(-np.square(distances / self.scale_) / 2)
        return affinity


def _check_distance(value: Any) -> None:
    if value != math.inf:
        try:
            check_number("unreachable", value, 0, open_low=True)
        except InvalidParameterError as error:
            allowed = "'raise' or a distance > 0, which may be infinite"
            raise InvalidParameterError("unreachable", allowed, repr(value)) from error


def _median(distances: Tensor) -> float:
    """Return the median between different points; 1 where all of them coincide."""
    n = len(distances)
    i, j = torch.triu_indices(n, n, offset=1, device=distances.device)
    apart = distances[i, j]
    apart = apart[(apart > 0) & apart.isfinite()]
    return float(apart.median()) if len(apart) else 1.0
