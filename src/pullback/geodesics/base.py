"""What a geodesic solver is: a step on a batch of curves, and the one loop that takes the steps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import check_integer, check_number
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["Relaxation", "Solver", "State", "Status"]


class Status(IntEnum):
    """How the search for one geodesic ended.

    Example:
        >>> Status.MAX_STEPS.message
        'the solver ran out of steps: raise `max_steps`'
    """

    CONVERGED = 0
    MAX_STEPS = 1
    STALLED = 2
    UNRESOLVED = 3
    DEGENERATE = 4
    NOT_FINITE = 5
    RUNNING = 6

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "a geodesic was found",
    Status.MAX_STEPS: "the solver ran out of steps: raise `max_steps`",
    Status.STALLED: "no step made the curve shorter: the decoder may not be twice differentiable",
    Status.UNRESOLVED: "the length still changed with the number of nodes: add a level to `levels`",
    Status.DEGENERATE: "the metric is singular on the curve: a latent axis may have collapsed",
    Status.NOT_FINITE: "the decoder returned NaN or infinity near the curve",
    Status.RUNNING: "the solver has not finished",
}


class State(NamedTuple):
    """Where the search stands for each curve of a batch.

    Attributes:
        nodes: the curves, shape `(batch, n, d)`.
        damping: how cautious the next step is, shape `(batch,)`.
        status: `Status` codes, shape `(batch,)`.

    Example:
        >>> from pullback.geodesics import Newton
        >>> state = Newton(initial_damping=0.5).init(torch.zeros(1, 3, 2))
        >>> state.damping.item(), Status(state.status.item()).name
        (0.5, 'RUNNING')
    """

    nodes: Tensor
    damping: Tensor
    status: Tensor


class Relaxation(NamedTuple):
    """What a solver made of a batch of curves.

    Attributes:
        nodes: the relaxed curves, shape `(batch, n, d)`.
        status: `Status` codes, shape `(batch,)`.
        n_steps: steps taken, shape `(batch,)`.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.metrics import PullbackMetric
        >>> uneven = torch.tensor([[[0.0], [0.1], [1.0]]], dtype=torch.float64)
        >>> relaxation = Newton().relax(PullbackMetric(lambda z: z), uneven)
        >>> relaxation.nodes.flatten().round(decimals=6).tolist()
        [0.0, 0.5, 1.0]
    """

    nodes: Tensor
    status: Tensor
    n_steps: Tensor


@dataclass(frozen=True)
class Solver(ABC):
    """A method that makes curves shorter while it holds their ends: hyper-parameters and one step.

    Args:
        max_steps: the most steps for one curve at one number of nodes.
        tol: a curve has converged when the next step promises to lower its energy by less than
            this share, or by less than rounding lets it see.

    Raises:
        InvalidParameterError: a hyper-parameter is out of range.

    Example:
        >>> from pullback.geodesics import Newton
        >>> isinstance(Newton(max_steps=20), Solver)
        True
    """

    max_steps: int = 60
    tol: float = 1e-9

    def __post_init__(self) -> None:
        check_integer("max_steps", self.max_steps)
        check_number("tol", self.tol, 0, open_low=True)

    @abstractmethod
    def init(self, nodes: Points) -> State:
        """Begin a search from curves `(batch, n, d)`."""

    @abstractmethod
    def step(self, metric: Metric, state: State, tol: float) -> State:
        """Take one step on every curve, and mark those that converged, stalled or broke."""

    def relax(self, metric: Metric, nodes: Points, *, tol: float | None = None) -> Relaxation:
        """Step until every curve has converged or cannot; a finished curve costs nothing more.

        Args:
            metric: the Riemannian metric.
            nodes: curves with fixed ends, shape `(batch, n, d)`.
            tol: overrides the solver's own `tol`, for curves that will be refined later.

        Returns:
            The relaxed curves, their status and the steps that each took.
        """
        state = self.init(nodes.clone())
        n_steps = torch.zeros_like(state.status)
        for _ in range(self.max_steps):
            running = (state.status == Status.RUNNING).nonzero().squeeze(-1)
            if len(running) == 0:
                break
            moved = self.step(metric, State(*(part[running] for part in state)), tol or self.tol)
            for part, new in zip(state, moved, strict=True):
                part[running] = new
            n_steps[running] += 1
        state.status[state.status == Status.RUNNING] = Status.MAX_STEPS
        return Relaxation(state.nodes, state.status, n_steps)
