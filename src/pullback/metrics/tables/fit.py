"""How fine a table has to be: grids that are made finer until the error at random points is met."""

import torch
from torch import Tensor

from pullback import linalg
from pullback.metrics.base import Metric
from pullback.metrics.tables.bspline import BSpline
from pullback.metrics.tables.factors import read_matrix, tabulate

__all__ = ["error_kept_by", "fit_spline"]

# Cells along each axis that are tried first, by dimension: up to 5,000 evaluations of the
# metric, from whose error follows how many cells are needed.
_FIRST = {1: 128, 2: 64, 3: 16}
# The most cells along each axis, by dimension: 16,384 cells on a line, 262,144 in the plane and in
# space, as many evaluations of the exact metric. The table then takes up to 15 MB.
_MOST = {1: 16384, 2: 512, 3: 64}
# The error falls with the fourth power of the number of cells along an axis. This factor takes more
# of them than that asks for, so that the next try has half of the error that is allowed.
_GROWTH = 1.2
# The next try has at least and at most so many times the cells along each axis, whatever the error
# says: a quarter more, so that few tries do, and four times, so that one bad estimate makes no grid
# far too fine.
_LEAST_GROWTH, _MOST_GROWTH = 1.25, 4.0
# The share of the error bound that derivatives in single precision may add at the worst of the
# probes. On the common problem they add 4e-7 / 3e-6 / 2e-5 (median, 95 %, largest) where the table
# is off by 8e-6 / 2e-3 / 1. A larger share would show in lengths, a smaller one ask for twice the
# time where the metric is thin.
_ROUNDED = 0.01


def error_kept_by(errors: Tensor, share: float = 0.95) -> float:
    """Return the error that this share of the points keeps to.

    Args:
        errors: errors at points that were drawn evenly, shape `(n,)`.
        share: between 0 and 1.

    Example:
        >>> error_kept_by(torch.tensor([1.0, 2.0, 3.0]), share=0.5)
        2.0
    """
    return float(errors.quantile(share))


def fit_spline(
    metric: Metric, low: Tensor, high: Tensor, probes: Tensor, *, rtol: float
) -> tuple[BSpline, Tensor]:
    """Lay a spline through the factors of a metric, as fine as an error bound asks for.

    Args:
        metric: the exact metric, in at most three dimensions.
        low: the lowest corner of the grid, shape `(d,)`.
        high: the highest corner, shape `(d,)`.
        probes: points at which the error is measured, shape `(n, d)`.
        rtol: the relative error of v^T M v that 95 % of these must keep to.

    Returns:
        The spline, and the relative errors at the probes, shape `(n,)`: above `rtol` where the
        finest grid did not reach it.

    Raises:
        InvalidDataError: the metric is singular or not finite somewhere on the grid.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> probes = low + (high - low) * torch.rand(50, 2, dtype=torch.float64)
        >>> spline, errors = fit_spline(HalfPlane(), low, high, probes, rtol=1e-4)
        >>> error_kept_by(errors) < 1e-4
        True
    """
    d = len(low)
    n_cells = _FIRST[d]
    with torch.no_grad():
        exact = metric.metric_matrix(probes)
        rough = _may_be_rough(metric, probes, exact, rtol)
        while True:
            spline = tabulate(metric, low, high, n_cells, rough=rough)
            errors = _relative_errors(read_matrix(spline, probes), exact)
            error = error_kept_by(errors)
            if error <= rtol or n_cells >= _MOST[d]:
                return spline, errors
            growth = min(max(_GROWTH * (error / rtol) ** 0.25, _LEAST_GROWTH), _MOST_GROWTH)
            n_cells = min(int(n_cells * growth) + 1, _MOST[d])


def _may_be_rough(metric: Metric, probes: Tensor, exact: Tensor, rtol: float) -> bool:
    """Say whether derivatives in single precision are as good for a table, by those at the probes.

    Grids are made of them in half of the time; what the table is held against stays exact.
    """
    if metric.single is None or not bool(linalg.cholesky(exact)[1].all()):
        return False
    rough = metric.rough_matrix(probes)
    if not bool(rough.isfinite().all()):
        return False
    return float(_relative_errors(rough, exact).amax()) <= _ROUNDED * rtol


def _relative_errors(read: Tensor, exact: Tensor) -> Tensor:
    """The largest relative error of v^T M v over all directions v, at each point."""
    factor, _ = linalg.cholesky(exact)
    half = torch.linalg.solve_triangular(factor, read - exact, upper=False)
    whole = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    errors: Tensor = torch.linalg.eigvalsh((whole + whole.mT) / 2).abs().amax(-1)
    return errors
