"""The fixed-point iteration on a Gaussian process: its kernel, its maps and its geodesics."""

import math

import pytest
import torch

from pullback.curves import CubicSpline, length, straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Status
from pullback.geodesics.solvers import gp_fixed_point
from pullback.geodesics.solvers.gp_fixed_point import GPFixedPoint
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    meridian_length,
    paraboloid,
    stereographic,
)
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic)
PARABOLOID = PullbackMetric(paraboloid)
A = torch.tensor([[0.9, -0.4, 0.3], [0.2, 0.8, -0.7]], dtype=torch.float64)
DECODER = PullbackMetric(lambda z: torch.cat([torch.tanh(z @ A.to(z)), z], -1))


def lines(n_pairs=6, n_segments=32):
    return straight_line(*torch.randn(2, n_pairs, 2, dtype=torch.float64), n_segments)


def measured(metric, nodes):
    return length(metric, CubicSpline(nodes).points(4001))


@pytest.mark.parametrize("orders", [(0, 0), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2)])
def test_the_covariance_of_derivatives_is_the_derivative_of_the_covariance(orders):
    t, other, scale = torch.rand(5).double(), torch.rand(4).double(), 0.3

    def derivative(f, order):
        if order == 0:
            return f
        return derivative(lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1], order - 1)

    def kernel(t, other):
        return torch.exp(-((t[:, None] - other) ** 2) / (2 * scale**2))

    by_other = derivative(lambda y: derivative(lambda x: kernel(x, y), orders[0])(t), orders[1])
    ours = gp_fixed_point._kernel(t, other, *orders, scale)
    torch.testing.assert_close(ours, by_other(other), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_mesh", [10, 20, 40])
def test_the_process_integrates_its_second_derivative(n_mesh):
    maps = gp_fixed_point._maps(n_mesh, 33)
    mesh, t = torch.linspace(0, 1, n_mesh).double(), torch.linspace(0, 1, 33).double()
    bend = torch.stack([torch.ones_like(mesh), -(torch.pi**2) * torch.sin(torch.pi * mesh)], -1)
    truth = torch.stack([t * (t - 1) / 2, torch.sin(torch.pi * t)], -1)
    speed = torch.stack([mesh - 0.5, torch.pi * torch.cos(torch.pi * mesh)], -1)
    tol = 5e-4 if n_mesh == 10 else 5e-6
    torch.testing.assert_close(maps.nodes @ bend, truth, rtol=0, atol=tol)
    torch.testing.assert_close(maps.velocity @ bend, speed, rtol=0, atol=50 * tol)
    again = maps.nodes @ (maps.fit @ (maps.nodes @ bend))
    torch.testing.assert_close(again, maps.nodes @ bend, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_length_converges_quickly_in_the_mesh():
    a = torch.tensor([[-1.0, 0.8, 0.2], [0.5, 0.3, 0.1]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.9, -0.1], [-0.6, 1.0, 0.6]], dtype=torch.float64)
    truth, errors = great_circle_dist(a, b), []
    for n_mesh in (5, 10, 20):
        relaxed = GPFixedPoint(n_mesh=n_mesh).relax(SPHERE, straight_line(a, b, 128))
        assert relaxed.status.tolist() == [Status.CONVERGED] * 2
        errors.append((measured(SPHERE, relaxed.nodes) / truth - 1).abs().max())
    assert math.log2(errors[0] / errors[1]) > 4
    assert errors[2] < 1e-7


@pytest.mark.slow
def test_meridians_and_hyperbolic_lines():
    b = torch.tensor([[0.8, -0.6], [0.1, 0.4]], dtype=torch.float64)
    relaxed = GPFixedPoint().relax(PARABOLOID, straight_line(torch.zeros_like(b), b, 32))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 2
    truth = meridian_length(b.norm(dim=-1))
    torch.testing.assert_close(measured(PARABOLOID, relaxed.nodes), truth, rtol=1e-4, atol=0)
    a, b = torch.tensor([[[-0.5, 1.0]], [[0.5, 1.3]]], dtype=torch.float64)
    relaxed = GPFixedPoint().relax(HalfPlane(), straight_line(a, b, 32))
    assert relaxed.status.tolist() == [Status.CONVERGED]
    dist = HalfPlane().dist(a, b)
    torch.testing.assert_close(measured(HalfPlane(), relaxed.nodes), dist, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_it_finds_what_newton_finds():
    nodes = lines()
    relaxed = GPFixedPoint().relax(DECODER, nodes)
    assert relaxed.status.tolist() == [Status.CONVERGED] * 6
    best = Newton(tol=1e-13).relax(DECODER, straight_line(nodes[:, 0], nodes[:, -1], 256)).nodes
    torch.testing.assert_close(relaxed.nodes, best[:, ::8], rtol=0, atol=1e-3)
    found, truth = (measured(DECODER, part) for part in (relaxed.nodes, best))
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_the_residual_shrinks_and_the_ends_stay():
    nodes = lines()
    before, solver = nodes.clone(), GPFixedPoint()
    state = solver.init(DECODER, nodes)
    first = state.residual.norm()
    for _ in range(10):
        state = solver.step(DECODER, state, 1e-12)
    assert state.residual.norm() < 0.1 * first
    relaxed = solver.relax(DECODER, nodes).nodes
    assert torch.equal(nodes, before)
    assert torch.equal(relaxed[:, [0, -1]], nodes[:, [0, -1]])


@pytest.mark.slow
def test_a_pair_that_fails_keeps_its_start_and_none_is_longer():
    steep = PullbackMetric(lambda z: torch.tanh(4 * z @ torch.cat([A, A.flip(0)], 1).to(z)))
    nodes = lines(n_pairs=10)
    relaxed = GPFixedPoint(max_steps=40).relax(steep, nodes)
    failed = relaxed.status != Status.CONVERGED
    assert bool(failed.any())
    assert torch.equal(relaxed.nodes[failed], nodes[failed])
    before, after = (steep.squared_chord_sum(part) for part in (nodes, relaxed.nodes))
    assert bool((after <= 1.01 * before).all())


@pytest.mark.slow
def test_a_batch_is_a_loop():
    nodes = lines()
    relaxed = GPFixedPoint().relax(DECODER, nodes)
    for i in range(len(nodes)):
        alone = GPFixedPoint().relax(DECODER, nodes[i : i + 1])
        assert alone.status[0] == relaxed.status[i]
        assert alone.n_steps[0] == relaxed.n_steps[i]
        torch.testing.assert_close(alone.nodes[0], relaxed.nodes[i], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_its_own_answer_is_left_as_it_is():
    solver = GPFixedPoint(n_mesh=10)
    found = GPFixedPoint(n_mesh=10, tol=1e-12).relax(DECODER, lines()).nodes
    again = solver.relax(DECODER, found)
    assert again.status.tolist() == [Status.CONVERGED] * 6
    assert again.n_steps.amax() <= 2
    torch.testing.assert_close(again.nodes, found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_joined_by_a_point(metric):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    relaxed = GPFixedPoint().relax(metric, straight_line(a, a, 8))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    assert relaxed.n_steps.tolist() == [1] * 3
    torch.testing.assert_close(relaxed.nodes, straight_line(a, a, 8), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_each_failure_is_named_and_stays_its_own():
    broken = PullbackMetric(lambda z: stereographic(z) * torch.where(z[..., :1] > 2, torch.nan, 1))
    a = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.5, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.5], [3.0, 0.0], [0.5, 0.6]], dtype=torch.float64)
    nodes = straight_line(a, b, 16)
    relaxed = GPFixedPoint().relax(broken, nodes)
    assert relaxed.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    assert torch.equal(relaxed.nodes[1], nodes[1])
    truth = GPFixedPoint().relax(SPHERE, nodes).nodes[[0, 2]]
    torch.testing.assert_close(relaxed.nodes[[0, 2]], truth, rtol=0, atol=1e-6)
    dead = PullbackMetric(lambda z: torch.tanh(z[..., :1] * torch.arange(1.0, 4.0)))
    assert GPFixedPoint().relax(dead, nodes).status.tolist() == [Status.DEGENERATE] * 3


@pytest.mark.slow
def test_single_precision_is_near_double():
    nodes = lines()
    single, double = (GPFixedPoint(tol=1e-6).relax(DECODER, x) for x in (nodes.float(), nodes))
    assert single.nodes.dtype == torch.float32
    assert single.status.tolist() == [Status.CONVERGED] * 6
    torch.testing.assert_close(single.nodes.double(), double.nodes, rtol=0, atol=1e-3)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"tol": 0.0}, {"n_mesh": 2}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        GPFixedPoint(**options)
