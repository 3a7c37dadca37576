"""Checks of single values at the door: numbers, choices, devices, types and paths."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pullback.errors import DeviceError, InvalidParameterError

__all__ = [
    "check_choice",
    "check_device",
    "check_dtype",
    "check_integer",
    "check_number",
    "check_path",
]

_DTYPES = {
    "float64": torch.float64,
    "double": torch.float64,
    "float32": torch.float32,
    "single": torch.float32,
}


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
