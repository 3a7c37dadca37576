"""Parallel transport: tangent vectors carried along a curve, turned no more than the space does."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import jacobian
from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_integer, check_number, check_points
from pullback.geodesics import Status
from pullback.manifolds.transport.magnus import NODES, magnus_propagator
from pullback.manifolds.transport.path import Path
from pullback.metrics import Metric
from pullback.shapes import Mask, MetricMatrix, Scalars, StatusCodes

__all__ = ["Transport", "check_vectors", "isometry_defect", "transport", "transport_matrix"]

# Points at which the connection is computed at once. It bounds memory, d^3 numbers for each.
_BLOCK = 4096
# Tolerances are raised to this many units of rounding: what is asked for below that is lost in the
# rounding of the connection.
_ATTAINABLE = 1000


@dataclass(frozen=True, eq=False)
class Transport:
    """Transported vectors, and how far the transport is to be trusted.

    Attributes:
        vectors: at the other end of each curve, shape `(*more, *batch, d)`: NaN where the curve
            had failed or the metric could not be evaluated on it.
        defect: how much inner products of unit vectors changed, which they should not,
            `(*batch,)`; NaN where it failed.
        error: the estimated error of a transported unit vector; of the pole ladder, which does not
            know it, NaN; shape `(*batch,)`.
        status: `Status` codes of the curves, or of the transport where the curve was good,
            `(*batch,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> v, bent = torch.tensor([1.0, 0.0]).double(), torch.eye(2).double()
        >>> moved = transport(PullbackMetric(lambda z: z), v, bent)
        >>> moved.vectors.tolist(), moved.defect.item(), bool(moved.converged)
        ([1.0, 0.0], 0.0, True)
    """

    vectors: Tensor
    defect: Scalars
    error: Scalars
    status: StatusCodes

    __repr__ = as_line
    _repr_html_ = as_html

    @property
    def converged(self) -> Mask:
        """Along which curves the vectors are right to the tolerance, shape `(*batch,)`."""
        return self.status == Status.CONVERGED


def transport(
    metric: Metric,
    tangent_vector: Any,
    along: Any,
    *,
    backwards: bool = False,
    rtol: float = 1e-5,
    max_steps: int = 4096,
) -> Transport:
    r"""Transport tangent vectors parallel to themselves along any curves, by their equation.

    v' = -Gamma(c', v): v changes only as the coordinates do, and keeps its norm and its angle to
    other vectors and, along a geodesic, to the curve. See `transport_matrix` for how it is solved.

    Args:
        metric: the Riemannian metric.
        tangent_vector: v at the start of each curve, shape `(*more, *batch, d)`; broadcast against
            the curves, so that leading axes carry several vectors along each.
        along: the curves: a `GeodesicResult`, a `Trajectory`, a `Curve`, or points
            `(*batch, n, d)`, between which they are straight.
        backwards: carry vectors from the end to the start: the inverse.
        rtol: the error of a unit vector, and the change of inner products, that is allowed.
        max_steps: the most steps along one curve.

    Returns:
        The vectors at the other end, with a certificate.

    Raises:
        InvalidDataError: vectors or points are not finite, or of shapes that do not fit.
        InvalidParameterError: `rtol` or `max_steps` is out of range.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 2.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> line = torch.tensor([[0.0, 1.0], [0.0, 4.0]], dtype=torch.float64)
        >>> transport(HalfPlane(), [1.0, 0.0], line).vectors.round(decimals=6).tolist()
        [4.0, 0.0]
    """
    check_number("rtol", rtol, 0, open_low=True)
    check_integer("max_steps", max_steps)
    path = Path.of(along, metric)
    v = check_vectors(tangent_vector, path)
    matrix, defect, error, status = transport_matrix(metric, path, rtol=rtol, max_steps=max_steps)
    matrix, v = _matching(matrix, v)
    vectors = torch.linalg.solve_ex(matrix, v)[0] if backwards else matrix @ v
    return Transport(vectors.squeeze(-1), defect, error, status)


def transport_matrix(
    metric: Metric, path: Path, *, rtol: float = 1e-5, max_steps: int = 4096
) -> tuple[MetricMatrix, Scalars, Scalars, StatusCodes]:
    """Compute the matrices P(1) with P' = -Gamma(c', P), P(0) = I, that transport any vector.

    The equation is linear, so all that it asks of the metric is known beforehand, and all steps are
    taken at once: an exponential of order 6 for each, held against one of order 4. Where they
    differ, or P is no isometry, the steps are halved.

    Args:
        metric: the Riemannian metric.
        path: the curves.
        rtol: the allowed error, relative in the metric.
        max_steps: the most steps along one curve.

    Returns:
        P, shape `(*batch, d, d)`, NaN where it could not be computed, the defect of its isometry,
        its estimated error and `Status` codes, all `(*batch,)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> path = Path.of(torch.tensor([[0.0, 1.0], [0.0, 4.0]], dtype=torch.float64))
        >>> transport_matrix(HalfPlane(), path)[0].round(decimals=6).tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """
    start, end = (p.detach().reshape(-1, p.shape[-1]) for p in (path.start, path.end))
    rtol = max(rtol, _ATTAINABLE * torch.finfo(start.dtype).eps)
    status = path.status.flatten().clone()
    matrix = start.new_full((*start.shape, start.shape[-1]), torch.nan)
    defect, error = (start.new_full((len(start),), torch.nan) for _ in range(2))
    active, n_steps = path.usable().nonzero().squeeze(-1), path.n_pieces
    with torch.no_grad():
        while len(active) > 0:
            fine, coarse, z = _solve(metric, path, active, n_steps)
            frames = _frame(metric, start[active]), _frame(metric, end[active])
            matrix[active] = fine
            defect[active] = _defect(fine, *frames)
            error[active] = _in_frames(fine - coarse, *frames).flatten(1).norm(dim=-1)
            worst = torch.maximum(defect[active], error[active])
            status[active] = torch.where(worst <= rtol, 0, int(Status.MAX_STEPS))
            broken = ~worst.isfinite()
            matrix[active[broken]] = torch.nan
            status[active[broken]] = _why_not(metric, z[broken])
            n_steps *= 2
            again = (worst > rtol) & (n_steps <= max_steps)
            active = active[again & ~broken]
    shape = path.status.shape
    scalars = defect.reshape(shape), error.reshape(shape)
    return matrix.reshape(*shape, *matrix.shape[1:]), *scalars, status.reshape(shape)


def check_vectors(tangent_vector: Any, path: Path) -> Tensor:
    """Return vectors `(*more, *batch, d)` that belong to the curves of a path, or raise.

    Raises:
        InvalidDataError: they are not finite, or their shape does not broadcast with the curves.

    Example:
        >>> path = Path.of(torch.zeros(5, 2, 3))
        >>> check_vectors(torch.ones(3), path).shape
        torch.Size([5, 3])
    """
    like = path.start.detach()
    v = check_points("tangent_vector", tangent_vector, like.shape[-1]).to(like)
    batch = path.status.shape
    try:
        shape = torch.broadcast_shapes(v.shape[:-1], batch)
    except RuntimeError as error:
        raise InvalidDataError(
            f"`tangent_vector` must have a shape that broadcasts with {tuple(batch)} curves, but "
            f"got {tuple(v.shape)}. Give one vector for each curve, or several along a first axis."
        ) from error
    return v.expand(*shape, v.shape[-1])


def isometry_defect(before: Tensor, after: Tensor) -> Scalars:
    """Measure by how much inner products changed, relative to the norms.

    Args:
        before: Gram matrices of vectors, shape `(*batch, k, k)`.
        after: those of the same vectors transported, shape `(*batch, k, k)`.

    Returns:
        max_ij |<u_i, u_j>_after - <u_i, u_j>_before| / (|u_i| |u_j|), shape `(*batch,)`.

    Example:
        >>> isometry_defect(torch.eye(2), torch.tensor([[1.0, 0.25], [0.25, 1.0]])).item()
        0.25
    """
    size = before.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    sizes = size.unsqueeze(-1) * size.unsqueeze(-2)
    change = (after - before).abs()
    return torch.where(change == 0, change, change / sizes).amax((-1, -2))


def _solve(
    metric: Metric, path: Path, active: Tensor, n_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve by the methods of both orders; also return the points at which the metric was asked."""
    points, propagators = [], []
    for nodes in (NODES[3], NODES[2]):
        like = path.start.detach()
        within = torch.tensor(nodes, dtype=like.dtype, device=like.device)
        steps = torch.arange(n_steps, dtype=like.dtype, device=like.device)
        t = ((steps.unsqueeze(-1) + within) / n_steps).flatten()
        z, w = (values.detach()[active] for values in (path.at(t), path.velocity(t)))
        A = _connection(metric, z, w).unflatten(1, (n_steps, len(nodes)))
        known = A.isfinite().flatten(1).all(-1)[:, None, None]
        P = magnus_propagator(torch.where(known[..., None, None], A, 0), 1 / n_steps)
        propagators.append(torch.where(known, P, torch.nan))
        points.append(z)
    fine, coarse = propagators
    return fine, coarse, torch.cat(points, 1)


def _connection(metric: Metric, z: Tensor, w: Tensor) -> Tensor:
    """Compute the matrices of v -> -Gamma(w, v): half the derivative of -Gamma(w, w) by w."""
    flat = torch.stack([z, w], -2).reshape(-1, 2, z.shape[-1])
    parts = []
    for part in torch.split(flat, _BLOCK):
        here, velocity = part.unbind(1)

        def bend(velocity: Tensor, here: Tensor = here) -> Tensor:
            return metric.acceleration(here, velocity)

        value, change = jacobian(bend, velocity)
        # What is NaN by a choice, where the metric is singular, has a derivative of 0.
        known = value.isfinite().all(-1)[:, None, None]
        parts.append(torch.where(known, change / 2, torch.nan))
    return torch.cat(parts).reshape(*z.shape, z.shape[-1])


def _frame(metric: Metric, z: Tensor) -> Tensor:
    """Compute the Cholesky factor L of M = L L^T; NaN where M is singular."""
    L, positive = linalg.cholesky(metric.metric_matrix(z))
    return torch.where(positive[:, None, None], L, torch.nan)


def _in_frames(P: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Write P from one orthonormal frame to the other: L_1^T P L_0^-T."""
    rotation: Tensor = end.mT @ torch.linalg.solve_triangular(start.mT, P, upper=True, left=False)
    return rotation


def _defect(P: Tensor, start: Tensor, end: Tensor) -> Tensor:
    Q = _in_frames(P, start, end)
    eye = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device).expand_as(Q)
    return isometry_defect(eye, Q.mT @ Q)


def _matching(matrix: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    v = v.unsqueeze(-1)
    return matrix.expand(*v.shape[:-2], *matrix.shape[-2:]), v


def _why_not(metric: Metric, z: Tensor) -> Tensor:
    """Say why the metric could not be used at points `(batch, n, d)` of curves."""
    M = metric.metric_matrix(z)
    finite = M.isfinite().all(-1).all(-1)
    singular = finite & ~linalg.cholesky(M)[1]
    why = torch.where(singular.any(-1), int(Status.DEGENERATE), int(Status.NOT_FINITE))
    inside = metric.contains(z).all(-1)
    return torch.where(inside, why, int(Status.LEFT_DOMAIN))
