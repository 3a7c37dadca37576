"""What the mean and the median of points share: checks of data, starts and methods."""

import warnings
from abc import abstractmethod
from typing import Any, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    check_data,
    check_integer,
    check_number,
    check_points,
)
from pullback.linalg import cholesky
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, to_array
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.descent import Descent
from pullback.statistics.centers.mass import Mass
from pullback.statistics.centers.objective import Objective
from pullback.statistics.logarithms import Logarithms, Logs

__all__ = ["CenterEstimator", "Limits", "centers_of_groups", "find_centers"]

_Self = TypeVar("_Self", bound="CenterEstimator")


class Limits(NamedTuple):
    """How much is tried to find a centre.

    Attributes:
        n_init: starts of each group.
        max_iter: most steps from each start, and again of exact geodesics from the best end.
        tol: stop when a step is shorter than this share of the spread of the data.

    Example:
        >>> Limits(n_init=3, max_iter=50, tol=1e-5).n_init
        3
    """

    n_init: int
    max_iter: int
    tol: float


class CenterEstimator(TransformerMixin, LatentEstimator):
    """An estimator of one centre of points: the base of `FrechetMean` and `GeometricMedian`.

    Args:
        manifold: the latent space.
        n_init: starts to descend from: the data point nearest to the Euclidean mean, and data
            far from it and from each other. One finds the centre of data that lie near together;
            more can find a better one, and show that it is not unique.
        max_iter: most steps from each start, and again of exact geodesics from the best end.
        tol: stop when a step is shorter than this share of the spread of the data.

    Attributes:
        estimate_: the centre c, a tensor of shape `(d,)`.
        spread_: the typical geodesic distance of the data to the centre.
        n_failed_: data whose geodesic to the centre was not found: one without a finite curve is
            left out, the length of any other is an upper bound.
        n_iter_: steps taken.
        converged_: whether `tol` was met.
        unique_: False if a start ended elsewhere, with the objective within 1 %: the data have
            several centres, or as good as. True says only that no start has shown it.
        n_features_in_: the latent dimension d.

    Example:
        >>> from pullback.statistics import FrechetMean
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> mean = FrechetMean(M).fit([[1.0], [3.0]])
        >>> mean.transform([[4.0]]).round(6).tolist(), round(mean.score([[4.0], [0.0]]), 6)
        ([[4.0]], -16.0)
    """

    estimate_: Tensor
    spread_: float
    n_failed_: int
    n_iter_: int
    converged_: bool
    unique_: bool

    def __init__(
        self, manifold: Manifold, *, n_init: int = 3, max_iter: int = 50, tol: float = 1e-5
    ) -> None:
        self.manifold = manifold
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self: _Self, X: Any, y: Any = None, *, sample_weight: Any = None, start: Any = None
    ) -> _Self:
        """Find the centre.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.
            start: where to begin, shape `(d,)`, instead of the `n_init` starts.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points, weights or start.
            ConvergenceError: no geodesic from the centre to any of the data was found.
        """
        del y
        X = self._points(X, reset=True)
        found = find_centers(
            self.manifold,
            X,
            torch.zeros(len(X), dtype=torch.long, device=X.device),
            self._objective(),
            weights=self._weights(sample_weight, X),
            starts=None if start is None else _check_start(start, X),
            limits=Limits(self.n_init, self.max_iter, self.tol),
        )
        self.estimate_ = found.points[0]
        self.spread_ = float(found.spread)
        self.n_failed_, self.n_iter_ = int(found.n_failed), int(found.n_iter)
        self.converged_, self.unique_ = bool(found.converged), bool(found.unique)
        self._warn(len(X))
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Lay points out around the centre: their logs there, in an orthonormal frame.

        The Euclidean norm of a row is the geodesic distance to the centre. The frame is the
        transposed Cholesky factor of M(c), so that axis d points along coordinate d.

        Args:
            X: points, shape `(n, d)`.

        Returns:
            Coordinates, shape `(n, d)`; NaN where no geodesic was found.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        logs = self._logs(X)
        factor, _ = cholesky(self.manifold.metric_matrix(self.estimate_))
        vectors = torch.where(logs.lengths.isfinite().unsqueeze(-1), logs.vectors, torch.nan)
        return to_array(vectors @ factor)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the mean over points of what the centre minimises: higher is better.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The score; -inf if a point cannot be reached.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        del y
        lengths = self._logs(X).lengths
        weights = self._weights(sample_weight, lengths.unsqueeze(-1))
        cost = torch.where(weights > 0, self._objective().value(lengths), 0)
        return -float(weights @ cost / weights.sum())

    @abstractmethod
    def _objective(self) -> Objective: ...

    def _logs(self, Z: Any) -> Logs:
        check_is_fitted(self)
        points = self._points(Z, reset=False)
        owner = torch.zeros(len(points), dtype=torch.long, device=points.device)
        logs = Logarithms(self.manifold, points, exact=True).at(self.estimate_[None], owner=owner)
        n_failed = int((~logs.converged).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {len(points)} geodesics did not converge: lengths are upper "
                "bounds, or infinite where there is no finite curve. `Manifold.geodesic` says why.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return logs

    def _warn(self, n: int) -> None:
        name = type(self).__name__
        if self.n_failed_:
            warnings.warn(
                f"{self.n_failed_} of {n} geodesics to the `{name}` did not converge: those "
                "without a finite curve are left out, the lengths of the others are upper bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if not self.converged_:
            warnings.warn(
                f"The `{name}` did not converge: it took {self.n_iter_} steps, of at most "
                f"`max_iter` = {self.max_iter} each way. Raise it, or loosen `tol` = {self.tol:g}.",
                ConvergenceWarning,
                stacklevel=3,
            )


def find_centers(
    manifold: Manifold,
    Z: Codes,
    owner: Tensor,
    objective: Objective,
    *,
    weights: Tensor,
    starts: Tensor | None,
    limits: Limits,
) -> Centers:
    """Find the centre of each group of points, all groups as one batch.

    Args:
        manifold: the latent space.
        Z: points, shape `(n, d)`.
        owner: the group 0, ..., k - 1 of each point, shape `(n,)`.
        objective: what a centre minimises.
        weights: w >= 0, shape `(n,)`.
        starts: where to begin, shape `(k, s, d)`; `limits.n_init` of the data if None.
        limits: how much is tried.

    Returns:
        The centres.

    Raises:
        InvalidParameterError: a setting is out of range.
        ConvergenceError: no geodesic from a centre to any of its points was found.

    Example:
        >>> from pullback.statistics import frechet_means
        >>> frechet_means(Manifold(lambda z: 2 * z, dim=1), [[1.0], [3.0]], [0, 1]).spread.tolist()
        [0.0, 0.0]
    """
    check_integer("n_init", limits.n_init)
    check_integer("max_iter", limits.max_iter)
    check_number("tol", limits.tol, 0, open_low=True)
    n_groups = int(owner.max()) + 1
    if starts is None:
        groups = [(owner == k) & (weights > 0) for k in range(n_groups)]
        starts = torch.stack([_spread_out(Z[g], weights[g], limits.n_init) for g in groups])
    mass = Mass(owner, weights, n_groups)
    descent = Descent(manifold, Z, mass, objective, max_iter=limits.max_iter, tol=limits.tol)
    return descent.run(starts)


def centers_of_groups(
    manifold: Manifold,
    Z: Any,
    labels: Any,
    objective: Objective,
    *,
    sample_weight: Any,
    limits: Limits,
) -> Centers:
    """Check points and their groups, and find the centre of each group.

    Args:
        manifold: the latent space.
        Z: points, shape `(n, d)`.
        labels: the group 0, ..., k - 1 of each point, shape `(n,)`.
        objective: what a centre minimises.
        sample_weight: w >= 0, shape `(n,)`; 1 if None.
        limits: how much is tried.

    Returns:
        The centres.

    Raises:
        InvalidParameterError: a setting is out of range.
        InvalidDataError: bad points, labels or weights, or a group without points.
        ConvergenceError: no geodesic from a centre to any of its points was found.

    Example:
        >>> from pullback.statistics import geometric_medians
        >>> geometric_medians(Manifold(lambda z: z, dim=1), [[1.0], [3.0]], [0, 1]).values.tolist()
        [0.0, 0.0]
    """
    points, owner, weights = _check_groups(manifold, Z, labels, sample_weight)
    return find_centers(
        manifold, points, owner, objective, weights=weights, starts=None, limits=limits
    )


def _check_groups(
    manifold: Manifold, Z: Any, labels: Any, sample_weight: Any
) -> tuple[Codes, Tensor, Tensor]:
    """Return points, their groups and weights as tensors, or raise."""
    points = check_data("Z", Z, dim=manifold.dim, min_samples=1).detach()
    points = points.to(device=manifold.device, dtype=manifold.dtype)
    weights = torch.ones(len(points)).to(points)
    if sample_weight is not None:
        weights = check_points("sample_weight", sample_weight).to(points)
    owner = torch.as_tensor(labels, device=points.device)
    if owner.shape != weights.shape or len(points) != len(weights) or bool((weights < 0).any()):
        raise InvalidDataError(
            f"`labels` and `sample_weight` must be {len(points)} numbers, one for each point, and "
            f"weights >= 0, but got shapes {tuple(owner.shape)} and {tuple(weights.shape)}."
        )
    if owner.is_floating_point() or int(owner.min()) < 0:
        raise InvalidDataError("`labels` must be integers >= 0 that number the groups.")
    owner = owner.long()
    n_groups = int(owner.max()) + 1
    empty = (Mass(owner, weights, n_groups).total() <= 0).nonzero().flatten().tolist()
    if empty:
        raise InvalidDataError(
            f"`labels` must number the groups 0, ..., {n_groups - 1}, each with a point of "
            f"positive weight, but {empty} have none. Number them by `numpy.unique(labels, "
            "return_inverse=True)`."
        )
    return points, owner, weights


def _check_start(start: Any, Z: Tensor) -> Tensor:
    return check_points("start", start, Z.shape[1]).to(Z).reshape(1, -1, Z.shape[1])


def _spread_out(Z: Tensor, weights: Tensor, n: int) -> Tensor:
    """Take the point nearest to the mean, then always the one furthest from those taken."""
    mean = weights @ Z / weights.sum()
    taken = [(Z - mean).square().sum(-1).argmin()]
    gap = (Z - Z[taken[0]]).square().sum(-1)
    for _ in range(n - 1):
        taken.append(gap.argmax())
        gap = torch.minimum(gap, (Z - Z[taken[-1]]).square().sum(-1))
    return Z[torch.stack(taken)]
