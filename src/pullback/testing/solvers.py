"""Laws that geodesics obey in every space, to hold a solver against.

Each law is a function of the solver, a metric and pairs of points. It connects them as
`geodesics.connect` does, and raises an `AssertionError` that names the law, the pair and the
numbers. `check_solver` tries all laws on small problems.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.curves import CubicSpline, straight_line
from pullback.errors import check_number
from pullback.geodesics import GeodesicResult, Solver, Status, connect
from pullback.geodesics.search.measure import measure
from pullback.metrics import Metric
from pullback.shapes import Codes, Scalars
from pullback.testing.problems import (
    Problem,
    draw_points,
    in_other_coordinates,
    small_problems,
    to_other_coordinates,
)

__all__ = [
    "check_batch",
    "check_coordinates",
    "check_ends",
    "check_equal_ends",
    "check_length",
    "check_never_longer",
    "check_reversal",
    "check_solver",
    "check_subdivision",
    "check_symmetry",
    "check_triangle",
]

# Pairs of points for each law and each problem.
_PAIRS = 3
# Lengths settle to this share of the tolerance of the laws, so that a law is not broken by what the
# search was allowed to leave.
_SETTLED = 0.1
# The share that rounding, or one step of a solver more or less, may change.
_SAME = 1e-6
# Times at which two curves are compared.
_TIMES = 17
# Points by which the length of a start is measured.
_DENSE = 1025


def check_solver(
    solver: Solver,
    *,
    metrics: Sequence[Metric] | None = None,
    rtol: float = 1e-3,
    generator: torch.Generator | None = None,
) -> None:
    """Hold a solver against every law of this module, on small problems.

    The problems are the sphere in stereographic coordinates and the half-plane, where distances
    have a closed form, the paraboloid, and a smooth random decoder.

    Args:
        solver: the solver.
        metrics: metrics to try in their stead, defined somewhere in the cube [-1/2, 1/2]^d, from
            which the points are drawn; d = 2 for a metric of any dimension.
        rtol: by what share lengths may break a law; curves by its square root, since one that is
            off by a share e is longer by about e^2.
        generator: draws the points; seed 0 if None.

    Raises:
        AssertionError: a law is broken; the message says which, by which pair and by how much.
        InvalidParameterError: `rtol` is out of range.

    Example:
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> check_solver(Newton(), metrics=[HalfPlane()])
    """
    check_number("rtol", rtol, 0, open_low=True)
    generator = generator or torch.Generator().manual_seed(0)
    for problem in small_problems() if metrics is None else map(Problem.of, metrics):
        a, b, c = draw_points(problem.metric, 3 * _PAIRS, generator=generator).chunk(3)
        try:
            check_ends(solver, problem.metric, a, b, rtol=rtol)
            check_equal_ends(solver, problem.metric, a, rtol=rtol)
            if problem.dist is not None:
                check_length(solver, problem.metric, a, b, problem.dist(a, b), rtol=rtol)
            check_triangle(solver, problem.metric, a, b, c, rtol=rtol)
            for check in _LAWS_OF_PAIRS:
                check(solver, problem.metric, a, b, rtol=rtol)
        except AssertionError as error:
            error.add_note(f"The problem was: {problem.name}.")
            raise


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
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_ends(Newton(), HalfPlane(), a, b)
    """
    relaxed = solver.relax(metric, straight_line(point_a, point_b, 16)).nodes
    for curve in (relaxed, _geodesics(solver, metric, point_a, point_b, rtol).points(_TIMES)):
        kept = (curve[:, 0] == point_a) & (curve[:, -1] == point_b)
        ends = {"c(0)": curve[:, 0], "c(1)": curve[:, -1]}
        _hold("ends", kept.all(-1), a=point_a, b=point_b, **ends)


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
    _hold(law, relaxation.status == Status.CONVERGED, a=point, status=relaxation.status)
    # A solver that works in units of |b - a| may move a point by rounding.
    away = (relaxation.nodes - point.unsqueeze(1)).norm(dim=-1).amax(-1)
    _hold(law, away <= _SAME * (1 + point.norm(dim=-1)), a=point, moved=away)
    result = _geodesics(solver, metric, point, point, rtol)
    _hold(law, result.length == 0, a=point, **{"d(a, a)": result.length})


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
    found = _geodesics(solver, metric, point_a, point_b, rtol).length
    holds = (found - length).abs() <= rtol * length
    _hold("length", holds, a=point_a, b=point_b, **{"d(a, b)": found}, truth=length)


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
    there = _geodesics(solver, metric, point_a, point_b, rtol).length
    back = _geodesics(solver, metric, point_b, point_a, rtol).length
    numbers = {"d(a, b)": there, "d(b, a)": back}
    _hold("symmetry", (there - back).abs() <= rtol * there, a=point_a, b=point_b, **numbers)


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
    ab, bc, ac = _geodesics(solver, metric, start, end, rtol).length.chunk(3)
    points = {"a": point_a, "b": point_b, "c": point_c}
    numbers = {"d(a, c)": ac, "d(a, b)": ab, "d(b, c)": bc}
    _hold("triangle inequality", ac <= (1 + rtol) * (ab + bc), **points, **numbers)


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
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_reversal(Newton(), HalfPlane(), a, b)
    """
    there = _geodesics(solver, metric, point_a, point_b, rtol)
    back = _geodesics(solver, metric, point_b, point_a, rtol)
    apart = _gap(metric, there.points(_TIMES), back.points(_TIMES).flip(-2))
    holds = apart <= rtol**0.5 * there.length
    _hold("reversal", holds, a=point_a, b=point_b, apart=apart, length=there.length)


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
    before = _geodesics(solver, metric, point_a, point_b, rtol).length
    changed = in_other_coordinates(metric.exact)
    a, b = to_other_coordinates(point_a), to_other_coordinates(point_b)
    after = _geodesics(solver, changed, a, b, rtol).length
    numbers = {"length": before, "in other coordinates": after}
    holds = (before - after).abs() <= rtol * before
    _hold("change of coordinates", holds, a=point_a, b=point_b, **numbers)


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
    together = _geodesics(solver, metric, point_a, point_b, rtol).length
    pairs = zip(point_a.split(1), point_b.split(1), strict=True)
    alone = torch.cat([_geodesics(solver, metric, a, b, rtol).length for a, b in pairs])
    holds = (together - alone).abs() <= _SAME * alone
    _hold("batch", holds, a=point_a, b=point_b, together=together, alone=alone)


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
        >>> from pullback.geodesics import Newton
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[[-1.0, 1.0]], [[1.0, 2.0]]], dtype=torch.float64)
        >>> check_subdivision(Newton(), HalfPlane(), a, b)
    """
    whole = _geodesics(solver, metric, point_a, point_b, rtol)
    third = whole.points(3 * _TIMES - 2)[:, :_TIMES]
    middle = third[:, -1]
    first = _geodesics(solver, metric, point_a, middle, rtol)
    rest = _geodesics(solver, metric, middle, point_b, rtol)
    points = {"a": point_a, "b": point_b, "m": middle}
    lengths = {"d(a, b)": whole.length, "d(a, m)": first.length, "d(m, b)": rest.length}
    apart = _gap(metric, third, first.points(_TIMES))
    away = (first.length - whole.length / 3).abs()
    gap = (first.length + rest.length - whole.length).abs()
    _hold("subdivision", gap <= rtol * whole.length, **points, **lengths)
    _hold("subdivision", away <= rtol**0.5 * whole.length, **points, **lengths)
    _hold("subdivision", apart <= rtol**0.5 * whole.length, **points, **lengths, apart=apart)


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
    found = _geodesics(solver, metric, point_a, point_b, rtol, initial=starts[1:]).length
    numbers = {"length": found, "of the shortest start": shortest}
    _hold("never longer", found <= (1 + rtol) * shortest, a=point_a, b=point_b, **numbers)


_LAWS_OF_PAIRS = (
    check_symmetry,
    check_reversal,
    check_coordinates,
    check_batch,
    check_subdivision,
    check_never_longer,
)


def _geodesics(
    solver: Solver,
    metric: Metric,
    a: Tensor,
    b: Tensor,
    rtol: float,
    initial: list[Tensor] | None = None,
) -> GeodesicResult:
    """Connect the points, all of which must converge."""
    options: dict[str, Any] = {"rtol": _SETTLED * rtol, "confirm": False}  # which would mend it
    result = connect(metric, a, b, solver=solver, initial=initial, **options)
    status = {"status": result.status, "refinement": result.refinement}
    _hold("convergence", result.converged, a=a, b=b, **status)
    return result


def _hold(law: str, holds: Tensor, **values: Tensor) -> None:
    """Raise for the first pair by which the law is broken, with what is known of it."""
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


def _gap(metric: Metric, curve: Tensor, other: Tensor) -> Tensor:
    """How far apart curves are at most, at equal times."""
    return metric.norm(curve, other - curve).amax(-1)


def _length(metric: Metric, nodes: Tensor) -> Tensor:
    return measure(metric, CubicSpline(nodes).points(_DENSE))[0]
