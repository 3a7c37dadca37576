"""Layers of a network as the page evaluates them: their kinds, and their numbers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pullback.errors import InvalidParameterError
from pullback.explorer.answers.plain import encoded
from pullback.models.networks import ConvolutionalDecoder
from pullback.models.standardization import Destandardization, LogMean, Unchanged

__all__ = ["inlined", "packed", "refusal"]

Layer = dict[str, Any]
Shape = tuple[int, ...]


def packed(values: Any) -> dict[str, Any]:
    """Return an array as the page holds it, in single precision where that keeps every number.

    Args:
        values: a tensor or an array of any shape.

    Example:
        >>> packed(torch.tensor([0.5, 1.0]).double())["kind"], packed([1 / 3])["kind"]
        ('<f4', '<f8')
    """
    given = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    array = np.asarray(given, dtype=np.float64)
    single = array.astype(np.float32)
    kind = "<f4" if np.array_equal(single, array, equal_nan=True) else "<f8"
    return {"kind": kind, "shape": list(array.shape), "data": encoded(array, kind)}


def refusal(what: str, cure: str = "") -> InvalidParameterError:
    """Return the error that says what of a decoder a page cannot evaluate.

    Args:
        what: the part, with its name.
        cure: what else to do.

    Example:
        >>> print(refusal("a MultiheadAttention (layer `1`)"))
        `model` must be a decoder that a page can evaluate ..., but got a MultiheadAttention ...
    """
    known = (
        "a decoder that a page can evaluate without Python: of affine, convolutional, "
        "normalising and activation layers of PyTorch's own, one after the other"
    )
    cure = cure or "`pullback explore` shows every decoder."
    return InvalidParameterError("model", known, what, cure)


def inlined(module: nn.Module, shape: Shape, name: str = "") -> tuple[list[Layer], Shape]:
    """Return the layers of a network, and the shape of what comes out of it for one point.

    Args:
        module: the network, in evaluation mode. Only classes that are known are taken, and no
            subclass of them: another `forward` would be overlooked.
        shape: the shape of what goes in.
        name: what the module is called, for messages.

    Raises:
        InvalidParameterError: a layer is of another kind; the message names it.

    Example:
        >>> layers, shape = inlined(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), (2,))
        >>> [layer["kind"] for layer in layers], shape
        (['linear', 'tanh'], (3,))
    """
    kind = type(module)
    if module._forward_hooks or module._forward_pre_hooks:
        raise refusal(f"a {kind.__name__} with a hook{_at(name)}")
    if kind is nn.Sequential:
        return _chain(list(module.named_children()), shape, name)
    if kind is ConvolutionalDecoder:
        return _pyramid(module, shape, name)
    if kind in _SHAPED:
        return _SHAPED[kind](module, shape, name)
    if kind in _PLAIN:
        return _PLAIN[kind](module), shape
    raise refusal(f"a {kind.__name__}{_at(name)}")


def _at(name: str) -> str:
    return f" (layer `{name}`)" if name else ""


def _chain(parts: list[tuple[str, Any]], shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    layers: list[Layer] = []
    for own, part in parts:
        more, shape = inlined(part, shape, f"{name}.{own}".lstrip("."))
        layers += more
    return layers, shape


def _pyramid(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    layers, _ = inlined(module.stem, shape, f"{name}.stem".lstrip("."))
    small = tuple(module.small_shape)
    more, shape = inlined(module.convolutions, small, f"{name}.convolutions".lstrip("."))
    return [*layers, *more], (math.prod(shape),)


def _linear(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    if shape != (module.in_features,):
        raise refusal(f"a Linear of {module.in_features} features for a {shape} array{_at(name)}")
    bias = torch.zeros(module.out_features) if module.bias is None else module.bias
    layer = {"kind": "linear", "weight": packed(module.weight), "bias": packed(bias)}
    return [layer], (module.out_features,)


def _layer_norm(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    size = math.prod(module.normalized_shape)
    if shape[len(shape) - len(module.normalized_shape) :] != tuple(module.normalized_shape):
        raise refusal(f"a LayerNorm of another shape than {shape}{_at(name)}")
    weight = torch.ones(size) if module.weight is None else module.weight.flatten()
    bias = torch.zeros(size) if module.bias is None else module.bias.flatten()
    numbers = {"weight": packed(weight), "bias": packed(bias)}
    return [{"kind": "layer_norm", "size": size, "eps": module.eps, **numbers}], shape


def _batch_norm(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    if module.running_mean is None or len(shape) != 1:
        raise refusal(f"a BatchNorm1d without running means, or of channels{_at(name)}")
    scale = (module.running_var + module.eps).rsqrt()
    scale = scale if module.weight is None else scale * module.weight
    shift = -module.running_mean * scale
    return [_scale(scale, shift if module.bias is None else shift + module.bias)], shape


def _convolution(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    transposed = isinstance(module, nn.ConvTranspose2d)
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    if not plain or isinstance(module.padding, str) or len(shape) != 3:
        told = "with groups, dilation, padding by name or other than zeros, or of no image"
        raise refusal(f"a {type(module).__name__} {told}{_at(name)}")
    sides = zip(shape[1:], module.kernel_size, module.stride, module.padding, strict=True)
    if transposed:
        extra = module.output_padding
        to = [(n - 1) * s - 2 * p + k + e for (n, k, s, p), e in zip(sides, extra, strict=True)]
    else:
        to = [(n + 2 * p - k) // s + 1 for n, k, s, p in sides]
    after = (module.out_channels, *to)
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias
    layer = {
        "kind": "conv_transpose" if transposed else "conv",
        "weight": packed(module.weight),
        "bias": packed(bias),
        "stride": list(module.stride),
        "padding": list(module.padding),
        "from": list(shape),
        "to": list(after),
    }
    return [layer], after


def _flatten(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    if module.start_dim != 1 or module.end_dim != -1:
        raise refusal(f"a Flatten of some dimensions{_at(name)}")
    return [], (math.prod(shape),)


def _unflatten(module: Any, shape: Shape, name: str) -> tuple[list[Layer], Shape]:
    after = tuple(module.unflattened_size)
    if module.dim not in (1, -1) or math.prod(after) != math.prod(shape):
        raise refusal(f"an Unflatten of other sizes than {shape}{_at(name)}")
    return [], after


def _scale(scale: Tensor, shift: Tensor) -> Layer:
    return {"kind": "scale", "scale": packed(scale.reshape(-1)), "shift": packed(shift.reshape(-1))}


# Layers that look at the shape of what goes in, or change it.
_SHAPED: dict[type, Callable[[Any, Shape, str], tuple[list[Layer], Shape]]] = {
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.Flatten: _flatten,
    nn.Unflatten: _unflatten,
}
# Layers that map each number by itself, or do nothing in evaluation mode.
_PLAIN: dict[type, Callable[[Any], list[Layer]]] = {
    nn.Identity: lambda layer: [],
    nn.Dropout: lambda layer: [],
    Unchanged: lambda layer: [],
    Destandardization: lambda layer: [_scale(layer.scale, layer.center)],
    LogMean: lambda layer: [_scale(layer.scale, layer.center)],
    nn.Tanh: lambda layer: [{"kind": "tanh"}],
    nn.Sigmoid: lambda layer: [{"kind": "sigmoid"}],
    nn.SiLU: lambda layer: [{"kind": "silu"}],
    nn.ReLU: lambda layer: [{"kind": "relu"}],
    nn.GELU: lambda layer: [{"kind": "gelu", "approximate": layer.approximate}],
    nn.ELU: lambda layer: [{"kind": "elu", "alpha": layer.alpha}],
    nn.LeakyReLU: lambda layer: [{"kind": "leaky_relu", "slope": layer.negative_slope}],
    nn.Softplus: lambda layer: [
        {"kind": "softplus", "beta": layer.beta, "threshold": layer.threshold}
    ],
}
