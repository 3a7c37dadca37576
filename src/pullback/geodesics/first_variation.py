"""Derivatives of geodesic distances, by the formula of first variation."""

import torch
from torch import Tensor

from pullback.geodesics.measure import fine_points, measure
from pullback.geodesics.result import GeodesicResult, through
from pullback.metrics import Metric
from pullback.shapes import Latent, Scalars

__all__ = ["differentiable_length"]


def differentiable_length(
    metric: Metric, result: GeodesicResult, point_a: Latent, point_b: Latent
) -> Scalars:
    r"""Attach geodesic lengths to the end points and to what the metric depends on.

    A geodesic is stationary: moving its interior does not change its length. So dL = <c'(1), db> /
    |c'(1)| - <c'(0), da> / |c'(0)| + int d|c'| dt, where the last term is the change of the metric
    along the fixed curve. It is computed as the derivative of the length of the curve moved along
    with its ends, c + (1 - t) da + t db: nothing is propagated through the solver.

    Args:
        metric: the metric, with whatever it depends on attached.
        result: the geodesics from a to b, with flat or other batch shape `(*batch,)`.
        point_a: a, attached or not, shape `(*batch, d)`.
        point_b: b, attached or not, shape `(*batch, d)`.

    Returns:
        The lengths of the result, with their derivatives, shape `(*batch,)`. Between equal points
        the distance has none, and 0 is given.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 9.

    Example:
        >>> from pullback.geodesics import connect
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z, dim=2)
        >>> a = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        >>> b = torch.tensor([3.0, 4.0], dtype=torch.float64)
        >>> differentiable_length(flat, connect(flat, a, b), a, b).backward()
        >>> a.grad.round(decimals=6).tolist()
        [-1.2, -1.6]
    """
    d = point_a.shape[-1]
    a, b = (p.expand_as(result.curve.start).reshape(-1, d) for p in (point_a, point_b))
    length = result.length.reshape(-1)
    apart = (length > 0).nonzero().squeeze(-1)
    if len(apart) == 0:
        return result.length + 0 * (a - b).sum(-1).reshape(result.length.shape)
    fixed = result.curve.nodes.detach().reshape(len(a), -1, d)[apart]
    points = fine_points(through(fixed))
    t = torch.linspace(0, 1, points.shape[1], dtype=points.dtype, device=points.device)
    t = t.reshape(-1, 1)
    shift_a, shift_b = ((p - p.detach())[apart].unsqueeze(1) for p in (a, b))
    moved = measure(metric, points + (1 - t) * shift_a + t * shift_b)[0]
    attached: Tensor = length.index_add(0, apart, moved - moved.detach())
    return attached.reshape(result.length.shape)
