"""Derivatives of batched maps in forward mode: the one place that knows about `torch.func`.

A map f: R^d -> R^m is any function that takes points `(*batch, d)` to images `(*batch, m)`, each
row on its own. A decoder has far fewer inputs than outputs, so one forward sweep for each of the d
directions is the least that a Jacobian can cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, local
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from pullback.errors import InvalidDataError
from pullback.exclusive import exclusive
from pullback.formulas import decomposed
from pullback.shapes import Ambient, Jacobian, Latent, MetricMatrix, Tangent

__all__ = [
    "Map",
    "SecondOrder",
    "decomposed",
    "differentiable",
    "gradient",
    "jacobian",
    "jvp",
    "second_order",
    "unmoved_modules",
    "unvalidated_distributions",
]

Map = Callable[[Tensor], Tensor]
"""A batched map: points `(*batch, d)` to images `(*batch, m)`, row by row."""


class SecondOrder(NamedTuple):
    """A map f and its derivatives at points z, contracted with a covector r where they are large.

    Attributes:
        value: f(z), shape `(*batch, m)`.
        jacobian: J = df/dz, shape `(*batch, m, d)`.
        gradient: J^T r, shape `(*batch, d)`.
        hessian: sum_k r_k d^2 f_k / dz^2, shape `(*batch, d, d)`.

    Example:
        >>> at = second_order(torch.square, torch.tensor([3.0]), torch.tensor([10.0]))
        >>> at.value.item(), at.jacobian.item(), at.gradient.item(), at.hessian.item()
        (9.0, 6.0, 60.0, 20.0)
    """

    value: Ambient
    jacobian: Jacobian
    gradient: Tangent
    hessian: MetricMatrix


def jvp(f: Map, z: Latent, tangent_vector: Tangent) -> tuple[Ambient, Ambient]:
    """Push tangent vectors v forward: f(z) and J v, in one forward sweep.

    Args:
        f: the map, R^d -> R^m.
        z: points, shape `(*batch, d)`.
        tangent_vector: v, shape `(*batch, d)`.

    Returns:
        f(z) and J(z) v, both of shape `(*batch, m)`.

    Example:
        >>> z = torch.tensor([2.0, 3.0])
        >>> value, push = jvp(torch.square, z, torch.tensor([1.0, 0.0]))
        >>> push.tolist()
        [4.0, 0.0]
    """
    with differentiable():
        pushed: tuple[Tensor, Tensor] = _jvp(f, z, tangent_vector)
    return pushed


def gradient(f: Map, z: Latent, covector: Tensor | None = None) -> tuple[Tensor, Tangent]:
    """Compute f(z) and pull a covector back, J^T r, in one reverse sweep.

    Args:
        f: the map, R^d -> R^m; it may also map all points together.
        z: points, shape `(*batch, d)`.
        covector: r, of the shape of f(z); ones if None, for the gradient of the sum of f.

    Returns:
        f(z), and J^T r of the shape of z.

    Example:
        >>> z, r = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 10.0])
        >>> value, pull = gradient(torch.square, z, r)
        >>> pull.tolist()
        [4.0, 60.0]
    """
    with differentiable():
        value, pull, *_ = torch.func.vjp(f, z)
        (pulled,) = pull(torch.ones_like(value) if covector is None else covector)
    return value, pulled


def jacobian(f: Map, z: Latent) -> tuple[Ambient, Jacobian]:
    """Compute f(z) and its Jacobian J = df/dz by d forward sweeps that share f(z).

    Args:
        f: the map, R^d -> R^m.
        z: points, shape `(*batch, d)`.

    Returns:
        f(z), shape `(*batch, m)`, and J, shape `(*batch, m, d)`.

    Example:
        >>> value, J = jacobian(torch.square, torch.tensor([2.0, 3.0]))
        >>> J.tolist()
        [[4.0, 0.0], [0.0, 6.0]]
    """

    def push(direction: Tensor) -> tuple[Tensor, Tensor]:
        pushed: tuple[Tensor, Tensor] = _jvp(f, z, direction.expand_as(z))
        return pushed

    with differentiable():
        value, columns = torch.func.vmap(push, out_dims=_SHARED_AND_FIRST)(_basis(z))
    return value, columns.movedim(0, -1)


def second_order(f: Map, z: Latent, covector: Ambient) -> SecondOrder:
    """Compute f, J, J^T r and the Hessian of <r, f> at z, by d forward sweeps over one reverse one.

    The m x d x d tensor of second derivatives is never formed: r is pulled back first.

    Args:
        f: the map, twice differentiable.
        z: points, shape `(*batch, d)`.
        covector: r, held constant, shape `(*batch, m)`.

    Returns:
        The value and the derivatives.

    Example:
        >>> z, r = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 10.0])
        >>> second_order(torch.square, z, r).hessian.tolist()
        [[2.0, 0.0], [0.0, 20.0]]
    """

    def value_and_gradient(z: Tensor) -> tuple[Tensor, Tensor]:
        value, pull, *_ = torch.func.vjp(f, z)
        return value, pull(covector)[0]

    def push(direction: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        here, pushed = _jvp(value_and_gradient, z, direction.expand_as(z))
        (value, gradient), (column, hessian_column) = here, pushed
        return value, column, gradient, hessian_column

    with differentiable():
        parts = torch.func.vmap(push, out_dims=_SHARED_AND_FIRST * 2)(_basis(z))
    value, columns, gradient, hessian_columns = parts
    return SecondOrder(value, columns.movedim(0, -1), gradient, hessian_columns.movedim(0, -1))


# For `vmap` over directions: the first output is the same for all of them and gets no axis, the
# second one gets an axis for them, in front. PyTorch's annotation does not allow for None there.
_SHARED_AND_FIRST: Any = (None, 0)


def _jvp(f: Callable[[Tensor], Any], z: Tensor, direction: Tensor) -> Any:
    """Call `torch.func.jvp`, whose annotation allows for a third output: here is none."""
    # PyTorch writes into the tensors that it is given: elements of an expanded one share memory.
    return torch.func.jvp(f, (z.contiguous(),), (direction.contiguous(),))


def _basis(z: Tensor) -> Tensor:
    return torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)


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
