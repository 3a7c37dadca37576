"""A Gaussian process as the curve, and a fixed-point iteration on its second derivative."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import check_integer
from pullback.geodesics.base import Solver, Status
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["GPFixedPoint"]


class _State(NamedTuple):
    # The curve that the search began with; the answer, once it has converged.
    nodes: Tensor
    status: Tensor
    bend: Tensor  # c'' at the mesh points, shape (batch, n_mesh, d)
    residual: Tensor  # bend - c''(c, c'), shape (batch, n_mesh, d)
    squared_speed: Tensor  # mean |c'|^2, shape (batch,)


@dataclass(frozen=True)
class GPFixedPoint(Solver):
    r"""A fixed-point iteration for c'' with a Gaussian process as the curve: no Jacobian.

    A priori the curve is a Gaussian process about the straight line with covariance V k(t, t'),
    k(t, t') = exp(-(t - t')^2 / (2 l^2)). Given c'' at mesh points, and the ends a and b, its mean
    is linear in c'' and does not depend on V: c = line + A c'' and c' = b - a + A' c'', whatever
    the metric and the ends. With f(c, c') the right side of the geodesic equation, a step is

        c'' <- c'' - alpha (c'' - f(c, c')),    alpha in 1, 1/3, 1/9,

    the first alpha that lowers the sum of squares of c'' - f(c, c'), or else the last. It contracts
    where the geodesic is not far from the start. A pair for which it does not, or finds a longer
    curve than it began with, keeps that. The answer has the accuracy of the mesh, whatever the
    number of nodes.

    Args:
        max_steps: the most steps for one curve, each one to three evaluations of f at the mesh.
        tol: converged when |c'' - f(c, c')|^2 is below this share of the mean of |c'|^2 at every
            mesh point.
        n_mesh: number of mesh points, >= 3; l = sqrt(h / 2), with h the step between them.

    Raises:
        InvalidParameterError: a hyper-parameter is out of range.

    Source:
        Arvanitidis, Hauberg, Hennig and Schober, Fast and robust shortest paths on manifolds
        learned from data (2019).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> GPFixedPoint().relax(flat, bent).nodes[0, 1].round(decimals=6).tolist()
        [0.5, 0.0]
    """

    max_steps: int = 200
    n_mesh: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("n_mesh", self.n_mesh, 3)

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Begin with the process that is nearest to the nodes, see `Solver.init`."""
        maps = _maps(self.n_mesh, nodes.shape[1]).to(nodes)
        bend = maps.fit @ (nodes - _line(nodes, nodes.shape[1]))
        residual, squared_speed = _residual(metric, maps, nodes, bend)
        at_mesh = metric.metric_matrix(_line(nodes, self.n_mesh) + maps.position @ bend)
        finite, regular = (part.isfinite().flatten(1).all(-1) for part in (at_mesh, residual))
        status = torch.where(regular, int(Status.RUNNING), int(Status.DEGENERATE))
        status = torch.where(finite, status, int(Status.NOT_FINITE))
        return _State(nodes, status, bend, residual, squared_speed)

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Take one step of the fixed-point iteration on each pair, see `Solver.step`."""
        maps = _maps(self.n_mesh, state.nodes.shape[1]).to(state.nodes)
        largest = state.residual.square().sum(-1).amax(-1)
        running = state.status == Status.RUNNING
        converged = running & (largest <= tol * state.squared_speed)
        state = _finish(metric, maps, state, converged.nonzero().squeeze(-1))
        return _search(metric, maps, state, (running & ~converged).nonzero().squeeze(-1))


# The shares of the full update that are tried, from the longest on, until one brings the curve
# nearer to a solution; the last is taken in any case. Set by judgement: more shares cost an
# evaluation each.
_ALPHAS = (1.0, 1 / 3, 1 / 9)
# A solution is kept if its sum of squared chords is at most this many times that of the chain it
# began with. It may be slightly above it, as both are measured by few nodes; a larger excess means
# another, longer geodesic was found.
_LONGER = 1.01
# The variance of the noise of c'' at the mesh points, as a share of the variance of the prior. It
# only keeps the Gram matrix positive definite: with less, its Cholesky factorisation fails by
# rounding; more blurs the curve.
_NOISE = 1e-11
# The variance of the noise at the two ends, for the same reason: they are met to about its root.
_END_NOISE = 1e-10


class _Maps(NamedTuple):
    """The posterior mean as linear maps of c'' at the mesh points, without the straight line."""

    position: Tensor  # c at the mesh points, (n_mesh, n_mesh)
    velocity: Tensor  # c' at the mesh points, (n_mesh, n_mesh)
    nodes: Tensor  # c at the nodes, (n, n_mesh)
    fit: Tensor  # from c at the nodes to c'', the least squares of `nodes`, (n_mesh, n)

    def to(self, like: Tensor) -> "_Maps":
        return _Maps(*(part.to(like) for part in self))


@lru_cache(maxsize=32)
def _maps(n_mesh: int, n: int) -> _Maps:
    """Condition the process on c'' at the mesh points and on c at the ends."""
    mesh, t = (torch.linspace(0, 1, k, dtype=torch.float64) for k in (n_mesh, n))
    ends = mesh[[0, -1]]
    scale = math.sqrt(0.5 / (n_mesh - 1))

    def covariance(at: Tensor, order: int) -> Tensor:
        bends = _kernel(at, mesh, order, 2, scale)
        return torch.cat([bends, _kernel(at, ends, order, 0, scale)], 1)

    gram = torch.cat([covariance(mesh, 2), covariance(ends, 0)])
    noise = torch.full_like(gram[0], _NOISE * float(gram[0, 0]))
    noise[-2:] = _END_NOISE
    factor, _ = linalg.cholesky(gram + noise.diag())

    def posterior(at: Tensor, order: int) -> Tensor:
        return torch.cholesky_solve(covariance(at, order).T, factor).T[:, :n_mesh]

    nodes = posterior(t, 0)
    normal = nodes.T @ nodes
    ridge = 1e-10 * normal.trace() * torch.eye(n_mesh, dtype=torch.float64)
    fit = torch.cholesky_solve(nodes.T, linalg.cholesky(normal + ridge)[0])
    return _Maps(posterior(mesh, 0), posterior(mesh, 1), nodes, fit)


def _kernel(t: Tensor, other: Tensor, order: int, other_order: int, scale: float) -> Tensor:
    """Differentiate k(t, t') by t and by t': Hermite polynomials times k."""
    x = (t[:, None] - other) / scale
    total = order + other_order
    hermite = [torch.ones_like(x), x]
    for m in range(1, total):
        hermite.append(x * hermite[m] - m * hermite[m - 1])
    derivative: Tensor = hermite[total] * torch.exp(-x.square() / 2) / scale**total
    return derivative if order % 2 == 0 else -derivative


def _line(nodes: Tensor, n: int) -> Tensor:
    t = torch.linspace(0, 1, n, dtype=nodes.dtype, device=nodes.device)[:, None]
    return torch.lerp(nodes[:, :1], nodes[:, -1:], t)


def _residual(metric: Metric, maps: _Maps, nodes: Tensor, bend: Tensor) -> tuple[Tensor, Tensor]:
    """Compute c'' - f(c, c') at the mesh points, and the mean of |c'|^2."""
    z = _line(nodes, bend.shape[1]) + maps.position @ bend
    v = nodes[:, -1:] - nodes[:, :1] + maps.velocity @ bend
    return bend - metric.acceleration(z, v), v.square().sum(-1).mean(-1)


def _search(metric: Metric, maps: _Maps, state: _State, pending: Tensor) -> _State:
    """Take the first alpha that lowers the sum of squared residuals, or the last."""
    _, status, bend, residual, squared_speed = (part.clone() for part in state)
    for alpha in _ALPHAS:
        trial = state.bend[pending] - alpha * state.residual[pending]
        left, speed = _residual(metric, maps, state.nodes[pending], trial)
        before, after = (part.square().sum((-1, -2)) for part in (state.residual[pending], left))
        accepted = (after < before) | (after.isfinite() & (alpha == _ALPHAS[-1]))
        done, pending = pending[accepted], pending[~accepted]
        bend[done], residual[done] = trial[accepted], left[accepted]
        squared_speed[done] = speed[accepted]
        if len(pending) == 0:
            break
    status[pending] = Status.STALLED
    return _State(state.nodes, status, bend, residual, squared_speed)


def _finish(metric: Metric, maps: _Maps, state: _State, converged: Tensor) -> _State:
    """Put the mean of the process at the nodes, unless the curve has become longer."""
    start = state.nodes[converged]
    nodes, status = state.nodes.clone(), state.status.clone()
    found = _line(start, start.shape[1]) + maps.nodes @ state.bend[converged]
    found = torch.cat([start[:, :1], found[:, 1:-1], start[:, -1:]], 1)
    shorter = metric.squared_chord_sum(found) <= _LONGER * metric.squared_chord_sum(start)
    nodes[converged[shorter]] = found[shorter]
    status[converged] = torch.where(shorter, int(Status.CONVERGED), int(Status.STALLED))
    return state._replace(nodes=nodes, status=status)
