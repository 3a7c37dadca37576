"""What rules ask of the arguments of an operation, and how rows of tangents go through it."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from pullback.autodiff.jet import Jet, UnknownOperationError

__all__ = [
    "apply_linear",
    "by_rows",
    "check_rows",
    "check_type",
    "first_alone",
    "tangents_like",
    "value_of",
]


def first_alone(args: Iterable[Any]) -> Jet:
    """Return the first argument, if it is the only jet.

    Args:
        args: all arguments of an operation.

    Raises:
        UnknownOperationError: another is a jet, or the first is none.

    Example:
        >>> import torch
        >>> jet = Jet.of(torch.ones(1, 1), torch.ones(1, 1, 1))
        >>> first_alone((jet, 2.0)) is jet
        True
    """
    jet, *others = args
    if not isinstance(jet, Jet) or any(isinstance(other, Jet) for other in others):
        raise UnknownOperationError("an operation on several jets, or in another place")
    return jet


def value_of(x: Any) -> Any:
    """Return the value of a jet, and what is no jet as it is.

    Example:
        >>> value_of(2.0)
        2.0
    """
    return x.value if isinstance(x, Jet) else x


def check_rows(out: Tensor, *parts: Any) -> None:
    """Hold that rows stay rows: broadcasting has put no axis before theirs.

    Args:
        out: what an operation returned.
        parts: what it was given.

    Raises:
        UnknownOperationError: it has.

    Example:
        >>> import torch
        >>> jet = Jet.of(torch.ones(1, 1), torch.ones(1, 1, 1))
        >>> check_rows(torch.ones(3, 1, 1), jet)
        Traceback (most recent call last):
        pullback.autodiff.jet.UnknownOperationError: an operation that broadcasts rows
    """
    if any(isinstance(part, Jet) and part.value.ndim != out.ndim for part in parts):
        raise UnknownOperationError("an operation that broadcasts rows")


def check_type(out: Tensor, value: Tensor) -> None:
    """Hold that an operation has left type and device as they were.

    Args:
        out: what it returned.
        value: what it was given.

    Raises:
        UnknownOperationError: it has not.

    Example:
        >>> import torch
        >>> check_type(torch.ones(1).double(), torch.ones(1))
        Traceback (most recent call last):
        pullback.autodiff.jet.UnknownOperationError: a change of precision or place
    """
    if (out.dtype, out.device) != (value.dtype, value.device):
        raise UnknownOperationError("a change of precision or place")


def tangents_like(out: Tensor, tangents: Tensor) -> Tensor:
    """Return tangents of the shape that broadcasting has given to the value.

    Args:
        out: the value, shape `(n, ...)`.
        tangents: `(n, k, ...)`, their last axes broadcast against those of the value.

    Example:
        >>> import torch
        >>> tangents_like(torch.ones(2, 5), torch.ones(2, 3, 1)).shape
        torch.Size([2, 3, 5])
    """
    return tangents.expand(*tangents.shape[:2], *out.shape[1:])


def apply_linear(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Do an operation that is linear in its first argument, and leaves rows where they are.

    Args:
        func: the operation.
        args: its arguments, the jet first.
        kwargs: its keywords.

    Raises:
        UnknownOperationError: there is another jet, or type or device change.

    Example:
        >>> import torch
        >>> jet = Jet.of(torch.ones(1, 2), torch.ones(1, 3, 2))
        >>> apply_linear(torch.sum, (jet, 1), {}).tangents
        tensor([[2., 2., 2.]])
    """
    jet = first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    check_type(out, jet.value)
    return jet.then(out, by_rows(func, jet.tangents, *args[1:], **kwargs))


def by_rows(func: Any, tangents: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Apply an operation on rows to the tangents, each as a row.

    Args:
        func: the operation.
        tangents: k of each of n rows, shape `(n, k, ...)`.
        args: its further arguments.
        kwargs: its keywords.

    Returns:
        What it made of them, shape `(n, k, ...)`.

    Example:
        >>> import torch
        >>> by_rows(torch.sum, torch.ones(2, 3, 5), 1).shape
        torch.Size([2, 3])
    """
    out: Tensor = func(tangents.flatten(0, 1), *args, **kwargs)
    return out.reshape(*tangents.shape[:2], *out.shape[1:])
