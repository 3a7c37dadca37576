"""A table on disk: one file in a folder, such as that of its model, that knows its own metric."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import StorageError
from pullback.files import FileKind
from pullback.metrics.base import Metric
from pullback.metrics.tables.bspline import BSpline

__all__ = ["TableParts", "file_in", "read_table", "write_table"]

_CURE = "Delete it, and build and save the table again."
_TABLE = FileKind("table of a metric", absent="save a table first.", cure=_CURE)
# Points, from the lowest corner of a table to its highest, at which the metric is written beside
# it: few enough that to ask a decoder there costs nothing, and a model trained on differs at one.
_PROBES = 7


class TableParts(NamedTuple):
    """What a table of a metric is made of.

    Attributes:
        spline: log D and L on a grid.
        margin: the width of the edge, along each axis, shape `(d,)`.
        errors: relative errors of v^T M v that were measured at random points, shape `(n,)`.

    Example:
        >>> line = BSpline(torch.ones(1, 8), torch.zeros(1), torch.ones(1))
        >>> TableParts(line, margin=torch.tensor([0.1]), errors=torch.zeros(9)).spline.low.item()
        0.0
    """

    spline: BSpline
    margin: Tensor
    errors: Tensor


def file_in(folder: Path) -> Path:
    """Return the file of a folder that holds a table.

    Example:
        >>> file_in(Path("model")).name
        'table.safetensors'
    """
    return folder / "table.safetensors"


def write_table(folder: Path, parts: TableParts, metric: Metric) -> None:
    """Write a table into a folder, with what its exact metric is at some points.

    Args:
        folder: the folder; it is made if it is missing.
        parts: the table.
        metric: the exact metric.

    Raises:
        StorageError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from pullback.manifolds.reference import HalfPlane
        >>> from pullback.metrics.tables.factors import tabulate
        >>> low, high = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> spline = tabulate(HalfPlane(), low, high, n_cells=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(Path(folder), TableParts(spline, high / 8, high / 9), HalfPlane())
        ...     read_table(Path(folder), HalfPlane()).margin.tolist()
        [0.125, 0.25]
    """
    spline = parts.spline
    tensors = {
        "coefficients": spline.coefficients,
        "low": spline.low,
        "high": spline.high,
        "margin": parts.margin,
        "errors": parts.errors,
        "exact": metric.metric_matrix(_probes(spline)),
    }
    _TABLE.write(file_in(folder), tensors)


def read_table(
    folder: Path, metric: Metric, *, device: str | torch.device | None = None
) -> TableParts:
    """Read the table that `write_table` wrote, for the same metric.

    Args:
        folder: the folder.
        metric: the exact metric; its values at some points are compared with those in the file.
        device: where the metric computes; None for the CPU.

    Raises:
        StorageError: there is no table, it is damaged, or it was made from another metric.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> read_table(Path("nowhere"), HalfPlane())
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no table.safetensors in nowhere: save a table first.
    """
    path = file_in(folder)
    stored = _TABLE.read(path).tensors
    tensors = {name: value.to(device or "cpu") for name, value in stored.items()}
    try:
        spline = BSpline(tensors["coefficients"], tensors["low"], tensors["high"])
        parts = TableParts(spline, tensors["margin"], tensors["errors"])
        exact = tensors["exact"]
    except KeyError as error:
        raise _TABLE.damaged(path, f"it lacks {error}") from error
    now = metric.metric_matrix(_probes(spline))
    if now.shape != exact.shape or not torch.allclose(now.to(exact), exact, rtol=1e-4, atol=0):
        raise StorageError(
            f"{path} was made from another metric: the model has changed since. Delete the "
            "file, and build the table again."
        )
    return parts


def _probes(spline: BSpline) -> Tensor:
    low, high = spline.low, spline.high
    t = torch.linspace(0, 1, _PROBES, dtype=low.dtype, device=low.device).unsqueeze(-1)
    return low + t * (high - low)
