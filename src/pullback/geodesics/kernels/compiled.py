"""How kernels are compiled: by numba, when they are first called, and kept on disk."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

__all__ = ["FAST_MATH", "entry", "inlined", "kernel", "part", "sources"]

# What only kernels call needs no door for Python, which takes a tenth of the time of compiling.
_INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

# Sums may be taken in another order, products and sums contracted, divisions by one number shared.
# Not among them are what takes NaN and infinity to be absent: kernels look for both.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}

# Threads run kernels side by side, without the lock of Python; a division by zero is infinite.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": FAST_MATH, "error_model": "numpy"}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that other kernels call.

    Python itself cannot call it.
    """
    # What a test hung around the function, such as a check of its arguments, is not for numba.
    bare = inspect.unwrap(function)
    return numba.njit(**_OPTIONS, **_INSIDE)(bare)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small function into those that call it: passing arrays costs more than it does."""
    bare = inspect.unwrap(function)
    return numba.njit(**_OPTIONS, **_INSIDE, forceinline=True)(bare)


def part(function: Callable[..., Any]) -> Any:
    """Put a function that one other calls into that one, before anything is compiled.

    It is there for those who read: compiled by itself, it and all that it calls would be optimised
    once more.
    """
    bare = inspect.unwrap(function)
    return numba.njit(**_OPTIONS, inline="always")(bare)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, and keep what was compiled on disk.

    numba keeps it beside the source, or in a folder of the user where that is read-only, and takes
    it again while the file of this one function has not changed. Other files may have: let the
    function capture `sources()`, for what a function captures is part of the key.
    """
    bare = inspect.unwrap(function)
    return numba.njit(**_OPTIONS, cache=True)(bare)


def sources() -> str:
    """Return a digest of all files of this room."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
