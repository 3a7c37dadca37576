"""Laws that geodesics obey in every space, to hold a solver against.

Each law is a function of the solver, a metric and pairs of points. It connects them as
`geodesics.connect` does, and raises an `AssertionError` that names the law, the pair and the
numbers. `check_solver` tries all laws on small problems.
"""

from pullback.testing.solvers.curves import check_ends, check_reversal, check_subdivision
from pullback.testing.solvers.every_law import check_solver
from pullback.testing.solvers.lengths import (
    check_batch,
    check_coordinates,
    check_equal_ends,
    check_length,
    check_never_longer,
    check_symmetry,
    check_triangle,
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
