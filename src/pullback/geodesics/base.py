"""What a geodesic solver is: a step on a batch of curves, and the one loop that takes the steps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from pullback.errors import check_integer, check_number
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["Relaxation", "Solver", "State", "Status", "rounding_of", "select"]


class Status(IntEnum):
    """How the search for one geodesic ended.

    Example:
        >>> Status.MAX_STEPS.message
        'the solver ran out of steps: raise `max_steps`'
        >>> Status.MAX_STEPS.reason
        'the solver ran out of steps'
    """

    CONVERGED = 0
    MAX_STEPS = 1
    STALLED = 2
    UNRESOLVED = 3
    INEXACT = 4
    LEFT_DOMAIN = 5
    DEGENERATE = 6
    NOT_FINITE = 7
    SPEED_CHANGED = 8
    RUNNING = 9

    @property
    def reason(self) -> str:
        """What happened, in words that need no Python."""
        return _REASONS[self]

    @property
    def message(self) -> str:
        """What happened, and which parameter to change where one would help."""
        cure = _CURES.get(self)
        return self.reason if cure is None else f"{self.reason}: {cure}"


_REASONS = {
    Status.CONVERGED: "a geodesic was found",
    Status.MAX_STEPS: "the solver ran out of steps",
    Status.STALLED: "no step led further: the decoder may not be twice differentiable",
    Status.UNRESOLVED: "the length still changed with the number of nodes",
    Status.INEXACT: "the table of the metric is off along the curve",
    Status.LEFT_DOMAIN: "the curve left the region where the metric is defined",
    Status.DEGENERATE: "the metric is singular on the curve: a latent axis may have collapsed",
    Status.NOT_FINITE: "the decoder returned NaN or infinity near the curve",
    Status.SPEED_CHANGED: "the speed was not conserved: the decoder may not be smooth",
    Status.RUNNING: "the solver has not finished",
}

_CURES = {
    Status.MAX_STEPS: "raise `max_steps`",
    Status.UNRESOLVED: "add a level to `levels`",
    Status.INEXACT: "make it finer, or `polish`",
}


class State(Protocol):
    """Where the search stands for each curve of a batch: a named tuple of tensors, batch first.

    A solver adds what it has to remember; of every one are known the curves and their status.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.metrics import PullbackMetric
        >>> state = Newton().init(PullbackMetric(lambda z: z), torch.zeros(1, 3, 2))
        >>> state.nodes.shape, Status(state.status.item()).name
        (torch.Size([1, 3, 2]), 'RUNNING')
    """

    @property
    def nodes(self) -> Tensor:
        """The curves, shape `(batch, n, d)`."""

    @property
    def status(self) -> Tensor:
        """`Status` codes, shape `(batch,)`."""

    def __iter__(self) -> Iterator[Tensor]: ...


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

    second_order: ClassVar[bool] = False
    """Whether the solver uses second derivatives, so that its answers are corrected by them too."""

    graded: ClassVar[bool] = False
    """Whether its nodes stand at `pullback.curves.graded_times`, crowded near both ends."""

    def __post_init__(self) -> None:
        check_integer("max_steps", self.max_steps)
        check_number("tol", self.tol, 0, open_low=True)

    @abstractmethod
    def init(self, metric: Metric, nodes: Points) -> Any:
        """Begin a search from curves `(batch, n, d)`: return a `State` of this solver's own."""

    @abstractmethod
    def step(self, metric: Metric, state: Any, tol: float) -> Any:
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
        relaxed = nodes.clone()
        active = torch.arange(len(nodes), device=nodes.device)
        status = torch.full_like(active, Status.MAX_STEPS)
        n_steps = torch.zeros_like(active)
        state: State = self.init(metric, nodes.clone())
        for _ in range(self.max_steps):
            if len(active) == 0:
                break
            state = self.step(metric, state, tol or self.tol)
            n_steps[active] += 1
            over = state.status != Status.RUNNING
            if bool(over.any()):
                relaxed[active[over]], status[active[over]] = state.nodes[over], state.status[over]
                state, active = select(state, ~over), active[~over]
        if len(active) > 0:
            relaxed[active] = state.nodes
        return Relaxation(relaxed, status, n_steps)


def select(state: Any, chosen: Tensor) -> Any:
    """Return the state of some of the curves.

    Args:
        state: a `State`.
        chosen: a mask over the batch, or indices into it.

    Returns:
        A state of the same kind.

    Example:
        >>> class Found(NamedTuple):
        ...     nodes: Tensor
        ...     status: Tensor
        >>> state = Found(torch.zeros(3, 2, 1), torch.tensor([0, 1, 0]))
        >>> select(state, state.status == 0).nodes.shape
        torch.Size([2, 2, 1])
    """
    return type(state)(*(part[chosen] for part in state))


def rounding_of(metric: Metric, nodes: Points, value: Tensor) -> Tensor:
    """Say how far off S may be for the finite precision of its chords, their errors independent.

    Args:
        metric: the metric.
        nodes: chains, shape `(batch, n, d)`.
        value: S, their sums of squared chords, shape `(batch,)`.

    Returns:
        The absolute error, shape `(batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.ones(1, 3, 1, dtype=torch.float64)
        >>> bool(rounding_of(PullbackMetric(lambda z: z), nodes, torch.ones(1).double()) < 1e-14)
        True
    """
    chord = metric.chord_rounding(nodes[:, [0, -1]]).amax(-1)
    return torch.finfo(value.dtype).eps * value + 2 * chord * value.sqrt()
