"""The mean of points in a curved space."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from pullback.manifolds import Manifold
from pullback.statistics.centers.center import CenterEstimator, Limits, centers_of_groups
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.mass import Mass
from pullback.statistics.centers.objective import Objective
from pullback.statistics.logarithms import Logs

__all__ = ["FrechetMean", "SquaredDistance", "frechet_means"]


class SquaredDistance(Objective):
    """What the Frechet mean minimises; the proposed step is the mean of the logs.

    Example:
        >>> SquaredDistance().value(torch.tensor([3.0])).item()
        9.0
    """

    squared: ClassVar[bool] = True

    def value(self, lengths: Tensor) -> Tensor:
        """Compute d^2, see `Objective.value`."""
        return lengths.square()

    def spread(self, value: Tensor) -> Tensor:
        """Return the root of the variance, see `Objective.spread`."""
        return value.sqrt()

    def move(self, manifold: Manifold, points: Tensor, logs: Logs, mass: Mass) -> Tensor:
        """Average the logs, see `Objective.move`."""
        total = mass.total()
        return mass.sum(logs.vectors) / torch.where(total > 0, total, 1).unsqueeze(-1)


class FrechetMean(CenterEstimator):
    r"""The point with the smallest mean squared geodesic distance to the data.

    Minimises F(c) = sum_i w_i d(c, z_i)^2 / sum_i w_i by Riemannian gradient descent: the gradient
    of d(c, z)^2 / 2 is -log_c(z), the initial velocity of the geodesic from c to z, so a full step
    moves c by the mean of the logs. Short searches lead near the mean. From there c and the curves
    to all data are relaxed together by Newton's method, for d <= 8; exact geodesics measure where
    that leads, and go on from there, or from before if that was better.

    The mean is unique where the data lie within a ball of radius pi / (2 sqrt(K)) for curvatures at
    most K, if geodesics in it are unique; elsewhere look at `unique_`.

    Args:
        manifold: the latent space.
        n_init: starts to descend from, see `CenterEstimator`.
        max_iter: most steps from each start, and again of exact geodesics from the best end.
        tol: stop when the mean of the logs is shorter than this share of the root of F.

    Attributes:
        estimate_: the mean c, a tensor of shape `(d,)`.
        variance_: F(c), the Frechet variance.
        spread_: its root.
        n_failed_: data whose geodesic to the mean was not found: one without a finite curve is
            left out, the length of any other is an upper bound.
        n_iter_: steps taken.
        converged_: whether `tol` was met.
        unique_: False if a start ended elsewhere, with F within 1 %: the data have several means,
            or as good as. True says only that no start has shown it.

    Source:
        Karcher, Riemannian center of mass and mollifier smoothing (1977); Pennec, Intrinsic
        statistics on Riemannian manifolds (2006); Afsari, Riemannian L^p center of mass: existence,
        uniqueness, and convexity (2011); Rygaard and Hauberg, GEORCE-FM (2025), who relax means and
        geodesics together.

    Example:
        >>> M = Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
        >>> mean = FrechetMean(M).fit([[-1.0], [1.0]])
        >>> round(mean.estimate_.abs().item(), 4), mean.converged_, mean.unique_
        (0.0, True, True)
    """

    @property
    def variance_(self) -> float:
        """The Frechet variance F(c)."""
        return self.spread_**2

    def _objective(self) -> Objective:
        return SquaredDistance()


def frechet_means(
    manifold: Manifold,
    Z: Any,
    labels: Any,
    *,
    sample_weight: Any = None,
    n_init: int = 3,
    max_iter: int = 50,
    tol: float = 1e-5,
) -> Centers:
    """Find the Frechet mean of each group of points, all groups as one batch.

    Args:
        manifold: the latent space.
        Z: points, shape `(n, d)`.
        labels: the group 0, ..., k - 1 of each point, shape `(n,)`.
        sample_weight: w >= 0, shape `(n,)`; 1 if None.
        n_init: starts of each group.
        max_iter: most steps.
        tol: stop when the mean of the logs is shorter than this share of the root of F.

    Returns:
        Means with `values` F, their roots `spread`, and a status for each group.

    Raises:
        InvalidParameterError: a setting is out of range.
        InvalidDataError: bad points, labels or weights, or a group without points.
        ConvergenceError: no geodesic from a mean to any of its points was found.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> means = frechet_means(M, [[0.0], [2.0], [5.0]], [0, 0, 1])
        >>> means.points.flatten().tolist(), means.values.tolist()
        ([1.0, 5.0], [4.0, 0.0])
    """
    limits = Limits(n_init, max_iter, tol)
    return centers_of_groups(
        manifold, Z, labels, SquaredDistance(), sample_weight=sample_weight, limits=limits
    )
