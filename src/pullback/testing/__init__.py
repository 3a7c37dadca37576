"""Laws for those who extend the package: what a solver of their own has to obey."""

from pullback.testing.convergence import convergence_order
from pullback.testing.decoders import check_decoder
from pullback.testing.likelihoods import check_likelihood
from pullback.testing.metrics import check_metric
from pullback.testing.solvers import (
    check_batch,
    check_coordinates,
    check_ends,
    check_equal_ends,
    check_length,
    check_never_longer,
    check_reversal,
    check_solver,
    check_subdivision,
    check_symmetry,
    check_triangle,
)

__all__ = [
    "check_batch",
    "check_coordinates",
    "check_decoder",
    "check_ends",
    "check_equal_ends",
    "check_length",
    "check_likelihood",
    "check_metric",
    "check_never_longer",
    "check_reversal",
    "check_solver",
    "check_subdivision",
    "check_symmetry",
    "check_triangle",
    "convergence_order",
]
