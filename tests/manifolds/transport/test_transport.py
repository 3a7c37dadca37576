"""Parallel transport against closed forms: lengths and angles stay, loops turn by the curvature."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.curves import CubicSpline, Polyline
from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.geodesics import Status, connect, shoot
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, curved_plane, paraboloid, stereographic
from pullback.manifolds.transport.holonomy import holonomy
from pullback.manifolds.transport.magnus import NODES, magnus_propagator
from pullback.manifolds.transport.path import Path
from pullback.manifolds.transport.pole_ladder import pole_ladder
from pullback.manifolds.transport.transport import transport
from pullback.metrics import PullbackMetric

SPHERE, PLANE = PullbackMetric(stereographic), HalfPlane()
BOWL, FLAT = PullbackMetric(paraboloid), PullbackMetric(curved_plane)
AXES = torch.eye(2, dtype=torch.float64)


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def circle(radius, n=129):
    angle = torch.linspace(0, 2 * math.pi, n, dtype=torch.float64)
    return CubicSpline(radius * torch.stack([angle.cos(), angle.sin()], -1))


@pytest.mark.slow
def test_on_the_way_up_the_half_plane_vectors_grow_with_the_height():
    moved = transport(PLANE, AXES, points([2.0, 0.5], [2.0, 3.0]))
    torch.testing.assert_close(moved.vectors, 6 * AXES, rtol=1e-7, atol=1e-9)
    assert moved.converged
    assert moved.defect < 1e-5
    assert moved.error < 1e-5


def test_along_a_horocycle_vectors_turn_by_its_length():
    x, y = 1.3, 0.7  # of geodesic curvature 1, so the angle is its length x / y
    moved = transport(PLANE, AXES, points([0.0, y], [x, y]), rtol=1e-8)
    angle = x / y
    turned = points([math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)])
    torch.testing.assert_close(moved.vectors, turned, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
def test_in_a_flat_space_vectors_stay_in_the_image():
    path = points([0.0, 0.0], [1.0, 0.5], [0.3, -1.0])
    moved = transport(FLAT, AXES, path, rtol=1e-8)
    before = torch.stack([FLAT.push_forward(path[0], axis) for axis in AXES])
    after = torch.stack([FLAT.push_forward(path[2], vector) for vector in moved.vectors])
    torch.testing.assert_close(after, before, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("radius", [0.2, 0.5, 1.5])
def test_a_parallel_of_the_sphere_turns_vectors_by_the_area_it_encloses(radius):
    area = 4 * math.pi * radius**2 / (1 + radius**2)
    angle = holonomy(SPHERE, circle(radius))
    assert math.remainder(angle.item() - area, 2 * math.pi) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_a_geodesic_triangle_turns_vectors_by_its_excess():
    a, b, c = points([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])  # an octant
    v = points([1.0, 0.0])[0]
    for start, end in ((a, b), (b, c), (c, a)):
        side = connect(SPHERE, start, end)
        v = transport(SPHERE, v, side, rtol=1e-7).vectors
    torch.testing.assert_close(v, points([0.0, 1.0])[0], rtol=0, atol=1e-4)  # of the curves


@pytest.mark.slow
def test_the_velocity_of_a_geodesic_is_parallel():
    flight = shoot(BOWL, points([-0.5, 0.3], [1.0, 0.0]), points([1.0, 0.2], [0.3, 1.0]))
    moved = transport(BOWL, flight.velocities[:, 0], flight)
    torch.testing.assert_close(moved.vectors, flight.end_velocity, rtol=1e-6, atol=1e-7)


coordinate = st.floats(-1.5, 1.5)
nodes = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=5)


@pytest.mark.slow
@settings(max_examples=15)
@given(nodes)
def test_transport_is_an_isometry_and_backwards_its_inverse(rows):
    path = points(*rows)
    moved = transport(BOWL, AXES, path, rtol=1e-7)
    assert moved.converged
    before, after = BOWL.metric_matrix(path[0]), BOWL.metric_matrix(path[-1])
    gram = moved.vectors @ after @ moved.vectors.T
    torch.testing.assert_close(gram, before, rtol=1e-5, atol=1e-5)
    back = transport(BOWL, moved.vectors, path, backwards=True, rtol=1e-7)
    torch.testing.assert_close(back.vectors, AXES, rtol=0, atol=1e-9)
    flipped = transport(BOWL, moved.vectors, path.flip(0), rtol=1e-7)
    torch.testing.assert_close(flipped.vectors, AXES, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_whole_way_is_its_parts():
    path = points([0.0, 1.0], [1.0, 0.5], [1.5, 2.0])
    whole = transport(PLANE, AXES, path).vectors
    first = transport(PLANE, AXES, path[:2]).vectors
    torch.testing.assert_close(transport(PLANE, first, path[1:]).vectors, whole, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_a_batch_is_a_loop_and_leading_axes_are_several_vectors():
    paths = torch.randn(3, 2, 4, 2, dtype=torch.float64)
    v = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    batch = transport(BOWL, v, paths)
    assert batch.vectors.shape == v.shape
    assert batch.defect.shape == (3, 2)
    for i, j in ((0, 0), (2, 1)):
        single = transport(BOWL, v[:, i, j], paths[i, j])
        torch.testing.assert_close(single.vectors, batch.vectors[:, i, j], rtol=1e-9, atol=1e-10)
    one = transport(BOWL, v[0, 0, 0], paths)
    assert one.vectors.shape == (3, 2, 2)


def test_a_constant_curve_moves_nothing():
    moved = transport(BOWL, AXES, torch.ones(3, 2, dtype=torch.float64))
    assert torch.equal(moved.vectors, AXES)
    assert moved.defect < 1e-14


@pytest.mark.parametrize(("nodes", "order"), [(2, 4), (3, 6)])
def test_the_propagators_have_their_order(nodes, order):
    def coefficient(t):
        rows = [t.sin(), t.square(), t.exp() - 2, -t.cos()]
        return 2 * torch.stack(rows, -1).unflatten(-1, (2, 2))

    def error(n):
        t = (torch.arange(n, dtype=torch.float64)[:, None] + torch.tensor(NODES[nodes])) / n
        return (magnus_propagator(coefficient(t), 1 / n) - truth).norm()

    t = (torch.arange(200, dtype=torch.float64)[:, None] + torch.tensor(NODES[3])) / 200
    truth = magnus_propagator(coefficient(t), 1 / 200)
    assert math.log2(error(5) / error(10)) == pytest.approx(order, abs=0.4)


@pytest.mark.thorough
def test_the_pole_ladder_is_exact_on_the_sphere():
    flight = shoot(SPHERE, points([0.3, 0.1])[0], points([0.6, -0.2])[0])
    ladder = pole_ladder(SPHERE, AXES, flight, n_rungs=2)
    truth = transport(SPHERE, AXES, flight, rtol=1e-9)
    torch.testing.assert_close(ladder.vectors, truth.vectors, rtol=0, atol=1e-6)
    assert ladder.defect < 1e-6
    assert ladder.error.isnan()


@pytest.mark.exhaustive
def test_the_pole_ladder_s_error_falls_with_the_square_of_the_rungs():
    flight = shoot(BOWL, points([-0.5, 0.3])[0], points([1.0, 0.2])[0])
    truth = transport(BOWL, AXES, flight, rtol=1e-9).vectors
    ladders = [pole_ladder(BOWL, AXES, flight, n_rungs=n) for n in (4, 8)]
    assert all(ladder.converged for ladder in ladders)
    coarse, fine = ((ladder.vectors - truth).norm() for ladder in ladders)
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.2)


@pytest.mark.thorough
def test_a_ladder_down_leads_back():
    line = points([0.0, 1.0], [0.0, 2.0])
    up = pole_ladder(PLANE, AXES, line, n_rungs=3)
    torch.testing.assert_close(up.vectors, 2 * AXES, rtol=0, atol=1e-6)
    down = pole_ladder(PLANE, up.vectors, line, n_rungs=3, backwards=True)
    torch.testing.assert_close(down.vectors, AXES, rtol=0, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("carry", [transport, pytest.param(pole_ladder, marks=pytest.mark.slow)])
def test_a_curve_that_leaves_the_space_is_said_to(carry):
    paths = points([0.0, 1.0], [0.0, -1.0]), points([0.0, 1.0], [0.0, 2.0])
    moved = carry(PLANE, AXES[0], torch.stack(paths))
    assert moved.vectors[0].isnan().all()
    assert moved.vectors[1].isfinite().all()
    assert moved.status[0] in (Status.LEFT_DOMAIN, Status.NOT_FINITE)
    assert moved.status[1] == 0


@pytest.mark.thorough
def test_a_failed_curve_carries_nothing():
    flight = shoot(PLANE, points([0.0, 1.0], [0.0, 1.0]), points([1.0, 0.0], [0.0, -900.0]))
    moved = transport(PLANE, AXES[0], flight)
    assert moved.status.tolist() == flight.status.tolist()
    assert moved.status[1] != 0
    assert moved.vectors[1].isnan().all()
    assert moved.defect[1].isnan()


@pytest.mark.slow
def test_a_kinked_metric_is_not_trusted():
    kinked = PullbackMetric(lambda z: torch.cat([z, 3 * z.relu()], -1))
    moved = transport(kinked, [1.0, 0.0], points([-1.0, -1.0], [1.0, 1.0]), max_steps=8)
    assert moved.status == Status.MAX_STEPS
    assert moved.defect > 0.1


@pytest.mark.thorough
def test_the_manifold_carries_and_warns():
    M = Manifold(PLANE)
    line = [[0.0, 1.0], [0.0, 2.0]]
    torch.testing.assert_close(M.transport([1.0, 0.0], along=line), 2 * AXES[0])
    ladder = M.transport([1.0, 0.0], along=line, method="pole_ladder", n_rungs=2)
    torch.testing.assert_close(ladder, 2 * AXES[0], rtol=1e-5, atol=1e-6)
    with pytest.warns(ConvergenceWarning, match="along 1 of 1 curves"):
        lost = M.transport([1.0, 0.0], along=[[0.0, 1.0], [0.0, -1.0]])
    assert lost.isnan().all()


def test_bad_input_is_refused():
    path = points([0.0, 1.0], [0.0, 2.0])
    with pytest.raises(InvalidDataError, match="broadcasts with"):
        transport(PLANE, torch.ones(3, 2), path.expand(4, 2, 2))
    with pytest.raises(InvalidDataError, match="`tangent_vector` must have shape"):
        transport(PLANE, [1.0, 2.0, 3.0], path)
    with pytest.raises(InvalidDataError, match="`along` must be finite"):
        transport(PLANE, [1.0, 0.0], path * math.nan)
    with pytest.raises(InvalidDataError, match="at least its two end points"):
        transport(PLANE, [1.0, 0.0], path[:1])
    with pytest.raises(InvalidParameterError, match="`rtol`"):
        transport(PLANE, [1.0, 0.0], path, rtol=0)
    with pytest.raises(InvalidParameterError, match="`n_rungs`"):
        pole_ladder(PLANE, [1.0, 0.0], path, n_rungs=0)
    with pytest.raises(InvalidParameterError, match="`method`"):
        Manifold(PLANE).transport([1.0, 0.0], along=path, method="schild")
    with pytest.raises(InvalidDataError, match="closed curves"):
        holonomy(PLANE, path)
    with pytest.raises(InvalidParameterError, match="two dimensions"):
        holonomy(PullbackMetric(lambda z: z), torch.zeros(3, 3, dtype=torch.float64))


def test_steps_suit_the_curve():
    line = Polyline(torch.zeros(8, 2, dtype=torch.float64))
    assert Path.of(line).n_pieces == 7
    assert Path.of(CubicSpline(torch.zeros(257, 2))).n_pieces == 32
    assert Path.of(CubicSpline(torch.zeros(6, 2))).n_pieces == 35


def test_single_precision_stays():
    line = points([0.0, 1.0], [0.0, 2.0]).float()
    moved = transport(PLANE, AXES[0].float(), line)
    assert moved.vectors.dtype == torch.float32
    torch.testing.assert_close(moved.vectors, 2 * AXES[0].float(), rtol=1e-4, atol=1e-4)
