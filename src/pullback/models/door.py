"""What happens to a decoder at the door: it is copied, prepared for geometry, and looked at."""

import copy
import inspect
import os
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pullback.autodiff import Map, decomposed, jvp, second_order
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    PullbackError,
    SmoothnessWarning,
    check_device,
    check_integer,
)
from pullback.models.output import flatten_output

__all__ = [
    "as_model",
    "attempt",
    "check_map",
    "is_method",
    "prepare_decoder",
    "read_dim",
    "warn_of_kinks",
    "where_to_compute",
]

_SAME = 1e-4  # single precision may sum in another order for another batch


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
        InvalidParameterError: it cannot be called, or would answer differently in training mode.
        DeviceError: the device is not on this machine.

    Example:
        >>> prepare_decoder(nn.Linear(2, 3))(torch.zeros(1, 2).double()).dtype
        torch.float64
    """
    decoder = as_model(decoder)
    device = where_to_compute(decoder, device)
    prepared = decoder
    if isinstance(decoder, nn.Module):
        _refuse_training_mode(decoder)
        twin = copy.deepcopy(decoder).to(device, dtype).eval().requires_grad_(False)
        prepared = _Follower(decoder, twin) if trainable else twin
    dim = getattr(decoder, "latent_dim", None) if dim is None else dim
    if dim is None or _is_differentiable(
        prepared, 0.1 * torch.ones(2, dim, dtype=dtype, device=device)
    ):
        return prepared
    if isinstance(prepared, nn.Module):
        return _Decomposed(prepared)
    return partial(_call_decomposed, prepared)


def _is_differentiable(decoder: Callable[[Tensor], Any], z: Tensor) -> bool:
    """Say whether PyTorch differentiates all operations twice; other errors are met later."""

    def value(z: Tensor) -> Tensor:
        return flatten_output(decoder(z))

    v = torch.ones_like(z)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)  # of what is done point by point
            at = second_order(value, z, torch.ones_like(value(z)))
            bend = jvp(lambda z: jvp(value, z, v)[1], z, v)[1].sum()
    except (NotImplementedError, UserWarning):
        return False
    except Exception:
        return True
    size = at.hessian.abs().sum()
    return not bool((at.hessian.sum() - bend).abs() > _SAME * size + _ROUNDING * at.jacobian.norm())


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


def check_map(f: Map, origin: Tensor) -> None:
    """Look at what a decoder makes of points drawn from N(0, I): images, one row for each point.

    Args:
        f: the decoder with all that follows it, from points `(n, d)` to images `(n, m)`.
        origin: a point of the latent space, which says dimension, dtype and device, shape `(d,)`.

    Raises:
        InvalidDataError: f cannot be evaluated or differentiated, returns NaN, ignores the batch,
            is not deterministic, or does not depend on z at all.

    Example:
        >>> check_map(lambda z: 2 * z, torch.zeros(2))
    """
    z = _probes(origin, 8)
    with torch.no_grad():
        value = attempt(lambda: f(z), "be evaluated", z)
        if value.ndim != 2 or len(value) != len(z):
            raise InvalidDataError(
                f"`decoder` must map points (n, d) to outputs with one row for each, but {len(z)} "
                f"points gave an image of shape {tuple(value.shape)}. Keep the batch first."
            )
        again, alone = f(z), torch.cat([f(row) for row in z.split(1)])
        _refuse_non_finite(value)
        if not torch.equal(value, again):
            raise InvalidDataError(
                "`decoder` must be deterministic, but two calls on the same points differed. "
                "Return the distribution itself, not a sample of it, and call `decoder.eval()`."
            )
        at = attempt(
            lambda: second_order(f, z, torch.ones_like(value)), "be differentiated twice", z
        )
        _refuse_non_finite(at.jacobian)
    if not torch.allclose(value, alone, rtol=_SAME, atol=_SAME * float(value.abs().max())):
        raise InvalidDataError(
            "`decoder` must map each point on its own, but a point's image changed with the other "
            "points of its batch. Batch statistics, as of a batch-norm layer, must be fixed first, "
            "and no `if` may look at the whole batch: use `torch.where`, row by row."
        )
    if not bool(at.jacobian.any()):
        raise InvalidDataError(
            "`decoder` does not depend on z: its derivative is zero at every point tried. It has "
            "collapsed, so train it again with a weaker KL term; or its output is detached from z."
        )


def warn_of_kinks(f: Map, origin: Tensor) -> None:
    """Warn if the slope of f changes by more, on short ways, than its second derivative says.

    Args:
        f: a map that `check_map` let pass.
        origin: a point of the latent space, shape `(d,)`.

    Example:
        >>> warn_of_kinks(torch.tanh, torch.zeros(2).double())
    """
    start, toward = _probes(origin, 2 * _WAYS).chunk(2)
    v = _WAY * torch.nn.functional.normalize(toward, dim=-1)
    t = torch.linspace(0, 1, _PLACES, dtype=origin.dtype, device=origin.device)[:, None, None]
    z, v = (start + t * v).flatten(0, 1), v.expand(_PLACES, *v.shape).flatten(0, 1)
    with torch.no_grad():
        slope, bend = jvp(lambda z: jvp(f, z, v)[1], z, v)
    slope, bend = (part.unflatten(0, (_PLACES, _WAYS)) for part in (slope, bend))
    foreseen = (bend[1:] + bend[:-1]).sum(0) / (2 * (_PLACES - 1))
    change = slope[-1] - slope[0]
    if bool((change - foreseen).norm() > _KINKED * change.norm() + _ROUNDING * slope.norm()):
        warnings.warn(
            "The decoder is not twice differentiable: its slope jumps, as with ReLU. Geodesics get "
            "kinks there, and lengths are less exact. Use tanh, softplus, SiLU or GELU for a "
            "smooth metric.",
            SmoothnessWarning,
            stacklevel=4,
        )


def _probes(origin: Tensor, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, len(origin), generator=generator, dtype=torch.float64)
    return origin + noise.to(origin)


def attempt(call: Callable[[], Any], purpose: str, z: Tensor) -> Any:
    """Call a decoder, and say which line of it failed and what to do.

    Args:
        call: the call.
        purpose: what it is for: "be evaluated" or "be differentiated twice".
        z: the points, shape `(n, d)`.

    Raises:
        InvalidDataError: it failed.

    Example:
        >>> attempt(lambda: 1, "be evaluated", torch.zeros(1, 2))
        1
    """
    try:
        return call()
    except PullbackError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if not any(part in f.filename for part in _FOREIGN)]
        where = f" at `{own[-1].line}` ({own[-1].filename}:{own[-1].lineno})" if own else ""
        reason = " ".join(str(error).split())[:300]
        raise InvalidDataError(
            f"`decoder` cannot {purpose} on points {tuple(z.shape)} of {z.dtype}{where}: {reason} "
            f"{_CURES[purpose]}"
        ) from error


_FOREIGN = (f"{os.sep}torch{os.sep}", f"{os.sep}pullback{os.sep}")
_CURES = {
    "be evaluated": "Does z have the right dimension, and are all tensors that it closes over of "
    "that type? Give the module itself rather than a function around it, or "
    "`pb.Decoder(model, inputs=...)`, which moves both.",
    "be differentiated twice": "`torch.func` must be able to follow it: no writing into tensors in "
    "place, no `if` on values of tensors (use `torch.where`), no `.item()`, `.numpy()` or "
    "`.backward()`, and only operations with a forward-mode derivative.",
}
_WAYS, _WAY, _PLACES = 4, 0.05, 17
_KINKED = 0.05  # share of a change of slope that the second derivative does not explain
_ROUNDING = 1e-6


def _refuse_non_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InvalidDataError(
            "`decoder` returned NaN or infinity at points drawn from N(0, I), or its derivative "
            "did. Check its weights, and whether training diverged."
        )


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
