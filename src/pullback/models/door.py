"""What happens to a decoder at the door: it is copied, prepared for geometry, and looked at."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pullback.autodiff import Map, jacobian
from pullback.errors import InvalidDataError, InvalidParameterError, check_device, check_integer

__all__ = ["check_map", "prepare_decoder", "read_dim", "where_to_compute"]

_SAME = 1e-4  # single precision may sum in another order for another batch


def prepare_decoder(
    decoder: nn.Module | Callable[[Tensor], Any],
    *,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device | None = None,
    trainable: bool = False,
) -> Callable[[Tensor], Any]:
    """Make a decoder fit for geometry: a module is copied, evaluates, and computes in `dtype`.

    Args:
        decoder: a module or a callable from z `(*batch, d)` to whatever it returns.
        dtype: the floating-point type to compute in.
        device: where to compute; None for where a module is, and the CPU for a function.
        trainable: follow a module as it trains: its present weights are used at every call.

    Returns:
        The copy, or the function as it is.

    Raises:
        InvalidParameterError: it cannot be called, or would answer differently in training mode.
        DeviceError: the device is not on this machine.

    Example:
        >>> prepare_decoder(nn.Linear(2, 3))(torch.zeros(1, 2).double()).dtype
        torch.float64
    """
    if not callable(decoder):
        allowed = "a module or a function from z to a distribution or a tensor"
        raise InvalidParameterError("decoder", allowed, f"a {type(decoder).__name__}")
    if not isinstance(decoder, nn.Module):
        return decoder
    _refuse_training_mode(decoder)
    device = where_to_compute(decoder, device)
    twin = copy.deepcopy(decoder).to(device, dtype).eval().requires_grad_(False)
    return _Follower(decoder, twin) if trainable else twin


class _Follower:
    """A module in another dtype and in evaluation mode, with the weights of the moment."""

    def __init__(self, module: nn.Module, twin: nn.Module) -> None:
        self._module = module
        self._twin = twin

    def __call__(self, z: Tensor) -> Any:
        state = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
        cast = {
            name: value.to(z) if value.is_floating_point() else value.to(z.device)
            for name, value in state.items()
        }
        return torch.func.functional_call(self._twin, cast, (z,))


def where_to_compute(decoder: object, device: str | torch.device | None = None) -> torch.device:
    """Return the device that was asked for, that of a module, or the CPU.

    Args:
        decoder: a module, or anything else.
        device: the device asked for, or None.

    Raises:
        DeviceError: the device is not on this machine.

    Example:
        >>> where_to_compute(nn.Linear(2, 3))
        device(type='cpu')
    """
    if device is not None:
        return check_device(device)
    if isinstance(decoder, nn.Module):
        return next(decoder.parameters(), torch.empty(0)).device
    return torch.device("cpu")


def read_dim(decoder: object, dim: int | None) -> int:
    """Return the latent dimension d: the decoder's own `latent_dim`, or the one that is given.

    Args:
        decoder: a module, or anything else.
        dim: the dimension that was given, or None.

    Raises:
        InvalidParameterError: there is neither, or they differ.

    Example:
        >>> read_dim(nn.Linear(2, 3), 2)
        2
    """
    own = getattr(decoder, "latent_dim", None)
    if dim is None and own is None:
        cure = "The decoder does not say it, so give `dim`, the dimension of z."
        raise InvalidParameterError("dim", "an integer >= 1", None, cure)
    if dim is not None and own is not None and dim != own:
        raise InvalidParameterError("dim", f"{own}, the decoder's own `latent_dim`", dim)
    return check_integer("dim", own if dim is None else dim)


def _refuse_training_mode(decoder: nn.Module) -> None:
    for name, module in decoder.named_modules():
        kind = type(module).__name__
        if module.training and kind.startswith(("Dropout", "AlphaDropout", "BatchNorm")):
            raise InvalidParameterError(
                "decoder",
                "in evaluation mode",
                f"a {kind} layer `{name}` in training mode",
                "Call `decoder.eval()` first.",
            )


def _refuse_non_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InvalidDataError(
            "`decoder` returned NaN or infinity at points drawn from N(0, I), or its derivative "
            "did. Check its weights, and whether training diverged."
        )


def check_map(f: Map, origin: Tensor) -> None:
    """Look at what a decoder makes of points drawn from N(0, I): images, one row for each point.

    Args:
        f: the decoder with all that follows it, from points `(n, d)` to images `(n, m)`.
        origin: a point of the latent space, which says dimension, dtype and device, shape `(d,)`.

    Raises:
        InvalidDataError: f returns NaN, ignores the batch, is not deterministic, or does not
            depend on z at all.

    Example:
        >>> check_map(lambda z: 2 * z, torch.zeros(2))
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8, len(origin), generator=generator, dtype=torch.float64)
    z = origin + noise.to(origin)
    with torch.no_grad():
        value, again, alone = f(z), f(z), f(z[:1])
        if value.ndim != 2 or len(value) != len(z):
            raise InvalidDataError(
                f"`decoder` must map points (n, d) to outputs with one row for each, but {len(z)} "
                f"points gave an image of shape {tuple(value.shape)}. Keep the batch first."
            )
        _refuse_non_finite(value)
        if not torch.equal(value, again):
            raise InvalidDataError(
                "`decoder` must be deterministic, but two calls on the same points differed. "
                "Return the distribution itself, not a sample of it, and call `decoder.eval()`."
            )
        _, J = jacobian(f, z)
        _refuse_non_finite(J)
    if not torch.allclose(value[:1], alone, rtol=_SAME, atol=_SAME * float(value.abs().max())):
        raise InvalidDataError(
            "`decoder` must map each point on its own, but a point's image changed with the other "
            "points of its batch. Batch statistics, as of a batch-norm layer, must be fixed first."
        )
    if not bool(J.any()):
        raise InvalidDataError(
            "`decoder` does not depend on z: its derivative is zero at every point tried. It has "
            "collapsed, so train it again with a weaker KL term; or its output is detached from z."
        )
