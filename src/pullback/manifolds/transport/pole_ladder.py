"""Parallel transport by geodesics alone: the pole ladder."""

from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import jacobian
from pullback.errors import check_integer
from pullback.geodesics import Status
from pullback.geodesics.initial_value.flow import geodesic_flow
from pullback.geodesics.initial_value.runge_kutta import runge_kutta_step
from pullback.manifolds.transport.path import Path
from pullback.manifolds.transport.transport import Transport, check_vectors, isometry_defect
from pullback.metrics import Metric

__all__ = ["pole_ladder"]

# The share of its length by which a geodesic of the ladder may miss its end: well below the
# ladder's own error.
_TOL = 1e-7
# The most corrections of such a geodesic; each at least halves the miss, or none more is made.
_CORRECTIONS = 12


def pole_ladder(
    metric: Metric,
    tangent_vector: Any,
    along: Any,
    *,
    backwards: bool = False,
    n_rungs: int = 16,
) -> Transport:
    r"""Transport tangent vectors along curves by a ladder of geodesics.

    The curve is cut into n pieces, each replaced by the geodesic between its ends p and q, with
    middle m. The tip of a short vector, x = exp(p, v), is reflected in m, x' = exp(m, -log(m, x)),
    and the transported vector is -log(q, x'). Along a geodesic the error falls with 1 / n^2, and is
    0 where the curvature does not change, as on a sphere; along another curve too it falls with
    1 / n^2. It needs no derivative of the metric beyond those of geodesics; `transport` is faster
    and knows its error.

    Args:
        metric: the Riemannian metric.
        tangent_vector: v at the start of each curve, shape `(*more, *batch, d)`, see `transport`.
        along: the curves, see `transport`.
        backwards: carry vectors from the end to the start.
        n_rungs: n.

    Returns:
        The vectors at the other end, by how much the inner products among those along one curve
        changed, and how the geodesics went.

    Raises:
        InvalidDataError: vectors or points are not finite, or of shapes that do not fit.
        InvalidParameterError: `n_rungs` is out of range.

    Source:
        Guigui and Pennec, Numerical accuracy of ladder schemes for parallel transport on manifolds
        (2022).

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> line = torch.tensor([[0.0, 1.0], [0.0, 4.0]], dtype=torch.float64)
        >>> moved = pole_ladder(HalfPlane(), [1.0, 0.0], line, n_rungs=4)
        >>> moved.vectors.round(decimals=4).abs().tolist()
        [4.0, 0.0]
    """
    check_integer("n_rungs", n_rungs)
    path = Path.of(along, metric)
    v = check_vectors(tangent_vector, path)
    like = path.start.detach()
    t = torch.linspace(0, 1, n_rungs + 1, dtype=like.dtype, device=like.device)
    feet = path.at(t).detach()
    feet = feet.flip(1) if backwards else feet
    flat = v.reshape(-1, len(feet), v.shape[-1])
    with torch.no_grad():
        moved, status = _climb(metric, flat, feet)
        status = torch.where(path.usable(), status, path.status.flatten())
        moved = torch.where((status == Status.CONVERGED).unsqueeze(-1), moved, torch.nan)
        before, after = _gram(metric, feet[:, 0], flat), _gram(metric, feet[:, -1], moved)
    defect = isometry_defect(before, after).reshape(path.status.shape)
    unknown = torch.full_like(defect, torch.nan)
    return Transport(moved.reshape(v.shape), defect, unknown, status.reshape(path.status.shape))


def _climb(metric: Metric, v: Tensor, feet: Tensor) -> tuple[Tensor, Tensor]:
    """Carry vectors `(k, batch, d)` up the ladders with feet `(batch, n + 1, d)`."""
    p, q = feet[:, :-1], feet[:, 1:]
    sides, hit = _log(metric, p, q)
    middles, ok = _exp(metric, p, sides / 2), hit.all(-1)
    # Vectors as long as the sides on average, which is short enough.
    length = metric.norm(p, sides).mean(-1)
    scale = length / metric.norm(p[:, 0].expand_as(v), v)
    scale = torch.where((length > 0) & scale.isfinite(), scale, 1).unsqueeze(-1)
    v = v * scale
    for i in range(p.shape[1]):
        foot, middle, next_foot = (x[:, i].expand_as(v) for x in (p, middles, q))
        back, hit = _log(metric, middle, _exp(metric, foot, v))
        v, hit_again = _log(metric, next_foot, _exp(metric, middle, -back))
        v, ok = -v, ok & (hit & hit_again).all(0)
    finite = feet.isfinite().flatten(1).all(-1) & v.isfinite().all(-1).all(0)
    why = torch.where(finite, int(Status.STALLED), int(Status.NOT_FINITE))
    return v / scale, torch.where(ok, int(Status.CONVERGED), why)


def _exp(metric: Metric, z: Tensor, v: Tensor) -> Tensor:
    """Follow short geodesics, in one step."""
    flow = geodesic_flow(metric)
    y = torch.cat([z, v], -1).reshape(-1, 2 * z.shape[-1])
    end = runge_kutta_step(flow, y, flow(y), y.new_ones(len(y))).end
    return end[:, : z.shape[-1]].reshape(z.shape)


def _log(metric: Metric, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Aim short geodesics at b, by Newton's method with the derivative of exp at b - a."""
    v = b - a
    allowed = _TOL * v.norm(dim=-1) + 4 * torch.finfo(b.dtype).eps * b.norm(dim=-1)
    end, differential = jacobian(lambda v: _exp(metric, a, v), v)
    before = torch.full_like(allowed, torch.inf)
    for _ in range(_CORRECTIONS):
        gap = b - end
        miss = gap.norm(dim=-1)
        if not bool(((miss > allowed) & (miss < before / 2)).any()):
            break
        before = miss
        v = v + torch.linalg.solve_ex(differential, gap.unsqueeze(-1))[0].squeeze(-1)
        end = _exp(metric, a, v)
    return v, (b - end).norm(dim=-1) <= allowed


def _gram(metric: Metric, z: Tensor, vectors: Tensor) -> Tensor:
    """Compute the Gram matrices `(batch, k, k)` of vectors `(k, batch, d)` at points."""
    M = metric.metric_matrix(z)
    return torch.einsum("kbi,bij,lbj->bkl", vectors, M, vectors)
