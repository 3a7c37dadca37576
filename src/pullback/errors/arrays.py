"""Checks of points and data at the door: whatever holds numbers becomes a finite tensor."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import InvalidDataError

__all__ = ["cast_points", "check_array", "check_data", "check_points"]


def check_points(name: str, points: Any, dim: int | None = None) -> Tensor:
    """Return finite points `(*batch, d)` as a floating-point tensor, or raise `InvalidDataError`.

    Args:
        name: the parameter's name, for the message.
        points: a tensor, array, data frame or nested sequence of numbers; what is no float32 or
            float64 becomes float64.
        dim: the dimension d that the last axis must have, if it is known.

    Example:
        >>> check_points("point", [[0, 1], [2, 3]], dim=2).dtype
        torch.float64
    """
    if isinstance(points, list | tuple) and any(isinstance(p, Tensor) for p in points):
        points = _stacked(name, points)
    is_tensor = isinstance(points, Tensor)
    tensor: Tensor = points if is_tensor else torch.as_tensor(_as_numeric(name, points))
    _refuse_no_values(name, tensor)
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.double()
    if tensor.ndim == 0 or (dim is not None and tensor.shape[-1] != dim):
        wanted = "(..., d)" if dim is None else f"(..., {dim})"
        raise InvalidDataError(
            f"`{name}` must have shape {wanted}, but got {tuple(tensor.shape)}. "
            "Points lie along the last axis."
        )
    _refuse_non_finite(name, tensor.detach())
    return tensor


def cast_points(name: str, points: Tensor, like: Tensor) -> Tensor:
    """Return finite points in the dtype and on the device of a model, or raise.

    Raises:
        InvalidDataError: a value is beyond the range of the dtype.

    Example:
        >>> cast_points("x", torch.ones(2, dtype=torch.float64), torch.zeros(())).dtype
        torch.float32
    """
    cast = points.to(like)
    if cast.dtype != points.dtype and not bool(torch.isfinite(cast.detach()).all()):
        raise InvalidDataError(
            f"`{name}` must lie within the range of the model's {cast.dtype}, at most "
            f"{torch.finfo(cast.dtype).max:.3g}, but has values up to "
            f"{float(points.detach().abs().max()):.3g}. Use another unit, or call `double()` on "
            "the model."
        )
    return cast


def check_data(name: str, X: Any, *, dim: int | None = None, min_samples: int = 2) -> Tensor:
    """Return a finite data matrix X `(n, D)` as a floating-point tensor, or raise.

    Raises:
        InvalidDataError: X is not numeric, not two-dimensional, not finite, has too few samples or
            not `dim` features.

    Example:
        >>> check_data("X", [[0.0, 1.0], [2.0, 3.0]]).shape
        torch.Size([2, 2])
    """
    data = check_points(name, X)
    if data.ndim != 2:
        raise InvalidDataError(
            f"`{name}` must have shape (n_samples, n_features), but got {tuple(data.shape)}. "
            "Flatten each sample into a row, for images `X.reshape(len(X), -1)`."
        )
    if dim is not None and data.shape[1] != dim:
        raise InvalidDataError(
            f"`{name}` must have {dim} features, as the model has, but got {data.shape[1]}."
        )
    if data.shape[0] < min_samples:
        raise InvalidDataError(
            f"`{name}` must have at least {min_samples} samples, but got {data.shape[0]}."
        )
    return data


def check_array(name: str, values: Any) -> NDArray[np.float64]:
    """Return real numbers of any shape as an array, gaps in it as NaN, or raise.

    Raises:
        InvalidDataError: it is not numeric, ragged, sparse or without values.

    Example:
        >>> check_array("distances", [[0, None], [1, 2]]).tolist()
        [[0.0, nan], [1.0, 2.0]]
    """
    if isinstance(values, Tensor):
        _refuse_no_values(name, values)
        values = values.detach().cpu().numpy()
    return _as_numeric(name, values).astype(np.float64, copy=False)


def _not_real(name: str, dtype: str) -> InvalidDataError:
    return InvalidDataError(
        f"`{name}` must hold real numbers, but its type is {dtype}. "
        "Convert or drop the entries that are not numbers."
    )


def _stacked(name: str, points: Any) -> Tensor:
    """Put tensors in a list together, without losing their derivatives."""
    try:
        return torch.stack([torch.as_tensor(point) for point in points])
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidDataError(
            f"`{name}` is a list that holds tensors which cannot be stacked ({error}). Give them "
            "one shape, type and device."
        ) from error


def _refuse_no_values(name: str, tensor: Tensor) -> None:
    """Refuse tensors that are complex, or not one number after the other in memory."""
    if tensor.is_complex():
        raise _not_real(name, str(tensor.dtype))
    if tensor.is_meta:
        raise InvalidDataError(f"`{name}` is on the device `meta`: it has a shape but no values.")
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind, cure = ("quantized", "dequantize()") if tensor.is_quantized else ("", "to_dense()")
        kind = kind or str(tensor.layout).removeprefix("torch.")
        raise InvalidDataError(
            f"`{name}` must be a dense tensor, but its layout is {kind}. Call `{name}.{cure}`."
        )
    if tensor.is_nested:
        raise InvalidDataError(f"`{name}` must be a dense tensor, but is nested: pad or split it.")


def _as_numeric(name: str, values: Any) -> NDArray[Any]:
    n_masked = int(np.ma.getmaskarray(values).sum()) if np.ma.isMaskedArray(values) else 0
    if n_masked:
        raise InvalidDataError(
            f"`{name}` must hold a number in every entry, but {n_masked} of them are masked. "
            "Remove or impute them."
        )
    if hasattr(values, "toarray"):  # of SciPy
        raise InvalidDataError(f"`{name}` must be dense, but is sparse. Call `{name}.toarray()`.")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidDataError(
            f"`{name}` must be a regular array, but its rows differ in length ({error}). "
            "Give every point the same number of coordinates."
        ) from error
    if array.dtype == object:
        array = _numbers_of_objects(name, array, values)
    if array.dtype.kind not in "biuf":
        raise _not_real(name, str(array.dtype))
    with np.errstate(over="ignore"):  # beyond float64 is infinite, and refused as such
        native = np.float64 if array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
        array = array.astype(native, copy=False)
    return np.require(array, requirements=["C", "W"])  # what torch can share without a warning


def _numbers_of_objects(name: str, array: NDArray[Any], values: Any) -> NDArray[Any]:
    """Return what is a number, as in data frames with types of their own; what is NA is NaN."""
    if array.ndim == 0:
        raise InvalidDataError(
            f"`{name}` must be an array, a tensor or nested sequences of numbers, but is a "
            f"{type(values).__name__}."
        )
    kinds = set(map(type, array.ravel().tolist()))
    gaps = {kind for kind in kinds if kind.__name__ in ("NAType", "NoneType")}
    strange = [kind for kind in kinds - gaps if not issubclass(kind, numbers.Real | np.bool_)]
    if strange:
        raise _not_real(name, f"object, and it holds a {strange[0].__name__}")
    if gaps:
        missing = np.vectorize(lambda value: type(value) in gaps, otypes=[bool])
        array = np.where(missing(array), np.nan, array)
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise _not_real(name, "object, and it holds a whole number beyond float64") from error


def _refuse_non_finite(name: str, values: Tensor) -> None:
    # Each point that is asked about comes by here: three operations in place of seven. What is
    # finite less itself is 0, all else NaN.
    if bool((values - values).any()):
        bad = ~torch.isfinite(values)
        where = tuple(int(i) for i in bad.nonzero()[0])
        raise InvalidDataError(
            f"`{name}` must be finite, but {int(bad.sum())} of its {bad.numel()} entries are NaN "
            f"or infinite (the first at index {where}). Remove or impute them."
        )
