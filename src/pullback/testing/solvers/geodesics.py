"""What all laws of solvers begin and end with: the geodesics, and what is said of a broken law."""

from typing import Any

from torch import Tensor

from pullback.geodesics import GeodesicResult, Solver, Status, connect
from pullback.metrics import Metric

__all__ = ["SAME", "geodesics", "hold"]

# Lengths settle to this share of the tolerance of the laws, so that a law is not broken by what the
# search was allowed to leave.
_SETTLED = 0.1
# The share that rounding, or one step of a solver more or less, may change.
SAME = 1e-6


def geodesics(
    solver: Solver,
    metric: Metric,
    a: Tensor,
    b: Tensor,
    rtol: float,
    initial: list[Tensor] | None = None,
) -> GeodesicResult:
    """Connect points by a solver alone, all of which must converge.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        a: start points, shape `(n, d)`.
        b: end points, shape `(n, d)`.
        rtol: the tolerance of the law; lengths settle to a tenth of it.
        initial: curves to start from too, each `(n, nodes, d)`.

    Raises:
        AssertionError: a pair did not converge.

    Example:
        >>> import torch
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[0.0, 1.0]], [[0.0, 2.0]]], dtype=torch.float64)
        >>> geodesics(Newton(), HalfPlane(), a, b, 1e-3).length.round(decimals=4)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    options: dict[str, Any] = {"rtol": _SETTLED * rtol, "confirm": False}  # which would mend it
    result = connect(metric, a, b, solver=solver, initial=initial, **options)
    status = {"status": result.status, "refinement": result.refinement}
    hold("convergence", result.converged, a=a, b=b, **status)
    return result


def hold(law: str, holds: Tensor, **values: Tensor) -> None:
    """Raise for the first pair by which a law is broken, with what is known of it.

    Args:
        law: its name.
        holds: whether it holds, shape `(n,)`.
        values: points and numbers of each pair, by name, each `(n, ...)`.

    Raises:
        AssertionError: it is broken.

    Example:
        >>> import torch
        >>> hold("symmetry", torch.tensor([True, False]), there=torch.ones(2))
        Traceback (most recent call last):
        AssertionError: symmetry: broken by 1 of 2 pairs, first by pair 1: there = 1
    """
    if bool(holds.all()):
        return
    broken = (~holds).nonzero().flatten().tolist()
    pair = broken[0]
    known = ", ".join(f"{name} = {_shown(name, value[pair])}" for name, value in values.items())
    raise AssertionError(
        f"{law}: broken by {len(broken)} of {len(holds)} pairs, first by pair {pair}: {known}"
    )


def _shown(name: str, value: Tensor) -> str:
    if name == "status":
        return Status(int(value)).name
    if value.ndim > 0:
        return "(" + ", ".join(f"{x:.6g}" for x in value.tolist()) + ")"
    return f"{value.item():.10g}"
