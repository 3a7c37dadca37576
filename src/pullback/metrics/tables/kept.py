"""A table that is kept in a folder: read where it fits what is asked, else made and saved."""

import os

import torch

from pullback.metrics.base import Metric
from pullback.metrics.tables.tabulated import TabulatedMetric
from pullback.shapes import Codes

__all__ = ["kept_table"]


def kept_table(
    metric: Metric,
    codes: Codes,
    folder: str | os.PathLike[str] | None,
    *,
    rtol: float,
    margin: float,
    device: str | torch.device | None = None,
) -> TabulatedMetric:
    """Return a table over codes: the folder's if it is so exact and covers them, else a new one.

    Args:
        metric: the exact metric.
        codes: points of the latent space to cover, shape `(n, d)`.
        folder: where the table is kept; None to make one that is not.
        rtol: the relative error of v^T M v that 95 % of the domain must keep to.
        margin: how far a new table reaches beyond the codes, as a share of their extent.
        device: where the metric computes; None for the CPU.

    Raises:
        InvalidParameterError: more than three dimensions, or a parameter out of range.
        InvalidDataError: the metric is singular or not finite somewhere on the grid.
        StorageError: the folder holds a damaged table, or one of another metric.

    Example:
        >>> import tempfile
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = kept_table(HalfPlane(), codes, folder, rtol=1e-3, margin=0.2)
        ...     read = kept_table(HalfPlane(), codes, folder, rtol=1e-3, margin=0.2)
        >>> torch.equal(made.errors, read.errors)
        True
    """
    if folder is not None and TabulatedMetric.is_saved(folder):
        table = TabulatedMetric.load(folder, metric, device=device)
        if table.error() <= rtol and bool(table.covers(codes).all()):
            return table
    table = TabulatedMetric.build(metric, codes, rtol=rtol, margin=margin)
    if folder is not None:
        table.save(folder)
    return table
