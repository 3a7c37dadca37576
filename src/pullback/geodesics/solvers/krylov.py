"""What is left to gain on a chain, by conjugate gradients: no Hessian is ever formed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.autodiff import jvp
from pullback.curves import graded_durations
from pullback.geodesics.solvers.gauss_newton import (
    GaussNewtonLBFGS,
    graded_weights,
    precondition,
)
from pullback.metrics import Metric
from pullback.shapes import Points, Scalars

__all__ = ["Excess", "graded_excess"]

_DAMPING = 1e-6  # of the preconditioner: as much as it is sure to need against rounding
# A second variation below this share of the preconditioner's is not positive. It is less than what
# rounding leaves of a direction on which the decoder hardly depends.
_NEGATIVE = -1e-6


class Excess(NamedTuple):
    """What conjugate gradients found about a batch of graded chains.

    Attributes:
        value: S, shape `(batch,)`.
        force: the gradient of the energy to fourth order, in the unit of dS/dz, `(batch, n, d)`.
        excess: estimated share of the energy by which a chain lies above the geodesic near it,
            shape `(batch,)`.
        second_variation: 0 where a change was met that does not make the chain longer, NaN where
            none was, which proves nothing, shape `(batch,)`.

    Example:
        >>> from pullback.curves import graded_times
        >>> from pullback.metrics import PullbackMetric
        >>> line = graded_times(8).reshape(1, 9, 1) * torch.ones(2).double()
        >>> graded_excess(PullbackMetric(lambda z: z), line).excess.item() < 1e-20
        True
    """

    value: Scalars
    force: Tensor
    excess: Scalars
    second_variation: Scalars


def graded_excess(
    metric: Metric, nodes: Points, *, most_products: int = 60, tol: float = 1e-2
) -> Excess:
    r"""Estimate what a graded chain lies above the geodesic near it: f^T H^-1 f / (2 S).

    f is the gradient of the energy to fourth order in the step, 4/3 g_h - 1/3 g_2h as for equal
    steps, for the times of the nodes are a smooth function of their number. H^-1 f comes from
    conjugate gradients, whose products with the exact Hessian are derivatives of the gradient along
    a direction, preconditioned as in `GaussNewtonLBFGS`.

    Args:
        metric: the metric.
        nodes: chains whose nodes stand at `graded_times`, shape `(batch, n, d)`.
        most_products: the most products with the Hessian.
        tol: what they leave of the correction, as a share of its squared norm.

    Returns:
        The estimate, and what it was made of.

    Source:
        Steihaug, The conjugate gradient method and trust regions in large scale optimization
        (1983), for directions of negative curvature.

    Example:
        >>> from pullback.curves import graded_times
        >>> from pullback.metrics import PullbackMetric
        >>> line = graded_times(8).reshape(1, 9, 1) * torch.ones(2).double()
        >>> bent = line + (9 * line * (1 - line)) * torch.tensor([1.0, -1.0]).double()
        >>> round(graded_excess(PullbackMetric(lambda z: z), bent).excess.item(), 1)  # 27 / 28
        1.0
    """
    weights = graded_weights(nodes)
    value, force = _force(metric, nodes, weights)
    most_dense = GaussNewtonLBFGS().most_dense
    damping = torch.full_like(value, _DAMPING)
    model = precondition(metric, nodes, weights, value, damping, most_dense=most_dense)

    def gradient(z: Tensor) -> Tensor:
        return _padded(metric.weighted_chord_gradient(z, weights)[1])

    def product(v: Tensor) -> Tensor:
        return jvp(gradient, nodes, _padded(v))[1][:, 1:-1]

    gained, negative = _conjugate_gradients(product, model, force, most_products, tol)
    excess = torch.where(value > 0, gained / value, torch.zeros_like(value))
    return Excess(value, force, excess, torch.where(negative, 0.0, torch.nan))


def _force(metric: Metric, nodes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Compute S and the gradient of the energy to fourth order."""
    value, force = metric.weighted_chord_gradient(nodes, weights)
    force = force.clone()
    durations = graded_durations(len(weights)).to(nodes)
    for first in (0, 1):
        chain = nodes[:, first::2]
        if chain.shape[1] > 2:
            both = durations[first:].unfold(0, 2, 2).sum(-1)
            wide = metric.weighted_chord_gradient(chain, 1 / (len(weights) * both))[1]
            force[:, first + 1 : first + 2 * wide.shape[1] : 2].mul_(4 / 3).sub_(wide / 6)
    return value, force


def _conjugate_gradients(
    product: Callable[[Tensor], Tensor], model: Any, force: Tensor, most: int, tol: float
) -> tuple[Tensor, Tensor]:
    """Solve H x = f: f^T x / 2, and where a direction of negative curvature was met."""
    x, rest = torch.zeros_like(force), force
    step = direction = model.solve(rest)
    squared = first = _dot(rest, step)
    size = squared  # of the direction, by the model
    negative = torch.zeros_like(squared, dtype=torch.bool)
    running = squared > 0
    for _ in range(most):
        if not bool(running.any()):
            break
        pushed = product(direction)
        curvature = _dot(direction, pushed)
        negative = negative | (running & (curvature <= _NEGATIVE * size))
        running = running & (curvature > 0)
        share = torch.where(running, squared / curvature, 0.0)[:, None, None]
        x, rest = x + share * direction, rest - share * pushed
        step = model.solve(rest)
        left = _dot(rest, step)
        running = running & (left > tol * first)
        ratio = torch.where(running, left / squared, 0.0)
        direction, size = step + ratio[:, None, None] * direction, left + ratio.square() * size
        squared = torch.where(running, left, squared)
    # Where the very first direction has no positive curvature, the model's promise must serve.
    gained = torch.where(x.flatten(1).any(-1), _dot(force, x), first)
    return gained.abs() / 2, negative


def _padded(inner: Tensor) -> Tensor:
    """Add zeros for the ends."""
    return torch.nn.functional.pad(inner, (0, 0, 1, 1))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2))
