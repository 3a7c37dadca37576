"""The looks that are taken at a decoder at the door, and what is said of one that fails."""

import os
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions.constraints import is_dependent

from pullback.autodiff import (
    Map,
    jvp,
    second_order,
    unmoved_modules,
    unvalidated_distributions,
)
from pullback.errors import InvalidDataError, PullbackError, SmoothnessWarning
from pullback.models.decoding.laws import broken_laws
from pullback.models.decoding.output import check_output, distributions_in, parameters_of
from pullback.models.decoding.suspects import describe_breach

__all__ = [
    "attempt",
    "check_images",
    "check_map",
    "check_parameters",
    "look",
    "probes",
    "warn_of_kinks",
]

# The share by which one row may differ from the same row in a batch: in single precision, sums over
# a batch of another size are taken in another order.
_SAME = 1e-4


def check_map(f: Map, origin: Tensor) -> None:
    """Look at what a decoder makes of points drawn from N(0, I), and at its derivatives there.

    Args:
        f: the decoder with all that follows it, from points `(n, d)` to images `(n, m)`.
        origin: a point of the latent space, which says dimension, dtype and device, shape `(d,)`.

    Raises:
        InvalidDataError: see `check_images`; or its derivatives break a law of `broken_laws`.

    Example:
        >>> check_map(lambda z: 2 * z, torch.zeros(2))
    """
    check_images(f, origin)
    z = probes(origin, 8)
    broken = attempt(lambda: broken_laws(f, z), "be differentiated twice", z)
    if broken:
        raise InvalidDataError(describe_breach(broken[0], f, z))


def check_images(f: Map, origin: Tensor) -> None:
    """Look at what a decoder makes of points drawn from N(0, I): images, one row for each point.

    Args:
        f: the decoder with all that follows it, from points `(n, d)` to images `(n, m)`.
        origin: a point of the latent space, which says dimension, dtype and device, shape `(d,)`.

    Raises:
        InvalidDataError: f cannot be evaluated or differentiated, returns NaN, ignores the batch,
            is not deterministic, or does not depend on z at all.

    Example:
        >>> check_images(lambda z: 2 * z, torch.zeros(2))
    """
    z = probes(origin, 8)
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
    if value.shape != alone.shape or not torch.allclose(
        value, alone, rtol=_SAME, atol=_SAME * float(value.abs().max())
    ):
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


def look(decoder: Callable[[Tensor], Any], origin: Tensor) -> Any:
    """Evaluate a decoder at some points, and check what it returns.

    Args:
        decoder: from points `(n, d)` to whatever it returns.
        origin: a point of the latent space, which says dimension, dtype and device, shape `(d,)`.

    Returns:
        Its output.

    Raises:
        InvalidDataError: it fails, or returns what is no decoder's output.

    Example:
        >>> look(torch.tanh, torch.zeros(2)).shape
        torch.Size([5, 2])
    """
    z = probes(origin, 5)
    with torch.no_grad():
        with unvalidated_distributions():  # `check_parameters` says more of what is wrong
            output = attempt(lambda: decoder(z), "be evaluated", z)
        check_output(output, len(z))
        check_parameters(output)
    return output


def check_parameters(output: Any) -> None:
    """Look whether the parameters of distributions are where they may be, if they are finite.

    Args:
        output: what a decoder returned for points `(n, d)`.

    Raises:
        InvalidDataError: one is not, as a rate that is not positive.

    Example:
        >>> check_parameters(torch.distributions.Normal(torch.zeros(3), torch.ones(3)))
    """
    for distribution in distributions_in(output):
        for name, value in parameters_of(distribution).items():
            allowed = distribution.arg_constraints.get(name)
            if allowed is None or is_dependent(allowed) or not bool(value.isfinite().all()):
                continue
            kept = allowed.check(value)
            if not bool(kept.all()):
                share = float((~kept).double().mean())
                raise InvalidDataError(
                    f"`decoder` returned a {type(distribution).__name__} whose `{name}` must be "
                    f"{str(allowed).lower()}, but {share:.0%} of them are not at points drawn from "
                    "N(0, I). Is it the right `likelihood`? 'bernoulli' reads logits, "
                    "'normal_log_variance' log variances; elsewhere take `exp` or `softplus` first."
                )


def warn_of_kinks(f: Map, origin: Tensor) -> None:
    """Warn if the slope of f changes by more, on short ways, than its second derivative says.

    Args:
        f: a map that `check_map` let pass.
        origin: that of the latent space, shape `(d,)`.

    Example:
        >>> warn_of_kinks(torch.tanh, torch.zeros(2).double())
    """
    start, toward = probes(origin, 2 * _WAYS).chunk(2)
    v = _WAY * torch.nn.functional.normalize(toward, dim=-1)
    # One more leads through the origin, where |z| and norms have a kink that no draw ever meets.
    start, v = torch.cat([start, origin - v[:1] / 2]), torch.cat([v, v[:1]])
    t = torch.linspace(0, 1, _PLACES, dtype=origin.dtype, device=origin.device)[:, None, None]
    z, v = (start + t * v).flatten(0, 1), v.expand(_PLACES, *v.shape).flatten(0, 1)
    with torch.no_grad():
        slope, bend = jvp(lambda z: jvp(f, z, v)[1], z, v)
    slope, bend = (part.unflatten(0, (_PLACES, _WAYS + 1)) for part in (slope, bend))
    foreseen = (bend[1:] + bend[:-1]).sum(0) / (2 * (_PLACES - 1))
    change = slope[-1] - slope[0]
    variation = slope.diff(dim=0).norm(dim=-1).sum(0)
    size = _KINKED * variation + _ROUNDING * slope.norm(dim=(0, -1))
    if bool(((change - foreseen).norm(dim=-1) > size).any()):
        warnings.warn(
            "The decoder is not twice differentiable: its slope jumps, as that of ReLU, or of a "
            "norm at 0. Geodesics get kinks there, and lengths are less exact. Use tanh, softplus, "
            "SiLU or GELU for a smooth metric.",
            SmoothnessWarning,
            stacklevel=4,
        )


def probes(origin: Tensor, n: int) -> Tensor:
    """Draw n points from N(0, I) about an origin, always the same, shape `(n, d)`.

    Example:
        >>> probes(torch.zeros(2), 3).shape
        torch.Size([3, 2])
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, len(origin), generator=generator, dtype=torch.float64, device="cpu")
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
        with unmoved_modules():
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


# Parts of the paths of code that the user did not write: an error names the last line outside of
# it.
_FOREIGN = tuple(f"{os.sep}{name}{os.sep}" for name in ("torch", "pullback", "jaxtyping"))
_CURES = {
    "be evaluated": "Does z have the right dimension, and are all tensors that it closes over of "
    "that type? Tensors that a module holds must be buffers, see `register_buffer`. Give the "
    "module itself rather than a function around it, or `pb.Decoder(model, inputs=...)`, which "
    "moves both; the first dimension of such inputs is 1.",
    "be differentiated twice": "`torch.func` must be able to follow it: no writing into tensors in "
    "place, no `if` on values of tensors (use `torch.where`), no `.item()`, `.numpy()` or "
    "`.backward()`, no backward hooks on modules in a closure, and only operations with a "
    "forward-mode derivative.",
}
# A kink is looked for on 64 short ways of length 0.05, each with 9 places, around codes drawn from
# N(0, I). Set by judgement: more or longer ways meet more of the kinks of a ReLU network; with
# fewer places curvature is taken for one.
_WAYS, _WAY, _PLACES = 64, 0.05, 9
# A way has a kink if the slope changes by more than its second derivative explains, by this share
# of its variation along the way. The trapezoidal rule on 9 places leaves less for a smooth map.
_KINKED = 0.05
# The share of the slope by which it may change, on top of that, by rounding in single precision.
_ROUNDING = 1e-6


def _refuse_non_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InvalidDataError(
            "`decoder` returned NaN or infinity at points drawn from N(0, I), or its derivative "
            "did. Check its weights, and whether training diverged."
        )
