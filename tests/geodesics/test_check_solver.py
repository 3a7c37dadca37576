"""The public laws for solvers: every solver obeys them, and broken ones do not get past them."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.geodesics import (
    GEORCE,
    LBFGS,
    Collocation,
    GaussNewtonLBFGS,
    GPFixedPoint,
    Newton,
    Shooting,
    Solver,
    Status,
)
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.metrics import PullbackMetric, TabulatedMetric
from pullback.testing import (
    check_batch,
    check_coordinates,
    check_length,
    check_never_longer,
    check_reversal,
    check_solver,
    check_subdivision,
    check_symmetry,
    check_triangle,
    convergence_order,
)

PLANE = HalfPlane()
SPHERE = PullbackMetric(stereographic, dim=2)
PARABOLOID = PullbackMetric(paraboloid, dim=2)
A, B, C = torch.tensor(
    [
        [[-0.6, 1.0], [0.5, 0.9]],
        [[0.7, 1.2], [-0.6, 1.6]],
        [[0.2, 2.0], [0.0, 0.8]],
    ],
    dtype=torch.float64,
)


NAMES = {"ids": lambda value: type(value).__name__ if isinstance(value, Solver) else f"{value:g}"}

# To what share of its length each solver gets a curve right, through `connect`.
NEWTON = [(Newton(max_age=1), 1e-6), (Newton(max_age=3), 1e-6)]  # corrected to fourth order
OTHERS = [
    # It converges linearly, and its chains are off by h^2: their lengths by h^4.
    (LBFGS(), 1e-5),
    # The same, and with nodes that crowd near the ends the others are further apart.
    (GaussNewtonLBFGS(), 1e-5),
    # Its nodes are off by h along the curve, of which speed and energy suffer.
    (GEORCE(), 1e-3),
    # Twenty mesh points, whatever the number of nodes.
    (GPFixedPoint(), 1e-5),
]
# The residual of the equation is held below sqrt(tol) = 3e-5: the length is off by about tol. Pair
# by pair, so it takes long.
COLLOCATION = (Collocation(), 1e-5)
# The end is hit to 1e-5, and between the ends the integration is more exact. Each of its steps
# differentiates a whole geodesic, so it is not asked for more, and held against one space only.
SHOOTING = (Shooting(tol=1e-5, rtol=1e-6), 1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize(("solver", "rtol"), NEWTON, **NAMES)
def test_newton_obeys_the_laws(solver, rtol):
    check_solver(solver, rtol=rtol)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("solver", "rtol"),
    [*OTHERS, pytest.param(*COLLOCATION, marks=pytest.mark.exhaustive)],
    **NAMES,
)
def test_every_solver_obeys_the_laws(solver, rtol):
    check_solver(solver, rtol=rtol)


@pytest.mark.exhaustive
def test_shooting_obeys_the_laws():
    solver, rtol = SHOOTING
    check_solver(solver, metrics=[PARABOLOID], rtol=rtol)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "rtol"), OTHERS, **NAMES)
def test_others_obey_the_laws_in_one_space(solver, rtol):
    check_solver(solver, metrics=[PLANE], rtol=rtol)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "rtol"), [COLLOCATION, SHOOTING], **NAMES)
def test_the_slow_ones_find_the_true_length_at_least(solver, rtol):
    check_length(solver, PLANE, A[:1], B[:1], PLANE.dist(A[:1], B[:1]), rtol=rtol)


@pytest.mark.slow
def test_the_laws_hold_on_a_table():
    codes = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    table = TabulatedMetric.build(SPHERE, codes, rtol=1e-4)
    check_solver(Newton(), metrics=[table])


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 3, 9])
def test_the_laws_hold_in_other_dimensions(d):
    check_solver(LBFGS(), metrics=[PullbackMetric(paraboloid, dim=d)], rtol=1e-4)


class Standing(NamedTuple):
    nodes: Tensor
    status: Tensor


class Idle(Solver):
    """It calls every curve a geodesic."""

    def init(self, metric, nodes):
        return Standing(nodes, torch.full(nodes.shape[:1], Status.RUNNING))

    def step(self, metric, state, tol):
        return Standing(state.nodes, torch.full_like(state.status, Status.CONVERGED))


class Adrift(Newton):
    """It moves the ends of its curves."""

    def relax(self, metric, nodes, *, tol=None):
        relaxation = super().relax(metric, nodes, tol=tol)
        return relaxation._replace(nodes=relaxation.nodes + 1e-12)


class Restless(Newton):
    """It does not see that a point is a geodesic."""

    def relax(self, metric, nodes, *, tol=None):
        relaxation = super().relax(metric, nodes, tol=tol)
        still = (nodes == nodes[:, :1]).flatten(1).all(-1)
        stalled = torch.where(still, int(Status.STALLED), relaxation.status)
        return relaxation._replace(status=stalled)


class Sociable(LBFGS):
    """It takes less care where it has more curves."""

    def step(self, metric, state, tol):
        return super().step(metric, state, 1e-2 if len(state.nodes) > 1 else tol)


class Bent(Idle):
    """It bends every line a little to the side, by where it begins."""

    def step(self, metric, state, tol):
        a, b = state.nodes[:, :1], state.nodes[:, -1:]
        t = torch.linspace(0, 1, state.nodes.shape[1], dtype=a.dtype).reshape(1, -1, 1)
        bent = a + t * (b - a) + 0.03 * t * (1 - t) * a.roll(1, -1).abs()
        return super().step(metric, Standing(bent, state.status), tol)


@pytest.fixture
def believed(monkeypatch):
    """Let `connect` take a solver at its word, so that the laws alone can find it out."""
    from pullback.geodesics import solve

    monkeypatch.setattr(solve, "THRESHOLDS", replace(solve.THRESHOLDS, unknown=0.0))


# In so many dimensions only the residual speaks against a solver.
WIDE = PullbackMetric(paraboloid, dim=9)
NEARLY_FLAT = PullbackMetric(lambda z: torch.cat([z, 0.1 * (2 * z).sin()], -1), dim=9)
FROM, TO = torch.rand(2, 2, 9, generator=torch.Generator().manual_seed(0)).double() - 0.5


@pytest.mark.slow
def test_one_that_does_nothing_is_found(believed):
    message = (
        r"^convergence: broken by . of 3 pairs, first by pair .: a = \(.*\), b = \(.*\), status"
    )
    with pytest.raises(AssertionError, match=message + " = UNRESOLVED, refinement = "):
        check_solver(Idle())
    with pytest.raises(AssertionError, match="^change of coordinates: .* in other coordinates = "):
        check_solver(Idle(), metrics=[WIDE])


def test_the_problem_is_named():
    with pytest.raises(AssertionError, match="^convergence") as caught:
        check_solver(Idle())
    assert caught.value.__notes__ == ["The problem was: sphere."]


def test_one_that_moves_its_ends_is_found():
    with pytest.raises(AssertionError, match=r"^ends: .* c\(0\) = "):
        check_solver(Adrift())


def test_one_that_cannot_stand_still_is_found():
    with pytest.raises(AssertionError, match=r"^equal ends: .* status = STALLED"):
        check_solver(Restless())


@pytest.mark.slow
def test_one_that_looks_at_the_batch_is_found(believed):
    with pytest.raises(AssertionError, match=r"^batch: .* together = .*, alone = "):
        check_batch(Sociable(), WIDE, FROM, TO)


@pytest.mark.parametrize(
    ("law", "name"),
    [
        (check_symmetry, r"^symmetry: .* d\(a, b\) = .*, d\(b, a\) = "),
        (check_reversal, "^reversal: .* apart = "),
        (check_coordinates, "^change of coordinates: "),
        (check_subdivision, r"^subdivision: .* m = .*, d\(m, b\) = "),
        (check_never_longer, "^never longer: .* of the shortest start = "),
    ],
)
def test_one_that_bends_its_curves_is_found(law, name, believed):
    with pytest.raises(AssertionError, match=name):
        law(Bent(), NEARLY_FLAT, FROM, TO, rtol=1e-6)


def test_one_that_walks_straight_over_hills_is_found(believed):
    def hill(z):
        return torch.cat([z, 3 * torch.exp(-4 * z.square().sum(-1, keepdim=True))], -1)

    west, north = torch.zeros(2, 1, 9, dtype=torch.float64)
    west[:, 0], north[:, 1] = -1, 1
    with pytest.raises(AssertionError, match=r"^triangle inequality: .* c = .*, d\(a, c\) = "):
        check_triangle(Idle(), PullbackMetric(hill), west, north, -west)


def test_lengths_that_are_not_the_true_ones_are_found():
    with pytest.raises(AssertionError, match=r"^length: .* d\(a, b\) = .*, truth = "):
        check_length(Newton(), PLANE, A, B, 1.01 * PLANE.dist(A, B))


@pytest.mark.slow
def test_each_law_can_be_called_alone():
    for law in (check_symmetry, check_reversal, check_coordinates, check_never_longer):
        law(Newton(), PLANE, A, B)
    check_triangle(Newton(), PLANE, A, B, C)


def test_a_space_that_is_elsewhere_is_refused():
    class Above(HalfPlane):
        def contains(self, z):
            return z[..., 1] > 10

    with pytest.raises(InvalidDataError, match="Choose points of your own"):
        check_solver(Newton(), metrics=[Above()])


@pytest.mark.parametrize("rtol", [0.0, -1.0])
def test_a_tolerance_must_be_positive(rtol):
    with pytest.raises(InvalidParameterError, match="`rtol` must be"):
        check_solver(Newton(), rtol=rtol)


def half_circles(t):
    """The geodesics from A to B: x = x_0 + r tanh u, y = r / cosh u, where u is the length."""
    centre = (B.square().sum(-1) - A.square().sum(-1)) / (2 * (B - A)[:, 0])
    radius = (A[:, 0] - centre).hypot(A[:, 1]).unsqueeze(-1)
    u, end = (torch.asinh((p[:, 0] - centre) / p[:, 1]).unsqueeze(-1) for p in (A, B))
    there = u + t * (end - u)
    x = centre.unsqueeze(-1) + radius * torch.tanh(there)
    return torch.stack([x, radius / torch.cosh(there)], -1)


CHAINS = [Newton(max_age=1, tol=1e-14), Newton(tol=1e-14), LBFGS(tol=1e-14)]


@pytest.mark.slow
@pytest.mark.parametrize("solver", CHAINS)
def test_chains_of_chords_are_of_second_order_and_their_lengths_of_fourth(solver):
    nodes = convergence_order(solver, PLANE, A, B, half_circles)
    lengths = convergence_order(solver, PLANE, A, B, PLANE.dist(A, B))
    assert nodes == pytest.approx(2, abs=0.1)
    assert lengths == pytest.approx(4, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("solver", CHAINS[:2])
def test_the_correction_makes_newton_s_chains_one_of_fourth_order(solver):
    order = convergence_order(solver, PLANE, A, B, half_circles, connected=True)
    assert order == pytest.approx(4, abs=0.2)


@pytest.mark.slow
def test_uncorrected_chains_stay_of_second_order():
    order = convergence_order(LBFGS(tol=1e-14), PLANE, A, B, half_circles, connected=True)
    assert order == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_on_the_sphere_lengths_converge_still_faster():
    """By symmetry the nodes lie on the great circle whatever their number."""
    a, b = A - 0.6, B - 0.6
    truth = great_circle_dist(a, b)
    assert convergence_order(Newton(tol=1e-14), SPHERE, a, b, truth) > 5


@pytest.mark.slow
def test_georce_is_of_first_order_along_the_curve():
    order = convergence_order(GEORCE(tol=1e-14), PLANE, A, B, half_circles, n_segments=(16, 32, 64))
    assert order == pytest.approx(1, abs=0.1)


def largest_error(solver, n_segments):
    nodes = solver.relax(PLANE, straight_line(A, B, n_segments)).nodes
    t = torch.linspace(0, 1, n_segments + 1, dtype=torch.float64)
    return float((nodes - half_circles(t)).norm(dim=-1).max())


@pytest.mark.slow
@pytest.mark.parametrize("n_segments", [8, 16, 32])
@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-10])
def test_collocation_is_as_exact_as_its_tolerance_whatever_the_nodes(tol, n_segments):
    assert largest_error(Collocation(tol=tol), n_segments) < tol**0.5


@pytest.mark.thorough
@pytest.mark.parametrize(("tol", "n_segments"), [(1e-6, 32), (1e-9, 8)])
def test_shooting_is_as_exact_as_its_tolerance_whatever_the_nodes(tol, n_segments):
    assert largest_error(Shooting(tol=tol, rtol=tol / 10), n_segments) < 10 * tol


@pytest.mark.slow
@pytest.mark.parametrize("n_segments", [8, 32])
def test_the_process_is_as_exact_as_its_mesh_whatever_the_nodes(n_segments):
    coarse, fine = (largest_error(GPFixedPoint(n_mesh=n), n_segments) for n in (10, 20))
    assert fine < 1e-5
    assert fine < coarse / 16


@pytest.mark.slow
def test_errors_that_have_no_logarithm_are_refused():
    with pytest.raises(InvalidDataError, match="A slope needs two or more errors"):
        convergence_order(Newton(), PLANE, A, B, PLANE.dist(A, -B))
    with pytest.raises(InvalidDataError, match="A slope needs two or more errors"):
        convergence_order(Newton(), PLANE, A, B, PLANE.dist(A, B), n_segments=(8,))
    with pytest.raises(InvalidParameterError, match="`n_segments` must be"):
        convergence_order(Newton(), PLANE, A, B, PLANE.dist(A, B), n_segments=(1, 8))
