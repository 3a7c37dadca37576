"""The geodesics along which points of a curved space vary most."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    check_choice,
    check_data,
    check_integer,
    check_number,
)
from pullback.linalg import cholesky
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Mask
from pullback.statistics.base import LatentEstimator, to_array
from pullback.statistics.centers.frechet_mean import FrechetMean
from pullback.statistics.geodesic_models.geodesic_residuals import GeodesicResiduals
from pullback.statistics.geodesic_models.geodesic_subspace import (
    GeodesicSubspaces,
    principal_axes,
    turned,
)
from pullback.statistics.logarithms import Logarithms, Logs

__all__ = ["PrincipalGeodesicAnalysis"]

# The tolerance of the first phase, on short searches, as a share of the spread: they are off by
# about as much, and exact geodesics go on from there.
_ROUGH = 1e-2


class PrincipalGeodesicAnalysis(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentEstimator):
    r"""Principal component analysis in a curved space: geodesics through the Frechet mean mu.

    `"tangent"` is the principal component analysis of the logs of the data at mu, in the inner
    product of M(mu): one geodesic for each point, but distances between points far from mu are
    distorted. `"exact"` takes one component after the other: v_k such that the geodesic subspace
    exp(mu, sum_j a_j v_j) lies nearest to the data, by squared geodesic distances to the nearest
    points of the subspace. In a flat space both are principal component analysis.

    Args:
        manifold: the latent space.
        n_components: the number of components K <= d; all d if None.
        method: `"tangent"` or `"exact"`.
        max_iter: most steps towards each component by short searches, and again by exact geodesics.
        tol: stop after a step that moves the projections by less than this share of the spread.

    Attributes:
        mean_: the Frechet mean mu, a tensor of shape `(d,)`.
        components_: v_1, ..., v_K, tangent vectors at mu, orthonormal in M(mu), shape `(K, d)`.
        explained_variance_: by how much each lowers the mean squared distance to the data; for
            `"tangent"` as measured in the tangent space. An array of shape `(K,)`.
        explained_variance_ratio_: the same as shares of the Frechet variance.
        variance_: the Frechet variance, the sum of the explained variances if K = d.
        n_failed_: data whose geodesic from mu, or to the subspace, was not found: without a finite
            curve from mu they are left out, the length of any other is an upper bound.
        n_iter_: most steps that a component took.
        converged_: whether `tol` was met, and the mean converged.
        n_features_in_: the latent dimension d.

    Source:
        Fletcher et al., Principal geodesic analysis for the study of nonlinear statistics of shape
        (2004); Sommer, Lauze, Nielsen, Optimization over geodesics for exact principal geodesic
        analysis (2014).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> Z = [[0.0, 0.0], [2.0, 0.0], [1.0, 0.5], [1.0, -0.5]]
        >>> pga = PrincipalGeodesicAnalysis(M, 1).fit(Z)
        >>> pga.components_.abs().round(decimals=4).tolist(), pga.explained_variance_.round(4)
        ([[0.5, 0.0]], array([2.]))
        >>> round(pga.score(Z), 4)
        0.8
    """

    mean_: Tensor
    components_: Tensor
    explained_variance_: NDArray[Any]
    explained_variance_ratio_: NDArray[Any]
    variance_: float
    n_failed_: int
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        manifold: Manifold,
        n_components: int | None = None,
        *,
        method: str = "tangent",
        max_iter: int = 50,
        tol: float = 1e-3,
    ) -> None:
        self.manifold = manifold
        self.n_components = n_components
        self.method = method
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None
    ) -> "PrincipalGeodesicAnalysis":
        """Find the mean and the components.

        Args:
            X: points, shape `(n, d)`, at least two that differ.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points or weights, or points that all coincide.
            ConvergenceError: no geodesic from the mean to any of the points was found.
        """
        del y
        check_choice("method", self.method, ("tangent", "exact"))
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, 0, open_low=True)
        X = self._points(X, reset=True, min_samples=2)
        K = self._n_components_of(X.shape[1])
        w = self._weights(sample_weight, X)
        mean = FrechetMean(self.manifold).fit(X, sample_weight=w)
        self.mean_, self.converged_, self.n_iter_ = mean.estimate_, mean.converged_, 1
        logs = self._logs(X)
        w = torch.where(logs.lengths.isfinite(), w, 0)
        w = w / w.sum()
        self.variance_ = float(w @ torch.where(w > 0, logs.lengths.square(), 0))
        if self.variance_ == 0:
            raise InvalidDataError(
                "`X` must hold at least two points that differ, but all coincide, and vary along "
                "no geodesic."
            )
        self.n_failed_ = int((~logs.converged).sum())
        Y = self._whitened(logs)
        if self.method == "tangent":
            variances, axes = principal_axes(Y, w)
            frame, explained = axes[:K], variances[:K]
        else:
            frame, explained = self._fit_exact(X, Y, w, K)
        self.components_ = _oriented(
            torch.linalg.solve_triangular(self._factor(), frame, upper=False, left=False)
        )
        self.explained_variance_ = to_array(explained)
        self.explained_variance_ratio_ = self.explained_variance_ / self.variance_
        self._warn(len(X))
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the coordinates a of points, exp(mu, sum_j a_j v_j) being what stands for them.

        For `"tangent"` they are the inner products of the logs with the components; for `"exact"`
        those of the nearest point of the geodesic subspace, the same if K = d.

        Args:
            X: points, shape `(n, d)`.

        Returns:
            Coordinates, shape `(n, K)`; NaN where no geodesic from mu was found.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points.
        """
        check_is_fitted(self)
        return to_array(self._coordinates(self._points(X, reset=False)))

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Return the points exp(mu, sum_j a_j v_j).

        Warns with `ConvergenceWarning` where a geodesic cannot be followed so far.

        Args:
            X: coordinates, shape `(n, K)`.

        Returns:
            Points, shape `(n, d)`; NaN where it warns.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad coordinates.
        """
        check_is_fitted(self)
        a = check_data("X", X, dim=len(self.components_), min_samples=1).detach()
        return to_array(self.manifold.exp(self.mean_, a.to(self.mean_) @ self.components_))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the squared distances to mu that the components explain.

        1 - sum_i d(p_i, z_i)^2 / sum_i d(mu, z_i)^2, where p_i = exp(mu, sum_j a_ij v_j) stands for
        z_i.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            At most 1; -inf if a point is not reached.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points.
        """
        del y
        check_is_fitted(self)
        points = self._points(X, reset=False)
        a = self._coordinates(points)
        there = GeodesicResiduals(self.manifold, points, exact=True).at(
            self.mean_, a.nan_to_num() @ self.components_
        )
        total = float(self._logs(points).lengths.square().sum())
        if not total < torch.inf:
            return -torch.inf
        return 1 - float(there.squared().sum()) / total if total > 0 else 1.0

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _fit_exact(self, Z: Codes, Y: Codes, w: Tensor, K: int) -> tuple[Tensor, Tensor]:
        """Find one direction after the other: the frame `(K, d)`, and what each explains."""
        d = Z.shape[1]
        frame, a = Y[:0], Y[:, :0]
        left = [self.variance_]
        for k in range(K):
            axes = principal_axes(Y, w, orthogonal_to=frame)[1]
            a = torch.cat([a, Y @ axes[:1].mT], -1)
            # The last direction is fixed by the others, and together they span the whole space.
            if k == d - 1:
                return torch.cat([frame, axes]), self._explained([*left, 0.0])
            for exact in (False, True):
                spaces = self._spaces(Z, exact=exact)
                a = spaces.startable(torch.cat([frame, axes[:1]]), a)
                found = spaces.extend(frame, axes, a, w)
                a = found.nearest.coordinates
                axes = turned(axes, found.direction)
                self.n_iter_ = max(self.n_iter_, found.n_iter)
            self.converged_ = self.converged_ and found.converged
            frame = torch.cat([frame, axes[:1]])
            left.append(float(found.nearest.mean_square(w)))
            misses = ~found.nearest.residuals.converged & (w > 0)
            self.n_failed_ = max(self.n_failed_, int(misses.sum()))
        return frame, self._explained(left)

    def _explained(self, left: list[float]) -> Tensor:
        return -self.mean_.new_tensor(left).diff()

    def _coordinates(self, Z: Codes) -> Tensor:
        Y = self._whitened(self._logs(Z))
        frame = self.components_ @ self._factor()
        a = Y @ frame.mT
        lost = a.isnan().any(-1)
        _warn_of(lost, "points are reached by no geodesic from the mean; their coordinates are NaN")
        if self.method == "exact" and len(frame) < Z.shape[1]:
            for exact in (False, True):
                spaces = self._spaces(Z, exact=exact)
                found = spaces.nearest(frame, spaces.startable(frame, a.nan_to_num()))
                a = found.coordinates
            _warn_of(~found.converged & ~lost, "searches for the nearest point did not converge")
            a = torch.where(lost.unsqueeze(-1), torch.nan, a)
        return a

    def _spaces(self, Z: Codes, *, exact: bool) -> GeodesicSubspaces:
        tol = (self.tol if exact else max(self.tol, _ROUGH)) * self.variance_**0.5
        at = self.manifold, Z, self.mean_, self._factor()
        return GeodesicSubspaces(*at, tol=tol, exact=exact, max_iter=self.max_iter)

    def _logs(self, Z: Codes) -> Logs:
        logs = Logarithms(self.manifold, Z, exact=True).at(self.mean_.unsqueeze(0))
        return Logs(*(part[0] for part in logs))

    def _whitened(self, logs: Logs) -> Tensor:
        """Return logs in an orthonormal frame at mu, NaN where there is none."""
        reached = logs.lengths.isfinite().unsqueeze(-1)
        return torch.where(reached, logs.vectors, torch.nan) @ self._factor()

    def _factor(self) -> Tensor:
        factor, positive = cholesky(self.manifold.metric_matrix(self.mean_))
        if not bool(positive):
            raise InvalidDataError(
                "The metric is singular at the Frechet mean, where the components are to lie: the "
                "decoder does not change in some direction there."
            )
        return factor

    def _n_components_of(self, d: int) -> int:
        if self.n_components is None:
            return d
        return check_integer("n_components", self.n_components, 1, d)

    def _warn(self, n: int) -> None:
        if self.n_failed_:
            warnings.warn(
                f"{self.n_failed_} of {n} geodesics did not converge: data without a finite curve "
                "from the mean are left out, the lengths of the others are upper bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if not self.converged_:
            warnings.warn(
                f"The principal geodesics did not converge: {self.n_iter_} steps were tried, of at "
                f"most `max_iter` = {self.max_iter} each way. Raise it, or loosen `tol` = "
                f"{self.tol:g}.",
                ConvergenceWarning,
                stacklevel=3,
            )


def _warn_of(failed: Mask, what: str) -> None:
    if bool(failed.any()):
        message = f"{int(failed.sum())} of {len(failed)} {what}."
        warnings.warn(message, ConvergenceWarning, stacklevel=4)


def _oriented(vectors: Tensor) -> Tensor:
    """Turn vectors so that the largest of their coordinates is positive."""
    largest = vectors.gather(-1, vectors.abs().argmax(-1, keepdim=True))
    return vectors * torch.where(largest < 0, -1, 1)
