"""Newton's method on the nodes of a curve."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import check_integer, check_number
from pullback.geodesics.base import Solver, Status, rounding_of
from pullback.metrics import ChordExpansion, Metric
from pullback.shapes import Points

__all__ = ["Newton"]


class _State(NamedTuple):
    """A curve, S and its derivatives there; the Hessian may be that of some steps before."""

    nodes: Tensor
    status: Tensor
    damping: Tensor
    age: Tensor  # steps since the Hessian was computed
    rounding: Tensor  # how far off S may be
    value: Tensor
    gradient: Tensor
    diagonal: Tensor
    off_diagonal: Tensor
    metric: Tensor


class _Move(NamedTuple):
    step: Tensor
    damping: Tensor
    positive: Tensor  # the damped Hessian was positive definite
    predicted: Tensor  # the decrease of S that the quadratic model promises
    capped: Tensor  # the step was cut to its longest allowed length


@dataclass(frozen=True)
class Newton(Solver):
    r"""Damped Newton steps on the sum of squared chords S(z_1, ..., z_n) of a chain of nodes.

    A step solves (H + lambda P) delta = -dS/dz with the exact, block-tridiagonal Hessian H. P is
    the H1 inner product of the chain, sum_i |delta_i+1 - delta_i|^2 in the metric, so lambda means
    the same for any number of nodes and any scale of the decoder. It follows the ratio of the
    decrease of S to what the quadratic model promised (Levenberg and Marquardt). A Hessian costs
    five gradients or more, so one that still predicts well is used again (Shamanskii).

    Args:
        max_steps: the most steps for one curve at one number of nodes.
        tol: converged when the next full step promises to lower S by less than this share.
        max_move: no node moves further in one step than this share of the curve's own length.
        initial_damping: lambda of the first step.
        max_age: how many steps a Hessian may serve; 1 for a new one in every step.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), chapters 4 and 10. Shamanskii, A
        modification of Newton's method (1967).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> Newton().relax(flat, bent).nodes[0, 1].round(decimals=6).tolist()
        [0.5, 0.0]
    """

    second_order: ClassVar[bool] = True
    max_move: float = 0.5
    initial_damping: float = 1e-2
    max_age: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("max_move", self.max_move, 0, open_low=True)
        check_number("initial_damping", self.initial_damping, 0, open_low=True)
        check_integer("max_age", self.max_age)

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Expand S at the start, see `Solver.init`."""
        damping = nodes.new_full(nodes.shape[:1], self.initial_damping)
        expansion = metric.expand_chords(nodes)
        status = torch.where(_is_finite(expansion), int(Status.RUNNING), int(Status.NOT_FINITE))
        rounding = rounding_of(metric, nodes, expansion.value)
        age = torch.ones_like(status)
        return _State(nodes, status, damping, age, rounding, *expansion)

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Take one Newton step on each curve, see `Solver.step`."""
        move = self._move(state)
        nodes = state.nodes.clone()
        nodes[:, 1:-1] += move.step
        small = move.predicted.abs() <= tol * state.value + state.rounding
        ready = move.positive & ~move.capped & (move.damping <= _FREE)
        running = state.status == Status.RUNNING
        converged = running & ready & small
        status = torch.where(converged, int(Status.CONVERGED), state.status)
        # A curve that has converged takes its last step without a new evaluation: what the step
        # changes is too small to be measured.
        moved = (running & ~converged).nonzero().squeeze(-1)
        known = self._evaluate(metric, nodes, moved, state)
        value, gradient = known.value, known.gradient
        gain = (state.value - value) / move.predicted
        finite = value.isfinite() & gradient.isfinite().flatten(1).all(-1)
        better = move.positive & (move.predicted > 0) & (gain > 0.01) & finite
        accepted = converged | better

        # The damping is multiplied by this factor, smooth in the gain (Nielsen's form of
        # Marquardt's rule): a third where the decrease was as promised, more where it was less.
        kept = (1 - (2 * gain.clamp(0, 1) - 1).pow(3)).clamp(min=1 / 3)
        kept = torch.where(move.capped, 1.0, kept)
        stale = state.age > 1
        raised = torch.where(stale, 1.0, 8.0).to(kept)
        damping = move.damping * torch.where(accepted, kept, raised)
        spent = running & ~accepted & ~(damping <= _HIGHEST_DAMPING)
        status = torch.where(spent, int(Status.STALLED), status)
        state = _State(
            nodes=_choose(accepted, nodes, state.nodes),
            status=status,
            damping=damping.clamp(min=1e-9),
            age=state.age + 1,
            rounding=state.rounding,
            **{
                name: _choose(accepted, new, getattr(state, name))
                for name, new in known._asdict().items()
            },
        )
        if self.max_age == 1:
            return state._replace(age=torch.ones_like(state.age))
        trusted = better & ((gain - 1).abs() < _TRUSTED) & (state.age <= self.max_age)
        outdated = (status == Status.RUNNING) & ~trusted & (better | stale)
        return _expand(metric, state, outdated.nonzero().squeeze(-1))

    def _evaluate(
        self, metric: Metric, nodes: Tensor, rows: Tensor, state: _State
    ) -> ChordExpansion:
        """Measure S at new nodes, with a new Hessian only if each step shall have one."""
        known = ChordExpansion(*state[-5:])
        if len(rows) == 0:
            return known
        fresh: tuple[Tensor, ...] = (
            metric.expand_chords(nodes[rows])
            if self.max_age == 1
            else metric.chord_gradient(nodes[rows])
        )
        if len(rows) == len(nodes):
            return ChordExpansion(*fresh, *known[len(fresh) :])
        changed = [part.clone() for part in known[: len(fresh)]]
        for part, new in zip(changed, fresh, strict=True):
            part[rows] = new
        return ChordExpansion(*changed, *known[len(fresh) :])

    def _move(self, here: _State) -> _Move:
        step, damping, positive = _solve_damped(here)
        squared_size = torch.einsum("bni,bni->bn", step, _multiply(here.metric, step)).amax(-1)
        longest = self.max_move * (here.value * (here.nodes.shape[1] - 1)).sqrt()
        size = squared_size.clamp(min=0).sqrt()
        capped = size > longest
        step = step * torch.where(capped, longest / size, torch.ones_like(size))[:, None, None]
        return _Move(step, damping, positive, _predicted_decrease(here, step), capped)


def _solve_damped(here: _State) -> tuple[Tensor, Tensor, Tensor]:
    """Solve for the step with the least damping, from the present one, that is a descent."""
    diagonal, off_diagonal = linalg.h1_inner_product(here.metric)
    step, damping = torch.zeros_like(here.gradient), here.damping.clone()
    positive = torch.zeros_like(damping, dtype=torch.bool)
    rows = torch.arange(len(step), device=step.device)
    while len(rows) > 0:
        weight = damping[rows, None, None, None]
        found, descends = linalg.block_tridiagonal_solve(
            here.diagonal[rows] + weight * diagonal[rows],
            here.off_diagonal[rows] + weight * off_diagonal[rows],
            -here.gradient[rows],
        )
        step[rows[descends]], positive[rows[descends]] = found[descends], True
        rows = rows[~descends]
        damping[rows] *= 4
        rows = rows[damping[rows] <= _HIGHEST_DAMPING]
    return step, damping, positive


# A curve counts as converged only if its damping is at most this. With more of it the step was held
# back, and a small promised decrease says nothing about the minimum.
_FREE = 0.1
# A Hessian serves for another step if the decrease differed from what it promised by less than this
# share. Set by judgement: with more, steps by outdated Hessians waste evaluations; with less,
# Hessians are computed that were not needed.
_TRUSTED = 0.3


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _expand(metric: Metric, state: _State, rows: Tensor) -> _State:
    """Bring the Hessians of some curves up to date."""
    if len(rows) == 0:
        return state
    expansion = metric.expand_chords(state.nodes[rows])
    parts = [part.clone() for part in state[-5:]]
    for part, fresh in zip(parts, expansion, strict=True):
        part[rows] = fresh
    age, status = state.age.clone(), state.status.clone()
    age[rows] = 1
    status[rows[~_is_finite(expansion)]] = Status.NOT_FINITE
    return _State(state.nodes, status, state.damping, age, state.rounding, *parts)


# The damping, as a multiple of the metric along the chain, from which on a search is given up: a
# step is then 1e-8 of Newton's, and no energy decreases by more than rounding.
_HIGHEST_DAMPING = 1e8


def _predicted_decrease(here: _State, step: Tensor) -> Tensor:
    curved = _multiply(here.diagonal, step)
    curved[:, :-1] += _multiply(here.off_diagonal, step[:, 1:])
    curved[:, 1:] += _multiply(here.off_diagonal.mT, step[:, :-1])
    return -((here.gradient + curved / 2) * step).sum((-1, -2))


def _multiply(A: Tensor, x: Tensor) -> Tensor:
    return (A @ x.unsqueeze(-1)).squeeze(-1)


def _is_finite(expansion: ChordExpansion) -> Tensor:
    parts = [part.isfinite().flatten(1).all(-1) for part in expansion if part.ndim > 1]
    return torch.stack([expansion.value.isfinite(), *parts]).all(0)
