"""Every error and warning that the package raises, and the checks at the door that raise them."""

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
    "check_array",
    "check_choice",
    "check_data",
    "check_device",
    "check_dtype",
    "check_integer",
    "check_number",
    "check_path",
    "check_points",
]


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


# Below the errors, for the checks raise them.
from pullback.errors.arrays import (  # noqa: E402
    cast_points,
    check_array,
    check_data,
    check_points,
)
from pullback.errors.checks import (  # noqa: E402
    check_choice,
    check_device,
    check_dtype,
    check_integer,
    check_number,
    check_path,
)
