"""One step of a Runge-Kutta method of order 8, for many initial value problems at once."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from scipy.integrate import DOP853
from torch import Tensor

__all__ = ["N_EVALUATIONS", "ORDER", "Stages", "runge_kutta_step"]

ORDER = 8
"""The error of a solution falls with the length of its steps to this power."""
N_EVALUATIONS = 12
"""What one step costs in evaluations of the right side."""


class Stages(NamedTuple):
    """A step from y(t) to y(t + h), and what was seen on the way.

    Attributes:
        end: the new state y(t + h), shape `(batch, p)`.
        slope: f there, with which the next step begins, shape `(batch, p)`.
        states: where f was evaluated, begin and end included, shape `(13, batch, p)`.
        slopes: f there, shape `(13, batch, p)`.

    Example:
        >>> y = torch.ones(1, 1, dtype=torch.float64)
        >>> h = torch.full((1,), 0.5, dtype=torch.float64)
        >>> stages = runge_kutta_step(lambda y: y, y, y, h)  # y' = y
        >>> round(stages.end.item(), 8), bool(stages.error(h) < 1e-8)
        (1.64872127, True)
    """

    end: Tensor
    slope: Tensor
    states: Tensor
    slopes: Tensor

    def error(self, h: Tensor) -> Tensor:
        """Estimate the error of the step, of order 7 in h: the Euclidean norm, shape `(batch,)`.

        The estimate of order 5 is scaled down by its ratio to one of order 3 (Hairer, Norsett and
        Wanner, section II.10).
        """
        table = _tables(h.dtype, h.device)
        fifth, third = (
            torch.tensordot(weights, self.slopes, 1).square().sum(-1) for weights in table.errors
        )
        scaled = fifth / (fifth + third / 100).sqrt()
        return h * torch.where(fifth == 0, fifth, scaled)


def runge_kutta_step(f: Callable[[Tensor], Tensor], y: Tensor, slope: Tensor, h: Tensor) -> Stages:
    """Step from y(t) to y(t + h) for y' = f(y), each row on its own, by twelve evaluations of f.

    The operations can be differentiated in forward mode, through f and y.

    Args:
        f: the right side, from states `(batch, p)` to slopes `(batch, p)`.
        y: the states y(t), shape `(batch, p)`.
        slope: f(y), shape `(batch, p)`.
        h: lengths of the steps, shape `(batch,)`.

    Returns:
        The new states, and the stages of the step.

    Source:
        The method DOP853 of Dormand and Prince: Hairer, Norsett, Wanner, Solving Ordinary
        Differential Equations I (1993), section II.5; its coefficients are those of SciPy.

    Example:
        >>> y, h = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        >>> round(runge_kutta_step(lambda y: y, y, y, h).end.item(), 6)  # e
        2.718282
    """
    table = _tables(y.dtype, y.device)
    states, slopes = [y], [slope]
    for weights in table.stages:
        states.append(y + h.unsqueeze(-1) * torch.tensordot(weights, torch.stack(slopes), 1))
        slopes.append(f(states[-1]))
    return Stages(states[-1], slopes[-1], torch.stack(states), torch.stack(slopes))


class _Tables(NamedTuple):
    stages: list[Tensor]  # the weights of the slopes so far, in the stages that follow
    errors: list[Tensor]  # their weights in the estimates of the error, of orders 5 and 3


@lru_cache(maxsize=16)
def _tables(dtype: torch.dtype, device: torch.device) -> _Tables:
    rows = [DOP853.A[i, :i] for i in range(1, DOP853.n_stages)] + [DOP853.B]
    stages, errors = (
        [torch.tensor(row, dtype=dtype, device=device) for row in table]
        for table in (rows, [DOP853.E5, DOP853.E3])
    )
    return _Tables(stages, errors)
