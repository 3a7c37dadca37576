"""The order of convergence of a solver, as it is measured."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.errors import InvalidDataError, check_integer
from pullback.geodesics import Solver, connect
from pullback.geodesics.result import through
from pullback.geodesics.search.measure import measure
from pullback.metrics import Metric
from pullback.shapes import Codes

__all__ = ["convergence_order"]

# Points by which the length of a curve is measured: so many that no error that is looked for is due
# to them.
_DENSE = 4097
# A tolerance that no length settles to, so that the search does not stop before the level that is
# asked for.
_NEVER = 1e-15


def convergence_order(
    solver: Solver,
    metric: Metric,
    point_a: Codes,
    point_b: Codes,
    truth: Tensor | Callable[[Tensor], Tensor],
    *,
    n_segments: Sequence[int] = (8, 16, 32, 64),
    connected: bool = False,
) -> float:
    r"""Measure the order p of convergence in the number n of segments: error ~ n^-p.

    p is the slope of the regression of the logarithm of the error on that of the step 1 / n. The
    error is the root mean square, over the pairs, of the relative error of the lengths, or of the
    largest distance of a node from where it should be, in the coordinates and by |b - a|.

    Args:
        solver: the solver; its own tolerance must lie below the errors.
        metric: the Riemannian metric.
        point_a: start points a, shape `(n, d)`.
        point_b: end points b, shape `(n, d)`.
        truth: the lengths of the geodesics, shape `(n,)`; or the geodesics themselves, at constant
            speed, from times `(k,)` in [0, 1] to points `(n, k, d)`.
        n_segments: numbers of segments, two or more.
        connected: measure what `connect` makes of the solver's curves, its correction included, on
            this one level; else what `solver.relax` makes of the straight line.

    Returns:
        The order p.

    Raises:
        InvalidParameterError: a number of segments is no integer >= 2.
        InvalidDataError: there are fewer than two numbers of segments, or an error is zero or not
            finite, so that it has no logarithm.

    Source:
        Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), section II.1.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> order = convergence_order(Newton(tol=1e-14), HalfPlane(), a, b, HalfPlane().dist(a, b))
        >>> round(order)
        4
    """
    levels = [check_integer("n_segments", n, low=2) for n in n_segments]
    errors = []
    for n in levels:
        if connected:
            options: dict[str, Any] = {"levels": (n,), "rtol": _NEVER, "confirm": False}
            result = connect(metric, point_a, point_b, solver=solver, **options)
            nodes = result.curve.nodes
        else:
            nodes = solver.relax(metric, straight_line(point_a, point_b, n)).nodes
        errors.append(_error(metric, nodes, truth))
    log_error = torch.tensor(errors, dtype=torch.float64).log()
    if len(levels) < 2 or not bool(log_error.isfinite().all()):
        raise InvalidDataError(
            "A slope needs two or more errors that are finite and not zero, but there are "
            f"{errors}. Choose other numbers of segments."
        )
    log_step = -torch.tensor(levels, dtype=torch.float64).log()
    centred = log_step - log_step.mean()
    return float((centred * log_error).sum() / centred.square().sum())


def _error(metric: Metric, nodes: Tensor, truth: Tensor | Callable[[Tensor], Tensor]) -> float:
    if isinstance(truth, Tensor):
        length = measure(metric, through(nodes).points(_DENSE))[0]
        error = (length - truth) / truth
    else:
        t = torch.linspace(0, 1, nodes.shape[1], dtype=nodes.dtype, device=nodes.device)
        away = (nodes - truth(t)).norm(dim=-1).amax(-1)
        error = away / (nodes[:, -1] - nodes[:, 0]).norm(dim=-1)
    return float(error.square().mean().sqrt())
