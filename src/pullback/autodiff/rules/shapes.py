"""Rules of operations on the shape: sums along axes, views, slices, joins, and broadcasting."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff.jet import Jet, UnknownOperationError
from pullback.autodiff.rules.operands import (
    apply_linear,
    check_rows,
    check_type,
    first_alone,
    tangents_like,
    value_of,
)

__all__ = ["SHAPES"]


def _along_axes(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Sums, means and operations on the shape: those that leave the first axis alone."""
    n_axes = args[0].value.ndim + (func in _UNSQUEEZE)  # of the result, if an axis is new
    if any(axis in (0, -n_axes) for axis in _axes(func, args[1:], kwargs)):
        raise UnknownOperationError(f"{func} of the first axis")
    return apply_linear(func, args, kwargs)


def _axes(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Sequence[int]:
    """The axes that an operation says it works on; the first one if it names none."""
    if func in _SWAPS:
        first, second = (*args, 0, 0)[:2]
        return (kwargs.get("dim0", first), kwargs.get("dim1", second))
    named = kwargs.get("dim", args[0] if args else 0)
    return (named,) if isinstance(named, int) else tuple(named)


def _permuted(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    order = kwargs.get("dims", args[1] if len(args) > 1 else ())
    if (order if isinstance(order, int) else order[0]) not in (0, -args[0].value.ndim):
        raise UnknownOperationError(f"{func} of the first axis")
    return apply_linear(func, args, kwargs)


def _reshaped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """View and its like: as many numbers in a row after it as before."""
    jet = first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    check_type(out, jet.value)
    if out[:1].numel() != jet.value[:1].numel():
        raise UnknownOperationError(f"{func} over rows")
    return jet.then(out, jet.tangents.reshape(*jet.tangents.shape[:2], *out.shape[1:]))


def _expanded(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    jet = first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    check_rows(out, jet)
    return jet.then(out, tangents_like(out, jet.tangents))


def _indexed(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """x[:, ...]: columns and slices of rows, no choice among them."""
    jet, index = args
    parts = index if isinstance(index, tuple) else (index,)
    n_axes = sum(part is not None for part in parts)
    keeps = parts[0] is Ellipsis and n_axes <= jet.value.ndim
    whole = isinstance(parts[0], slice) and parts[0] == slice(None)
    simple = all(part is None or part is Ellipsis or type(part) in (int, slice) for part in parts)
    if not (simple and (keeps or whole)):
        raise UnknownOperationError(f"{func} among rows")
    return apply_linear(func, args, kwargs)


def _joined(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Cat and stack along an axis that is not the first, of jets and constants."""
    parts, *others = args
    jet = next(part for part in parts if isinstance(part, Jet))
    axis = kwargs.get("dim", others[0] if others else 0)
    if axis in (0, -jet.value.ndim - (func is torch.stack)):
        raise UnknownOperationError(f"{func} of rows")
    out = jet.evaluate(func, [value_of(part) for part in parts], *others, **kwargs)
    columns = [_tangents(part, jet).flatten(0, 1) for part in parts]
    tangents = func(columns, *others, **kwargs)
    return jet.then(out, tangents.unflatten(0, jet.tangents.shape[:2]))


def _tangents(part: Any, like: Jet) -> Tensor:
    """The tangents of a jet; zeros of a constant of as many rows."""
    if isinstance(part, Jet):
        return part.tangents
    return like.value.new_zeros(*like.tangents.shape[:2], *part.shape[1:])


def _split(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Jet, ...]:
    jet, _, *axis = args
    if kwargs.get("dim", axis[0] if axis else 0) in (0, -jet.value.ndim):
        raise UnknownOperationError(f"{func} of rows")
    outs = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    parts = func(jet.tangents.flatten(0, 1), *args[1:], **kwargs)
    shape = jet.tangents.shape[:2]
    return tuple(jet.then(out, p.unflatten(0, shape)) for out, p in zip(outs, parts, strict=True))


def _broadcast(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    parts = args[0] if len(args) == 1 and not isinstance(args[0], Tensor) else args
    shape = torch.broadcast_shapes(*(value_of(part).shape for part in parts))
    return tuple(
        _expanded(Tensor.expand, (part, shape), {}) if isinstance(part, Jet) else part.expand(shape)
        for part in parts
    )


_SWAPS = {torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes}
_UNSQUEEZE = {torch.unsqueeze, Tensor.unsqueeze}

SHAPES: list[tuple[Callable[..., Any], list[Any]]] = [
    (_along_axes, [torch.sum, Tensor.sum, torch.mean, Tensor.mean, *_SWAPS]),
    (_along_axes, [*_UNSQUEEZE, torch.squeeze, Tensor.squeeze]),
    (_permuted, [torch.permute, Tensor.permute]),
    (_reshaped, [torch.reshape, Tensor.reshape, Tensor.view, torch.flatten, Tensor.flatten]),
    (_reshaped, [torch.unflatten, Tensor.unflatten]),
    (_expanded, [Tensor.expand, torch.broadcast_to, Tensor.broadcast_to]),
    (_indexed, [Tensor.__getitem__]),
    (_joined, [torch.cat, torch.concat, torch.stack]),
    (_split, [torch.chunk, Tensor.chunk, torch.split, Tensor.split]),
    (_broadcast, [torch.broadcast_tensors]),
]
"""Each rule, with the operations that it is for."""
