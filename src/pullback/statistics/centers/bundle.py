"""Bundles of curves from centres to their data, relaxed together with the places of the centres."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import check_integer, check_number
from pullback.geodesics.base import rounding_of
from pullback.metrics import Metric
from pullback.shapes import Points
from pullback.statistics.centers.mass import Mass

__all__ = ["Bundle", "relax_bundle"]

# Damping of the first step, as a share of the H1 norm of how the curves change. It is that of the
# Newton solver for single geodesics.
_INITIAL = 1e-2
# The damping up to which a small promised decrease counts as a minimum, and that from which on a
# group is given up: as in the Newton solver for single geodesics.
_FREE, _HIGHEST = 0.1, 1e8
# No node moves further in one step than this share of the root of the mean squared length. Set by
# judgement, as in the Newton solver: with more, curves jump over walls; with less, steps are lost.
_FURTHEST = 0.5
# A Hessian serves for another step if the decrease differed from what it promised by less than this
# share, and for so many steps: as in the Newton solver, for a Hessian costs five gradients.
_TRUSTED, _OLDEST = 0.3, 3


class Bundle(NamedTuple):
    """Curves from k centres to their data, relaxed together.

    Attributes:
        nodes: nodes along the curves, the centre first, shape `(n, n_segments + 1, d)`.
        value: F, the mean over each group of the squared length by chords, shape `(k,)`.
        hessian: the second derivative of F by the centre, the curves following it, with what is
            left of the damping, shape `(k, d, d)`.
        n_steps: Newton steps taken, shape `(k,)`.
        converged: where the last step promised to lower F by no more than was asked, `(k,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.tensor([[[0.0], [0.5], [1.0]], [[0.0], [1.5], [3.0]]]).double()
        >>> mass = Mass(torch.zeros(2).long(), torch.ones(2).double(), 1)
        >>> found = relax_bundle(PullbackMetric(lambda z: z), nodes, mass)
        >>> found.nodes[:, 0].flatten().round(decimals=6).tolist(), round(found.hessian.item(), 1)
        ([2.0, 2.0], 2.0)
    """

    nodes: Points
    value: Tensor
    hessian: Tensor
    n_steps: Tensor
    converged: Tensor


class _State(NamedTuple):
    """Curves, and their sums S of squared chords to second order in all nodes but the last.

    The Hessians may be those of some steps before.
    """

    nodes: Tensor
    value: Tensor
    gradient: Tensor
    diagonal: Tensor
    off_diagonal: Tensor
    metric: Tensor


class _Move(NamedTuple):
    step: Tensor  # of all nodes but the last, `(n, n_segments, d)`
    promised: Tensor
    damping: Tensor
    positive: Tensor
    capped: Tensor
    hessian: Tensor


@torch.no_grad()
def relax_bundle(
    metric: Metric, nodes: Points, mass: Mass, *, max_steps: int = 30, tol: float = 1e-8
) -> Bundle:
    r"""Minimise the mean energy of all curves of each group, over their nodes and their centre.

    F(y, x) = sum_i w_i N S_i / sum_i w_i, where S_i is the sum of the N squared chords of the curve
    from the centre y to z_i. By Newton's method: the Hessian is block tridiagonal for each curve,
    and the curves of a group meet only in y, so that each is eliminated by itself and a d x d
    system is left for y. It is damped by the H1 norm of the curves (Levenberg and Marquardt).

    Args:
        metric: the metric.
        nodes: curves to start from, those of a group beginning at one point, shape
            `(n, n_segments + 1, d)` with at least two segments.
        mass: their groups and weights.
        max_steps: most steps of each group.
        tol: stop when a step promises to lower F by less than this share.

    Returns:
        The relaxed curves.

    Raises:
        InvalidParameterError: a setting is out of range.

    Source:
        Rygaard and Hauberg, GEORCE-FM (2025), optimise means and geodesics together; there the
        steps are those of a control problem. Nocedal and Wright, Numerical Optimization (2006).

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> from pullback.curves import straight_line
        >>> a, b = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.0, 1.0], [0.0, 4.0]])
        >>> nodes = straight_line(a.expand(2, 2), b.double(), 64)
        >>> mass = Mass(torch.zeros(2).long(), torch.ones(2).double(), 1)
        >>> relax_bundle(HalfPlane(), nodes, mass).nodes[0, 0].round(decimals=3) + 0.0
        tensor([0., 2.], dtype=torch.float64)
    """
    check_integer("max_steps", max_steps)
    check_number("tol", tol, 0, open_low=True)
    mass = _shares(mass, nodes.shape[1] - 1)
    search = _Search(metric, mass, nodes)
    for _ in range(max_steps):
        if not bool(search.running.any()):
            break
        search.step(tol)
    return Bundle(search.curves, search.value, search.hessian, search.n_steps, search.converged)


def _shares(mass: Mass, n_segments: int) -> Mass:
    """Return weights with which the sum of S over a group is its mean squared length."""
    total = mass.total()
    shares = mass.weights / torch.where(total > 0, total, 1)[mass.owner]
    return Mass(mass.owner, n_segments * shares, mass.n_groups)


class _Search:
    """The state of all groups, and of the curves of those that are still running."""

    def __init__(self, metric: Metric, mass: Mass, nodes: Tensor) -> None:
        self.metric, self.mass, self.curves = metric, mass, nodes.clone()
        self.rows = torch.arange(len(nodes), device=nodes.device)
        self.state = _expand(metric, nodes, mass)
        self.value = mass.sum(self.state.value)
        self.rounding = mass.sum(rounding_of(metric, nodes, self.state.value))
        self.damping = torch.full_like(self.value, _INITIAL)
        self.age = torch.ones_like(self.value, dtype=torch.long)
        self.n_steps, self.converged = torch.zeros_like(self.age), self.age < 0
        self.running = self.value.isfinite() & (mass.total() > 0)
        d = nodes.shape[-1]
        self.hessian = self.value.new_zeros(mass.n_groups, d, d)

    def step(self, tol: float) -> None:
        """Take a step in each group that is running."""
        self._leave_out_ended()
        state, own = self.state, self.mass
        move = _find_move(state, own, self.damping, self.value)
        self.hessian = _choose(self.running & move.positive, move.hessian, self.hessian)
        small = move.promised <= tol * self.value + self.rounding
        free = move.positive & ~move.capped & (move.damping <= _FREE)
        ended = self.running & free & small
        self.n_steps += (self.running & ~ended).to(self.n_steps)
        nodes = state.nodes.clone()
        nodes[:, :-1] += torch.where(move.positive[own.owner, None, None], move.step, 0)
        # The last step changes too little to be measured, and is taken as it is.
        self.curves[self.rows] = _choose(ended[own.owner], nodes, state.nodes)
        self.converged = self.converged | ended
        self.running = self.running & ~ended
        if not bool(self.running.any()):
            return
        S, gradient = self.metric.chord_gradient(_extended(nodes))
        value = own.sum(S)
        gain = (self.value - value) / move.promised
        finite = value.isfinite() & own.sum(gradient.flatten(1).sum(-1)).isfinite()
        better = self.running & move.positive & (gain > 0.01) & finite
        trial = state._replace(nodes=nodes, value=S, gradient=gradient)
        self.state = _State(
            *(_choose(better[own.owner], *pair) for pair in zip(trial, state, strict=True))
        )
        self.value = torch.where(better, value, self.value)
        kept = (1 - (2 * gain.clamp(0, 1) - 1).pow(3)).clamp(min=1 / 3)  # as in `Newton`
        kept = torch.where(move.capped, 1.0, kept)
        stale = self.age > 1
        raised = torch.where(stale, 1.0, 8.0).to(kept)
        self.damping = (move.damping * torch.where(better, kept, raised)).clamp(min=1e-9)
        self.running = self.running & (self.damping <= _HIGHEST)
        trusted = better & ((gain - 1).abs() < _TRUSTED) & (self.age < _OLDEST)
        self.age = self.age + 1
        self._renew(self.running & ~trusted & (better | stale))

    def _leave_out_ended(self) -> None:
        here = self.running[self.mass.owner]
        if bool(here.all()):
            return
        mass = self.mass
        self.curves[self.rows[~here & ~self.converged[mass.owner]]] = self.state.nodes[
            ~here & ~self.converged[mass.owner]
        ]
        self.rows, self.state = self.rows[here], _State(*(part[here] for part in self.state))
        self.mass = Mass(mass.owner[here], mass.weights[here], mass.n_groups)

    def _renew(self, groups: Tensor) -> None:
        """Compute the Hessians of some groups where they are."""
        rows = groups[self.mass.owner].nonzero().squeeze(-1)
        if len(rows) == 0:
            return
        own = Mass(self.mass.owner[rows], self.mass.weights[rows], self.mass.n_groups)
        fresh = _expand(self.metric, self.state.nodes[rows], own)
        parts = [part.clone() for part in self.state]
        for part, new in zip(parts, fresh, strict=True):
            part[rows] = new
        self.state, self.age = _State(*parts), torch.where(groups, 1, self.age)


def _extended(nodes: Tensor) -> Tensor:
    """Put a chord of length zero before the centre, so that the centre is an inner node."""
    return torch.cat([nodes[:, :1], nodes], 1)


def _expand(metric: Metric, nodes: Tensor, mass: Mass) -> _State:
    """Expand S in all nodes but the last: the added chord adds 2 M to the block of the centre."""
    whole = metric.expand_chords(_extended(nodes))
    centers = nodes.new_zeros(mass.n_groups, nodes.shape[-1])
    centers[mass.owner] = nodes[:, 0]
    whole.diagonal[:, 0] -= 2 * metric.metric_matrix(centers)[mass.owner]
    return _State(
        nodes,
        whole.value,
        whole.gradient,
        whole.diagonal,
        whole.off_diagonal,
        whole.metric[:, 1:],
    )


def _find_move(state: _State, mass: Mass, damping: Tensor, value: Tensor) -> _Move:
    """Solve for the damped step of each group, with as much damping as makes it a descent."""
    damping = damping.clone()
    while True:
        step, hessian, positive, promised = _solve(state, mass, damping)
        unsolved = ~positive & (damping <= _HIGHEST) & (mass.total() > 0)
        if not bool(unsolved.any()):
            break
        damping = torch.where(unsolved, 4 * damping, damping)
    M = torch.cat([state.metric[:, :1], state.metric], 1)
    size = torch.einsum("bni,bnij,bnj->bn", step, M, step).clamp(min=0).amax(-1).sqrt()
    furthest = size.new_zeros(mass.n_groups).scatter_reduce(0, mass.owner, size, "amax")
    longest = _FURTHEST * value.sqrt()
    capped = furthest > longest
    factor = torch.where(capped, longest / furthest, 1)
    step = step * factor[mass.owner, None, None]
    first, second = promised
    return _Move(step, factor * first + factor**2 * second, damping, positive, capped, hessian)


def _solve(
    state: _State, mass: Mass, damping: Tensor
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Eliminate each curve, solve for the centres, and let the curves follow.

    Returns:
        The step, the Hessian by the centres, where all was positive definite, and the decrease of F
        that a share s of the step promises, as the coefficients of s and of s^2.
    """
    owner = mass.owner
    weight = damping[owner, None, None]
    h1, h1_off = linalg.h1_inner_product(state.metric)
    h1_end = 2 * state.metric[:, 0]  # the part of `h1_inner_product` of the first chord
    coupling = state.off_diagonal[:, 0].mT - weight * h1_end
    right = state.gradient.new_zeros(*h1.shape[:-1], 1 + h1.shape[-1])
    right[..., 0] = -state.gradient[:, 1:]
    right[:, 0, :, 1:] = -coupling
    answer, positive = linalg.block_tridiagonal_solve(
        state.diagonal[:, 1:] + weight.unsqueeze(1) * h1,
        state.off_diagonal[:, 1:] + weight.unsqueeze(1) * h1_off,
        right,
    )
    alone, follow = answer[..., 0], answer[..., 1:]
    bend = state.diagonal[:, 0] + weight * h1_end + coupling.mT @ follow[:, 0]
    pull = state.gradient[:, 0] + (coupling.mT @ alone[:, 0].unsqueeze(-1)).squeeze(-1)
    hessian, slope = mass.sum(bend), mass.sum(pull)
    shift, solved = linalg.solve(hessian, -slope)
    bad = torch.zeros_like(damping).index_add(0, owner, (~positive).to(damping)) > 0
    moved = alone + torch.einsum("bnij,bj->bni", follow, shift[owner])
    step = torch.cat([shift[owner].unsqueeze(1), moved], 1)
    first = -mass.sum((state.gradient * step).sum((-1, -2)))
    # (H + damping P) step = -gradient, so that step^T H step follows without another product.
    second = (damping * mass.sum(_h1_norm(step, state.metric)) - first) / 2
    return step, hessian, solved & ~bad, (first, second)


def _h1_norm(step: Tensor, metric: Tensor) -> Tensor:
    """Compute step^T P step of curves whose last node is held, see `linalg.h1_inner_product`."""
    trace = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    metric = metric + 1e-9 * trace * torch.eye(metric.shape[-1]).to(metric)
    between = torch.cat([2 * metric[:, :1], metric[:, 1:] + metric[:, :-1], 2 * metric[:, -1:]], 1)
    change = torch.cat([step, torch.zeros_like(step[:, :1])], 1).diff(dim=1)
    return torch.einsum("bni,bnij,bnj->b", change, between, change)


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
