"""Centres of groups of points: descent along the logs of all groups, as one batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import ConvergenceError
from pullback.geodesics.search.measure import resample
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.leap import Leap, can_leap, leap
from pullback.statistics.centers.mass import Mass
from pullback.statistics.centers.objective import Objective
from pullback.statistics.logarithms import Logarithms

__all__ = ["Descent", "Settled"]

# The tolerance of the first phase, on short searches, as a share of the spread: they are off by
# about as much, and exact geodesics go on from there.
_ROUGH = 1e-2
# The share of a step below which a descent stalls: after 7 halvings the objective still has not
# fallen.
_SHORTEST = 2**-7
# The share by which the objective may rise in a step that comes nearer: the lengths that it is made
# of err by about as much.
_SLACK = 1e-4
# Newton steps that may relax the curves of a short search together with their centre. 3 to 4 do on
# the sphere; where curves have to slip past each other, as on a decoder of digits, it takes 14 to
# 40, and may lead to another minimum.
_EASY = 6
# Two ends of descents are different minima if they are further apart than this share of the spread,
# and their objectives are equal.
_APART = 0.25
# The share by which two objectives may differ and count as equal: data with two such minima have no
# one centre.
_EQUAL = 1e-2


class _State(NamedTuple):
    points: Tensor
    move: Tensor
    size: Tensor
    value: Tensor
    lost: Tensor
    total: Tensor
    n_failed: Tensor


class Settled(NamedTuple):
    """Where descents settled.

    Attributes:
        state: the centres, and what was measured there.
        n_iter: steps that each group took, shape `(k,)`.
        converged: where the last step was short enough, shape `(k,)`.
        joint: see `Centers`.
        curves: curves to the data, shape `(n, nodes, d)`.

    Example:
        >>> Settled._fields
        ('state', 'n_iter', 'converged', 'joint', 'curves')
    """

    state: _State
    n_iter: Tensor
    converged: Tensor
    joint: Tensor
    curves: Tensor


class Descent:
    r"""Descent of all groups to their centres: c <- c + step * move.

    Where the objective is the mean of squared distances, curves and centre are first relaxed
    together by Newton's method: a leap, which a search measures. It is kept where it is no worse,
    and its second derivatives make of the moves that follow Newton's.

    The length of a step follows Barzilai and Borwein from the last two moves. A step that raises
    the objective, or from whose end fewer of the data can be reached, is halved.

    Args:
        manifold: the latent space.
        Z: the data, shape `(n, d)`.
        mass: their groups and weights.
        objective: what to minimise.
        max_iter: most steps.
        tol: stop when a move is shorter than this share of the spread.

    Source:
        Barzilai and Borwein, Two-point step size gradient methods (1988).

    Example:
        >>> from pullback.statistics.centers.frechet_mean import SquaredDistance
        >>> M, Z = Manifold(lambda z: 2 * z, dim=1), torch.tensor([[1.0], [3.0]]).double()
        >>> mass = Mass(torch.zeros(2).long(), torch.ones(2).double(), 1)
        >>> Descent(M, Z, mass, SquaredDistance(), max_iter=9, tol=1e-6).run(Z[None]).points
        tensor([[2.]], dtype=torch.float64)
    """

    def __init__(
        self,
        manifold: Manifold,
        Z: Codes,
        mass: Mass,
        objective: Objective,
        *,
        max_iter: int,
        tol: float,
    ) -> None:
        self.manifold = manifold
        self.Z = Z
        self.mass = mass
        self.objective = objective
        self.max_iter = max_iter
        self.tol = tol

    def run(self, starts: Tensor) -> Centers:
        """Descend shortly from all starts, and exactly from the best end of each group.

        Args:
            starts: where to begin, shape `(k, s, d)`: s starts for each group.

        Returns:
            The centres.

        Raises:
            ConvergenceError: a centre has no finite geodesic to any of its data.
        """
        n_groups, n_starts, d = starts.shape
        short = self._repeated(n_starts).settle(starts.reshape(-1, d), exact=False)
        ends, values = short.state.points, short.state.value.reshape(n_groups, n_starts)
        best = values.argmin(-1)
        at = torch.arange(n_groups, device=best.device) * n_starts + best
        unique = self._unique(ends.reshape(starts.shape), values, best)
        points = self._on_data(ends[at])
        curves = short.curves.unflatten(0, (len(self.Z), n_starts))
        row = torch.arange(len(self.Z), device=best.device)
        found = self.settle(points, exact=True, curves=curves[row, best[self.mass.owner]])
        state = found.state
        self._refuse_lost(state)
        return Centers(
            state.points,
            state.value,
            self.objective.spread(state.value),
            state.n_failed,
            short.n_iter[at] + found.n_iter,
            found.converged,
            unique,
            found.joint,
        )

    def settle(self, points: Tensor, *, exact: bool, curves: Tensor | None = None) -> Settled:
        """Descend until all groups have converged or stalled.

        Args:
            points: where to begin, one start for each group, shape `(k, d)`.
            exact: by exact geodesics, else by short searches and only as far as these can tell.
            curves: curves near those from there to the data, shape `(n, nodes, d)`.

        Returns:
            Where it ended, and how.
        """
        tol = self.tol if exact else max(self.tol, _ROUGH)
        logarithms = Logarithms(self.manifold, self.Z, exact=exact)
        leaps = exact and self.objective.squared and can_leap(self.manifold, *self.Z.shape)
        if leaps:
            state, found, joint = self._leap(logarithms, points, curves)
            n_iter, turn = found.n_steps, found.turn
        else:
            state, turn = self.measure(logarithms, points), None
            joint, n_iter = state.n_failed < 0, torch.zeros_like(state.n_failed)
        step = state.value.new_ones(len(points))
        for _ in range(self.max_iter):
            active = ~self._arrived(state, tol) & (step > _SHORTEST) & state.value.isfinite()
            if not bool(active.any()):
                break
            ahead = torch.where(active, step, 0).unsqueeze(-1) * state.move
            trial = self.measure(logarithms, state.points + ahead, turn)
            better = active & _improves(trial, state)
            grown = self._next_step(state, trial, step)
            step = torch.where(better, grown, torch.where(active, step / 2, step))
            state = _choose_states(better, trial, state)
            n_iter = n_iter + active.to(n_iter)
        return Settled(state, n_iter, self._arrived(state, tol), joint, logarithms.curves)

    def _leap(
        self, logarithms: Logarithms, points: Tensor, curves: Tensor | None
    ) -> tuple[_State, Leap, Tensor]:
        """Leap to where curves and centre together have the least energy, where that is better.

        From the curves of a short search where few steps lead there: then it is the minimum next to
        the start. Elsewhere they bend and slip over each other, and to another minimum than the
        exact geodesics from the start: the leap is made from these.

        Returns:
            The state from which to descend, the leap, and which groups took it.
        """
        rough = Logarithms(self.manifold, self.Z, curves=curves)
        before = self.measure(rough, points)
        far = ~self._arrived(before, self.tol) & before.value.isfinite()
        easy = self._relaxed(points, rough.curves, far, max_steps=min(_EASY, self.max_iter))
        leapt = far & easy.converged
        logarithms.curves = easy.curves
        state = self.measure(logarithms, _choose(leapt, easy.points, points), easy.turn)
        worse = leapt & ~_no_worse(state, before)
        if bool(worse.any()):
            again = self.measure(logarithms, _choose(worse, points, state.points))
            state, leapt = _choose_states(worse, again, state), leapt & ~worse
        far = ~self._arrived(state, self.tol) & state.value.isfinite() & ~leapt
        if not bool(far.any()):
            return state, easy, leapt
        curves = logarithms.curves
        found = self._relaxed(state.points, curves, far, max_steps=self.max_iter)
        turn, n_steps = _choose(far, found.turn, easy.turn), easy.n_steps + found.n_steps
        found = found._replace(turn=turn, n_steps=n_steps)
        logarithms.curves = found.curves
        there = self.measure(logarithms, found.points, found.turn)
        taken = far & _improves(there, state)
        n, own = found.curves.shape[1], taken[self.mass.owner]
        logarithms.curves = _choose(own, resample(logarithms.curves, n), resample(curves, n))
        return _choose_states(taken, there, state), found, leapt | taken

    def _relaxed(self, points: Tensor, curves: Tensor, groups: Tensor, *, max_steps: int) -> Leap:
        mass = self.mass.within(groups[self.mass.owner])
        return leap(self.manifold, curves, mass, points, max_steps=max_steps, tol=self.tol)

    def measure(self, logarithms: Logarithms, points: Tensor, turn: Tensor | None = None) -> _State:
        """Compute the objective and the proposed move at points, shape `(k, d)`.

        Its size is that of the move that the logs propose, whatever matrix turns it into Newton's.
        """
        logs = logarithms.at(points, owner=self.mass.owner)
        reached = logs.lengths.isfinite()
        mass = self.mass.within(reached)
        total = mass.total()
        lengths = torch.where(reached, logs.lengths, 0)
        share = torch.where(total > 0, total, 1)
        value = torch.where(total > 0, mass.sum(self.objective.value(lengths)) / share, torch.inf)
        move = self.objective.move(self.manifold, points, logs._replace(lengths=lengths), mass)
        size = self.manifold.norm(torch.where(total > 0, points.T, 0).T, move)
        size = torch.where(total > 0, size, torch.inf)
        if turn is not None:
            move = _apply(turn, move)
        weighed = self.mass.weights > 0
        n_failed = torch.zeros(self.mass.n_groups, dtype=torch.long, device=points.device)
        n_failed = n_failed.index_add(0, self.mass.owner, (weighed & ~logs.converged).long())
        lost = self.mass.total() - total
        return _State(points, move, size, value, lost, total, n_failed)

    def _on_data(self, points: Tensor) -> Tensor:
        """Move to the nearest point of the data where that is the minimum."""
        if not self.objective.at_data:
            return points
        owner = self.mass.owner
        gap = self.manifold.norm(points[owner], self.Z - points[owner])
        gap = torch.where(self.mass.weights > 0, gap, torch.inf)
        member = owner == torch.arange(len(points), device=owner.device).unsqueeze(-1)
        nearest = self.Z[torch.where(member, gap, torch.inf).argmin(-1)]
        state = self.measure(Logarithms(self.manifold, self.Z, exact=True), nearest)
        return _choose(self._arrived(state, self.tol), nearest, points)

    def _arrived(self, state: _State, tol: float) -> Tensor:
        near = state.size <= tol * self.objective.spread(state.value)
        return near & state.value.isfinite()

    def _next_step(self, old: _State, new: _State, step: Tensor) -> Tensor:
        moved, turned = new.points - old.points, old.move - new.move
        M = self.manifold.metric_matrix(old.points)
        along = torch.einsum("ki,kij,kj->k", moved, M, turned)
        square = torch.einsum("ki,kij,kj->k", moved, M, moved)
        ratio = square / torch.where(along > 0, along, 1)
        return torch.where(along > 0, ratio.clamp(0.25, 32.0), (2 * step).clamp(max=1.0))

    def _repeated(self, times: int) -> "Descent":
        if times == 1:
            return self
        number = torch.arange(times, device=self.Z.device)
        owner = (self.mass.owner.unsqueeze(-1) * times + number).flatten()
        weights = self.mass.weights.repeat_interleave(times)
        mass = Mass(owner, weights, self.mass.n_groups * times)
        Z = self.Z.repeat_interleave(times, 0)
        return Descent(self.manifold, Z, mass, self.objective, max_iter=self.max_iter, tol=self.tol)

    def _unique(self, ends: Tensor, values: Tensor, best: Tensor) -> Tensor:
        groups = torch.arange(len(best), device=best.device)
        winner, least = ends[groups, best], values[groups, best]
        gap = self.manifold.norm(winner.unsqueeze(1), ends - winner.unsqueeze(1))
        spread = self.objective.spread(least).unsqueeze(-1)
        equal = values <= least.unsqueeze(-1) * (1 + _EQUAL)
        return ~(equal & (gap > _APART * spread)).any(-1)

    def _refuse_lost(self, state: _State) -> None:
        lost = ~state.value.isfinite()
        if bool(lost.any()):
            group = int(lost.nonzero()[0])
            raise ConvergenceError(
                f"No geodesic from the centre of group {group} to its "
                f"{int((self.mass.owner == group).sum())} points was found: the decoder is not "
                "finite between them, or nothing joins them. Give the manifold `data` between "
                "them, or look at `Manifold.geodesic` for the reasons."
            )


def _improves(new: _State, old: _State) -> Tensor:
    lower = new.value < old.value
    # Near the minimum the objective changes by less than the errors of the lengths: there a step
    # counts as better if the next one is shorter.
    nearer = (new.size < old.size) & (new.value <= old.value * (1 + _SLACK))
    return (lower | nearer) & (new.lost <= old.lost + _SLACK * old.total)


def _apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    return (matrix @ vectors.unsqueeze(-1)).squeeze(-1)


def _no_worse(new: _State, old: _State) -> Tensor:
    return (new.value <= old.value * (1 + _SLACK)) & (new.lost <= old.lost + _SLACK * old.total)


def _choose_states(mask: Tensor, new: _State, old: _State) -> _State:
    return _State(*(_choose(mask, *pair) for pair in zip(new, old, strict=True)))


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
