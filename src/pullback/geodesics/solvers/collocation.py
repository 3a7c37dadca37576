"""Collocation: the geodesic equation as a boundary value problem, pair by pair."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_bvp
from torch import Tensor

from pullback.errors import check_integer
from pullback.geodesics.base import Solver, Status
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["Collocation"]


class _State(NamedTuple):
    nodes: Tensor
    status: Tensor


@dataclass(frozen=True)
class Collocation(Solver):
    r"""SciPy's collocation solver `solve_bvp` on the geodesic equation, one pair after the other.

    With w = (c, c') it solves w' = (c', c''(c, c')) for c(0) = a and c(1) = b by piecewise cubic
    collocation of fourth order, on a mesh that is refined where the residual is large. This is how
    the geodesics of the paper were found; it is here to compare with. Newton's method on the
    equation often fails where the metric changes quickly, and it may end on a geodesic that is not
    the shortest. A pair for which it fails, or finds a longer curve than it began with, keeps that.

    The derivatives of c'' are finite differences, so the metric should be in double precision.

    Args:
        tol: the tolerance of the relative residual of the equation is sqrt(tol), since an error of
            that size in the curve raises its energy by a share of about tol.
        max_nodes: the most mesh points; a pair that needs more ends as `Status.MAX_STEPS`.

    Attributes:
        max_steps: always 1: the first step solves the pair, or fails.

    Raises:
        InvalidParameterError: a hyper-parameter is out of range.

    Source:
        Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018). Kierzenka and Shampine, A BVP solver based on residual control and the
        Matlab PSE (2001).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> Collocation().relax(flat, bent).nodes[0, 1].round(decimals=6).abs().tolist()
        [0.5, 0.0]
    """

    max_steps: int = field(default=1, init=False)
    max_nodes: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("max_nodes", self.max_nodes, 2)

    def init(self, metric: Metric, nodes: Points) -> _State:
        """Begin from the given curves, see `Solver.init`."""
        del metric
        status = torch.full(nodes.shape[:1], Status.RUNNING, device=nodes.device)
        return _State(nodes, status)

    def step(self, metric: Metric, state: _State, tol: float) -> _State:
        """Solve each pair, see `Solver.step`."""
        nodes, status = state.nodes.clone(), state.status.clone()
        for i, start in enumerate(state.nodes):
            nodes[i], status[i] = _solve(metric, start, tol, self.max_nodes)
        before, after = (metric.squared_chord_sum(part) for part in (state.nodes, nodes))
        longer = after > _LONGER * before
        status = torch.where(longer, int(Status.STALLED), status)
        return _State(torch.where(longer[:, None, None], state.nodes, nodes), status)


# A geodesic found by collocation is kept if its sum of squared chords is at most this many times
# that of the chain it began with. It may be slightly above it, as both are measured by few nodes; a
# larger excess means another, longer geodesic was found.
_LONGER = 1.01


class _Frame(NamedTuple):
    """Coordinates with a as the origin, in units of the distance between a and b."""

    origin: Tensor
    unit: float

    def to_array(self, nodes: Tensor) -> NDArray[Any]:
        """Express points `(n, d)` in the frame, for SciPy."""
        return ((nodes - self.origin) / self.unit).double().cpu().numpy()

    def to_latent(self, w: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Express w = (c, c'), shape `(2 d, n)`, as points and velocities `(n, d)`."""
        at = self.unit * torch.as_tensor(w.T).to(self.origin)
        z, v = at.chunk(2, -1)
        return self.origin + z, v


def _solve(metric: Metric, start: Tensor, tol: float, max_nodes: int) -> tuple[Tensor, Status]:
    n, d = start.shape
    frame = _Frame(start[0], float((start[-1] - start[0]).norm()) or 1.0)
    t, path = np.linspace(0, 1, n), frame.to_array(start)
    velocity = np.gradient(path, t, axis=0, edge_order=2 if n > 2 else 1)

    def equation(t: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
        acceleration = metric.acceleration(*frame.to_latent(w)) / frame.unit
        return np.vstack([w[d:], acceleration.double().cpu().numpy().T])

    def boundary(at_a: NDArray[Any], at_b: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([at_a[:d] - path[0], at_b[:d] - path[-1]])

    residual = max(float(np.sqrt(tol)), 100 * np.finfo(float).eps)
    guess = np.hstack([path, velocity]).T
    with np.errstate(all="ignore"):  # what is not finite is told by the status
        found = solve_bvp(equation, boundary, t, guess, tol=residual, max_nodes=max_nodes)
    if found.status == 1:
        return start, Status.MAX_STEPS
    if not found.success:
        return start, _failure(metric, *frame.to_latent(found.y))
    solution, _ = frame.to_latent(found.sol(t[1:-1]))
    return torch.cat([start[:1], solution, start[-1:]]), Status.CONVERGED


def _failure(metric: Metric, z: Tensor, v: Tensor) -> Status:
    """Say why the equation could not be solved, by what it is where the search ended."""
    if bool(metric.acceleration(z, v).isfinite().all()):
        return Status.STALLED
    finite = bool(metric.metric_matrix(z).isfinite().all())
    return Status.DEGENERATE if finite else Status.NOT_FINITE
