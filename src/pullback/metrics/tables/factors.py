"""The factors M = L D L^T of a metric, as a table holds them: log D and the entries of L."""

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import InvalidDataError
from pullback.metrics.base import Metric
from pullback.metrics.tables.bspline import BSpline
from pullback.progress import tell

__all__ = ["assemble", "lower_product", "read_matrix", "tabulate"]

# Nodes of a grid that are measured between two words of how far it is. Of digits as many take a
# tenth of a second: fewer would cost time of their own, and more let a bar stand still.
_BLOCK = 2048


def tabulate(
    metric: Metric, low: Tensor, high: Tensor, n_cells: int, *, rough: bool = False
) -> BSpline:
    """Lay a spline through the factors of a metric on a grid of so many cells along each axis.

    Args:
        metric: the metric, in at most three dimensions.
        low: the lowest corner of the grid, shape `(d,)`.
        high: the highest corner, shape `(d,)`.
        n_cells: cells of the grid along each axis, at least four.
        rough: take derivatives in single precision, wherever that finds the metric regular.

    Returns:
        The spline of log D and of the entries of L below its diagonal, row by row.

    Raises:
        InvalidDataError: the metric is singular or not finite somewhere on the grid.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> tabulate(HalfPlane(), low, high, n_cells=8).coefficients.shape
        torch.Size([3, 11, 11])
    """
    d = len(low)
    axes = [
        torch.linspace(float(a), float(b), n_cells + 1, dtype=low.dtype, device=low.device)
        for a, b in zip(low, high, strict=True)
    ]
    grid = torch.cartesian_prod(*axes).reshape(-1, d)
    matrix = _measured(metric, grid, f"table of {' x '.join([str(n_cells)] * d)} cells", rough)
    factor, positive = linalg.cholesky(matrix)
    if not bool(positive.all()):
        if rough:
            return tabulate(metric, low, high, n_cells)
        where = grid[~positive][0].tolist()
        raise InvalidDataError(
            f"`codes` must span a region where the metric is positive definite, but it is singular "
            f"or not finite at {int((~positive).sum())} of {len(grid)} nodes of the table (the "
            f"first at {[round(x, 4) for x in where]}). A latent axis may have collapsed; or "
            "give a smaller `margin`."
        )
    pivots = factor.diagonal(dim1=-2, dim2=-1)
    unit = factor / pivots.unsqueeze(-2)
    row, column = torch.tril_indices(d, d, offset=-1)
    values = torch.cat([2 * pivots.log(), unit[:, row, column]], -1)
    return BSpline.through(values.T.reshape(-1, *[n_cells + 1] * d), low, high)


def _measured(metric: Metric, grid: Tensor, what: str, rough: bool) -> Tensor:
    measure = metric.rough_matrix if rough else metric.metric_matrix
    parts = []
    for k, nodes in enumerate(grid.split(_BLOCK)):
        tell(what, k * _BLOCK, len(grid))
        parts.append(measure(nodes))
    tell(what, len(grid), len(grid))
    return torch.cat(parts)


def lower_product(low: Tensor, x: Tensor, *, transpose: bool = False) -> Tensor:
    """Multiply the strictly lower triangular matrix of the entries by x.

    Args:
        low: the entries, row by row, shape `(d (d - 1) / 2, ...)`.
        x: the vectors, shape `(d, ...)`; what follows the first axis broadcasts.
        transpose: multiply by the transpose instead.

    Example:
        >>> lower_product(torch.tensor([2.0]), torch.tensor([1.0, 1.0])).tolist()
        [0.0, 2.0]
    """
    if len(x) == 2:  # the plane: one entry
        product = low[0] * x[0 if not transpose else 1]
        zero = torch.zeros_like(product)
        return torch.stack([product, zero] if transpose else [zero, product])
    row, column = torch.tril_indices(len(x), len(x), offset=-1, device=x.device)
    into, out = (column, row) if transpose else (row, column)
    terms = low * x[out]
    return terms.new_zeros(len(x), *terms.shape[1:]).index_add(0, into, terms)


def assemble(scale: Tensor, low: Tensor) -> Tensor:
    """Multiply L D L^T out.

    Args:
        scale: the diagonal of D, shape `(d, points)`.
        low: the entries of L below its diagonal, row by row, shape `(d (d - 1) / 2, points)`.

    Returns:
        The matrices, points last: `(d, d, points)`.

    Example:
        >>> assemble(torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0]])).squeeze(-1).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    if len(scale) == 2:
        a, b = scale[0], scale[0] * low[0]
        return torch.stack([torch.stack([a, b]), torch.stack([b, b * low[0] + scale[1]])])
    d = len(scale)
    L = torch.eye(d, dtype=scale.dtype, device=scale.device).unsqueeze(-1)
    L = L.repeat(1, 1, scale.shape[-1])
    row, column = torch.tril_indices(d, d, offset=-1, device=scale.device)
    L[row, column] = low
    return ((L * scale).unsqueeze(1) * L.unsqueeze(0)).sum(2)


def read_matrix(spline: BSpline, z: Tensor) -> Tensor:
    """Read M off a spline of its factors, shape `(points, d, d)`.

    Args:
        spline: the spline, as `tabulate` makes it.
        z: points in the grid, shape `(points, d)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
        >>> spline = tabulate(HalfPlane(), low, high, n_cells=64)
        >>> at = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
        >>> read_matrix(spline, at).diagonal(dim1=-2, dim2=-1).round(decimals=4).tolist()
        [[0.25, 0.25]]
    """
    d = z.shape[-1]
    components = spline(z)[(0,) * d]
    return assemble(components[:d].exp(), components[d:]).movedim(-1, 0)
