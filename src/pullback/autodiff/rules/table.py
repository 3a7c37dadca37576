"""All rules by operation: arithmetic, shapes, what is made of others, what has no derivative."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pullback.autodiff.jet import Jet, UnknownOperationError
from pullback.autodiff.rules.arithmetic import ARITHMETIC
from pullback.autodiff.rules.operands import check_type, first_alone, value_of
from pullback.autodiff.rules.shapes import SHAPES
from pullback.formulas import FORMULAS

__all__ = ["RULES"]


def _batch_norm(
    x: Jet,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """An affine map, for a module that evaluates."""
    if training or mean is None:
        raise UnknownOperationError("batch normalisation by the batch itself")

    def of_channels(p: Tensor) -> Tensor:
        return p.reshape(1, -1, *[1] * (x.value.ndim - 2))

    rate = (variance + eps).rsqrt()
    out = (x - of_channels(mean)) * of_channels(rate if weight is None else rate * weight)
    return out if bias is None else out + of_channels(bias)


def _dropped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Dropout in a module that evaluates."""
    if kwargs.get("training", args[2] if len(args) > 2 else True):
        raise UnknownOperationError(f"{func} in training")
    return first_alone(args)


def _identity(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """What changes nothing: `to` the same type, `contiguous`."""
    jet = first_alone((*args, *kwargs.values()))
    check_type(jet.evaluate(func, jet.value, *args[1:], **kwargs), jet.value)
    return jet


def _of_value(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What does not depend on points: shapes, types, and comparisons, which have no derivative."""
    with torch.no_grad():
        return func(*(value_of(arg) for arg in args), **kwargs)


def _by_formula(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for an operation that is made of others."""
    return lambda func, args, kwargs: formula(*args, **kwargs)


_BY_RULE: list[tuple[Callable[..., Any], list[Any]]] = [
    *((_by_formula(formula), [operation]) for operation, formula in FORMULAS.items()),
    *ARITHMETIC,
    *SHAPES,
    (_by_formula(_batch_norm), [F.batch_norm]),
    (_dropped, [F.dropout]),
    (_identity, [Tensor.to, Tensor.contiguous, Tensor.double, Tensor.float]),
    (_of_value, [Tensor.shape.__get__, Tensor.dtype.__get__, Tensor.device.__get__]),  # type: ignore[attr-defined]
    (_of_value, [Tensor.ndim.__get__, Tensor.is_cuda.__get__]),  # type: ignore[attr-defined]
    (_of_value, [Tensor.size, Tensor.dim, Tensor.numel, Tensor.__len__]),
    (_of_value, [Tensor.is_floating_point, Tensor.is_complex, torch.is_floating_point]),
    (_of_value, [Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_tensor]),
    (_of_value, [torch.zeros_like, torch.ones_like, torch.full_like]),
    (_of_value, [torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne]),
    (_of_value, [Tensor.gt, Tensor.ge, Tensor.lt, Tensor.le, Tensor.__eq__, Tensor.__ne__]),
    (_of_value, [torch.isfinite, Tensor.isfinite, torch.isnan, Tensor.isnan]),
]

RULES: dict[Any, Callable[..., Any]] = {
    operation: rule for rule, operations in _BY_RULE for operation in operations
}
"""From an operation, by each of its names, to its rule."""
