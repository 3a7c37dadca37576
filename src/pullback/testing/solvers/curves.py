"""Laws of the curves that a solver finds: their ends, the way back, and their pieces."""

from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics import Solver
from pullback.metrics import Metric
from pullback.shapes import Codes
from pullback.testing.solvers.geodesics import geodesics, hold

__all__ = ["check_ends", "check_reversal", "check_subdivision"]

# Times at which two curves are compared.
_TIMES = 17


def check_ends(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that curves begin at a and end at b, exactly.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: start points a, shape `(n, d)`.
        point_b: end points b, shape `(n, d)`.
        rtol: how well the lengths shall settle.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> import torch
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_ends(Newton(), HalfPlane(), a, b)
    """
    relaxed = solver.relax(metric, straight_line(point_a, point_b, 16)).nodes
    for curve in (relaxed, geodesics(solver, metric, point_a, point_b, rtol).points(_TIMES)):
        kept = (curve[:, 0] == point_a) & (curve[:, -1] == point_b)
        ends = {"c(0)": curve[:, 0], "c(1)": curve[:, -1]}
        hold("ends", kept.all(-1), a=point_a, b=point_b, **ends)


def check_reversal(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that the curve from b to a is the curve from a to b, run through backwards.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`, joined to b by one shortest curve only.
        point_b: points b, shape `(n, d)`.
        rtol: the curves may be apart by the square root of this share of their length.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> import torch
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_reversal(Newton(), HalfPlane(), a, b)
    """
    there = geodesics(solver, metric, point_a, point_b, rtol)
    back = geodesics(solver, metric, point_b, point_a, rtol)
    apart = _gap(metric, there.points(_TIMES), back.points(_TIMES).flip(-2))
    holds = apart <= rtol**0.5 * there.length
    hold("reversal", holds, a=point_a, b=point_b, apart=apart, length=there.length)


def check_subdivision(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that a piece of a geodesic is one: with m = c(1/3), d(a, m) + d(m, b) = d(a, b).

    The curve from a to m must be the first third of that from a to b, and d(a, m) a third of its
    length, to the square root of the tolerance.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`, joined to b by one shortest curve only.
        point_b: points b, shape `(n, d)`.
        rtol: the share by which lengths may differ; curves may be apart by the square root of this
            share of the length.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> import torch
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_subdivision(Newton(), HalfPlane(), a, b)
    """
    whole = geodesics(solver, metric, point_a, point_b, rtol)
    third = whole.points(3 * _TIMES - 2)[:, :_TIMES]
    middle = third[:, -1]
    first = geodesics(solver, metric, point_a, middle, rtol)
    rest = geodesics(solver, metric, middle, point_b, rtol)
    points = {"a": point_a, "b": point_b, "m": middle}
    lengths = {"d(a, b)": whole.length, "d(a, m)": first.length, "d(m, b)": rest.length}
    apart = _gap(metric, third, first.points(_TIMES))
    away = (first.length - whole.length / 3).abs()
    gap = (first.length + rest.length - whole.length).abs()
    hold("subdivision", gap <= rtol * whole.length, **points, **lengths)
    hold("subdivision", away <= rtol**0.5 * whole.length, **points, **lengths)
    hold("subdivision", apart <= rtol**0.5 * whole.length, **points, **lengths, apart=apart)


def _gap(metric: Metric, curve: Tensor, other: Tensor) -> Tensor:
    """How far apart curves are at most, at equal times."""
    return metric.norm(curve, other - curve).amax(-1)
