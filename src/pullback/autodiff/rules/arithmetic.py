"""Rules of arithmetic: sums, products, functions of each number, linear maps, and choices."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pullback.autodiff.elementwise import ELEMENTWISE
from pullback.autodiff.jet import Bend, Jet, UnknownOperationError
from pullback.autodiff.rules.operands import (
    apply_linear,
    by_rows,
    check_rows,
    first_alone,
    tangents_like,
    value_of,
)

__all__ = ["ARITHMETIC"]


def _elementwise(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """f(a): by the chain rule, of which f''(a) a'^2 is what second derivatives add."""
    jet = first_alone(args)
    others, keywords = args[1:], {k: v for k, v in kwargs.items() if k != "inplace"}
    if kwargs.get("inplace"):  # it would change what other operations still read
        raise UnknownOperationError(f"{func} in place")
    function = ELEMENTWISE[func]
    out = jet.evaluate(func, jet.value, *others, **kwargs)
    a, y, tangents, second = jet.value.detach(), out.detach(), jet.tangents, function.second
    slope = function.first(a, y, *others, **keywords)
    if second is not None and jet.bends is not None:

        def share(adjoint: Tensor) -> Tensor:
            return _gram(adjoint * second(a, y, *others, **keywords), tangents, tangents)

        jet.bends.append(Bend(out, share))
    pushed = slope.unsqueeze(1) * tangents
    if second is not None and jet.is_curved:
        pushed[:, -1] += second(a, y, *others, **keywords) * tangents[:, -2].square()
    return jet.then(out, pushed)


def _multiplied(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """The product x y: the product rule, and sum_k r_k (dx_k dy_k^T + dy_k dx_k^T)."""
    x, y = args
    jet = x if isinstance(x, Jet) else y
    out = jet.evaluate(torch.mul, value_of(x), value_of(y))
    check_rows(out, x, y)
    if not (isinstance(x, Jet) and isinstance(y, Jet)):
        tangents = jet.tangents * _beside(y if jet is x else x, out)
        return jet.then(out, tangents_like(out, tangents))
    left, right = tangents_like(out, x.tangents), tangents_like(out, y.tangents)
    if jet.bends is not None:

        def share(adjoint: Tensor) -> Tensor:
            one_way = _gram(adjoint, left, right)
            return one_way + one_way.mT

        jet.bends.append(Bend(out, share))
    p, q = x.value.detach().unsqueeze(1), y.value.detach().unsqueeze(1)
    pushed = left * q + p * right
    if jet.is_curved:
        pushed[:, -1] += 2 * left[:, -2] * right[:, -2]
    return jet.then(out, pushed)


def _gram(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """sum_k w_k l_ik r_jk for each row, with k over all its numbers: shape `(n, d, d)`."""
    shape = (*left.shape[:2], -1)
    gram: Tensor = (weight.unsqueeze(1) * left).reshape(shape) @ right.reshape(shape).mT
    return gram


def _beside(constant: Any, out: Tensor) -> Any:
    """A constant as it stands beside tangents, which have an axis of directions after the first."""
    has_rows = isinstance(constant, Tensor) and constant.ndim == out.ndim
    return constant.unsqueeze(1) if has_rows else constant


def _divided(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Divide: q = x / y, so dq = (dx - q dy) / y, and -sum_k r_k / y_k (dq_k dy_k^T + dy_k dq_k^T).

    Not as a product with 1 / y: where x / y hardly depends on z, as far out on a sphere in
    stereographic coordinates, what cancels here exactly would be rounded there.
    """
    x, y = reversed(args) if func in _REVERSED else args
    jet = x if isinstance(x, Jet) else y
    out = jet.evaluate(torch.div, value_of(x), value_of(y), **kwargs)
    check_rows(out, x, y)
    if not isinstance(y, Jet):
        constant: Tensor = x.tangents / _beside(y, out)
        return jet.then(out, tangents_like(out, constant))
    dx = tangents_like(out, x.tangents) if isinstance(x, Jet) else 0.0
    dy, below = tangents_like(out, y.tangents), y.value.detach().unsqueeze(1)
    pushed = (dx - out.detach().unsqueeze(1) * dy) / below
    if jet.is_curved:
        pushed[:, -1] -= 2 * pushed[:, -2] * dy[:, -2] / below.squeeze(1)
    if jet.bends is not None:

        def share(adjoint: Tensor) -> Tensor:
            one_way = _gram(-adjoint / below.squeeze(1), pushed, dy)
            return one_way + one_way.mT

        jet.bends.append(Bend(out, share))
    return jet.then(out, pushed)


def _added(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Add or subtract: x + y or x - y, with y times `alpha` if that is given."""
    x, y = reversed(args) if func in _REVERSED else args
    combine = torch.sub if func in _SUBTRACTIONS else torch.add
    if isinstance(x, Jet) and isinstance(y, Jet):
        out = x.evaluate(combine, x.value, y.value, **kwargs)
        check_rows(out, x, y)
        tangents = combine(x.tangents, y.tangents, **kwargs)
    elif isinstance(x, Jet):
        out, tangents = x.evaluate(combine, x.value, y, **kwargs), x.tangents
    else:
        x = x if isinstance(x, Tensor) else y.value.new_tensor(x)
        out = y.evaluate(combine, x, y.value, **kwargs)
        factor = kwargs.get("alpha", 1) * (-1 if combine is torch.sub else 1)
        tangents = y.tangents if factor == 1 else factor * y.tangents
    check_rows(out, x, y)
    return (x if isinstance(x, Jet) else y).then(out, tangents_like(out, tangents))


def _linear(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Linear maps x W + b and convolutions: tangents go without b, the third argument."""
    jet = first_alone((*args, *kwargs.values()))
    if len(args) < 2 or jet.value.ndim < max(2, args[1].ndim):
        raise UnknownOperationError(f"{func} without an axis of rows")
    rest = [None if i == 2 else arg for i, arg in enumerate(args)][1:]
    without = kwargs | ({"bias": None} if "bias" in kwargs else {})
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    return jet.then(out, by_rows(func, jet.tangents, *rest, **without))


def _times_matrix(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """The product x W with a constant matrix W."""
    jet = first_alone(args)
    if args[1].ndim != 2 or jet.value.ndim < 2:
        raise UnknownOperationError(f"{func} but by a matrix from the right")
    return apply_linear(func, args, kwargs)


def _chosen(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """where(condition, x, y): the condition compares values, and has no derivative."""
    condition, x, y = args
    jet = x if isinstance(x, Jet) else y
    if isinstance(condition, Jet) or not isinstance(jet, Jet):
        raise UnknownOperationError(f"{func} by a jet")
    out = jet.evaluate(torch.where, condition, value_of(x), value_of(y))
    check_rows(out, x, y)
    p, q = (part.tangents if isinstance(part, Jet) else 0.0 for part in (x, y))
    tangents = torch.where(_beside(condition, out), p, q)
    return jet.then(out, tangents_like(out, tangents.to(out)))


def _clamped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    jet = first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    inside = out == jet.value
    return jet.then(out, torch.where(inside.unsqueeze(1), jet.tangents, 0.0))


def _softmax(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """exp(x) over its sum along an axis, x less its largest value, which changes nothing."""
    x = first_alone(args)
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if axis is None or kwargs.get("dtype") is not None or func not in _SOFTMAX:
        raise UnknownOperationError(f"{func} in another type, or along no axis")
    shifted = x - x.value.detach().amax(axis, keepdim=True)
    power = torch.exp(shifted)
    total = power.sum(axis, keepdim=True)
    return shifted - torch.log(total) if func in _LOG_SOFTMAX else power / total


_SUBTRACTIONS = {torch.sub, torch.subtract, Tensor.sub, Tensor.subtract, Tensor.__rsub__}
_REVERSED = {Tensor.__rsub__, Tensor.__rdiv__}
_LOG_SOFTMAX = {F.log_softmax, torch.log_softmax, Tensor.log_softmax}
_SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax} | _LOG_SOFTMAX

ARITHMETIC: list[tuple[Callable[..., Any], list[Any]]] = [
    (_elementwise, list(ELEMENTWISE)),
    (_added, [torch.add, Tensor.add, *_SUBTRACTIONS]),
    (_multiplied, [torch.mul, torch.multiply, Tensor.mul, Tensor.multiply]),
    (_divided, [torch.div, torch.true_divide, Tensor.div, Tensor.true_divide, Tensor.__rdiv__]),
    (_linear, [F.linear, F.conv1d, F.conv2d, F.conv3d]),
    (_linear, [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]),
    (_times_matrix, [torch.matmul, Tensor.matmul, torch.mm, Tensor.mm]),
    (_chosen, [torch.where]),
    (_clamped, [torch.clamp, Tensor.clamp, torch.clip, Tensor.clip]),
    (_softmax, list(_SOFTMAX)),
]
"""Each rule, with the operations that it is for."""
