"""Linear differential equations v' = A(t) v whose A is known beforehand: all steps at once."""

import math

import torch
from torch import Tensor

from pullback.shapes import MetricMatrix

__all__ = ["NODES", "magnus_propagator"]

NODES = {
    2: (0.5 - math.sqrt(3) / 6, 0.5 + math.sqrt(3) / 6),
    3: (0.5 - math.sqrt(15) / 10, 0.5, 0.5 + math.sqrt(15) / 10),
}
"""Where in a step A is asked for: the nodes of Gauss and Legendre, by their number."""


def magnus_propagator(coefficients: Tensor, step: float) -> MetricMatrix:
    r"""Compute the matrix that takes v(0) to v(n h), of order twice the number of nodes in a step.

    Over one step it is exp(Omega). With two nodes Omega = h / 2 (A_1 + A_2) + sqrt(3) / 12 h^2
    [A_2, A_1]; with three, where a = h A_2, b = sqrt(15) / 3 h (A_3 - A_1),
    c = 10 / 3 h (A_1 - 2 A_2 + A_3) and C = [a, b], it is
    a + c / 12 + [C - 20 a - c, b - [a, 2 c + C] / 60] / 240.

    Args:
        coefficients: A at the `NODES` of n steps, shape `(*batch, n, s, d, d)`, s = 2 or 3.
        step: h.

    Returns:
        The propagators, shape `(*batch, d, d)`.

    Source:
        Blanes, Casas, Oteo, Ros, The Magnus expansion and some of its applications (2009), section
        5.4.

    Example:
        >>> turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
        >>> magnus_propagator(turn.expand(8, 3, 2, 2), math.pi / 16).round(decimals=9).abs()
        tensor([[0., 1.],
                [1., 0.]], dtype=torch.float64)
    """
    A = coefficients.unbind(-3)
    two = len(A) == 2
    omega = _fourth_order(A[0], A[1], step) if two else _sixth_order(A[0], A[1], A[2], step)
    return _product(torch.linalg.matrix_exp(omega))


def _fourth_order(first: Tensor, last: Tensor, h: float) -> Tensor:
    return h / 2 * (first + last) + math.sqrt(3) / 12 * h**2 * _commutator(last, first)


def _sixth_order(first: Tensor, middle: Tensor, last: Tensor, h: float) -> Tensor:
    a, b = h * middle, math.sqrt(15) / 3 * h * (last - first)
    c = 10 / 3 * h * (first - 2 * middle + last)
    ab = _commutator(a, b)
    right = b - _commutator(a, 2 * c + ab) / 60
    return a + c / 12 + _commutator(ab - 20 * a - c, right) / 240


def _commutator(A: Tensor, B: Tensor) -> Tensor:
    return A @ B - B @ A


def _product(steps: Tensor) -> Tensor:
    """Multiply `(*batch, n, d, d)`, later ones from the left, two neighbours at a time."""
    while steps.shape[-3] > 1:
        n = steps.shape[-3] // 2 * 2
        pairs = steps[..., 1:n:2, :, :] @ steps[..., 0:n:2, :, :]
        steps = torch.cat([pairs, steps[..., n:, :, :]], -3)
    return steps.squeeze(-3)
