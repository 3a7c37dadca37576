"""Attacks on geodesics: other curves between the same ends, relaxed by a method of our own.

Nothing here uses the package. A curve is a chain of nodes; what it measures is the sum of many
chords of the straight segments between its nodes, an upper bound on the distance as good as any.
The method is L-BFGS on the energy, for all curves of a batch at once, in coordinates in which the
mean metric of each curve is the identity and the Laplacian of the chain is divided out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

__all__ = ["Measured", "bends", "descend", "grid_paths", "lines", "measure", "redistributed"]

SquaredChords = Callable[[Tensor], Tensor]

_BLOCK = 2**17  # points that are evaluated at once
_MEMORY = 8  # pairs of steps and gradients that L-BFGS remembers
_SUFFICIENT = 1e-4  # share of the decrease that the slope promises
_LITTLE, _IDLE = 1e-5, 3  # a curve is done after 3 steps that each gained less than this share


class Measured(NamedTuple):
    """Lengths of curves and how even their speed is, each `(n,)`."""

    length: Tensor
    speed_variation: Tensor


@torch.no_grad()
def measure(squared_chords: SquaredChords, points: Tensor) -> Measured:
    """Measure curves by the chords between many points `(n, m, d)`."""
    size = max(1, _BLOCK // points.shape[1])
    chords = torch.cat([_chords(squared_chords, part) for part in points.split(size)])
    return Measured(chords.sum(-1), chords.std(-1) / chords.mean(-1))


def _chords(squared_chords: SquaredChords, points: Tensor) -> Tensor:
    return squared_chords(points).clamp(min=0).sqrt()


def along(nodes: Tensor, n_points: int) -> Tensor:
    """Take points at equal steps along the straight segments of chains `(n, nodes, d)`."""
    moved = nodes.transpose(1, 2)
    points = torch.nn.functional.interpolate(moved, n_points, mode="linear", align_corners=True)
    return points.transpose(1, 2)


@torch.no_grad()
def redistributed(squared_chords: SquaredChords, points: Tensor, n_nodes: int) -> Tensor:
    """Place nodes at equal distances along curves of many points `(n, m, d)`."""
    size = max(1, _BLOCK // points.shape[1])
    chords = torch.cat([_chords(squared_chords, part) for part in points.split(size)])
    share = chords + 1e-9 * chords.mean(-1, keepdim=True) + 1e-300
    at = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(-1)], -1)
    wanted = torch.linspace(0, 1, n_nodes, dtype=at.dtype) * at[:, -1:]
    right = torch.searchsorted(at, wanted.contiguous()).clamp(1, at.shape[1] - 1)
    low, high = at.gather(1, right - 1), at.gather(1, right)
    t = ((wanted - low) / (high - low)).clamp(0, 1).unsqueeze(-1)
    row = torch.arange(len(points)).unsqueeze(1)
    nodes = points[row, right - 1] * (1 - t) + points[row, right] * t
    nodes[:, 0], nodes[:, -1] = points[:, 0], points[:, -1]
    return nodes


def lines(a: Tensor, b: Tensor, n_nodes: int) -> Tensor:
    """Draw straight lines from each a to its b."""
    t = torch.linspace(0, 1, n_nodes, dtype=a.dtype).unsqueeze(-1)
    return a.unsqueeze(1) * (1 - t) + b.unsqueeze(1) * t


def bends(nodes: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Bend curves aside, in a direction at random, by a share of their extent."""
    aside = torch.randn(len(nodes), nodes.shape[-1], generator=generator, dtype=nodes.dtype)
    chord = torch.nn.functional.normalize(nodes[:, -1] - nodes[:, 0], dim=-1)
    if nodes.shape[-1] > 1:
        aside = aside - (aside * chord).sum(-1, keepdim=True) * chord
    aside = torch.nn.functional.normalize(aside, dim=-1)
    extent = (nodes.amax(1) - nodes.amin(1)).norm(dim=-1)[:, None, None]
    t = torch.linspace(0, torch.pi, nodes.shape[1], dtype=nodes.dtype)
    return nodes + share * extent * t.sin()[:, None] * aside.unsqueeze(1)


def descend(squared_chords: SquaredChords, nodes: Tensor, *, n_steps: int = 48) -> Tensor:
    """Relax chains `(n, nodes, d)` with fixed ends by L-BFGS on the sum of squared chords."""
    problem = _Problem.of(squared_chords, nodes)
    relaxed, rows = nodes.clone(), torch.arange(len(nodes))
    x = torch.zeros_like(nodes[:, 1:-1])
    state = _State(x, *problem.evaluate(x), x.new_ones(len(x)), x.new_zeros(len(x)))
    direction, history = -state.slope, []
    for k in range(n_steps):
        state, pair = _search(problem, state, direction)
        history = [*history, pair][-_MEMORY:]
        over = (state.idle >= _IDLE) | (state.step_size < 1e-6)
        if k % 4 == 3 and bool(over.any()):
            relaxed[rows[over]] = problem.part(over).colour(state.x[over])
            kept = ~over
            problem, rows = problem.part(kept), rows[kept]
            state = _State(*(part[kept] for part in state))
            history = [tuple(part[kept] for part in one) for one in history]
        if len(rows) == 0:
            return relaxed
        fresh = _two_loops(state.slope, history)
        descends = (fresh * state.slope).sum((1, 2)) < 0
        direction = torch.where(descends[:, None, None], fresh, -state.slope)
    relaxed[rows] = problem.colour(state.x)
    return relaxed


class _State(NamedTuple):
    x: Tensor
    value: Tensor
    slope: Tensor
    step_size: Tensor
    idle: Tensor  # steps in a row that gained next to nothing


def _search(
    problem: "_Problem", here: _State, direction: Tensor
) -> tuple[_State, tuple[Tensor, Tensor, Tensor]]:
    """Take the step where it gains enough, else a quarter of it next time."""
    trial = here.x + here.step_size[:, None, None] * direction
    value, slope = problem.evaluate(trial)
    promised = (here.slope * direction).sum((1, 2)) * here.step_size
    good = (value <= here.value + _SUFFICIENT * promised) & value.isfinite()
    good &= slope.isfinite().all(-1).all(-1)
    moved, turned = trial - here.x, slope - here.slope
    curvature = (moved * turned).sum((1, 2))
    useful = good & (curvature > 1e-12 * moved.square().sum((1, 2)))
    keep, chosen = useful[:, None, None], good[:, None, None]
    pair = (
        torch.where(keep, moved, 0.0),
        torch.where(keep, turned, 0.0),
        torch.where(useful, 1 / curvature, 0.0),
    )
    little = good & (here.value - value < _LITTLE * here.value)
    state = _State(
        torch.where(chosen, trial, here.x),
        torch.where(good, value, here.value),
        torch.where(chosen, slope, here.slope),
        torch.where(good, 1.0, here.step_size / 4),
        torch.where(little, here.idle + 1, torch.where(good, 0.0, here.idle)),
    )
    return state, pair


def _two_loops(slope: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The direction of L-BFGS; a row whose step was refused has weight 0 in its history."""
    direction, shares = slope, []
    for moved, turned, weight in reversed(history):
        share = weight * (moved * direction).sum((1, 2))
        shares.append(share)
        direction = direction - share[:, None, None] * turned
    scale = torch.ones_like(direction[:, 0, 0])
    for moved, turned, weight in history:  # of the last useful pair of each row
        size = turned.square().sum((1, 2))
        scale = torch.where(weight > 0, (moved * turned).sum((1, 2)) / size, scale)
    direction = direction * scale[:, None, None]
    for (moved, turned, weight), share in zip(history, reversed(shares), strict=True):
        again = weight * (turned * direction).sum((1, 2))
        direction = direction + (share - again)[:, None, None] * moved
    return -direction


class _Problem(NamedTuple):
    """The energy of chains in whitened coordinates, the ends left out."""

    squared_chords: SquaredChords
    start: Tensor
    root: Tensor  # R of the mean metric R^T R of each chain, (n, d, d)
    smooth: Tensor  # the inverse root of the Laplacian, (n - 2, n - 2)

    @classmethod
    def of(cls, squared_chords: SquaredChords, nodes: Tensor) -> "_Problem":
        n = nodes.shape[1] - 2
        laplacian = 2 * torch.eye(n) - torch.eye(n).roll(1, 0) - torch.eye(n).roll(-1, 0)
        laplacian[0, -1] = laplacian[-1, 0] = 0
        values, vectors = torch.linalg.eigh(laplacian.to(nodes))
        smooth = vectors * values.rsqrt() @ vectors.T
        metric = _mean_metric(squared_chords, nodes)
        root = torch.linalg.cholesky(metric).mT
        return cls(squared_chords, nodes, root, smooth)

    def part(self, kept: Tensor) -> "_Problem":
        return self._replace(start=self.start[kept], root=self.root[kept])

    def colour(self, x: Tensor) -> Tensor:
        moved = torch.linalg.solve_triangular(self.root, (self.smooth @ x).mT, upper=True).mT
        return torch.cat([self.start[:, :1], self.start[:, 1:-1] + moved, self.start[:, -1:]], 1)

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            value = self.squared_chords(self.colour(x)).sum(-1)
            (slope,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), slope.detach()


@torch.no_grad()
def _mean_metric(squared_chords: SquaredChords, nodes: Tensor) -> Tensor:
    """The mean over a chain of its metric, by differences, kept away from singular."""
    d = nodes.shape[-1]
    places = nodes[:, :: max(1, nodes.shape[1] // 8)]
    step = 1e-4 * (nodes.amax(1) - nodes.amin(1)).norm(dim=-1).clamp(min=1e-8)[:, None, None]

    def squared(v: Tensor) -> Tensor:
        ends = torch.stack([places - step * v / 2, places + step * v / 2], -2)
        return (squared_chords(ends).squeeze(-1) / step.squeeze(-1).square()).mean(-1)

    eye = torch.eye(d, dtype=nodes.dtype)
    diagonal = torch.stack([squared(e) for e in eye], -1)
    metric = torch.diag_embed(diagonal)
    for i in range(d):
        for j in range(i):
            cross = (squared(eye[i] + eye[j]) - diagonal[:, i] - diagonal[:, j]) / 2
            metric[:, i, j] = metric[:, j, i] = cross
    values, vectors = torch.linalg.eigh(metric)
    values = torch.maximum(values, 1e-9 * values[:, -1:]).clamp(min=1e-30)
    return (vectors * values.unsqueeze(-2)) @ vectors.mT


def grid_paths(
    squared_chords: SquaredChords, codes: Tensor, a: Tensor, b: Tensor, *, resolution: int = 64
) -> list[Tensor]:
    """Find shortest paths on a fine grid of the plane, one `(k, 2)` for each pair."""
    low, high = codes.amin(0), codes.amax(0)
    low, high = low - 0.2 * (high - low), high + 0.2 * (high - low)
    axes = [torch.linspace(float(p), float(q), resolution) for p, q in zip(low, high, strict=True)]
    nodes = torch.cartesian_prod(*axes).double()
    where = np.arange(resolution**2).reshape(resolution, resolution)
    starts, ends = [], []
    steps = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2), (3, 1), (1, 3)]
    for i, j in [*steps, (3, -1), (1, -3), (3, 2), (2, 3), (3, -2), (2, -3)]:
        rows = slice(0, resolution - i)
        here = where[rows, max(0, -j) : resolution - max(0, j)]
        there = where[i:, max(0, j) : resolution + min(0, j)]
        starts.append(here.ravel())
        ends.append(there.ravel())
    start, end = np.concatenate(starts), np.concatenate(ends)
    weight = _edges(squared_chords, nodes[start], nodes[end])
    n = len(nodes)
    points = torch.cat([a, b])
    near = torch.cdist(points, nodes).topk(12, largest=False).indices
    entry = _edges(squared_chords, points[:, None].expand(-1, 12, -1), nodes[near])
    own = n + np.arange(len(points))
    start = np.concatenate([start, np.repeat(own, 12)])
    end = np.concatenate([end, near.numpy().ravel()])
    weight = np.concatenate([weight, entry.ravel()])
    graph = csr_matrix((weight, (start, end)), shape=(n + len(points),) * 2)
    sources, owner = np.unique(own[: len(a)], return_inverse=True)
    _, before = dijkstra(graph, directed=False, indices=sources, return_predecessors=True)
    every = torch.cat([nodes, points])
    paths = []
    for k in range(len(a)):
        path = [int(own[len(a) + k])]
        while path[-1] != own[k] and before[owner[k], path[-1]] >= 0:
            path.append(int(before[owner[k], path[-1]]))
        paths.append(every[path[::-1]])
    return paths


@torch.no_grad()
def _edges(squared_chords: SquaredChords, start: Tensor, end: Tensor) -> np.ndarray:
    t = torch.linspace(0, 1, 3, dtype=start.dtype)[:, None]
    points = start.unsqueeze(-2) * (1 - t) + end.unsqueeze(-2) * t
    lengths = _chords(squared_chords, points).sum(-1)
    return lengths.nan_to_num(nan=1e30).clamp(min=1e-30).numpy()
