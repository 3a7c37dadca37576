"""Derivatives of geodesic distances, by the formulas of first and second variation."""

from typing import Any

import torch
from torch import Tensor

from pullback.curves import GradedSpline
from pullback.errors import InvalidParameterError
from pullback.geodesics.end_hessian import distance_hessian
from pullback.geodesics.result import GeodesicResult, through
from pullback.geodesics.search.measure import fine_points, measure
from pullback.metrics import Metric
from pullback.shapes import Latent, Scalars

__all__ = ["differentiable_length"]


def differentiable_length(
    metric: Metric, result: GeodesicResult, point_a: Latent, point_b: Latent
) -> Scalars:
    r"""Give geodesic lengths their derivatives by the end points and by the metric's parameters.

    A geodesic is stationary: moving its interior does not change its length. So dL = <c'(1), db> /
    |c'(1)| - <c'(0), da> / |c'(0)| + int d|c'| dt, where the last term is the change of the metric
    along the fixed curve. It is computed as the derivative of the length of the curve moved along
    with its ends, c + (1 - t) da + t db: nothing is propagated through the solver.

    A second derivative by the ends, as of `torch.autograd.functional.hessian` or a penalty on the
    gradient, is that of `distance_hessian`. By what the metric depends on there is only the first.

    Args:
        metric: the metric, with whatever it depends on attached.
        result: the geodesics from a to b, with flat or other batch shape `(*batch,)`.
        point_a: a, attached or not, shape `(*batch, d)`.
        point_b: b, attached or not, shape `(*batch, d)`.

    Returns:
        The lengths of the result, with their derivatives, shape `(*batch,)`. Between equal points
        the distance has none, and 0 is given.

    Raises:
        InvalidParameterError: when a derivative that there is not is asked for, by `backward` or
            `grad` with `create_graph`: a third, or a second where the metric has parameters.

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
    nodes = result.curve.nodes
    if isinstance(result.curve, GradedSpline):  # the formulas below are for equal times
        nodes = result.curve.points(nodes.shape[-2])
    fixed = nodes.detach().reshape(len(a), -1, d)[apart]
    ends = torch.stack([a, b], 1)[apart]
    if metric.requires_grad:
        moved = _apply(_FirstOnly, _moved_length(metric, fixed, ends))
        moved = moved - moved.detach()
    else:
        moved = _apply(_Change, ends, _slope(ends, metric, fixed), metric, fixed)
    attached: Tensor = length.index_add(0, apart, moved)
    return attached.reshape(result.length.shape)


def _apply(function: type[torch.autograd.Function], *args: Any) -> Any:
    """Call a function of autograd: PyTorch's own `apply` has no annotations."""
    return function.apply(*args)


def _moved_length(metric: Metric, nodes: Tensor, ends: Tensor) -> Tensor:
    """Measure curves that move along with their ends `(batch, 2, d)`."""
    points = fine_points(through(nodes))
    t = torch.linspace(0, 1, points.shape[1], dtype=points.dtype, device=points.device)
    t = t.reshape(-1, 1)
    shift_a, shift_b = (ends - ends.detach()).unsqueeze(2).unbind(1)
    return measure(metric, points + (1 - t) * shift_a + t * shift_b)[0]


class _Change(torch.autograd.Function):
    """The change of the lengths as the ends move: its value is zero, its derivative is not.

    It is added to lengths that were measured without derivatives.
    """

    @staticmethod
    def forward(ctx: Any, ends: Tensor, slope: Tensor, metric: Metric, nodes: Tensor) -> Tensor:
        ctx.save_for_backward(ends, slope)
        ctx.geodesics = metric, nodes
        return torch.zeros_like(ends[:, 0, 0])

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> Any:
        ends, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            slope = _apply(_Slope, ends, slope, *ctx.geodesics)
        return weights[0][:, None, None] * slope, None, None, None


class _Slope(torch.autograd.Function):
    """The first derivative of the lengths by the ends, and the second."""

    @staticmethod
    def forward(ctx: Any, ends: Tensor, slope: Tensor, metric: Metric, nodes: Tensor) -> Tensor:
        ctx.save_for_backward(ends)
        ctx.geodesics = metric, nodes
        return slope.clone()

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> Any:
        (ends,) = ctx.saved_tensors
        hessian = distance_hessian(*ctx.geodesics).unflatten(2, (2, -1)).unflatten(1, (2, -1))
        turned = torch.einsum("nikjl,njl->nik", hessian, weights[0])
        return _apply(_Last, turned, ends), None, None, None


class _Last(torch.autograd.Function):
    """Second derivatives, passed on as they are: to differentiate once more is refused."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ends: Tensor) -> Tensor:
        del ends  # an input only so that a third derivative by the ends is asked of this class
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> Any:
        allowed = "False for second derivatives of a geodesic distance"
        raise InvalidParameterError("create_graph", allowed, True, "There is no third derivative.")


class _FirstOnly(torch.autograd.Function):
    """Lengths that depend on parameters of the metric: a second derivative by them is refused."""

    @staticmethod
    def forward(ctx: Any, lengths: Tensor) -> Tensor:
        return lengths.clone()

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise InvalidParameterError(
                "create_graph",
                "False for the derivatives of distances on a `trainable` manifold",
                True,
                "They have no second ones; those of a fixed manifold have, by the end points.",
            )
        return weights[0]


def _slope(ends: Tensor, metric: Metric, nodes: Tensor) -> Tensor:
    ends = ends.detach().requires_grad_()
    length = _moved_length(metric, nodes, ends)
    (slope,) = torch.autograd.grad(length.sum(), ends)
    return slope
