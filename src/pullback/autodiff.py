"""Derivatives of batched maps in forward mode: the one place that knows about `torch.func`.

A map f: R^d -> R^m is any function that takes points `(*batch, d)` to images `(*batch, m)`, each
row on its own. A decoder has far fewer inputs than outputs, so one forward sweep for each of the d
directions is the least that a Jacobian can cost.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode

from pullback.exclusive import exclusive
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


# PyTorch's annotation forgets that one of several outputs may be the same for all directions.
_SHARED_AND_FIRST: Any = (None, 0)


def _jvp(f: Callable[[Tensor], Any], z: Tensor, direction: Tensor) -> Any:
    """PyTorch's annotation allows for auxiliary outputs, which are not asked for here."""
    # It writes into what it is given, which an expanded tensor does not bear.
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

    Attention is computed by its formula: the fused kernels cannot be differentiated twice.
    Distributions are built as by `unvalidated_distributions`. Every transform of `torch.func` must
    stand in such a context, for their levels are counted for the whole process: see `exclusive`.

    Example:
        >>> attention = torch.nn.functional.scaled_dot_product_attention
        >>> with differentiable():
        ...     jvp(lambda z: attention(z, z, z), torch.ones(1, 2, 3), torch.ones(1, 2, 3))[0].shape
        torch.Size([1, 2, 3])
    """
    cuda, mha = torch.backends.cuda, torch.backends.mha
    with unvalidated_distributions():
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


def decomposed() -> AbstractContextManager[Any]:
    """Compute operations by their formulas where PyTorch's derivatives of derivatives fail.

    Those are SiLU, Mish, gated linear units and group normalisation, which have none in forward
    mode, and layer and instance normalisation, whose second one is wrong (in PyTorch 2.13).

    Example:
        >>> def f(z):
        ...     with decomposed():
        ...         return torch.nn.functional.silu(z)
        >>> round(second_order(f, torch.zeros(1), torch.ones(1)).hessian.item(), 4)
        0.5
    """
    return _Decomposition()


class _Decomposition(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _FORMULAS.get(func, func)(*args, **(kwargs or {}))


def _silu(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.sigmoid(x)


def _mish(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.tanh(torch.nn.functional.softplus(x))


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    grouped = x.unflatten(1, (num_groups, -1))
    dims = tuple(range(2, grouped.ndim))
    centred = grouped - grouped.mean(dims, keepdim=True)
    scaled = centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    shape = (1, -1, *[1] * (x.ndim - 2))
    normal: Tensor = scaled.flatten(1, 2)
    normal = normal if weight is None else normal * weight.reshape(shape)
    return normal if bias is None else normal + bias.reshape(shape)


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if use_input_stats:
        return _group_norm(x, x.shape[1], weight, bias, eps)
    normalize = torch.nn.functional.batch_norm
    return normalize(x, running_mean, running_var, weight, bias, False, momentum, eps)


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    normal: Tensor = centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


_FORMULAS: dict[Any, Callable[..., Tensor]] = {
    torch.nn.functional.silu: _silu,
    torch.nn.functional.mish: _mish,
    torch.nn.functional.glu: _glu,
    torch.nn.functional.group_norm: _group_norm,
    torch.nn.functional.instance_norm: _instance_norm,
    torch.nn.functional.layer_norm: _layer_norm,
}
