"""Derivatives of maps along given vectors, in blocks of points that fit in memory."""

from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import Map, differentiable
from pullback.shapes import Latent

__all__ = ["ENTRY", "blocks", "jet", "push_along"]

ENTRY = 512
"""Numbers that an entry of a metric matrix may take while it is computed, a decoder behind it."""

# Points are taken in blocks whose second derivatives take this many bytes, 32 MiB and 1 GiB. On a
# CPU what is computed with them then stays near the cache; an accelerator wants as much work at
# once as its memory holds.
_CPU_BYTES, _ACCELERATOR_BYTES = 2**25, 2**30


def push_along(f: Map, z: Latent, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Compute f(z) and its derivatives along k vectors, in k forward sweeps that share f(z).

    Args:
        f: the map, from points `(n, d)` to `(n, ...)`.
        z: points, shape `(n, d)`.
        vectors: shape `(k, n, d)`, or `(k, d)` for the same at all points.

    Returns:
        f(z), shape `(n, ...)`, and the derivatives, shape `(k, n, ...)`.

    Example:
        >>> z, vectors = torch.tensor([[1.0, 2.0]]), torch.eye(2)
        >>> push_along(torch.square, z, vectors)[1].squeeze(1).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """

    def push(vector: Tensor) -> Any:
        return torch.func.jvp(f, (z.contiguous(),), (vector.expand_as(z).contiguous(),))

    with differentiable():
        value, pushed = torch.func.vmap(push, out_dims=_SHARED_AND_FIRST)(vectors)
    return value, pushed


# For `vmap` over directions: the first output is the same for all of them and gets no axis, the
# second one gets an axis for them, in front. PyTorch's annotation does not allow for None there.
_SHARED_AND_FIRST: Any = (None, 0)


def jet(f: Map, z: Latent, vectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Compute the first and second derivatives of a map along k vectors that stay as they are.

    Forward sweeps over forward sweeps: they share the image and the first derivatives, so that
    together they cost (k + 1)^2 times the image.

    Args:
        f: the map, from points `(n, d)` to `(n, ...)`, twice differentiable.
        z: points, shape `(n, d)`.
        vectors: shape `(k, n, d)`, or `(k, d)` for the same at all points; the axes if None.

    Returns:
        The first derivatives, shape `(k, n, ...)`, and the second, shape `(k, k, n, ...)`.

    Example:
        >>> first, second = jet(lambda z: z**3, torch.tensor([[2.0]]))
        >>> first.item(), second.item()
        (12.0, 12.0)
    """
    if vectors is None:
        vectors = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)

    def first(z: Tensor) -> Tensor:
        return push_along(f, z, vectors)[1]

    return push_along(first, z, vectors)


def blocks(items: Tensor, n_numbers: int) -> tuple[Tensor, ...]:
    """Split items along their first axis, so that what is computed with a block fits in memory.

    Args:
        items: shape `(n, ...)`.
        n_numbers: how many numbers one item asks for.

    Example:
        >>> [len(block) for block in blocks(torch.zeros(5, 2), 2**22)]  # of 4 bytes: 16 MiB each
        [2, 2, 1]
    """
    budget = _CPU_BYTES if items.device.type == "cpu" else _ACCELERATOR_BYTES
    return torch.split(items, max(1, budget // (items.element_size() * n_numbers)))
