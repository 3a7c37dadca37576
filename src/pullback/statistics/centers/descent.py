"""Centres of groups of points: descent along the logs of all groups, as one batch."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import ConvergenceError
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.logarithms import Logarithms, Logs

__all__ = ["Centers", "Descent", "Objective"]

# The tolerance of the first phase, on short searches, as a share of the spread: they are off by
# about as much, and exact geodesics go on from there.
_ROUGH = 1e-2
# The share of a step below which a descent stalls: after 7 halvings the objective still has not
# fallen.
_SHORTEST = 2**-7
# The share by which the objective may rise in a step that comes nearer: the lengths that it is made
# of err by about as much.
_SLACK = 1e-4
# Two ends of descents are different minima if they are further apart than this share of the spread,
# and their objectives are equal.
_APART = 0.25
# The share by which two objectives may differ and count as equal: data with two such minima have no
# one centre.
_EQUAL = 1e-2


class Centers(NamedTuple):
    """What a descent found for each of k groups.

    Attributes:
        points: the centres c, shape `(k, d)`.
        values: the objectives F(c), shape `(k,)`.
        spread: the typical distance to the centre, in which steps are measured, shape `(k,)`.
        n_failed: data whose geodesic to the centre was not found, shape `(k,)`: one without a
            finite curve is left out, the length of any other is an upper bound.
        n_iter: steps taken, shape `(k,)`.
        converged: where the last step was short enough, shape `(k,)`.
        unique: False where another start ended elsewhere with an equal objective, shape `(k,)`.

    Example:
        >>> from pullback.statistics import frechet_means
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> frechet_means(M, [[1.0], [3.0], [8.0]], [0, 0, 1]).points.flatten().tolist()
        [2.0, 8.0]
    """

    points: Tensor
    values: Tensor
    spread: Tensor
    n_failed: Tensor
    n_iter: Tensor
    converged: Tensor
    unique: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


class Objective(ABC):
    """What a centre minimises, and the step towards its minimum that the logs propose.

    Example:
        >>> from pullback.statistics.centers.frechet_mean import SquaredDistance
        >>> issubclass(SquaredDistance, Objective)
        True
    """

    at_data: ClassVar[bool] = False
    """Whether the minimum may lie on a point of the data, where steps would not end."""

    @abstractmethod
    def value(self, lengths: Tensor) -> Tensor:
        """Compute the objective of each point, whose weighted mean is F, shape `(n,)`."""

    @abstractmethod
    def spread(self, value: Tensor) -> Tensor:
        """Return the typical distance that belongs to F, shape `(k,)`."""

    @abstractmethod
    def move(self, manifold: Manifold, points: Tensor, logs: Logs, mass: "Mass") -> Tensor:
        """Propose a step for each centre, shape `(k, d)`."""


class Mass:
    """The weights of data in groups, and the sums over each group.

    Args:
        owner: the group of each point, shape `(n,)`.
        weights: w >= 0, shape `(n,)`.
        n_groups: the number of groups k.

    Example:
        >>> mass = Mass(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 5.0]), 2)
        >>> mass.sum(torch.tensor([1.0, 1.0, 2.0])).tolist()
        [4.0, 10.0]
    """

    def __init__(self, owner: Tensor, weights: Tensor, n_groups: int) -> None:
        self.owner = owner
        self.weights = weights
        self.n_groups = n_groups

    def sum(self, values: Tensor) -> Tensor:
        """Compute sum_i w_i v_i over each group, from `(n,)` or `(n, d)`: `(k,)` or `(k, d)`."""
        weights = self.weights.reshape(-1, *[1] * (values.ndim - 1))
        sums = values.new_zeros(self.n_groups, *values.shape[1:])
        return sums.index_add(0, self.owner, weights * values)

    def within(self, mask: Tensor) -> "Mass":
        """Leave out the data that are not in the mask, shape `(n,)`."""
        return Mass(self.owner, self.weights * mask, self.n_groups)

    def total(self) -> Tensor:
        """Compute the weight of each group, `(k,)`."""
        return self.sum(torch.ones_like(self.weights))


class _State(NamedTuple):
    points: Tensor
    move: Tensor
    size: Tensor
    value: Tensor
    lost: Tensor
    total: Tensor
    n_failed: Tensor


class Descent:
    r"""Descent of all groups to their centres: c <- c + step * move.

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
        ends, n_short, _ = self._repeated(n_starts).settle(starts.reshape(-1, d), exact=False)
        values = ends.value.reshape(n_groups, n_starts)
        best = values.argmin(-1)
        at = torch.arange(n_groups, device=best.device) * n_starts + best
        unique = self._unique(ends.points.reshape(starts.shape), values, best)
        points = self._on_data(ends.points[at])
        state, n_exact, converged = self.settle(points, exact=True)
        self._refuse_lost(state)
        return Centers(
            state.points,
            state.value,
            self.objective.spread(state.value),
            state.n_failed,
            n_short[at] + n_exact,
            converged,
            unique,
        )

    def settle(self, points: Tensor, *, exact: bool) -> tuple[_State, Tensor, Tensor]:
        """Descend until all groups have converged or stalled.

        Args:
            points: where to begin, one start for each group, shape `(k, d)`.
            exact: by exact geodesics, else by short searches and only as far as these can tell.

        Returns:
            Where it ended, the steps that each group took, and which converged.
        """
        logarithms = Logarithms(self.manifold, self.Z, exact=exact)
        tol = self.tol if exact else max(self.tol, _ROUGH)
        state = self.measure(logarithms, points)
        step = state.value.new_ones(len(points))
        n_iter = torch.zeros_like(state.n_failed)
        for _ in range(self.max_iter):
            active = ~self._arrived(state, tol) & (step > _SHORTEST) & state.value.isfinite()
            if not bool(active.any()):
                break
            ahead = torch.where(active, step, 0).unsqueeze(-1) * state.move
            trial = self.measure(logarithms, state.points + ahead)
            better = active & _improves(trial, state)
            grown = self._next_step(state, trial, step)
            step = torch.where(better, grown, torch.where(active, step / 2, step))
            state = _State(*(_choose(better, *pair) for pair in zip(trial, state, strict=True)))
            n_iter = n_iter + active.to(n_iter)
        return state, n_iter, self._arrived(state, tol)

    def measure(self, logarithms: Logarithms, points: Tensor) -> _State:
        """Compute the objective and the proposed move at points, shape `(k, d)`."""
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


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
