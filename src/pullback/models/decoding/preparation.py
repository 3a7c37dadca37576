"""What a decoder becomes before it is measured: a copy that evaluates, in double precision."""

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pullback.autodiff import decomposed, unmoved_modules
from pullback.errors import InvalidParameterError, check_device, check_dtype, check_integer
from pullback.exclusive import exclusive
from pullback.models.decoding.copying import Forgetful, cast_module, copy_module, keeps_results
from pullback.models.decoding.door import look, probes
from pullback.models.decoding.laws import broken_laws
from pullback.models.decoding.output import flatten_output

__all__ = [
    "TakenIn",
    "as_model",
    "is_method",
    "prepare_decoder",
    "read_dim",
    "take_in",
    "where_to_compute",
]


class TakenIn(NamedTuple):
    """A decoder as it is measured, and what it returns.

    Attributes:
        decoder: what `prepare_decoder` made of it.
        origin: the origin of its latent space, in the precision and on the device of the geometry.
        output: what it returned at some points.

    Example:
        >>> take_in(nn.Linear(2, 3), dim=2).origin
        tensor([0., 0.], dtype=torch.float64)
    """

    decoder: Callable[[Tensor], Any]
    origin: Tensor
    output: Any


def take_in(
    decoder: nn.Module | Callable[[Tensor], Any],
    *,
    dim: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device | None = None,
    trainable: bool = False,
) -> TakenIn:
    """Prepare a decoder, and evaluate it at some points to see what it returns.

    Args:
        decoder: as for `prepare_decoder`, like the others.
        dim: the latent dimension d; the decoder's own `latent_dim` if None.
        dtype: the floating-point type to compute in.
        device: where to compute; None for where a module is, and the CPU for a function.
        trainable: follow a module as it trains.

    Raises:
        InvalidParameterError: as of `prepare_decoder`, or the dimension is not known.
        InvalidDataError: it fails, or returns what is no decoder's output.
        DeviceError: the device is not on this machine.

    Example:
        >>> take_in(torch.tanh, dim=2).output.shape
        torch.Size([5, 2])
    """
    dim = read_dim(decoder, dim)
    device = where_to_compute(decoder, device)
    prepared = prepare_decoder(decoder, dim=dim, dtype=dtype, device=device, trainable=trainable)
    origin = torch.zeros(dim, dtype=dtype, device=device)
    return TakenIn(prepared, origin, look(prepared, origin))


def prepare_decoder(
    decoder: nn.Module | Callable[[Tensor], Any],
    *,
    dim: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device | None = None,
    trainable: bool = False,
) -> Callable[[Tensor], Any]:
    """Make a decoder fit for geometry: a module is copied, evaluates, and computes in `dtype`.

    Where PyTorch cannot differentiate one of its operations twice, a formula takes its place.

    Args:
        decoder: a module or a callable from z `(*batch, d)` to whatever it returns.
        dim: the latent dimension d; the decoder's own `latent_dim` if None.
        dtype: the floating-point type to compute in.
        device: where to compute; None for where a module is, and the CPU for a function.
        trainable: follow a module as it trains: its present weights are used at every call.

    Returns:
        The copy, or the function as it is.

    Raises:
        InvalidParameterError: it cannot be called, or would answer differently in training mode; or
            `dtype` is neither float64 nor float32.
        InvalidDataError: a module cannot be copied.
        DeviceError: the device is not on this machine.

    Example:
        >>> prepare_decoder(nn.Linear(2, 3))(torch.zeros(1, 2).double()).dtype
        torch.float64
    """
    dtype = check_dtype("dtype", dtype)
    decoder = as_model(decoder)
    device = where_to_compute(decoder, device)
    dim = getattr(decoder, "latent_dim", None) if dim is None else dim
    origin = None if dim is None else torch.zeros(dim, dtype=dtype, device=device)
    prepared = decoder
    if isinstance(decoder, nn.Module):
        _refuse_training_mode(decoder)
        twin = cast_module(copy_module(decoder), dtype, device).eval().requires_grad_(False)
        if trainable:
            prepared = _Follower(decoder, twin)
        else:
            prepared = twin if origin is None else _forgetful(twin, origin)
    return prepared if origin is None else _differentiable(prepared, origin)


def _forgetful(twin: nn.Module, origin: Tensor) -> nn.Module:
    try:
        keeps = keeps_results(twin, probes(origin, 2))
    except Exception:
        # `check_map` will raise the same error again, and name the line.
        return twin
    return Forgetful(twin) if keeps else twin


def _differentiable(decoder: Callable[[Tensor], Any], origin: Tensor) -> Callable[[Tensor], Any]:
    """Put formulas in the place of operations, if PyTorch differentiates the decoder wrongly.

    Whether that was enough is for `check_map` to say.
    """
    plain = _failure(decoder, origin)
    if plain is None:
        return decoder
    formulas: Callable[[Tensor], Any] = partial(_call_decomposed, decoder)
    if isinstance(decoder, nn.Module):
        formulas = _Decomposed(decoder)
    helped = plain == "raises" or _failure(formulas, origin) is None
    return formulas if helped else decoder


def _failure(decoder: Callable[[Tensor], Any], origin: Tensor) -> str | None:
    """Say how PyTorch fails to differentiate a decoder twice; None if it does not."""

    def value(z: Tensor) -> Tensor:
        return flatten_output(decoder(z))

    try:
        with exclusive(), warnings.catch_warnings(), unmoved_modules():
            warnings.simplefilter("ignore")
            # PyTorch warns where it falls back to one point after another: that counts as wrong
            # here.
            warnings.simplefilter("error", UserWarning)
            return "is wrong" if broken_laws(value, probes(origin, 8)) else None
    except Exception:  # of any kind: where a formula does not help, `check_map` meets it again
        return "raises"


def _call_decomposed(decoder: Callable[[Tensor], Any], z: Tensor) -> Any:
    with decomposed():
        return decoder(z)


class _Decomposed(nn.Module):
    """A module some of whose operations are computed by their formulas."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Any:
        return _call_decomposed(self.decoder, z)


def as_model(model: Any) -> Any:
    """Return a module, a method of a module as a module of its own, or a function as it is.

    Raises:
        InvalidParameterError: it cannot be called, or is a TorchScript program.

    Example:
        >>> as_model(nn.Linear(2, 3).forward)(torch.zeros(1, 2)).shape
        torch.Size([1, 3])
    """
    if isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        allowed = "a module with its Python code, or a `torch.export` program"
        cure = "PyTorch gets its forward-mode derivatives wrong. See `adapters.from_exported`."
        raise InvalidParameterError("decoder", allowed, "a TorchScript program", cure)
    if inspect.ismethod(model) and isinstance(model.__self__, nn.Module):
        return _Method(model.__self__, model.__name__)
    if not callable(model):
        allowed = "a module, a method of one, or a function of z"
        raise InvalidParameterError("decoder", allowed, f"a {type(model).__name__}")
    return model


def is_method(model: object) -> bool:
    """Say whether `as_model` made it of a method.

    Example:
        >>> is_method(as_model(nn.Linear(2, 3).forward))
        True
    """
    return isinstance(model, _Method)


class _Method(nn.Module):
    """A method of a module, which can be copied and moved with the module's weights."""

    def __init__(self, owner: nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.owner, self.name)(*args, **kwargs)


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
        # During the call the twin holds these weights, so no other thread may call it.
        with exclusive():
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
