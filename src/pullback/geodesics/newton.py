"""Newton's method on the nodes of a curve."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import check_number
from pullback.geodesics.base import Solver, State, Status
from pullback.linalg import block_tridiagonal_solve
from pullback.metrics import ChordExpansion, Metric
from pullback.shapes import Points

__all__ = ["Newton"]


class _Trial(NamedTuple):
    nodes: Tensor
    predicted: Tensor  # the decrease of S that the quadratic model promises
    positive: Tensor  # the damped Hessian was positive definite
    capped: Tensor  # the step was cut to its longest allowed length


@dataclass(frozen=True)
class Newton(Solver):
    r"""Damped Newton steps on the sum of squared chords S(z_1, ..., z_n) of a chain of nodes.

    A step solves (H + lambda P) delta = -dS/dz with the exact, block-tridiagonal Hessian H. P is
    the H1 inner product of the chain, sum_i |delta_i+1 - delta_i|^2 in the metric, so lambda means
    the same for any number of nodes and any scale of the decoder. It follows the ratio of the
    decrease of S to what the quadratic model promised (Levenberg and Marquardt).

    Args:
        max_steps: the most steps for one curve at one number of nodes.
        tol: converged when the next full step promises to lower S by less than this share.
        max_move: no node moves further in one step than this share of the curve's own length.
        initial_damping: lambda of the first step.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), chapters 4 and 10.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> Newton().relax(flat, bent).nodes[0, 1].round(decimals=6).tolist()
        [0.5, 0.0]
    """

    max_move: float = 0.5
    initial_damping: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("max_move", self.max_move, 0, open_low=True)
        check_number("initial_damping", self.initial_damping, 0, open_low=True)

    def init(self, nodes: Points) -> State:
        """Begin with the initial damping, see `Solver.init`."""
        damping = nodes.new_full(nodes.shape[:1], self.initial_damping)
        status = torch.full_like(damping, Status.RUNNING, dtype=torch.long)
        return State(nodes, damping, status)

    def step(self, metric: Metric, state: State, tol: float) -> State:
        """Take one Newton step on each curve, see `Solver.step`."""
        nodes, damping, status = (part.clone() for part in state)
        expansion = metric.expand_chords(nodes)
        status[~_is_finite(expansion)] = Status.NOT_FINITE
        negligible = tol * expansion.value + _rounding(metric, nodes, expansion.value)
        pending = (status == Status.RUNNING).nonzero().squeeze(-1)
        while len(pending) > 0:
            here = ChordExpansion(*(part[pending] for part in expansion))
            trial = self._try(here, nodes[pending], damping[pending])
            decrease = here.value - metric.squared_chord_sum(trial.nodes)
            gain = decrease / trial.predicted
            small = trial.predicted.abs() <= negligible[pending]
            converged = trial.positive & ~trial.capped & small & (damping[pending] <= 1)
            accepted = trial.positive & (trial.predicted > 0) & (gain > 0.01)

            nodes[pending[accepted]] = trial.nodes[accepted]
            status[pending[converged]] = Status.CONVERGED
            factor = torch.where(accepted, 1.0, 8.0).to(damping)
            factor[accepted & (gain > 0.75) & ~trial.capped] = 0.125
            factor[accepted & (gain < 0.25)] = 4.0
            damping[pending] = (damping[pending] * factor).clamp(min=1e-9)
            pending = pending[~accepted & ~converged]
            stalled = damping[pending] > _HIGHEST_DAMPING
            status[pending[stalled]] = Status.STALLED
            pending = pending[~stalled]
        return State(nodes, damping, status)

    def _try(self, here: ChordExpansion, nodes: Tensor, damping: Tensor) -> _Trial:
        weight = damping[:, None, None, None]
        diagonal, off_diagonal = _h1_inner_product(here.metric)
        step, positive = block_tridiagonal_solve(
            here.diagonal + weight * diagonal,
            here.off_diagonal + weight * off_diagonal,
            -here.gradient,
        )
        step = torch.where(positive[:, None, None], step, torch.zeros_like(step))

        squared_size = torch.einsum("bni,bnij,bnj->bn", step, here.metric, step).amax(-1)
        longest = self.max_move * (here.value * (nodes.shape[1] - 1)).sqrt()
        size = squared_size.clamp(min=0).sqrt()
        capped = size > longest
        step = step * torch.where(capped, longest / size, torch.ones_like(size))[:, None, None]
        moved = nodes.clone()
        moved[:, 1:-1] += step
        return _Trial(moved, _predicted_decrease(here, step), positive, capped)


_HIGHEST_DAMPING = 1e8


def _rounding(metric: Metric, nodes: Tensor, value: Tensor) -> Tensor:
    """How far off S may be for the finite precision of its chords, their errors independent."""
    _, chord = metric.chord_floor(nodes[:, 0], nodes[:, -1])
    return torch.finfo(value.dtype).eps * value + 2 * chord * value.sqrt()


def _h1_inner_product(metric: Tensor) -> tuple[Tensor, Tensor]:
    """The blocks of sum_i |delta_i+1 - delta_i|^2_M, for deltas that vanish at both ends."""
    eye = torch.eye(metric.shape[-1], dtype=metric.dtype, device=metric.device)
    trace = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    metric = metric + 1e-9 * trace * eye  # a singular metric still limits the step
    inner = metric[:, 1:] + metric[:, :-1]
    left = torch.cat([2 * metric[:, :1], inner], 1)
    right = torch.cat([inner, 2 * metric[:, -1:]], 1)
    return left + right, -inner


def _predicted_decrease(here: ChordExpansion, step: Tensor) -> Tensor:
    curved = torch.einsum("bnij,bnj->bni", here.diagonal, step)
    curved[:, :-1] += torch.einsum("bnij,bnj->bni", here.off_diagonal, step[:, 1:])
    curved[:, 1:] += torch.einsum("bnij,bni->bnj", here.off_diagonal, step[:, :-1])
    return -((here.gradient + curved / 2) * step).sum((-1, -2))


def _is_finite(expansion: ChordExpansion) -> Tensor:
    parts = [part.isfinite().flatten(1).all(-1) for part in expansion if part.ndim > 1]
    return torch.stack([expansion.value.isfinite(), *parts]).all(0)
