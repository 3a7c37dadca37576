"""Contexts in which decoders are evaluated and differentiated."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local
from typing import Any

import torch
from torch.distributions import Distribution

from pullback.errors import InvalidDataError
from pullback.exclusive import exclusive

__all__ = ["differentiable", "is_transformed", "unmoved_modules", "unvalidated_distributions"]


def is_transformed() -> bool:
    """Say whether a transform of `torch.func`, such as `vmap` or `jvp`, is being taken here.

    PyTorch tells that in public by a refusal only: while a transform is taken, no tensor may ask
    for its gradient in place. To ask takes a microsecond.

    Example:
        >>> is_transformed(), torch.func.grad(lambda z: z * is_transformed())(torch.tensor(1.0))
        (False, tensor(1.))
    """
    try:
        torch.empty(0).requires_grad_()
    except RuntimeError:
        return True
    return False


@contextmanager
def unvalidated_distributions() -> Iterator[None]:
    """Build distributions without a check of their arguments while the context lasts.

    The check branches on values, which vmap cannot follow, and one bad row would end a whole batch.
    Whether there is one is a state of the whole process: see `exclusive`.

    Example:
        >>> with unvalidated_distributions():
        ...     p = torch.distributions.Normal(torch.nan, 1.0)
        >>> p.loc
        tensor(nan)
    """
    with exclusive():
        validate = Distribution._validate_args
        try:
            Distribution.set_default_validate_args(False)
            yield
        finally:
            Distribution.set_default_validate_args(validate)


@contextmanager
def differentiable() -> Iterator[None]:
    """Use only kernels that have derivatives in forward mode while the context lasts.

    Attention is computed by its formula: the fused kernels cannot be differentiated twice. So are
    recurrent networks, without oneDNN. Distributions are built as by `unvalidated_distributions`,
    and modules stay as they are, see `unmoved_modules`. Every transform of `torch.func` must stand
    in such a context, for their levels are counted for the whole process: see `exclusive`.

    Example:
        >>> from pullback.autodiff import jvp
        >>> attention = torch.nn.functional.scaled_dot_product_attention
        >>> with differentiable():
        ...     jvp(lambda z: attention(z, z, z), torch.ones(1, 2, 3), torch.ones(1, 2, 3))[0].shape
        torch.Size([1, 2, 3])
    """
    cuda, mha = torch.backends.cuda, torch.backends.mha
    with unvalidated_distributions(), _without_onednn(), unmoved_modules():
        before = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()
        fast = mha.get_fastpath_enabled()
        try:
            _choose_attention(False, False, True, fast=False)
            yield
        finally:
            _choose_attention(*before, fast=fast)


def _choose_attention(flash: bool, efficient: bool, formula: bool, *, fast: bool) -> None:
    torch.backends.cuda.enable_flash_sdp(flash)
    torch.backends.cuda.enable_mem_efficient_sdp(efficient)
    torch.backends.cuda.enable_math_sdp(formula)
    torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Do without oneDNN: in single precision its recurrent layer has no forward-mode derivative."""
    onednn: Any = torch.backends.mkldnn
    before = onednn.enabled
    onednn.enabled = False
    try:
        yield
    finally:
        onednn.enabled = before


@contextmanager
def unmoved_modules() -> Iterator[None]:
    """Refuse to move or to cast a module in this thread while the context lasts.

    A decoder that does so, as by `module.to(z)`, gives its module weights that live no longer than
    the derivatives: PyTorch then ends the whole process.

    Raises:
        InvalidDataError: a module is moved or cast.

    Example:
        >>> with unmoved_modules():
        ...     torch.nn.Linear(2, 3).double()
        Traceback (most recent call last):
        pullback.errors.InvalidDataError: `decoder` must not move or cast a module ...
    """
    _Unmoved.enter()
    try:
        yield
    finally:
        _Unmoved.leave()


class _Unmoved(local):
    """Counts the contexts of `unmoved_modules` that are open, in this thread and in all."""

    # How many are open in this thread: modules must not move here, those of other threads may.
    depth = 0
    # How many are open in the process: while there is one, PyTorch's method is replaced.
    _lock, _n_contexts = Lock(), 0
    _move: Any = torch.nn.Module._apply

    @classmethod
    def enter(cls) -> None:
        with cls._lock:
            if cls._n_contexts == 0:
                cls._move = torch.nn.Module._apply
                torch.nn.Module._apply = _refuse_to_move  # type: ignore[assignment,method-assign]
            cls._n_contexts += 1
        _unmoved.depth += 1

    @classmethod
    def leave(cls) -> None:
        _unmoved.depth -= 1
        with cls._lock:
            cls._n_contexts -= 1
            if cls._n_contexts == 0:
                torch.nn.Module._apply = cls._move  # type: ignore[method-assign]


_unmoved = _Unmoved()


def _refuse_to_move(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
    if _unmoved.depth == 0:
        return _Unmoved._move(module, *args, **kwargs)
    raise InvalidDataError(
        "`decoder` must not move or cast a module while it is evaluated, but it calls `.to()`, "
        f"`.double()` or the like of a {type(module).__name__}: PyTorch cannot differentiate that. "
        "Give the module itself, as in `pb.Manifold(module, dim=...)`, which copies it into the "
        "right precision and place; or move it before."
    )
