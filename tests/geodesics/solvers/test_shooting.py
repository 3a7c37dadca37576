"""Initial velocities that lead to given ends, against logarithms in closed form."""

import math

import pytest
import torch

from pullback.autodiff import jvp
from pullback.curves import straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Shooting, Status, connect, refine_velocity, shoot
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    curved_plane_inverse,
    great_circle_dist,
    great_circle_log,
    stereographic,
)
from pullback.metrics import Metric, PullbackMetric
from pullback.models import mlp

SPHERE = PullbackMetric(stereographic)


def curved_log(a, b):
    image_a, image_b = curved_plane(a), curved_plane(b)
    return jvp(curved_plane_inverse, image_a, image_b - image_a)[1]


def pairs(n, d):
    a, b = torch.rand(2, n, d, dtype=torch.float64) - 0.5
    a[:, -1] += 1.5
    b[:, -1] += 1.5
    return a, b


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "log", "d"),
    [
        (SPHERE, great_circle_log, 2),
        (HalfPlane(), HalfPlane().log, 2),
        (PullbackMetric(curved_plane), curved_log, 2),
    ],
    ids=["sphere", "half-plane", "curved plane"],
)
def test_the_velocity_is_the_logarithm_in_closed_form(metric, log, d):
    a, b = pairs(3, d)
    truth = log(a, b)
    rough = truth + 0.01 * truth.norm(dim=-1, keepdim=True) * torch.randn_like(truth)
    velocity, status, miss = refine_velocity(metric, a, b, rough)
    assert status.tolist() == [Status.CONVERGED] * 3
    assert bool((miss <= 1e-9 * (b - a).norm(dim=-1)).all())
    torch.testing.assert_close(velocity, truth, rtol=1e-8, atol=1e-8)


@pytest.mark.thorough
def test_a_network_of_many_dimensions_is_shot_through():
    metric = PullbackMetric.from_decoder(mlp([8, 16, 20]), dim=8)
    a, b = torch.randn(2, 2, 8, dtype=torch.float64) / 8
    velocity, status, _ = refine_velocity(metric, a, b, b - a)
    assert status.tolist() == [Status.CONVERGED] * 2
    torch.testing.assert_close(shoot(metric, a, velocity).end, b, rtol=0, atol=1e-7)


@pytest.mark.thorough
def test_from_a_straight_line_to_nodes_on_the_geodesic():
    a, b = pairs(3, 2)
    nodes, status, n_steps = Shooting().relax(HalfPlane(), straight_line(a, b, 6))
    assert status.tolist() == [Status.CONVERGED] * 3
    assert bool((n_steps < 15).all())
    assert torch.equal(nodes[:, [0, -1]], torch.stack([a, b], 1))
    steps = HalfPlane().dist(nodes[:, 1:].contiguous(), nodes[:, :-1].contiguous())
    truth = HalfPlane().dist(a, b) / 6
    torch.testing.assert_close(steps, truth[:, None].expand(3, 6), rtol=1e-7, atol=1e-8)


@pytest.mark.thorough
def test_two_solvers_find_the_same_geodesics():
    a, b = pairs(3, 2)
    shot = connect(SPHERE, a, b, solver=Shooting(), levels=(8, 16, 32))
    assert shot.converged.all()
    truth = great_circle_dist(a, b)
    torch.testing.assert_close(shot.length, truth, rtol=1e-6, atol=0)
    relaxed = connect(SPHERE, a, b, solver=Newton(), levels=(8, 16, 32))
    torch.testing.assert_close(shot.length, relaxed.length, rtol=1e-6, atol=0)


@pytest.mark.thorough
def test_batches_of_any_shape_are_one_batch():
    a, b = pairs(2, 2)
    flat = refine_velocity(HalfPlane(), a, b, b - a)
    shaped = refine_velocity(HalfPlane(), *(x.reshape(2, 1, 2) for x in (a, b, b - a)))
    for one, other in zip(flat, shaped, strict=True):
        assert torch.equal(one, other.reshape(one.shape))
    alone = refine_velocity(HalfPlane(), a[0], b[0], b[0] - a[0])
    torch.testing.assert_close(alone[0], flat[0][0], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_the_geodesic_to_the_same_point_stands_still():
    a, _ = pairs(1, 2)
    velocity, status, miss = refine_velocity(HalfPlane(), a, a, torch.zeros_like(a))
    assert (velocity.abs().max(), status.item(), miss.item()) == (0, Status.CONVERGED, 0)
    relaxed = Shooting().relax(HalfPlane(), straight_line(a, a, 3))
    assert relaxed.status.tolist() == [Status.CONVERGED]
    assert torch.equal(relaxed.nodes, a.expand(4, 2).unsqueeze(0))


@pytest.mark.thorough
def test_single_precision_hits_as_well_as_it_can():
    a, b = (x.float() for x in pairs(4, 2))
    velocity, status, _ = refine_velocity(HalfPlane(), a, b, b - a)
    assert velocity.dtype == torch.float32
    assert status.tolist() == [Status.CONVERGED] * 4
    torch.testing.assert_close(velocity, HalfPlane().log(a, b), rtol=1e-3, atol=1e-4)


class Disc(Metric):
    """Flat within the unit circle."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape, 2)

    def contains(self, z):
        return z.norm(dim=-1) < 1


@pytest.mark.slow
def test_why_a_geodesic_could_not_be_followed_is_passed_on():
    a = torch.zeros(3, 2, dtype=torch.float64)
    b = torch.tensor([[0.5, 0.0], [2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    start = b.clone()
    start[2, 0] = torch.nan
    _, status, miss = refine_velocity(Disc(), a, b, start)
    expected = [Status.CONVERGED, Status.LEFT_DOMAIN, Status.NOT_FINITE]
    assert status.tolist() == [int(code) for code in expected]
    assert miss.tolist() == [pytest.approx(0, abs=1e-15), math.inf, math.inf]
    line = straight_line(a, b, 2)
    relaxed = Shooting().relax(Disc(), line)
    assert relaxed.status.tolist() == [Status.CONVERGED, Status.LEFT_DOMAIN, Status.CONVERGED]
    assert torch.equal(relaxed.nodes[1], line[1])


@pytest.mark.thorough
def test_too_few_steps_are_said_to_be():
    a, b = pairs(2, 2)
    velocity, status, miss = refine_velocity(HalfPlane(), a, b, b - a, max_steps=2)
    assert status.tolist() == [Status.MAX_STEPS] * 2
    end = shoot(HalfPlane(), a, velocity).end
    torch.testing.assert_close((end - b).norm(dim=-1), miss, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"tol": 0.0}, {"rtol": -1.0}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        Shooting(**options)


def test_no_geodesic_is_tried_that_is_much_longer_than_the_straight_line():
    a, b = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[1.0, 1.5]]).double()
    nodes = straight_line(a, b, 16)
    state = Shooting().init(HalfPlane(), nodes)
    assert bool((state.longest <= 1.2 * HalfPlane().chords(nodes).sum(-1)).all())
