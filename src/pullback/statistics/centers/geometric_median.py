"""The median of points in a curved space."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from pullback.manifolds import Manifold
from pullback.statistics.centers.center import CenterEstimator, Limits, centers_of_groups
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.mass import Mass
from pullback.statistics.centers.objective import Objective
from pullback.statistics.logarithms import Logs

__all__ = ["Distance", "GeometricMedian", "geometric_medians"]

# A centre that is nearer to a point of the data than this share of their mean distance lies on it:
# the gradient of a distance has no direction there.
_COINCIDES = 1e-6


class Distance(Objective):
    r"""What the geometric median minimises; the proposed step is Weiszfeld's.

    With u_i = log_c(z_i) / d_i, the step is T = sum w_i u_i / sum (w_i / d_i). Where c lies on data
    of weight eta, these are left out of both sums, and the step is cut to max(0, 1 - eta / r) T
    with r = |sum w_i u_i|: the point is the median if the others pull with no more than its weight.

    Source:
        Weiszfeld, Sur le point pour lequel la somme des distances de n points donnes est minimum
        (1937); Vardi and Zhang, The multivariate L1-median and associated data depth (2000).

    Example:
        >>> Distance().value(torch.tensor([3.0])).item()
        3.0
    """

    at_data: ClassVar[bool] = True

    def value(self, lengths: Tensor) -> Tensor:
        """Return d, see `Objective.value`."""
        return lengths

    def spread(self, value: Tensor) -> Tensor:
        """Return the mean distance, see `Objective.spread`."""
        return value

    def move(self, manifold: Manifold, points: Tensor, logs: Logs, mass: Mass) -> Tensor:
        """Take Weiszfeld's step, see `Objective.move`."""
        total = mass.total()
        mean = mass.sum(logs.lengths) / torch.where(total > 0, total, 1)
        here = logs.lengths <= _COINCIDES * mean[mass.owner]
        weight_here, others = mass.within(here).total(), mass.within(~here)
        inverse = 1 / torch.where(here, 1, logs.lengths)
        pull = others.sum(logs.vectors * inverse.unsqueeze(-1))
        scale = others.sum(inverse)
        step = pull / torch.where(scale > 0, scale, 1).unsqueeze(-1)
        at = torch.where((scale > 0).unsqueeze(-1), points, 0)
        r = torch.where(scale > 0, manifold.norm(at, pull), 0)
        cut = torch.where(weight_here > 0, 1 - weight_here / torch.where(r > 0, r, 1), 1)
        cut = torch.where(r > 0, cut.clamp(min=0), 0)
        return cut.unsqueeze(-1) * step


class GeometricMedian(CenterEstimator):
    r"""The point with the smallest mean geodesic distance to the data.

    Minimises F(c) = sum_i w_i d(c, z_i) / sum_i w_i by Weiszfeld's iteration in the tangent space;
    half of the weight must be moved far away to move it far, where one point suffices for a mean.
    Short searches lead near the median, exact geodesics to it; the data point next to the end is
    tried too, for a median often is one.

    Args:
        manifold: the latent space.
        n_init: starts to descend from, see `CenterEstimator`.
        max_iter: most steps from each start, and again of exact geodesics from the best end.
        tol: stop when a step is shorter than this share of F.

    Attributes:
        estimate_: the median c, a tensor of shape `(d,)`.
        spread_: F(c), the mean distance to it.
        n_failed_: data whose geodesic to the median was not found: one without a finite curve is
            left out, the length of any other is an upper bound.
        n_iter_: steps taken.
        converged_: whether `tol` was met.
        unique_: False if a start ended elsewhere, with F within 1 %: the data have several medians,
            or as good as. True says only that no start has shown it.

    Source:
        Fletcher, Venkatasubramanian, Joshi, The geometric median on Riemannian manifolds with
        application to robust atlas estimation (2009).

    Example:
        >>> median = GeometricMedian(Manifold(lambda z: 2 * z, dim=1))
        >>> median.fit([[0.0], [1.0], [100.0]]).estimate_.tolist()
        [1.0]
    """

    def _objective(self) -> Objective:
        return Distance()


def geometric_medians(
    manifold: Manifold,
    Z: Any,
    labels: Any,
    *,
    sample_weight: Any = None,
    n_init: int = 3,
    max_iter: int = 50,
    tol: float = 1e-5,
) -> Centers:
    """Find the geometric median of each group of points, all groups as one batch.

    Args:
        manifold: the latent space.
        Z: points, shape `(n, d)`.
        labels: the group 0, ..., k - 1 of each point, shape `(n,)`.
        sample_weight: w >= 0, shape `(n,)`; 1 if None.
        n_init: starts of each group.
        max_iter: most steps.
        tol: stop when a step is shorter than this share of F.

    Returns:
        Medians with `values` F, and a status for each group.

    Raises:
        InvalidParameterError: a setting is out of range.
        InvalidDataError: bad points, labels or weights, or a group without points.
        ConvergenceError: no geodesic from a median to any of its points was found.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> geometric_medians(M, [[0.0], [1.0], [9.0]], [0, 0, 0]).points.tolist()
        [[1.0]]
    """
    limits = Limits(n_init, max_iter, tol)
    return centers_of_groups(
        manifold, Z, labels, Distance(), sample_weight=sample_weight, limits=limits
    )
