"""Networks of the encoder and the decoder: multi-layer perceptrons and convolutional ones."""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from pullback.errors import (
    InvalidParameterError,
    SmoothnessWarning,
    check_choice,
    check_integer,
)
from pullback.shapes import Ambient, Data

__all__ = ["ConvolutionalDecoder", "ConvolutionalEncoder", "activation", "mlp"]

_SMOOTH: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
_KINKED: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
}


def activation(name: str) -> nn.Module:
    """Return the activation function of that name as a module.

    The metric of a decoder needs its first derivative and the geodesic equation its second, so
    the default everywhere is `"tanh"`, which has all of them.

    Args:
        name: `"tanh"`, `"softplus"`, `"silu"` or `"gelu"`, which are twice continuously
            differentiable, or `"relu"`, `"leaky_relu"` or `"elu"`, which are not and warn.

    Returns:
        The module.

    Raises:
        InvalidParameterError: there is no activation of that name.

    Example:
        >>> activation("tanh")
        Tanh()
    """
    check_choice("activation", name, {*_SMOOTH, *_KINKED})
    if name in _KINKED:
        warnings.warn(
            f"The activation {name!r} is not twice differentiable: its second derivative is zero "
            "or jumps, so geodesics get kinks and their solver loses its curvature term. Use "
            "'tanh', 'softplus', 'silu' or 'gelu' for a smooth metric.",
            SmoothnessWarning,
            stacklevel=2,
        )
        return _KINKED[name]()
    return _SMOOTH[name]()


_activation = activation  # builders take an argument of that name


def mlp(sizes: Sequence[int], *, activation: str = "tanh") -> nn.Sequential:
    """Build a multi-layer perceptron: affine maps with an activation between each two.

    `f(x) = A_L(s(A_{L-1}(... s(A_1(x)))))`, with no activation after the last map.

    Args:
        sizes: numbers of units (input, hidden..., output), at least two of them.
        activation: the name of s, see `activation`.

    Returns:
        The network, which maps `(*batch, sizes[0])` to `(*batch, sizes[-1])`.

    Raises:
        InvalidParameterError: fewer than two sizes, one below 1, or an unknown activation.

    Example:
        >>> mlp([2, 32, 5])(torch.zeros(7, 2)).shape
        torch.Size([7, 5])
    """
    if len(sizes) < 2:
        raise InvalidParameterError("sizes", "at least an input and an output size", list(sizes))
    units = [check_integer("sizes", size) for size in sizes]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(units):
        layers += [nn.Linear(fan_in, fan_out), _activation(activation)]
    return nn.Sequential(*layers[:-1])


class ConvolutionalEncoder(nn.Module):
    """Map flattened images to features: strided convolutions, then affine maps.

    Each convolution (3 x 3, stride 2) halves the height and the width, rounding up.

    Args:
        image_shape: (channels, height, width) of an image; D is their product.
        out_features: number of features m.
        channels: channels after each convolution.
        dense_units: units of a layer between the convolutions and the features; None for one affine
            map.
        activation: name of the activation after each layer but the last.

    Raises:
        InvalidParameterError: sizes below 1, or an unknown activation.

    Example:
        >>> network = ConvolutionalEncoder((1, 28, 28), 4)
        >>> network(torch.zeros(5, 784)).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int] = (16, 32),
        dense_units: int | None = None,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.image_shape = check_image_shape(image_shape)
        shapes = _pyramid(self.image_shape, channels)
        layers: list[nn.Module] = []
        for (fan_in, _, _), (fan_out, _, _) in pairwise(shapes):
            layers += [nn.Conv2d(fan_in, fan_out, 3, 2, 1), _activation(activation)]
        self.convolutions = nn.Sequential(*layers)
        check_integer("out_features", out_features)
        self.head = _affine(math.prod(shapes[-1]), out_features, dense_units, activation)

    def forward(self, x: Data) -> Ambient:
        """Map flattened images `(*batch, D)` to features `(*batch, m)`."""
        images = self.convolutions(x.reshape(-1, *self.image_shape))
        features: torch.Tensor = self.head(images.flatten(1))
        return features.reshape(*x.shape[:-1], -1)


class ConvolutionalDecoder(nn.Module):
    """Map features to flattened images: affine maps, then transposed convolutions.

    The mirror image of `ConvolutionalEncoder`; any height and width come out exactly.

    Args:
        in_features: number of features, for a decoder the latent dimension d.
        image_shape: (channels, height, width) of an image; D is their product.
        channels: channels before each transposed convolution.
        dense_units: units of a layer between the features and the convolutions; None for one affine
            map. Few features need it: of two, an affine map alone makes images in two directions.
        activation: name of the activation after each layer but the last.

    Raises:
        InvalidParameterError: sizes below 1, or an unknown activation.

    Example:
        >>> network = ConvolutionalDecoder(2, (1, 28, 28))
        >>> network(torch.zeros(5, 2)).shape
        torch.Size([5, 784])
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        *,
        channels: Sequence[int] = (32, 16),
        dense_units: int | None = None,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.image_shape = check_image_shape(image_shape)
        shapes = _pyramid(self.image_shape, tuple(channels)[::-1])[::-1]
        self.small_shape = shapes[0]
        check_integer("in_features", in_features)
        self.stem = _affine(in_features, math.prod(shapes[0]), dense_units, activation)
        layers: list[nn.Module] = []
        for small, large in pairwise(shapes):
            # A transposed convolution makes 2 s - 1 pixels of s, and with padding one more: needed
            # where the larger side is even.
            padding = (large[1] - 2 * small[1] + 1, large[2] - 2 * small[2] + 1)
            convolution = nn.ConvTranspose2d(small[0], large[0], 3, 2, 1, padding)
            layers += [_activation(activation), convolution]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, z: Ambient) -> Data:
        """Map features `(*batch, d)` to flattened images `(*batch, D)`."""
        features = self.stem(z).reshape(-1, *self.small_shape)
        images: torch.Tensor = self.convolutions(features)
        return images.reshape(*z.shape[:-1], -1)


def _affine(
    fan_in: int, fan_out: int, dense_units: int | None, activation: str
) -> nn.Linear | nn.Sequential:
    """Return an affine map, or two with a layer of units between."""
    if dense_units is None:
        return nn.Linear(fan_in, fan_out)
    return mlp([fan_in, dense_units, fan_out], activation=activation)


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (channels, height, width) as integers, or raise `InvalidParameterError`.

    Example:
        >>> check_image_shape([1, 28, 28])
        (1, 28, 28)
    """
    if len(image_shape) != 3:
        raise InvalidParameterError("image_shape", "(channels, height, width)", list(image_shape))
    channels, height, width = (check_integer("image_shape", size) for size in image_shape)
    return channels, height, width


def _pyramid(
    image_shape: tuple[int, int, int], channels: Sequence[int]
) -> list[tuple[int, int, int]]:
    shapes = [image_shape]
    for count in channels:
        _, height, width = shapes[-1]
        shapes.append((check_integer("channels", count), (height + 1) // 2, (width + 1) // 2))
    return shapes
