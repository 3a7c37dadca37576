"""Holonomy: by what angle a vector has turned when it comes back from a loop."""

from typing import Any

import torch

from pullback import linalg
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.geodesics import Status
from pullback.manifolds.transport.path import Path
from pullback.manifolds.transport.transport import transport_matrix
from pullback.metrics import Metric
from pullback.shapes import Scalars

__all__ = ["holonomy"]

# The share of its extent by which a loop may miss its start and still count as closed: rounding of
# points that the user computed, not a gap.
_CLOSED = 1e-6


def holonomy(metric: Metric, loop: Any, *, rtol: float = 1e-6) -> Scalars:
    r"""Measure the angle by which vectors turn on their way around closed curves, for d = 2.

    By the theorem of Gauss and Bonnet it is the integral of the curvature over what a simple loop
    encloses, modulo 2 pi: positive where a loop from the first to the second axis turns vectors the
    same way.

    Args:
        metric: the Riemannian metric, d = 2.
        loop: closed curves: a `Curve`, geodesics, or points `(*batch, n, 2)` that straight segments
            join, the last equal to the first.
        rtol: the allowed error of the transport, see `transport`.

    Returns:
        Angles in (-pi, pi], shape `(*batch,)`: NaN where the transport did not converge.

    Raises:
        InvalidDataError: a loop is not closed.
        InvalidParameterError: d is not 2.

    Source:
        do Carmo, Differential Geometry of Curves and Surfaces (1976), sections 4-4 and 4-5.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> square = torch.tensor([[0, 1], [1, 1], [1, 2], [0, 2], [0, 1]]).double()
        >>> round(holonomy(HalfPlane(), square).item(), 6)  # -1 times the area 1 / 1 - 1 / 2
        -0.5
    """
    path = Path.of(loop, metric)
    start, end = path.start.detach(), path.end.detach()
    if start.shape[-1] != 2:
        raise InvalidParameterError("loop", "in two dimensions", start.shape[-1])
    extent = (path.curve.points(33) - start.unsqueeze(-2)).norm(dim=-1).amax(-1)
    if bool(((end - start).norm(dim=-1) > _CLOSED * extent).any()):
        raise InvalidDataError(
            "`loop` must hold closed curves, but one does not end where it starts. Repeat the "
            "first point at the end."
        )
    P, _, _, status = transport_matrix(metric, path, rtol=rtol)
    L = linalg.cholesky(metric.metric_matrix(start))[0]
    Q = L.mT @ torch.linalg.solve_triangular(L.mT, P, upper=True, left=False)
    angle = torch.atan2(Q[..., 1, 0] - Q[..., 0, 1], Q[..., 0, 0] + Q[..., 1, 1])
    return torch.where(status == Status.CONVERGED, angle, torch.nan)
