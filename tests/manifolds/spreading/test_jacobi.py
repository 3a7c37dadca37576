"""Jacobi fields and conjugate points against closed forms and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.geodesics import Status, shoot
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic, torus
from pullback.manifolds.spreading import injectivity
from pullback.manifolds.spreading.conjugate import conjugate_points
from pullback.manifolds.spreading.injectivity import injectivity_radius
from pullback.manifolds.spreading.jacobi import jacobi_field
from pullback.metrics import PullbackMetric

SPHERE, PLANE = PullbackMetric(stereographic), HalfPlane()
BOWL, TORUS = PullbackMetric(paraboloid), PullbackMetric(torus)
TIMES = torch.tensor([0.0, 0.3, 0.8, 1.0], dtype=torch.float64)


def vector(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def across(metric, point, direction):
    """Turn a direction into a unit vector, and find the unit vector across it."""
    u = direction / metric.norm(point, direction)
    M = metric.metric_matrix(point)
    n = torch.stack([-(M @ u)[1], (M @ u)[0]])
    return u, n / metric.norm(point, n)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "point", "size", "slope"),
    [
        (SPHERE, (0.4, 0.1), torch.sin, torch.cos),
        (PLANE, (0.0, 1.0), torch.sinh, torch.cosh),
    ],
)
def test_fields_in_constant_curvature(metric, point, size, slope):
    a = vector(*point)
    u, n = across(metric, a, vector(1.0, 0.3))
    length = 1.5
    J = jacobi_field(metric, a, length * u, torch.zeros(2), length * n)
    assert J.converged
    c, t = J.points(TIMES), length * TIMES
    torch.testing.assert_close(metric.norm(c, J.at(TIMES)), size(t), rtol=1e-6, atol=1e-7)
    change = metric.norm(c, J.derivative(TIMES)) / length
    torch.testing.assert_close(change, slope(t).abs(), rtol=1e-6, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(("metric", "point"), [(TORUS, (0.3, 0.5)), (BOWL, (0.7, -0.2))])
def test_fields_in_changing_curvature_are_scipy_s(metric, point):
    def curvature(z):
        x, y = z
        if metric is TORUS:
            return math.cos(y) / (2 + math.cos(y))
        return 4 / (1 + 4 * (x**2 + y**2)) ** 2

    a, length = vector(*point), 2.0
    u, n = across(metric, a, vector(0.6, 1.0))
    J = jacobi_field(metric, a, length * u, 0.5 * n, -0.2 * length * n)
    flight = shoot(metric, a, length * u)

    def slope(s, y):
        z = flight.at(torch.tensor([min(s / length, 1.0)], dtype=torch.float64))[0]
        return [y[1], -curvature(z.tolist()) * y[0]]

    seen = (length * TIMES).numpy()
    truth = solve_ivp(slope, (0, length), [0.5, -0.2], t_eval=seen, rtol=1e-8, atol=1e-10).y[0]
    c = J.points(TIMES)
    np.testing.assert_allclose(metric.norm(c, J.at(TIMES)), np.abs(truth), rtol=1e-5)


@pytest.mark.slow
def test_a_field_that_begins_at_zero_is_the_differential_of_exp():
    a, v = torch.randn(2, 3, 2, dtype=torch.float64) / 2
    D = shoot(BOWL, a, v).differential()
    J = jacobi_field(BOWL, a, v, torch.zeros(2), [0.0, 1.0])
    torch.testing.assert_close(J.at(TIMES[-1:]).squeeze(-2), D[..., 1], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_field_is_the_difference_of_geodesics():
    a, v, w = vector(0.0, 1.0), vector(0.5, 0.4), vector(0.3, 0.2)
    # Along x the space looks everywhere the same: moving there is a field with J' = 0 but turning.
    step = 1e-4 * vector(1.0, 0.0)
    ahead, behind = (shoot(PLANE, a + s * step, v + s * 1e-4 * w) for s in (1, -1))
    truth = (ahead.at(TIMES) - behind.at(TIMES)) / 2e-4
    gamma = vector(-v[1], v[0])  # Gamma(v, e_x) at y = 1
    J = jacobi_field(PLANE, a, v, [1.0, 0.0], w + gamma)
    torch.testing.assert_close(J.at(TIMES), truth, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_tangential_fields_are_linear():
    a, v = vector(0.5, 0.2), vector(0.8, -0.3)
    J = jacobi_field(BOWL, a, v, 2 * v, -v)
    velocity = shoot(BOWL, a, v).velocity(TIMES)
    wanted = (2 - TIMES).unsqueeze(-1) * velocity
    torch.testing.assert_close(J.at(TIMES), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_batch_of_fields_is_a_loop_and_the_manifold_s():
    a, v, J, change = torch.randn(4, 2, 2, dtype=torch.float64) / 2
    batch = jacobi_field(BOWL, a, v, J, change).at(TIMES)
    single = Manifold(BOWL, dim=2).jacobi_field(a[1], v[1], J[1], change[1]).at(TIMES)
    torch.testing.assert_close(batch[1], single, rtol=1e-6, atol=1e-7)


def test_a_field_along_a_geodesic_that_leaves_says_so():
    J = jacobi_field(PLANE, [0.0, -1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0])
    assert J.status == Status.LEFT_DOMAIN
    assert J.at(TIMES[1:]).isnan().all()


@pytest.mark.exhaustive
def test_on_the_sphere_opposite_points_are_conjugate_and_nothing_nearer():
    a = vector(0.5, 0.0)
    v = torch.tensor([[0.0, 2.5], [1.5, 2.5], [-2.9, 1.0], [0.3, 1.0]], dtype=torch.float64)
    found = conjugate_points(SPHERE, a, v)
    torch.testing.assert_close(
        found.distance[:3], torch.full((3,), math.pi).double(), rtol=1e-6, atol=0
    )
    assert found.distance[3].isinf()
    assert found.status.tolist() == [0] * 4
    torch.testing.assert_close(found.followed, SPHERE.norm(a.expand(4, 2), v))


@pytest.mark.thorough
def test_conjugate_points_of_even_multiplicity_are_found():
    a, v = vector(0.5, 0.0, 0.2), vector(0.3, 2.5, 0.4)  # all geodesics meet: determinants touch 0
    assert conjugate_points(SPHERE, a, v).distance.item() == pytest.approx(math.pi, rel=1e-6)


@pytest.mark.exhaustive
def test_the_half_plane_has_no_conjugate_points_however_far():
    v = torch.tensor([[30.0, 0.0], [0.0, 40.0]], dtype=torch.float64)  # fields grow by 10^17
    found = conjugate_points(PLANE, [0.0, 1.0], v)
    assert found.distance.isinf().all()
    assert found.status.tolist() == [0, 0]


@pytest.mark.exhaustive
def test_on_the_outer_equator_of_the_torus():
    found = conjugate_points(TORUS, [0.0, 0.0], [4.0, 0.0])  # of constant velocity: long steps
    assert found.distance.item() == pytest.approx(math.pi * math.sqrt(3), rel=1e-6)
    inner = conjugate_points(TORUS, [0.0, math.pi], [8.0, 0.0])
    assert inner.distance.isinf()


@pytest.mark.thorough
def test_a_line_and_a_standstill_have_no_conjugate_points():
    line = PullbackMetric(lambda z: torch.cat([z.sin(), z.cos()], -1))
    assert conjugate_points(line, [0.0], [20.0]).distance.isinf()
    assert conjugate_points(BOWL, [0.0, 0.0], [0.0, 0.0]).distance.isinf()


@pytest.mark.thorough
def test_a_geodesic_that_is_lost_before_is_said_to_be():
    v = [[9.0, 0.0], [0.01, 0.0]]
    with pytest.warns(ConvergenceWarning, match="1 of 2 geodesics could not be followed"):
        found = Manifold(PLANE).conjugate_distance([0.0, 1.0], v, max_steps=6)
    assert found.isinf().all()
    points = conjugate_points(PLANE, [0.0, 1.0], v, max_steps=6)
    assert points.followed[0] < 9
    assert points.status.tolist() == [Status.MAX_STEPS, Status.CONVERGED]


@pytest.mark.slow
def test_the_nearer_of_cut_and_conjugate_points_is_the_radius(monkeypatch):
    """On a plane, of which we say that beyond 1.3 there is always a shorter way."""
    monkeypatch.setattr(
        injectivity, "_is_shorter", lambda metric, z, ends, lengths, graph: lengths > 1.3
    )
    flat = PullbackMetric(lambda z: 2 * z)
    found = injectivity_radius(flat, [0.0, 0.0], 2.0, n_directions=3, n_lengths=4)
    assert found.conjugate.isinf().all()
    assert found.radius == float(found.cut.min())
    assert found.radius == pytest.approx(1.3, abs=0.5 / 2**7)  # a step, halved seven times


@pytest.mark.exhaustive
def test_the_injectivity_radius_of_the_sphere_is_pi():
    found = injectivity_radius(SPHERE, [0.5, 0.1], 3.4, n_directions=6, n_lengths=3)
    assert found.radius == pytest.approx(math.pi, rel=1e-5)
    assert found.cut.min() > 3.1


@pytest.mark.exhaustive
def test_the_cut_points_of_a_bowl_begin_at_its_nearest_conjugate_point():
    # That one lies straight across the apex, on the meridian that is the set of cut points.
    found = injectivity_radius(BOWL, [1.0, 0.0], 3.5, n_directions=8, n_lengths=6)
    across = conjugate_points(BOWL, [1.0, 0.0], [-1.5, 0.0]).distance.item()
    assert across < found.radius < 1.01 * across
    assert found.radius == found.conjugate.min().item() < found.cut.min() < 3.5
    u = found.directions
    torch.testing.assert_close(BOWL.norm(vector(1.0, 0.0).expand_as(u), u), torch.ones(8).double())


def test_bad_input_is_refused():
    with pytest.raises(InvalidDataError, match="broadcast"):
        jacobi_field(PLANE, torch.ones(2, 2), torch.ones(3, 2), [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(InvalidDataError, match="`derivative` must be finite"):
        jacobi_field(PLANE, [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [math.nan, 0.0])
    with pytest.raises(InvalidDataError, match="`tangent_vector` must have shape"):
        conjugate_points(PLANE, [0.0, 1.0], [1.0, 0.0, 0.0])
    with pytest.raises(InvalidDataError, match="one point"):
        injectivity_radius(PLANE, torch.ones(2, 2), 1.0)
    with pytest.raises(InvalidParameterError, match="`max_length`"):
        injectivity_radius(PLANE, [0.0, 1.0], 0.0)
