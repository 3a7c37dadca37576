"""Sums of squares: many small problems at once, by steps of Gauss and Newton."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.shapes import Mask, MetricMatrix, Scalars, Tangent

__all__ = ["Expansion", "Minimum", "minimize"]

# The share of a step below which a search stalls: after 8 halvings the value still has not fallen.
_SHORTEST = 2**-8
# A step that is shorter than this share of the tolerance is not taken: the search has arrived
# already.
_THERE = 1e-3
# The share by which the value may rise in a step that comes nearer: the lengths that it is made of
# err by about as much.
_SLACK = 1e-4
# The next step is scaled by the ratio of the curvature that Gauss and Newton expected along the
# last one to the curvature that was met. These are its bounds, so that one odd step does no harm.
_SECANT = (0.1, 8.0)


class Expansion(NamedTuple):
    """Half sums of squares f, one for each problem, to second order.

    Attributes:
        value: f, shape `(B,)`; infinite where it cannot be computed.
        gradient: its gradient, shape `(B, p)`.
        hessian: J^T J of the residuals, in place of the Hessian, shape `(B, p, p)`.

    Example:
        >>> Expansion(torch.ones(1), torch.ones(1, 2), 2 * torch.eye(2)[None]).step().tolist()
        [[-0.5, -0.5]]
    """

    value: Scalars
    gradient: Tangent
    hessian: MetricMatrix

    def step(self) -> Tangent:
        """Return the shortest step to the minimum of the expansion, shape `(B, p)`."""
        size, basis = torch.linalg.eigh(self.hessian)
        eps = torch.finfo(size.dtype).eps * size.shape[-1]
        flat = size <= eps * size[:, -1:].clamp(min=torch.finfo(size.dtype).tiny)
        along = (basis.mT @ self.gradient.unsqueeze(-1)).squeeze(-1)
        along = torch.where(flat, 0, along) / torch.where(flat, 1, size)
        step: Tensor = -(basis @ along.unsqueeze(-1)).squeeze(-1)
        return step


class Minimum(NamedTuple):
    """Where the search for each minimum ended.

    Attributes:
        at: the points, shape `(B, p)`.
        value: f there, shape `(B,)`.
        converged: where the last step was short enough, shape `(B,)`.
        n_iter: steps that were tried.

    Example:
        >>> Minimum(torch.zeros(1, 2), torch.zeros(1), torch.ones(1, dtype=bool), 3).n_iter
        3
    """

    at: Tensor
    value: Scalars
    converged: Mask
    n_iter: int


class _State(NamedTuple):
    at: Tensor
    value: Tensor
    gradient: Tensor
    hessian: Tensor
    step: Tensor
    size: Tensor  # of the step, sqrt(step^T H step): by how much the residuals are to change


def minimize(
    expand: Callable[[Tensor], Expansion], start: Tensor, *, tol: float, max_iter: int
) -> Minimum:
    r"""Minimise half sums of squares, each of few variables, all as one batch.

    A step solves J^T J s = -gradient. J^T J lacks the curvature of the residuals, so that steps are
    too short or too long by a factor; it is read off the change of the gradient over the last
    step, as in the methods of Barzilai and Borwein: one variable converges as by secants. A step
    that does not lower f is halved.

    Args:
        expand: f and its derivatives at points `(B, p)`.
        start: where to begin, shape `(B, p)`.
        tol: the length of a step, in the unit of the residuals, after which to stop.
        max_iter: most steps.

    Returns:
        The minima.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), chapter 10; Barzilai and Borwein,
        Two-point step size gradient methods (1988).

    Example:
        >>> def expand(x):  # |x^2 - 4|^2 / 2
        ...     gap, slope = x.square() - 4, 2 * x
        ...     hessian = slope.square().unsqueeze(-1)
        ...     return Expansion(gap.square().sum(-1) / 2, slope * gap, hessian)
        >>> found = minimize(expand, torch.tensor([[1.0], [-3.0]]), tol=1e-3, max_iter=20)
        >>> found.at.flatten().round(decimals=4).tolist()
        [2.0, -2.0]
    """
    state = _measure(expand, start)
    factor = torch.ones_like(state.value)
    converged = state.value.isfinite() & (state.size <= _THERE * tol)
    over, n_iter = converged | ~state.value.isfinite(), 0
    while n_iter < max_iter and not bool(over.all()):
        n_iter += 1
        ahead = torch.where(over, 0, factor).unsqueeze(-1) * state.step
        trial = _measure(expand, state.at + ahead)
        small = state.size <= tol
        settles = (trial.size < state.size) & (trial.value <= state.value * (1 + _SLACK))
        better = ~over & ((trial.value < state.value) | settles)
        converged = converged | (~over & small)
        over = over | small | (~better & (factor < _SHORTEST))
        factor = torch.where(better, _secant(state, trial), factor / 2)
        state = _State(*(_choose(better, *pair) for pair in zip(trial, state, strict=True)))
    return Minimum(state.at, state.value, converged, n_iter)


def _measure(expand: Callable[[Tensor], Expansion], at: Tensor) -> _State:
    here = expand(at)
    step = here.step()
    size = -(here.gradient * step).sum(-1)
    return _State(at, *here, step, size.clamp(min=0).sqrt())


def _secant(old: _State, new: _State) -> Tensor:
    """Compare the curvature along the last step with that which J^T J makes one expect."""
    moved = new.at - old.at
    expected = torch.einsum("bi,bij,bj->b", moved, old.hessian, moved)
    met = (moved * (new.gradient - old.gradient)).sum(-1)
    usable = (met > 0) & (expected > 0)
    ratio = torch.where(usable, expected, 1) / torch.where(usable, met, 1)
    return ratio.clamp(*_SECANT)


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
