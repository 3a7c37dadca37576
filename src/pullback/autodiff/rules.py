"""Rules of jets: what PyTorch's operations make of them.

A rule is given the operation, its arguments and its keywords. It computes the value as PyTorch
would, and the tangents by the chain rule; an operation that is not linear leaves a `Bend`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pullback.autodiff.elementwise import ELEMENTWISE
from pullback.autodiff.jet import Bend, Jet, UnknownOperationError
from pullback.formulas import FORMULAS

__all__ = ["RULES"]


def _elementwise(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """f(a): by the chain rule, of which f''(a) a'^2 is what second derivatives add."""
    jet = _first_alone(args)
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
    out = jet.evaluate(torch.mul, _value(x), _value(y))
    _check_rows(out, x, y)
    if not (isinstance(x, Jet) and isinstance(y, Jet)):
        tangents = jet.tangents * _beside(y if jet is x else x, out)
        return jet.then(out, _like(out, tangents))
    left, right = _like(out, x.tangents), _like(out, y.tangents)
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


def _like(out: Tensor, tangents: Tensor) -> Tensor:
    """Tangents of the shape that broadcasting has given to the value."""
    return tangents.expand(*tangents.shape[:2], *out.shape[1:])


def _divided(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Divide: q = x / y, so dq = (dx - q dy) / y, and -sum_k r_k / y_k (dq_k dy_k^T + dy_k dq_k^T).

    Not as a product with 1 / y: where x / y hardly depends on z, as far out on a sphere in
    stereographic coordinates, what cancels here exactly would be rounded there.
    """
    x, y = reversed(args) if func in _REVERSED else args
    jet = x if isinstance(x, Jet) else y
    out = jet.evaluate(torch.div, _value(x), _value(y), **kwargs)
    _check_rows(out, x, y)
    if not isinstance(y, Jet):
        constant: Tensor = x.tangents / _beside(y, out)
        return jet.then(out, _like(out, constant))
    dx = _like(out, x.tangents) if isinstance(x, Jet) else 0.0
    dy, below = _like(out, y.tangents), y.value.detach().unsqueeze(1)
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
        _check_rows(out, x, y)
        tangents = combine(x.tangents, y.tangents, **kwargs)
    elif isinstance(x, Jet):
        out, tangents = x.evaluate(combine, x.value, y, **kwargs), x.tangents
    else:
        x = x if isinstance(x, Tensor) else y.value.new_tensor(x)
        out = y.evaluate(combine, x, y.value, **kwargs)
        factor = kwargs.get("alpha", 1) * (-1 if combine is torch.sub else 1)
        tangents = y.tangents if factor == 1 else factor * y.tangents
    _check_rows(out, x, y)
    return (x if isinstance(x, Jet) else y).then(out, _like(out, tangents))


def _linear(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Linear maps x W + b and convolutions: tangents go without b, the third argument."""
    jet = _first_alone((*args, *kwargs.values()))
    if len(args) < 2 or jet.value.ndim < max(2, args[1].ndim):
        raise UnknownOperationError(f"{func} without an axis of rows")
    rest = [None if i == 2 else arg for i, arg in enumerate(args)][1:]
    without = kwargs | ({"bias": None} if "bias" in kwargs else {})
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    return jet.then(out, _folded(func, jet.tangents, *rest, **without))


def _times_matrix(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """The product x W with a constant matrix W."""
    jet = _first_alone(args)
    if args[1].ndim != 2 or jet.value.ndim < 2:
        raise UnknownOperationError(f"{func} but by a matrix from the right")
    return _apply(func, args, kwargs)


def _apply(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """An operation that is linear in its first argument, and leaves rows where they are."""
    jet = _first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    _check_type(out, jet.value)
    return jet.then(out, _folded(func, jet.tangents, *args[1:], **kwargs))


def _folded(func: Any, tangents: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Apply an operation on rows to the tangents, each as a row."""
    out: Tensor = func(tangents.flatten(0, 1), *args, **kwargs)
    return out.reshape(*tangents.shape[:2], *out.shape[1:])


def _along_axes(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Sums, means and operations on the shape: those that leave the first axis alone."""
    n_axes = args[0].value.ndim + (func in _UNSQUEEZE)  # of the result, if an axis is new
    if any(axis in (0, -n_axes) for axis in _axes(func, args[1:], kwargs)):
        raise UnknownOperationError(f"{func} of the first axis")
    return _apply(func, args, kwargs)


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
    return _apply(func, args, kwargs)


def _reshaped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """View and its like: as many numbers in a row after it as before."""
    jet = _first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    _check_type(out, jet.value)
    if out[:1].numel() != jet.value[:1].numel():
        raise UnknownOperationError(f"{func} over rows")
    return jet.then(out, jet.tangents.reshape(*jet.tangents.shape[:2], *out.shape[1:]))


def _expanded(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    jet = _first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    _check_rows(out, jet)
    return jet.then(out, _like(out, jet.tangents))


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
    return _apply(func, args, kwargs)


def _joined(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Cat and stack along an axis that is not the first, of jets and constants."""
    parts, *others = args
    jet = next(part for part in parts if isinstance(part, Jet))
    axis = kwargs.get("dim", others[0] if others else 0)
    if axis in (0, -jet.value.ndim - (func is torch.stack)):
        raise UnknownOperationError(f"{func} of rows")
    out = jet.evaluate(func, [_value(part) for part in parts], *others, **kwargs)
    columns = [_tangents(part, jet).flatten(0, 1) for part in parts]
    tangents = func(columns, *others, **kwargs)
    return jet.then(out, tangents.unflatten(0, jet.tangents.shape[:2]))


def _split(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Jet, ...]:
    jet, _, *axis = args
    if kwargs.get("dim", axis[0] if axis else 0) in (0, -jet.value.ndim):
        raise UnknownOperationError(f"{func} of rows")
    outs = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    parts = func(jet.tangents.flatten(0, 1), *args[1:], **kwargs)
    shape = jet.tangents.shape[:2]
    return tuple(jet.then(out, p.unflatten(0, shape)) for out, p in zip(outs, parts, strict=True))


def _chosen(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """where(condition, x, y): the condition compares values, and has no derivative."""
    condition, x, y = args
    jet = x if isinstance(x, Jet) else y
    if isinstance(condition, Jet) or not isinstance(jet, Jet):
        raise UnknownOperationError(f"{func} by a jet")
    out = jet.evaluate(torch.where, condition, _value(x), _value(y))
    _check_rows(out, x, y)
    p, q = (part.tangents if isinstance(part, Jet) else 0.0 for part in (x, y))
    tangents = torch.where(_beside(condition, out), p, q)
    return jet.then(out, _like(out, tangents.to(out)))


def _clamped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    jet = _first_alone((*args, *kwargs.values()))
    out = jet.evaluate(func, jet.value, *args[1:], **kwargs)
    inside = out == jet.value
    return jet.then(out, torch.where(inside.unsqueeze(1), jet.tangents, 0.0))


def _softmax(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """exp(x) over its sum along an axis, x less its largest value, which changes nothing."""
    x = _first_alone(args)
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if axis is None or kwargs.get("dtype") is not None or func not in _SOFTMAX:
        raise UnknownOperationError(f"{func} in another type, or along no axis")
    shifted = x - x.value.detach().amax(axis, keepdim=True)
    power = torch.exp(shifted)
    total = power.sum(axis, keepdim=True)
    return shifted - torch.log(total) if func in _LOG_SOFTMAX else power / total


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


def _by_formula(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for an operation that is made of others."""
    return lambda func, args, kwargs: formula(*args, **kwargs)


def _identity(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """What changes nothing: `to` the same type, `contiguous`."""
    jet = _first_alone((*args, *kwargs.values()))
    _check_type(jet.evaluate(func, jet.value, *args[1:], **kwargs), jet.value)
    return jet


def _dropped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Jet:
    """Dropout in a module that evaluates."""
    if kwargs.get("training", args[2] if len(args) > 2 else True):
        raise UnknownOperationError(f"{func} in training")
    return _first_alone(args)


def _broadcast(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    parts = args[0] if len(args) == 1 and not isinstance(args[0], Tensor) else args
    shape = torch.broadcast_shapes(*(_value(part).shape for part in parts))
    return tuple(
        _expanded(Tensor.expand, (part, shape), {}) if isinstance(part, Jet) else part.expand(shape)
        for part in parts
    )


def _of_value(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What does not depend on points: shapes, types, and comparisons, which have no derivative."""
    with torch.no_grad():
        return func(*(_value(arg) for arg in args), **kwargs)


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Jet) else x


def _tangents(part: Any, like: Jet) -> Tensor:
    """The tangents of a jet; zeros of a constant of as many rows."""
    if isinstance(part, Jet):
        return part.tangents
    return like.value.new_zeros(*like.tangents.shape[:2], *part.shape[1:])


def _first_alone(args: Iterable[Any]) -> Jet:
    """The first argument, if it is the only jet."""
    jet, *others = args
    if not isinstance(jet, Jet) or any(isinstance(other, Jet) for other in others):
        raise UnknownOperationError("an operation on several jets, or in another place")
    return jet


def _check_rows(out: Tensor, *parts: Any) -> None:
    """Rows stay rows if broadcasting puts no axis before theirs."""
    if any(isinstance(part, Jet) and part.value.ndim != out.ndim for part in parts):
        raise UnknownOperationError("an operation that broadcasts rows")


def _check_type(out: Tensor, value: Tensor) -> None:
    if (out.dtype, out.device) != (value.dtype, value.device):
        raise UnknownOperationError("a change of precision or place")


_SUBTRACTIONS = {torch.sub, torch.subtract, Tensor.sub, Tensor.subtract, Tensor.__rsub__}
_REVERSED = {Tensor.__rsub__, Tensor.__rdiv__}
_SWAPS = {torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes}
_UNSQUEEZE = {torch.unsqueeze, Tensor.unsqueeze}
_LOG_SOFTMAX = {F.log_softmax, torch.log_softmax, Tensor.log_softmax}
_SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax} | _LOG_SOFTMAX

_BY_RULE: list[tuple[Callable[..., Any], list[Any]]] = [
    *((_by_formula(formula), [operation]) for operation, formula in FORMULAS.items()),
    (_elementwise, list(ELEMENTWISE)),
    (_added, [torch.add, Tensor.add, *_SUBTRACTIONS]),
    (_multiplied, [torch.mul, torch.multiply, Tensor.mul, Tensor.multiply]),
    (_divided, [torch.div, torch.true_divide, Tensor.div, Tensor.true_divide, Tensor.__rdiv__]),
    (_linear, [F.linear, F.conv1d, F.conv2d, F.conv3d]),
    (_linear, [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]),
    (_times_matrix, [torch.matmul, Tensor.matmul, torch.mm, Tensor.mm]),
    (_along_axes, [torch.sum, Tensor.sum, torch.mean, Tensor.mean, *_SWAPS]),
    (_along_axes, [*_UNSQUEEZE, torch.squeeze, Tensor.squeeze]),
    (_permuted, [torch.permute, Tensor.permute]),
    (_reshaped, [torch.reshape, Tensor.reshape, Tensor.view, torch.flatten, Tensor.flatten]),
    (_reshaped, [torch.unflatten, Tensor.unflatten]),
    (_expanded, [Tensor.expand, torch.broadcast_to, Tensor.broadcast_to]),
    (_indexed, [Tensor.__getitem__]),
    (_joined, [torch.cat, torch.concat, torch.stack]),
    (_split, [torch.chunk, Tensor.chunk, torch.split, Tensor.split]),
    (_chosen, [torch.where]),
    (_clamped, [torch.clamp, Tensor.clamp, torch.clip, Tensor.clip]),
    (_softmax, list(_SOFTMAX)),
    (_by_formula(_batch_norm), [F.batch_norm]),
    (_dropped, [F.dropout]),
    (_identity, [Tensor.to, Tensor.contiguous, Tensor.double, Tensor.float]),
    (_broadcast, [torch.broadcast_tensors]),
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
