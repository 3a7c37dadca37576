"""Which operation of a decoder may have wrong derivatives: the words of the refusal."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from pullback.autodiff import Map
from pullback.models.decoding.laws import Breach
from pullback.shapes import Latent

__all__ = ["describe_breach"]


def describe_breach(breach: Breach, f: Map, z: Latent) -> str:
    """Say which law a decoder breaks, by how much, and what may be the cause.

    Args:
        breach: the law.
        f: the decoder with all that follows it, from points `(n, d)` to images `(n, m)`.
        z: points, shape `(n, d)`.

    Example:
        >>> breach = Breach("J v is the slope", 1.0, 1e-4)
        >>> words = describe_breach(breach, torch.tanh, torch.ones(1, 2))
        >>> "It calls: tanh" in words
        True
    """
    by = f"off by {breach.error:.2g} of its size, where {breach.allowed:.1g} is allowed"
    by = "not finite" if math.isnan(breach.error) else by
    return (
        f"`decoder` has wrong derivatives: at points drawn from N(0, I), the law {breach.law!r} is "
        f"broken by one that is {by}. Either a "
        "`detach()`, `.data`, `torch.no_grad()` or an own `autograd.Function` stands between z and "
        "the output, or PyTorch differentiates an operation wrongly, also with the formulas of "
        f"`pullback.autodiff.decomposed`. It calls: {', '.join(_operations(f, z))}. Replace that "
        "by basic operations."
    )


def _operations(f: Map, z: Tensor) -> list[str]:
    """Name the operations that a map calls, and the functions with derivatives of their own."""
    z = z[:1].clone().requires_grad_()
    with _Listening() as listening, torch.enable_grad():
        image = f(z)
    seen, nodes = set(), [image.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [after for after, _ in node.next_functions]
    own = {type(node).__name__ for node in seen if BackwardCFunction in type(node).__mro__}
    return sorted(own) + sorted(name for name in listening.names if _is_suspect(name))


def _is_suspect(name: str) -> bool:
    return not name.startswith("_") and name not in _HARMLESS


_HARMLESS = {"abs", "add", "cat", "chunk", "div", "dim", "double", "exp", "expand", "flatten"} | {
    *("float", "linear", "matmul", "movedim", "mul", "permute", "reshape", "size", "square"),
    *("squeeze", "stack", "sub", "sum", "to", "transpose", "unflatten", "unsqueeze", "view"),
}


class _Listening(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        self.names.add(name.removesuffix(".default"))
        return func(*args, **(kwargs or {}))
