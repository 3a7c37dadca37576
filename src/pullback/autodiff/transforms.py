"""Derivatives of any batched map by PyTorch: the one place that knows about `torch.func`.

A map f: R^d -> R^m is any function that takes points `(*batch, d)` to images `(*batch, m)`, each
row on its own. A decoder has far fewer inputs than outputs, so one forward sweep for each of the d
directions is the least that a Jacobian can cost.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.autodiff.contexts import differentiable
from pullback.shapes import Ambient, Jacobian, Latent, MetricMatrix, Tangent

__all__ = ["Map", "SecondOrder", "gradient", "jacobian", "jvp", "second_order"]

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
