"""Regression of points of a curved space on numbers, by geodesics."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    check_data,
    check_integer,
    check_number,
    check_points,
)
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, rows_of, to_array
from pullback.statistics.centers.frechet_mean import FrechetMean
from pullback.statistics.geodesic_models.gauss_newton import Expansion, Minimum, minimize
from pullback.statistics.geodesic_models.geodesic_residuals import GeodesicResiduals, Residuals

__all__ = ["GeodesicRegression"]

# The tolerance of the first phase, on short searches, as a share of the spread: they are off by
# about as much, and exact geodesics go on from there.
_ROUGH = 1e-2


class GeodesicRegression(RegressorMixin, LatentEstimator):
    r"""Least squares in a curved space: covariates x predict points exp(p, sum_j (x_j - m_j) v_j).

    The features X are numbers, the targets y are points of the manifold. Minimises sum_i w_i
    d(exp(p, V (x_i - m)), z_i)^2 over the point p and the tangent vectors v_j at p, from the
    Frechet mean of the targets with V = 0. The covariates are centred by their mean m: with one
    covariate this is the same family of geodesics as without; with several, p is where they meet.
    In a flat space it is linear regression.

    Args:
        manifold: the latent space.
        max_iter: most steps by short searches, and again by exact geodesics.
        tol: stop after a step that moves the predictions by less than this share of the spread of
            the targets.

    Attributes:
        covariate_mean_: m, a tensor of shape `(k,)`.
        intercept_: p, the prediction at m, a tensor of shape `(d,)`.
        coef_: v_1, ..., v_k, tangent vectors at p, shape `(k, d)`.
        variance_: the Frechet variance of the targets.
        residual_variance_: the weighted mean of squared distances to the predictions.
        r2_: 1 - residual_variance_ / variance_.
        n_failed_: targets whose geodesic was not found: one that has no finite curve is left out,
            the distance of any other is an upper bound.
        n_iter_: steps tried.
        converged_: whether `tol` was met.
        n_features_in_: the number of covariates k.

    Source:
        Fletcher, Geodesic regression and the theory of least squares on Riemannian manifolds
        (2013); Kim et al., Multivariate general linear models on Riemannian manifolds (2014).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> model = GeodesicRegression(M).fit([[0.0], [1.0]], [[0.0, 0.0], [2.0, 4.0]])
        >>> model.predict([[2.0]]).round(4).tolist(), round(model.r2_, 6)
        ([[4.0, 8.0]], 1.0)
    """

    covariate_mean_: Tensor
    intercept_: Tensor
    coef_: Tensor
    variance_: float
    residual_variance_: float
    r2_: float
    n_failed_: int
    n_iter_: int
    converged_: bool
    one_column_: bool

    def __init__(self, manifold: Manifold, *, max_iter: int = 50, tol: float = 1e-3) -> None:
        self.manifold = manifold
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GeodesicRegression":
        """Fit geodesics to points.

        Args:
            X: covariates, shape `(n, k)`.
            y: points z, shape `(n, d)`; `(n,)` in a space of dimension 1.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad covariates, points or weights, a single point, or a covariate that
                is constant.
            ConvergenceError: no geodesic from the mean to any of the points was found.
        """
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, 0, open_low=True)
        self._check_manifold()
        X, Z = self._pairs(X, y)
        w = self._weights(sample_weight, Z)
        mean = FrechetMean(self.manifold).fit(Z, sample_weight=w)
        self.variance_ = mean.variance_
        self.covariate_mean_ = w @ X / w.sum()
        scores, back = _orthonormal(X - self.covariate_mean_, w)
        found, misses = self._search(Z, scores, w, mean.estimate_)
        self.intercept_, steepness = found.at[0, : Z.shape[1]], found.at[0, Z.shape[1] :]
        self.coef_ = back @ steepness.reshape(-1, Z.shape[1])
        self.n_failed_ = int(((w > 0) & ~misses.converged).sum())
        self.n_iter_, self.converged_ = found.n_iter, bool(found.converged)
        self.residual_variance_ = 2 * float(found.value)
        self.r2_ = _share(self.residual_variance_, self.variance_)
        self._warn(len(Z))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict points: exp(p, sum_j (x_j - m_j) v_j).

        Warns with `ConvergenceWarning` where a geodesic cannot be followed so far.

        Args:
            X: covariates, shape `(n, k)`.

        Returns:
            Points, shape `(n, d)`, or `(n,)` if `fit` was given such; NaN where it warns.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad covariates.
        """
        check_is_fitted(self)
        x = self._covariates(self._rows(X))
        velocity = (x - self.covariate_mean_) @ self.coef_
        points = to_array(self.manifold.exp(self.intercept_, velocity))
        return points[:, 0] if self.one_column_ else points

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2: 1 - sum_i w_i d(prediction_i, z_i)^2 / sum_i w_i d(mean, z_i)^2.

        Args:
            X: covariates, shape `(n, k)`.
            y: points z, shape `(n, d)`, with their Frechet mean.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            At most 1; -inf if a point is not predicted or not reached.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad covariates, points or weights.
        """
        check_is_fitted(self)
        Z = self._targets(y)
        w = self._weights(sample_weight, Z)
        x = self._covariates(self._rows(X))
        velocity = (x - self.covariate_mean_) @ self.coef_
        there = GeodesicResiduals(self.manifold, Z, exact=True).at(self.intercept_, velocity)
        mean = FrechetMean(self.manifold).fit(Z, sample_weight=w)
        return _share(float(_average(there.squared(), w)), mean.variance_)

    def _search(
        self, Z: Codes, scores: Tensor, w: Tensor, start: Tensor
    ) -> tuple[Minimum, Residuals]:
        d, k = Z.shape[1], scores.shape[1]
        at = torch.cat([start, start.new_zeros(k * d)]).unsqueeze(0)
        spread, n_iter = self.variance_**0.5, 0
        for exact in (False, True):
            misses = GeodesicResiduals(self.manifold, Z, exact=exact)
            at_mean = misses.at(start, torch.zeros_like(Z))
            problem = _Problem(misses, scores, torch.where(at_mean.reached, w, 0))
            tol = spread * (self.tol if exact else max(self.tol, _ROUGH))
            found = minimize(problem.expand, at, tol=tol, max_iter=self.max_iter)
            at, n_iter = found.at, n_iter + found.n_iter
        return found._replace(n_iter=max(n_iter, 1)), problem.residuals(at)

    def _pairs(self, X: Any, y: Any) -> tuple[Tensor, Codes]:
        if y is None:
            raise InvalidDataError(
                "`y` must hold the points to predict, but got None: GeodesicRegression requires y "
                "to be passed, but the target y is None."
            )
        X, y = validate_data(
            self,
            _plain(rows_of("X", X)),
            _plain(check_points("y", y)),
            dtype=np.float64,
            multi_output=True,
            y_numeric=True,
            ensure_min_samples=2,
        )
        self.one_column_ = y.ndim == 1
        Z = self._targets(y)
        self.probe_ = Z[:4].clone()
        return self._covariates(X), Z

    def _rows(self, X: Any) -> Any:
        return validate_data(self, _plain(rows_of("X", X)), reset=False, dtype=np.float64)

    def _targets(self, y: Any) -> Codes:
        y = check_points("y", y)
        y = y[:, None] if y.ndim == 1 else y
        Z = check_data("y", y, dim=self.manifold.dim, min_samples=1)
        return Z.to(device=self.manifold.device, dtype=self.manifold.dtype)

    def _covariates(self, X: Any) -> Tensor:
        return torch.as_tensor(X).to(device=self.manifold.device, dtype=self.manifold.dtype)

    def _warn(self, n: int) -> None:
        if self.n_failed_:
            warnings.warn(
                f"{self.n_failed_} of {n} geodesics to the targets did not converge: those without "
                "a finite curve are left out, the lengths of the others are upper bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if not self.converged_:
            warnings.warn(
                f"The regression did not converge: it tried {self.n_iter_} steps, of at most "
                f"`max_iter` = {self.max_iter} each way. Raise it, or loosen `tol` = {self.tol:g}.",
                ConvergenceWarning,
                stacklevel=3,
            )


class _Problem:
    """The half mean of squared residuals, as a function of p and V in one row."""

    def __init__(self, misses: GeodesicResiduals, scores: Tensor, w: Tensor) -> None:
        self.misses = misses
        self.scores = scores
        self.w = w / w.sum()

    def residuals(self, at: Tensor) -> Residuals:
        d = self.misses.Z.shape[1]
        return self.misses.at(at[0, :d], self.scores @ at[0, d:].reshape(-1, d), by_point=True)

    def expand(self, at: Tensor) -> Expansion:
        there = self.residuals(at)
        assert there.by_point is not None
        by_steepness = torch.einsum("nj,nab->najb", self.scores, there.by_velocity).flatten(2)
        J = torch.cat([there.by_point, by_steepness], -1)
        return Expansion(
            value=_average(there.squared(), self.w).reshape(1) / 2,
            gradient=-torch.einsum("n,nai,na->i", self.w, J, there.values).unsqueeze(0),
            hessian=torch.einsum("n,nai,naj->ij", self.w, J, J).unsqueeze(0),
        )


def _orthonormal(X: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return uncorrelated scores of unit variance, and what takes their slopes to those of X.

    Columns that others determine add no score, and slopes come out as short as possible.
    """
    constant = (X[w > 0] == X[w > 0][0]).all(0).nonzero().flatten().tolist()
    if constant:
        raise InvalidDataError(
            f"`X` must vary in every column, but columns {constant} are constant, and nothing can "
            "be said of their influence. Leave them out."
        )
    _, size, axes = torch.linalg.svd((w / w.sum()).sqrt().unsqueeze(-1) * X, full_matrices=False)
    kept = size > torch.finfo(X.dtype).eps * max(X.shape) * size[0]
    back = axes[kept].mT / size[kept]
    return X @ back, back


def _average(values: Tensor, w: Tensor) -> Tensor:
    return torch.where(w > 0, w * values, 0).sum() / w.sum()


def _share(residual: float, total: float) -> float:
    """Return R^2; where all points coincide, 1 if they are met and 0 if not."""
    return 1 - residual / total if total > 0 else float(residual == 0)


def _plain(values: Any) -> Any:
    return to_array(values) if isinstance(values, Tensor) else values
