"""The mean of points in a curved space."""

import warnings
from typing import Any

import torch
from torch import Tensor

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    check_integer,
    check_number,
    check_points,
)
from pullback.manifolds import Manifold
from pullback.statistics.base import LatentEstimator

__all__ = ["FrechetMean"]


class FrechetMean(LatentEstimator):
    r"""The point with the smallest mean squared geodesic distance to the data.

    Minimises F(c) = sum_i w_i d(c, z_i)^2 / sum_i w_i by Riemannian gradient descent: the gradient
    of d(c, z)^2 / 2 is -log_c(z), the initial velocity of the geodesic from c to z, so a full step
    moves c by the mean of the logs. A step that does not lower F is halved.

    Args:
        manifold: the latent space.
        max_iter: most steps.
        tol: stop when the mean of the logs is shorter than this share of the root of F.

    Attributes:
        estimate_: the mean c, a tensor of shape `(d,)`.
        variance_: F(c), the Frechet variance.
        n_failed_: geodesics to the estimate that did not converge; their lengths are upper bounds.
        n_iter_: steps taken.
        converged_: whether `tol` was met.

    Source:
        Karcher, Riemannian center of mass and mollifier smoothing (1977); Pennec, Intrinsic
        statistics on Riemannian manifolds (2006).

    Example:
        >>> M = Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
        >>> mean = FrechetMean(M).fit([[-1.0], [1.0]])
        >>> round(mean.estimate_.abs().item(), 2), mean.converged_
        (0.0, True)
    """

    estimate_: Tensor
    variance_: float
    n_failed_: int
    n_iter_: int
    converged_: bool

    def __init__(self, manifold: Manifold, *, max_iter: int = 50, tol: float = 1e-3) -> None:
        self.manifold = manifold
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self, Z: Any, y: Any = None, *, weights: Any = None, start: Any = None
    ) -> "FrechetMean":
        """Find the mean.

        Args:
            Z: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            weights: w >= 0, shape `(n,)`; equal if None.
            start: where to begin, shape `(d,)`; the data point nearest to the Euclidean mean if
                None.

        Returns:
            The estimator itself.

        Raises:
            InvalidDataError: bad points or weights.
            ConvergenceError: the decoder is not finite on a geodesic.
        """
        del y
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, 0, open_low=True)
        Z = self._points(Z, reset=True)
        w = _check_weights(weights, Z)
        self.estimate_ = _nearest_to_mean(Z, w)
        if start is not None:
            self.estimate_ = check_points("start", start, Z.shape[1]).to(Z)
        self._descend(Z, w)
        if not self.converged_:
            warnings.warn(
                f"The Frechet mean did not converge in `max_iter` = {self.max_iter} steps: raise "
                "it, or loosen `tol`.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _descend(self, Z: Tensor, w: Tensor) -> None:
        logs = self._measure(self.estimate_, Z, w)
        step, self.converged_, self.n_iter_ = 1.0, False, 0
        while self.n_iter_ < self.max_iter and not self.converged_:
            move = w @ logs
            size = float(self.manifold.norm(self.estimate_, move))
            self.converged_ = size <= self.tol * self.variance_**0.5
            if self.converged_:
                break
            self.n_iter_ += 1
            before = self.estimate_, self.variance_, self.n_failed_
            trial_logs = self._measure(self.estimate_ + step * move, Z, w)
            if self.variance_ < before[1]:
                logs, step = trial_logs, min(1.0, 2 * step)
            else:
                self.estimate_, self.variance_, self.n_failed_ = before
                step /= 2

    def _measure(self, mean: Tensor, Z: Tensor, w: Tensor) -> Tensor:
        geodesics = self.manifold.geodesic(mean, Z)
        if not bool(geodesics.length.isfinite().all()):
            geodesics.raise_if_failed()
        self.estimate_ = mean
        self.variance_ = float(w @ geodesics.length.to(Z).square())
        self.n_failed_ = int((~geodesics.converged).sum())
        now = torch.zeros(1, dtype=mean.dtype, device=mean.device)
        logs = geodesics.curve.velocity(now).squeeze(-2)
        # The direction is that of the curve, the length is the one that was measured.
        speed = self.manifold.norm(mean, logs)
        scale = torch.where(speed > 0, geodesics.length / speed, torch.ones_like(speed))
        return (logs * scale.unsqueeze(-1)).to(Z)


def _check_weights(weights: Any, Z: Tensor) -> Tensor:
    if weights is None:
        return Z.new_full((len(Z),), 1 / len(Z))
    w = check_points("weights", weights, len(Z)).to(Z)
    if w.ndim != 1 or bool((w < 0).any()) or not bool(w.any()):
        raise InvalidDataError(
            f"`weights` must be {len(Z)} numbers >= 0 that are not all 0, one for each point."
        )
    return w / w.sum()


def _nearest_to_mean(Z: Tensor, w: Tensor) -> Tensor:
    return Z[(Z - w @ Z).square().sum(-1).argmin()]
