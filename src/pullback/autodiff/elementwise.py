"""Functions of one number, with their first and second derivatives."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ELEMENTWISE", "Elementwise"]

Derivative = Callable[..., Tensor]
"""From the argument a, the value y = f(a) and the further arguments of f to a derivative at a."""


class Elementwise(NamedTuple):
    """A function f that is applied to every number of a tensor, by its derivatives.

    Attributes:
        first: f'(a), from a, y = f(a) and the further arguments of f.
        second: f''(a), from the same; None if f is linear or piecewise linear.

    Example:
        >>> a = torch.tensor([0.5], dtype=torch.float64)
        >>> tanh = ELEMENTWISE[torch.tanh]
        >>> tanh.first(a, a.tanh()).item() == 1 - a.tanh().item() ** 2
        True
    """

    first: Derivative
    second: Derivative | None


def _sigmoid_slope(a: Tensor, y: Tensor) -> Tensor:
    return y * (1 - y)


_TANH = Elementwise(lambda a, y: 1 - y * y, lambda a, y: -2 * y * (1 - y * y))
_SIGMOID = Elementwise(_sigmoid_slope, lambda a, y: _sigmoid_slope(a, y) * (1 - 2 * y))
_EXP = Elementwise(lambda a, y: y, lambda a, y: y)
_EXPM1 = Elementwise(lambda a, y: y + 1, lambda a, y: y + 1)
_LOG = Elementwise(lambda a, y: a.reciprocal(), lambda a, y: -a.square().reciprocal())
_LOG1P = Elementwise(lambda a, y: (1 + a).reciprocal(), lambda a, y: -(1 + a).square().reciprocal())
_SQRT = Elementwise(lambda a, y: 0.5 / y, lambda a, y: -0.25 / (a * y))
_RSQRT = Elementwise(lambda a, y: -0.5 * y / a, lambda a, y: 0.75 * y / a.square())
_RECIPROCAL = Elementwise(lambda a, y: -y.square(), lambda a, y: 2 * y.square() * y)
_SQUARE = Elementwise(lambda a, y: 2 * a, lambda a, y: torch.full_like(a, 2.0))
_SIN = Elementwise(lambda a, y: a.cos(), lambda a, y: -y)
_COS = Elementwise(lambda a, y: -a.sin(), lambda a, y: -y)
_ERF_SLOPE = 2 / math.sqrt(math.pi)  # of the error function at 0
_ERF = Elementwise(
    lambda a, y: _ERF_SLOPE * torch.exp(-a * a),
    lambda a, y: -2 * _ERF_SLOPE * a * torch.exp(-a * a),
)
_ATAN = Elementwise(
    lambda a, y: (1 + a * a).reciprocal(), lambda a, y: -2 * a / (1 + a * a).square()
)
_ASIN = Elementwise(lambda a, y: (1 - a * a).rsqrt(), lambda a, y: a * (1 - a * a).pow(-1.5))
_NEGATIVE = Elementwise(lambda a, y: torch.full_like(a, -1.0), None)


def _softplus_slope(a: Tensor, y: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    # Beyond the threshold PyTorch takes the straight line that softplus tends to.
    return torch.where(a * beta > threshold, 1.0, torch.sigmoid(beta * a))


def _softplus_bend(a: Tensor, y: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    s = torch.sigmoid(beta * a)
    return torch.where(a * beta > threshold, 0.0, beta * s * (1 - s))


def _log_sigmoid_slope(a: Tensor, y: Tensor) -> Tensor:
    return torch.sigmoid(-a)


def _log_sigmoid_bend(a: Tensor, y: Tensor) -> Tensor:
    return -torch.sigmoid(a) * torch.sigmoid(-a)


def _silu_slope(a: Tensor, y: Tensor, inplace: bool = False) -> Tensor:
    s = torch.sigmoid(a)
    return s * (1 + a * (1 - s))


def _silu_bend(a: Tensor, y: Tensor, inplace: bool = False) -> Tensor:
    s = torch.sigmoid(a)
    return s * (1 - s) * (2 + a * (1 - 2 * s))


def _gelu_parts(a: Tensor, approximate: str) -> tuple[Tensor, Tensor, Tensor]:
    """The factor g of gelu(a) = a g(a), and its first two derivatives."""
    if approximate == "none":
        density = torch.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        return (1 + torch.erf(a / math.sqrt(2))) / 2, density, -a * density
    scale, cubic = math.sqrt(2 / math.pi), 0.044715  # of the approximation by tanh
    inner, slope = scale * (a + cubic * a**3), scale * (1 + 3 * cubic * a * a)
    t = torch.tanh(inner)
    s = 1 - t * t
    return (1 + t) / 2, s * slope / 2, s * (3 * scale * cubic * a - t * slope * slope)


def _gelu_slope(a: Tensor, y: Tensor, approximate: str = "none") -> Tensor:
    g, g1, _ = _gelu_parts(a, approximate)
    return g + a * g1


def _gelu_bend(a: Tensor, y: Tensor, approximate: str = "none") -> Tensor:
    _, g1, g2 = _gelu_parts(a, approximate)
    return 2 * g1 + a * g2


def _relu_slope(a: Tensor, y: Tensor, inplace: bool = False) -> Tensor:
    return (a > 0).to(a.dtype)


def _leaky_slope(
    a: Tensor, y: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    return torch.where(a > 0, torch.ones_like(a), negative_slope)


def _elu_slope(a: Tensor, y: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return torch.where(a > 0, 1.0, alpha * torch.exp(a.clamp(max=0)))


def _elu_bend(a: Tensor, y: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return torch.where(a > 0, 0.0, alpha * torch.exp(a.clamp(max=0)))


def _power_slope(a: Tensor, y: Tensor, exponent: float) -> Tensor:
    return exponent * a.pow(exponent - 1)


def _power_bend(a: Tensor, y: Tensor, exponent: float) -> Tensor:
    return exponent * (exponent - 1) * a.pow(exponent - 2)


_BY_NAME: dict[Elementwise, list[Any]] = {
    _TANH: [torch.tanh, Tensor.tanh],
    _SIGMOID: [torch.sigmoid, Tensor.sigmoid, torch.special.expit],
    _EXP: [torch.exp, Tensor.exp],
    _EXPM1: [torch.expm1, Tensor.expm1],
    _LOG: [torch.log, Tensor.log],
    _LOG1P: [torch.log1p, Tensor.log1p],
    _SQRT: [torch.sqrt, Tensor.sqrt],
    _RSQRT: [torch.rsqrt, Tensor.rsqrt],
    _RECIPROCAL: [torch.reciprocal, Tensor.reciprocal],
    _SQUARE: [torch.square, Tensor.square],
    _SIN: [torch.sin, Tensor.sin],
    _COS: [torch.cos, Tensor.cos],
    _ERF: [torch.erf, Tensor.erf, torch.special.erf],
    _ATAN: [torch.atan, Tensor.atan, torch.arctan, Tensor.arctan],
    _ASIN: [torch.asin, Tensor.asin, torch.arcsin, Tensor.arcsin],
    _NEGATIVE: [torch.neg, Tensor.neg, torch.negative, Tensor.negative, Tensor.__neg__],
    Elementwise(_softplus_slope, _softplus_bend): [F.softplus],
    Elementwise(_log_sigmoid_slope, _log_sigmoid_bend): [F.logsigmoid],
    Elementwise(_silu_slope, _silu_bend): [F.silu],
    Elementwise(_gelu_slope, _gelu_bend): [F.gelu],
    Elementwise(_relu_slope, None): [F.relu, torch.relu, Tensor.relu],
    Elementwise(_leaky_slope, None): [F.leaky_relu],
    Elementwise(_elu_slope, _elu_bend): [F.elu],
    Elementwise(_power_slope, _power_bend): [torch.pow, Tensor.pow, Tensor.__pow__],
}

ELEMENTWISE: dict[Any, Elementwise] = {
    operation: function for function, operations in _BY_NAME.items() for operation in operations
}
"""The functions that jets go through, by each of PyTorch's names for them."""
