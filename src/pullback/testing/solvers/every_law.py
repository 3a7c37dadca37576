"""All laws at once, on small problems."""

from collections.abc import Sequence

import torch

from pullback.errors import check_number
from pullback.geodesics import Solver
from pullback.metrics import Metric
from pullback.testing.problems import Problem, draw_points, small_problems
from pullback.testing.solvers.curves import check_ends, check_reversal, check_subdivision
from pullback.testing.solvers.lengths import (
    check_batch,
    check_coordinates,
    check_equal_ends,
    check_length,
    check_never_longer,
    check_symmetry,
    check_triangle,
)

__all__ = ["check_solver"]

# Pairs of points for each law and each problem.
_PAIRS = 3
_LAWS_OF_PAIRS = (
    check_symmetry,
    check_reversal,
    check_coordinates,
    check_batch,
    check_subdivision,
    check_never_longer,
)


def check_solver(
    solver: Solver,
    *,
    metrics: Sequence[Metric] | None = None,
    rtol: float = 1e-3,
    generator: torch.Generator | None = None,
) -> None:
    """Hold a solver against every law of this folder, on small problems.

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
