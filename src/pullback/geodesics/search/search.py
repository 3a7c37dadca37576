"""What a search is told: the metric, the solver, how finely, how exactly, by what thresholds."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.curves import (
    Curve,
    GradedSpline,
    graded_durations,
    graded_times,
    straight_line,
)
from pullback.geodesics.base import Solver
from pullback.geodesics.result import through
from pullback.geodesics.search.thresholds import THRESHOLDS, Thresholds
from pullback.geodesics.solvers.gauss_newton import GaussNewtonLBFGS
from pullback.geodesics.solvers.newton import Newton
from pullback.metrics import Metric
from pullback.shapes import Codes, Points

__all__ = ["Search", "default_solver"]


def default_solver(metric: Metric, dim: int, *, small_dim: int = THRESHOLDS.small_dim) -> Solver:
    """Choose the solver by measurement: exact second order in up to 8 dimensions, else less of it.

    Args:
        metric: the metric; where its Hessian costs much, one serves for several steps.
        dim: the latent dimension d.
        small_dim: the most dimensions for second order.

    Example:
        >>> import torch
        >>> from pullback.metrics import PullbackMetric
        >>> metric = PullbackMetric(lambda z: z)
        >>> type(default_solver(metric, 2)).__name__, type(default_solver(metric, 32)).__name__
        ('Newton', 'GaussNewtonLBFGS')
    """
    if dim > small_dim:
        return GaussNewtonLBFGS()
    return Newton(max_age=1 if metric.hessian_cost < 2 else 3)


class Search(NamedTuple):
    """What one call of `connect` is told, as starts, refinement and verdict need it.

    Attributes:
        metric: the metric that is searched.
        given_solver: the solver, None for the default.
        levels: numbers of segments, from coarse to fine.
        rtol: the relative error that lengths are to keep to.
        explores: start from bent lines too, in more than two dimensions.
        thresholds: what counts as seen, settled, bent or wrong.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: 2 * z), None, (32, 64), 1e-4)
        >>> search.corrects(2), search.corrects(12), search.is_approximate
        (True, False, False)
    """

    metric: Metric
    given_solver: Solver | None
    levels: tuple[int, ...]
    rtol: float
    explores: bool = True
    thresholds: Thresholds = THRESHOLDS

    @property
    def is_approximate(self) -> bool:
        """Whether the metric stands in for an exact one, as a table does."""
        return self.metric.exact is not self.metric

    def solver(self, dim: int) -> Solver:
        """The solver for curves in d dimensions: the one that was given, or the default."""
        small_dim = self.thresholds.small_dim
        return self.given_solver or default_solver(self.metric, dim, small_dim=small_dim)

    def corrects(self, dim: int) -> bool:
        """Whether chains in d dimensions are corrected to fourth order after the solver."""
        return 1 < dim <= self.thresholds.small_dim and self.solver(dim).second_order

    def is_graded(self, dim: int) -> bool:
        """Whether the nodes of chains in d dimensions crowd near both ends."""
        return dim > 1 and self.solver(dim).graded

    def curve(self, nodes: Points) -> Curve:
        """Lay a curve through the nodes of a chain, each at its time."""
        return GradedSpline(nodes) if self.is_graded(nodes.shape[-1]) else through(nodes)

    def times(self, nodes: Points) -> Tensor | None:
        """The times of the nodes of chains `(batch, n, d)`, shape `(n,)`; None where equal."""
        graded = self.is_graded(nodes.shape[-1])
        return graded_times(nodes.shape[1] - 1).to(nodes) if graded else None

    def line(self, point_a: Codes, point_b: Codes, n_segments: int) -> Points:
        """Lay nodes on the straight lines from points a to b `(batch, d)`, each at its time."""
        line = straight_line(point_a, point_b, n_segments)
        if (times := self.times(line)) is None:
            return line
        return torch.lerp(line[:, :1], line[:, -1:], times.unsqueeze(-1))

    def durations(self, points: Points) -> Tensor | None:
        """The times between points that stand on a chain as its nodes do; None where equal."""
        graded = self.is_graded(points.shape[-1])
        return graded_durations(points.shape[1] - 1).to(points) if graded else None
