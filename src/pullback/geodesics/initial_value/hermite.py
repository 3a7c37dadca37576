"""Polynomials of degree 7 between two ends, whose first three derivatives are known at both."""

import math

import torch
from torch import Tensor

__all__ = ["hermite", "shifted"]


def shifted(ends: Tensor, origin: Tensor) -> Tensor:
    """Take an origin from the points at both ends; their derivatives stay as they are.

    Args:
        ends: c, c', c'', c''' at both ends, shape `(*batch, n, 2, 4, d)`.
        origin: shape `(*batch, n, d)`.

    Example:
        >>> shifted(torch.ones(1, 2, 4, 1), torch.ones(1, 1)).flatten().tolist()
        [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    """
    shifted = ends.clone()
    shifted[..., 0, :] -= origin.unsqueeze(-2)
    return shifted


def hermite(s: Tensor, h: Tensor, ends: Tensor) -> Tensor:
    """Evaluate the polynomials of degree 7 with given derivatives at s = 0 and s = 1.

    The sum over both ends of c^(k) u^k / k! (1 - u)^4 sum_l (3 + l choose l) u^l, l <= 3 - k, where
    u is the way from that end: s, or 1 - s and backwards.

    Args:
        s: where to evaluate, in [0, 1], shape `(*batch, n, 1)`.
        h: the time from s = 0 to s = 1, shape `(*batch, n, 1)`.
        ends: c, c', c'', c''' at both ends, shape `(*batch, n, 2, 4, d)`.

    Returns:
        c there, shape `(*batch, n, d)`.

    Example:
        >>> ends = torch.zeros(1, 2, 4, 1)  # of c(t) = t on [0, 2]
        >>> ends[0, 1, 0], ends[0, :, 1] = 2.0, 1.0
        >>> hermite(torch.tensor([[0.5]]), torch.tensor([[2.0]]), ends).item()
        1.0
    """
    total = torch.zeros_like(ends[..., 0, 0, :])
    for end, (u, step) in enumerate([(s, h), (1 - s, -h)]):
        for k in range(4):
            bend = sum(math.comb(3 + i, i) * u**i for i in range(4 - k))
            weight = (u * step) ** k / math.factorial(k) * (1 - u) ** 4 * bend
            total = total + weight * ends[..., end, k, :]
    return total
