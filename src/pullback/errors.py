"""Every error and warning that the package raises, and the checks at the door that raise them."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "ConvergenceError",
    "ConvergenceWarning",
    "DeviceError",
    "InvalidDataError",
    "InvalidParameterError",
    "MissingExtraError",
    "PullbackError",
    "SmoothnessWarning",
    "StorageError",
    "TableWarning",
    "cast_points",
    "check_choice",
    "check_data",
    "check_device",
    "check_dtype",
    "check_integer",
    "check_number",
    "check_path",
    "check_points",
]


_DTYPES = {
    "float64": torch.float64,
    "double": torch.float64,
    "float32": torch.float32,
    "single": torch.float32,
}


class PullbackError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidParameterError(PullbackError, ValueError):
    """A parameter lies outside what is allowed.

    Args:
        name: the parameter.
        allowed: what it may be.
        got: what came.
        cure: what to do.
    """

    def __init__(self, name: str, allowed: str, got: object, cure: str = "") -> None:
        super().__init__(f"`{name}` must be {allowed}, but got {got}. {cure}".strip())
        self.name = name


class InvalidDataError(PullbackError, ValueError):
    """Data that cannot be worked on: its message says what was found, where, and what to do."""


class DeviceError(PullbackError, RuntimeError):
    """A device that this machine does not have."""


class StorageError(PullbackError, OSError):
    """A file that cannot be written, or read back: missing, truncated, tampered with or too new."""


class MissingExtraError(PullbackError, ImportError):
    """An optional dependency is not installed; the message names the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs `{package}`, which is not installed: "
            f"run `pip install 'pullback[{extra}]'`."
        )


class ConvergenceError(PullbackError, RuntimeError):
    """An iteration ended without an answer that can be trusted, and the caller asked to raise."""


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it converged; the result says which part of it did."""


class SmoothnessWarning(UserWarning):
    """A decoder is not twice differentiable, which geodesics need."""


class TableWarning(UserWarning):
    """A file can be read in more than one way; the message says how it was, and how to choose."""


def check_integer(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an integer in [low, high], or raise `InvalidParameterError`.

    Example:
        >>> check_integer("n_clusters", 3)
        3
    """
    allowed = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidParameterError(name, allowed, f"{value!r} ({type(value).__name__})")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise InvalidParameterError(name, allowed, number)
    return number


def check_number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
) -> float:
    """Return `value` as a finite float in [low, high] ((low, high] if `open_low`), or raise.

    Example:
        >>> check_number("noise", 1, 0)
        1.0
    """
    left = "(" if open_low or low == -math.inf else "["
    right = ")" if high == math.inf else "]"
    allowed = f"a finite number in {left}{low:g}, {high:g}{right}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidParameterError(name, allowed, f"{value!r} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:  # of an integer with hundreds of digits
        number = math.inf
    too_low = number <= low if open_low and low > -math.inf else number < low
    if not math.isfinite(number) or too_low or number > high:
        raise InvalidParameterError(name, allowed, value)
    return number


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`, or raise `InvalidParameterError`.

    Example:
        >>> check_choice("std", "rbf", ("constant", "network", "rbf"))
        'rbf'
    """
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in sorted(choices))
        raise InvalidParameterError(name, f"one of {listed}", repr(value))
    return str(value)


def check_device(device: str | torch.device) -> torch.device:
    """Return the device if this machine has it, or raise `DeviceError` that names those it has.

    Example:
        >>> check_device("cpu")
        device(type='cpu')
    """
    here = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        here.append("mps")
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(
            f"`device` {device!r} is no device of PyTorch's: use one of {here}."
        ) from error
    names = [torch.device(name) for name in here]
    if wanted not in names and wanted.type not in {d.type for d in names if wanted.index is None}:
        raise DeviceError(f"`device` {device!r} is not on this machine: use one of {here}.")
    return wanted


def check_dtype(name: str, value: Any) -> torch.dtype:
    """Return the floating-point type that is meant, of PyTorch's, NumPy's or by its name, or raise.

    Raises:
        InvalidParameterError: it is no type to compute in. "float" is one too, for it is float32 in
            PyTorch and float64 in NumPy.

    Example:
        >>> check_dtype("dtype", "float64"), check_dtype("dtype", np.float32)
        (torch.float64, torch.float32)
    """
    meant = value
    if isinstance(value, str):
        meant = _DTYPES.get(value.removeprefix("torch."))
    elif isinstance(value, type | np.dtype):
        try:
            meant = _DTYPES.get(np.dtype(value).name)
        except TypeError:
            meant = None
    if not isinstance(meant, torch.dtype) or meant not in _DTYPES.values():
        raise InvalidParameterError(name, "torch.float64 or torch.float32", repr(value))
    return meant


def check_path(name: str, path: Any) -> Path:
    """Return the path of a file or folder, or raise `InvalidParameterError`.

    Example:
        >>> check_path("path", "run/model").name
        'model'
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        got = f"{path!r} ({type(path).__name__})"
        raise InvalidParameterError(name, "a path that is not empty", got)
    found = os.fspath(path)
    if not isinstance(found, str) or "\0" in found:
        raise InvalidParameterError(name, "a path in text without null characters", f"{path!r}")
    return Path(found)


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
    bad = ~torch.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in bad.nonzero()[0])
        raise InvalidDataError(
            f"`{name}` must be finite, but {int(bad.sum())} of its {bad.numel()} entries are NaN "
            f"or infinite (the first at index {where}). Remove or impute them."
        )
