"""Maps of a curved space: points of a flat one whose distances are the geodesic ones, nearly."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.manifold import smacof
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.geodesics import warn_of_failures
from pullback.manifolds import Manifold
from pullback.statistics.base import LatentEstimator, to_array

__all__ = ["GeodesicEmbedding"]

_PLACED = 100  # steps that place a new point, at most
_STILL = 1e-10  # a share of the map's size that a step may have when they end


class GeodesicEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentEstimator):
    r"""Places points in a flat space so that their distances are the geodesic ones, nearly.

    `kind="classical"` is classical multidimensional scaling, what Isomap does with its distances:
    B = -1/2 C D^2 C with C the centring, and the k leading eigenvectors of B times the roots of
    their eigenvalues. A curved space has no exact map: B then has negative eigenvalues, and their
    share says how curved it is. `kind="stress"` moves those points on until the sum over pairs of
    (|y_i - y_j| - d_ij)^2 is least, by scikit-learn's SMACOF. New points are placed among the
    training points, which stay: classical by the same linear map of their squared distances, else
    by the same sum.

    Args:
        manifold: the latent space.
        n_components: the dimension k of the map.
        kind: `"classical"` or `"stress"`.
        method: how distances are measured, see `geodesics.Ruler`.
        max_iter: most steps of SMACOF.
        tol: stop SMACOF when a step lowers the stress by less than this share.

    Attributes:
        embedding_: the map of the training points, shape `(n, k)`.
        stress_: Kruskal's stress-1, sqrt(sum (|y_i - y_j| - d_ij)^2 / sum d_ij^2).
        eigenvalues_: all n eigenvalues of B, the largest first.
        explained_variance_ratio_: the share of the positive eigenvalues' sum that each of the first
            k has, shape `(k,)`.
        negative_share_: the sum of the negative eigenvalues' sizes over that of all sizes: 0 for a
            flat space.
        n_failed_: geodesics that did not converge.
        n_iter_: steps of SMACOF, 1 if there were none.
        Z_: the training points, shape `(n, d)`.

    Source:
        Torgerson, Multidimensional scaling: theory and method (1952); Gower, Adding a point to
        vector diagrams in multivariate analysis (1968); Tenenbaum, de Silva, Langford, A global
        geometric framework for nonlinear dimensionality reduction (2000); Kruskal,
        Multidimensional scaling by optimizing goodness of fit (1964).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> flat_map = GeodesicEmbedding(M).fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> round(flat_map.stress_, 6), flat_map.explained_variance_ratio_.round(6)
        (0.0, array([0.5, 0.5]))
    """

    Z_: Tensor
    embedding_: NDArray[Any]
    eigenvalues_: NDArray[Any]
    explained_variance_ratio_: NDArray[Any]
    axes_: NDArray[Any]
    mean_squared_: NDArray[Any]
    negative_share_: float
    stress_: float
    n_failed_: int
    n_iter_: int

    def __init__(
        self,
        manifold: Manifold,
        n_components: int = 2,
        *,
        kind: str = "classical",
        method: str = "auto",
        max_iter: int = 300,
        tol: float = 1e-6,
    ) -> None:
        self.manifold = manifold
        self.n_components = n_components
        self.kind = kind
        self.method = method
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any = None) -> "GeodesicEmbedding":
        """Make the map.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range, or there are fewer points than
                components.
            InvalidDataError: bad points, or two with no finite distance between them.
        """
        del y
        self._check()
        self.Z_ = self._points(X, reset=True)
        n = len(self.Z_)
        if self.n_components > n:
            allowed = f"at most the number of points (n_samples = {n})"
            raise InvalidParameterError("n_components", allowed, self.n_components)
        self._ruler = self.manifold.ruler(self.Z_, self.method)
        lengths = self._ruler.among()
        self.n_failed_ = lengths.n_failed
        distances = to_array(lengths.length).astype(float)
        _refuse_parted(distances)
        warn_of_failures(self.n_failed_, n * (n - 1) // 2, stacklevel=3)
        self.embedding_ = self._scale(distances)
        self.n_iter_ = 1
        if self.kind == "stress" and distances.any():
            self.embedding_ = self._relax(distances)
        self.stress_ = _stress(self.embedding_, distances)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Place points on the map.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            Places, shape `(m, k)`.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points, or one with no finite distance to a training point.
        """
        check_is_fitted(self)
        points = self._points(X, reset=False)
        if not hasattr(self, "_ruler"):  # read from a file
            self._ruler = self.manifold.ruler(self.Z_, self.method)
        lengths = self._ruler.to(points)
        distances = to_array(lengths.length).astype(float)
        _refuse_parted(distances)
        warn_of_failures(lengths.n_failed, distances.size, stacklevel=3)
        placed = self._place(distances)
        return placed if self.kind == "classical" else _settle(placed, self.embedding_, distances)

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Make the map, and return `embedding_`."""
        return self.fit(X, y).embedding_

    def _check(self) -> None:
        check_integer("n_components", self.n_components)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, low=0)
        check_choice("kind", self.kind, ("classical", "stress"))

    def _scale(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Do classical scaling, and keep what places new points."""
        squared = np.square(distances)
        self.mean_squared_ = squared.mean(0)
        B = -(squared - self.mean_squared_ - self.mean_squared_[:, None] + squared.mean()) / 2
        values, vectors = (to_array(part) for part in torch.linalg.eigh(torch.as_tensor(B)))
        self.eigenvalues_, vectors = values[::-1].copy(), vectors[:, ::-1]
        size, positive = np.abs(values).sum(), np.maximum(values, 0).sum()
        self.negative_share_ = float(np.maximum(-values, 0).sum() / size) if size > 0 else 0.0
        leading = np.maximum(self.eigenvalues_[: self.n_components], 0)
        self.explained_variance_ratio_ = leading / (positive if positive > 0 else 1)
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(values))])
        vectors = (vectors * signs)[:, : self.n_components]
        self.axes_ = vectors * _roots(leading, inverse=True)
        placed: NDArray[Any] = vectors * _roots(leading)
        return placed

    def _place(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Place points by Gower's formula: 1/2 L^-1 Y^T (mean d^2 - d^2)."""
        placed: NDArray[Any] = (self.mean_squared_ - np.square(distances)) @ self.axes_ / 2
        return placed

    def _relax(self, distances: NDArray[Any]) -> NDArray[Any]:
        placed, _, self.n_iter_ = smacof(
            distances,
            n_components=self.n_components,
            init=self.embedding_,
            n_init=1,
            max_iter=self.max_iter,
            eps=self.tol,
            normalized_stress=False,
            return_n_iter=True,
        )
        return np.asarray(placed)

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])


def _roots(values: NDArray[Any], *, inverse: bool = False) -> NDArray[Any]:
    """Return the roots of eigenvalues, or their inverses, 0 for what is rounding."""
    known = values > 1e-12 * values.max(initial=0)
    roots = np.sqrt(np.where(known, values, 1))
    kept: NDArray[Any] = np.where(known, 1 / roots if inverse else roots, 0)
    return kept


def _settle(placed: NDArray[Any], among: NDArray[Any], distances: NDArray[Any]) -> NDArray[Any]:
    """Move each point until its sum of squared errors is least, the others being held."""
    size = np.abs(among).max(initial=0)
    for _ in range(_PLACED):
        gap = placed[:, None] - among
        length = np.linalg.norm(gap, axis=-1)
        ratio = np.where(length > 0, distances / np.where(length > 0, length, 1), 0)
        moved = (among + ratio[..., None] * gap).mean(1)
        step = np.abs(moved - placed).max(initial=0)
        placed = moved
        if step <= _STILL * size:
            break
    return placed


def _stress(placed: NDArray[Any], distances: NDArray[Any]) -> float:
    i, j = np.triu_indices(len(placed), 1)
    total = np.square(distances[i, j]).sum()
    error = np.linalg.norm(placed[i] - placed[j], axis=-1) - distances[i, j]
    return float(np.sqrt(np.square(error).sum() / total)) if total > 0 else 0.0


def _refuse_parted(distances: NDArray[Any]) -> None:
    lost = ~np.isfinite(distances)
    if lost.any():
        i, j = np.argwhere(lost)[0]
        raise InvalidDataError(
            f"{int(lost.sum())} of {lost.size} pairs have no finite distance (the first: points "
            f"{i} and {j}): the decoder is not finite between them, or the graph falls into parts, "
            "and a map needs all distances. Embed each part by itself, or try another `method`."
        )
