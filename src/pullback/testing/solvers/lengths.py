"""Laws of the lengths that a solver finds: they are a distance, whatever the coordinates."""

import torch
from torch import Tensor

from pullback.curves import CubicSpline, straight_line
from pullback.geodesics import Solver, Status
from pullback.geodesics.search.measure import measure
from pullback.metrics import Metric
from pullback.shapes import Codes, Scalars
from pullback.testing.problems import in_other_coordinates, to_other_coordinates
from pullback.testing.solvers.geodesics import SAME, geodesics, hold

__all__ = [
    "check_batch",
    "check_coordinates",
    "check_equal_ends",
    "check_length",
    "check_never_longer",
    "check_symmetry",
    "check_triangle",
]

# Points by which the length of a start is measured.
_DENSE = 1025


def check_equal_ends(solver: Solver, metric: Metric, point: Codes, *, rtol: float = 1e-3) -> None:
    """Hold that a point is no distance from itself: d(a, a) = 0, by a curve that stays there.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point: a, shape `(n, d)`.
        rtol: how well the lengths shall settle.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> check_equal_ends(Newton(), HalfPlane(), torch.ones(1, 2))
    """
    relaxation = solver.relax(metric, straight_line(point, point, 8))
    law = "equal ends"
    hold(law, relaxation.status == Status.CONVERGED, a=point, status=relaxation.status)
    # A solver that works in units of |b - a| may move a point by rounding.
    away = (relaxation.nodes - point.unsqueeze(1)).norm(dim=-1).amax(-1)
    hold(law, away <= SAME * (1 + point.norm(dim=-1)), a=point, moved=away)
    result = geodesics(solver, metric, point, point, rtol)
    hold(law, result.length == 0, a=point, **{"d(a, a)": result.length})


def check_length(
    solver: Solver,
    metric: Metric,
    point_a: Codes,
    point_b: Codes,
    length: Scalars,
    *,
    rtol: float = 1e-3,
) -> None:
    """Hold that geodesics are as long as is known by other means, such as a closed form.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: start points a, shape `(n, d)`.
        point_b: end points b, shape `(n, d)`.
        length: the true distances, shape `(n,)`.
        rtol: the share by which lengths may differ.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_length(Newton(), HalfPlane(), a, b, HalfPlane().dist(a, b))
    """
    found = geodesics(solver, metric, point_a, point_b, rtol).length
    holds = (found - length).abs() <= rtol * length
    hold("length", holds, a=point_a, b=point_b, **{"d(a, b)": found}, truth=length)


def check_symmetry(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that it is as far back as there: d(a, b) = d(b, a).

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`.
        point_b: points b, shape `(n, d)`.
        rtol: the share by which lengths may differ.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_symmetry(Newton(), HalfPlane(), a, b)
    """
    there = geodesics(solver, metric, point_a, point_b, rtol).length
    back = geodesics(solver, metric, point_b, point_a, rtol).length
    numbers = {"d(a, b)": there, "d(b, a)": back}
    hold("symmetry", (there - back).abs() <= rtol * there, a=point_a, b=point_b, **numbers)


def check_triangle(
    solver: Solver,
    metric: Metric,
    point_a: Codes,
    point_b: Codes,
    point_c: Codes,
    *,
    rtol: float = 1e-3,
) -> None:
    """Hold that a detour is no shorter: d(a, c) <= d(a, b) + d(b, c).

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`.
        point_b: points b, shape `(n, d)`.
        point_c: points c, shape `(n, d)`.
        rtol: the share by which the detour may be shorter.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b, c = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]], [[0.0, 3.0]]]).double()
        >>> check_triangle(Newton(), HalfPlane(), a, b, c)
    """
    start, end = torch.cat([point_a, point_b, point_a]), torch.cat([point_b, point_c, point_c])
    ab, bc, ac = geodesics(solver, metric, start, end, rtol).length.chunk(3)
    points = {"a": point_a, "b": point_b, "c": point_c}
    numbers = {"d(a, c)": ac, "d(a, b)": ab, "d(b, c)": bc}
    hold("triangle inequality", ac <= (1 + rtol) * (ab + bc), **points, **numbers)


def check_coordinates(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that lengths are the same in other coordinates: z = sinh(w) A, A a shear.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`.
        point_b: points b, shape `(n, d)`.
        rtol: the share by which lengths may differ.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_coordinates(Newton(), HalfPlane(), a, b)
    """
    before = geodesics(solver, metric, point_a, point_b, rtol).length
    changed = in_other_coordinates(metric.exact)
    a, b = to_other_coordinates(point_a), to_other_coordinates(point_b)
    after = geodesics(solver, changed, a, b, rtol).length
    numbers = {"length": before, "in other coordinates": after}
    holds = (before - after).abs() <= rtol * before
    hold("change of coordinates", holds, a=point_a, b=point_b, **numbers)


def check_batch(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that a batch is a loop: no pair notices the others, but for rounding.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`.
        point_b: points b, shape `(n, d)`.
        rtol: how well the lengths shall settle; they must agree to 1e-6 whatever it is.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_batch(Newton(), HalfPlane(), a, b)
    """
    together = geodesics(solver, metric, point_a, point_b, rtol).length
    pairs = zip(point_a.split(1), point_b.split(1), strict=True)
    alone = torch.cat([geodesics(solver, metric, a, b, rtol).length for a, b in pairs])
    holds = (together - alone).abs() <= SAME * alone
    hold("batch", holds, a=point_a, b=point_b, together=together, alone=alone)


def check_never_longer(
    solver: Solver, metric: Metric, point_a: Codes, point_b: Codes, *, rtol: float = 1e-3
) -> None:
    """Hold that no answer is longer than a curve it began with: the straight line, or a given one.

    Two curves are given, bent by a tenth of |b - a| to the one side and to the other.

    Args:
        solver: the solver.
        metric: the Riemannian metric.
        point_a: points a, shape `(n, d)`.
        point_b: points b, shape `(n, d)`.
        rtol: the share by which answers may be longer.

    Raises:
        AssertionError: the law is broken, or a pair did not converge.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_never_longer(Newton(), HalfPlane(), a, b)
    """
    line = straight_line(point_a, point_b, 32)
    t = torch.linspace(0, 1, 33, dtype=line.dtype, device=line.device).unsqueeze(-1)
    bend = 0.4 * t * (1 - t) * (point_b - point_a).roll(1, -1).unsqueeze(1)
    starts = [line, line + bend, line - bend]
    lengths = torch.stack([_length(metric.exact, start) for start in starts])
    shortest = torch.where(lengths.isfinite(), lengths, torch.inf).amin(0)
    found = geodesics(solver, metric, point_a, point_b, rtol, initial=starts[1:]).length
    numbers = {"length": found, "of the shortest start": shortest}
    hold("never longer", found <= (1 + rtol) * shortest, a=point_a, b=point_b, **numbers)


def _length(metric: Metric, nodes: Tensor) -> Tensor:
    return measure(metric, CubicSpline(nodes).points(_DENSE))[0]
