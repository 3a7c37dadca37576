"""Geodesics against closed forms and against a boundary-value solver that shares no code."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.integrate import solve_bvp
from torch.func import jacrev, vmap

from pullback.curves import CubicSpline, length, straight_line
from pullback.geodesics import LatentGraph, Newton, Solver, Status, connect
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    meridian_length,
    paraboloid,
    stereographic,
    torus,
)
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic)
PARABOLOID = PullbackMetric(paraboloid)
FINE = {"levels": (64, 128, 256), "rtol": 3e-6}


def random_decoder(seed=0, d=2, m=6, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    A, B = (
        torch.randn(d, 8, generator=generator, dtype=torch.float64) * scale,
        torch.randn(8, m, generator=generator, dtype=torch.float64),
    )
    return lambda z: torch.tanh(z @ A) @ B


def assert_certified(metric, result, a, b):
    """The promises that hold for every result, whatever the space."""
    dense = length(metric, result.points(20001))
    torch.testing.assert_close(result.length, dense, rtol=2e-5, atol=0)
    assert bool((result.lower_bound <= result.length * (1 + 1e-12)).all())
    assert bool((result.length <= result.straight_length * (1 + 1e-4)).all())
    assert bool((2 * result.energy >= result.length**2 * (1 - 1e-12)).all())
    assert torch.equal(result.points(2), torch.stack([a, b], -2))


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_great_circles(d):
    a, b = torch.randn(2, 10, d, dtype=torch.float64)
    result = connect(SPHERE, a, b, **FINE)
    assert result.converged.all()
    torch.testing.assert_close(result.length, great_circle_dist(a, b), rtol=1e-6, atol=0)
    assert bool((result.residual < 0.05).all())
    assert bool((result.speed_variation < 1e-2).all())
    assert_certified(SPHERE, result, a, b)


@pytest.mark.slow
def test_the_half_plane_whose_metric_has_no_immersion():
    plane = HalfPlane()
    a, b = 3 * torch.rand(2, 12, 2, dtype=torch.float64) + 0.2
    result = connect(plane, a, b, **FINE)
    assert result.converged.all()
    torch.testing.assert_close(result.length, plane.dist(a, b), rtol=1e-5, atol=0)
    assert bool((result.lower_bound == 0).all())
    assert_certified(plane, result, a, b)
    # A geodesic is a half-circle about a point of the axis.
    x, y = result.points(50).unbind(-1)
    centre = ((b.square().sum(-1) - a.square().sum(-1)) / (2 * (b - a)[:, 0])).unsqueeze(-1)
    radius = (x - centre).hypot(y)
    torch.testing.assert_close(radius, radius[:, :1].expand_as(radius), rtol=1e-3, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5])
def test_meridians_of_the_paraboloid(d):
    direction = torch.randn(6, d, dtype=torch.float64)
    direction /= direction.norm(dim=-1, keepdim=True)
    radius = torch.linspace(0.1, 3, 6, dtype=torch.float64)
    a, b = torch.zeros(6, d).double(), direction * radius.unsqueeze(-1)
    result = connect(PARABOLOID, a, b, **FINE)
    assert result.converged.all()
    torch.testing.assert_close(result.length, meridian_length(radius), rtol=1e-6, atol=0)
    through = connect(PARABOLOID, -b, b, **FINE)
    if d == 1:  # for d > 1 there are ways round the apex
        torch.testing.assert_close(through.length, 2 * meridian_length(radius), rtol=2e-6, atol=0)
    assert bool((through.length <= 2 * meridian_length(radius) * (1 + 1e-6)).all())


@pytest.mark.slow
def test_circles_of_the_torus():
    a = torch.tensor([[0.3, -1.0], [0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.3, 1.5], [2.0, 0.0]], dtype=torch.float64)
    result = connect(PullbackMetric(torus), a, b, **FINE)
    truth = torch.tensor([2.5, 6.0], dtype=torch.float64)
    torch.testing.assert_close(result.length, truth, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_a_curved_line_in_flat_coordinates_becomes_a_chord():
    def polar(z):
        radius, angle = z.unbind(-1)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)

    a, b = torch.tensor([[1.0, 0.0], [1.0, 2.8]], dtype=torch.float64)
    result = connect(PullbackMetric(polar), a, b, **FINE)
    assert result.converged
    assert result.length.item() == pytest.approx(2 * math.sin(1.4), rel=1e-6)
    assert result.lower_bound.item() == pytest.approx(2 * math.sin(1.4), rel=1e-12)


class Idle(Solver):
    """A solver that calls every curve a geodesic."""

    def init(self, metric, nodes):
        return Found(nodes, torch.full(nodes.shape[:1], Status.CONVERGED))

    def step(self, metric, state, tol):
        return state


class Found(NamedTuple):
    nodes: torch.Tensor
    status: torch.Tensor


@pytest.mark.parametrize("radius", [0.1, 1.0, 50.0])
def test_the_residual_of_a_half_circle_is_pi(radius):
    def polar(z):
        return radius * torch.stack([z[..., 0].cos(), z[..., 0].sin(), 0 * z[..., 0]], -1)

    plane = PullbackMetric(lambda z: polar(z) * (1 + z[..., 1:]))
    a, b = torch.tensor([[0.0, 0.0], [math.pi, 0.0]], dtype=torch.float64)
    result = connect(plane, a, b, solver=Idle(), levels=(32, 128))
    assert result.residual.item() == pytest.approx(math.pi, rel=1e-3)
    assert result.length.item() == pytest.approx(math.pi * radius, rel=1e-5)
    assert result.speed_variation < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "truth"), [(HalfPlane(), "dist"), (SPHERE, None)])
def test_the_length_of_the_chain_converges_with_the_second_order(metric, truth):
    a, b = torch.tensor([[-0.9, 0.4], [1.2, 0.5]], dtype=torch.float64)
    exact = metric.dist(a, b) if truth else great_circle_dist(a, b)
    solver = Newton(tol=1e-14)
    errors = []
    for n in (16, 32, 64, 128):
        nodes = solver.relax(metric, straight_line(a, b, n).unsqueeze(0)).nodes
        errors.append((length(metric, nodes) - exact).abs())
    orders = torch.log2(torch.cat(errors[:-1]) / torch.cat(errors[1:]))
    assert bool(((orders > 1.8) & (orders < 2.3)).all()), orders


@pytest.mark.slow
def test_the_length_of_the_curve_converges_with_a_higher_order():
    a, b = torch.tensor([[-1.0, -0.4], [1.1, 0.9]], dtype=torch.float64)
    metric = PullbackMetric(random_decoder())

    def measured(n):
        nodes = Newton(tol=1e-14).relax(metric, straight_line(a, b, n).unsqueeze(0)).nodes
        return length(metric, CubicSpline(nodes).points(2**16 + 1)).item()

    exact = measured(512)
    orders = [math.log2((measured(n) - exact) / (measured(2 * n) - exact)) for n in (16, 32)]
    assert min(orders) > 3.3


def geodesic_equation(f):
    """The right-hand side c'' = -Gamma(c)(c', c') from derivatives of the metric, reverse mode."""

    def metric(z):
        J = jacrev(f)(z)
        return J.T @ J

    def acceleration(z, v):
        M, dM = metric(z), jacrev(metric)(z)  # dM[i, j, k] = d M_ij / d z_k
        force = torch.einsum("ijk,j,k->i", dM, v, v) - torch.einsum("jki,j,k->i", dM, v, v) / 2
        return -torch.linalg.solve(M, force)

    def right_hand_side(t, state):
        z, v = torch.as_tensor(state.T).chunk(2, -1)
        return torch.cat([v, vmap(acceleration)(z, v)], -1).T.numpy()

    return right_hand_side


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_boundary_value_solver_finds_the_same_curve(seed):
    f = random_decoder(seed, scale=0.6)
    a, b = np.array([-0.8, -0.5]), np.array([0.9, 0.6])
    t = np.linspace(0, 1, 20)
    line = a[:, None] * (1 - t) + b[:, None] * t
    start = np.concatenate([line, np.repeat((b - a)[:, None], 20, 1)])
    solution = solve_bvp(
        geodesic_equation(f),
        lambda s, e: np.concatenate([s[:2] - a, e[:2] - b]),
        t,
        start,
        tol=1e-8,
        max_nodes=5000,
    )
    assert solution.success
    dense = torch.as_tensor(solution.sol(np.linspace(0, 1, 4001))[:2].T)
    result = connect(PullbackMetric(f), a, b, **FINE)
    assert result.converged
    torch.testing.assert_close(result.length, length(PullbackMetric(f), dense), rtol=1e-6, atol=0)
    torch.testing.assert_close(result.points(4001), dense, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_fine_graph_finds_nothing_shorter():
    metric = PullbackMetric(random_decoder(5))
    a, b = torch.rand(2, 8, 2, dtype=torch.float64) * 3 - 1.5
    graph = LatentGraph.build(metric, torch.cat([a, b]), resolution=80)
    result = connect(metric, a, b, graph=graph)
    assert result.converged.all()
    along = graph.dist(a, b).diagonal()
    assert bool((result.length <= along * (1 + 1e-9)).all())
    assert bool((result.length >= along * 0.95).all())
    assert_certified(metric, result, a, b)


@pytest.mark.slow
def test_a_solver_and_its_tolerance_are_used():
    a, b = torch.tensor([[-1.0, 0.2], [1.0, 0.2]], dtype=torch.float64)
    one = connect(PARABOLOID, a, b, solver=Newton(max_steps=1), levels=(16, 32, 64, 128))
    assert one.status == Status.MAX_STEPS
    assert not one.converged
    assert one.n_segments == 128
    nodes = straight_line(a, b, 32).unsqueeze(0)
    loose, tight = (Newton(tol=tol).relax(PARABOLOID, nodes) for tol in (1e-3, 1e-13))
    assert tight.n_steps > loose.n_steps
    for tol in (1e-3, 1e-13):  # what a loose solve leaves is corrected afterwards
        assert connect(PARABOLOID, a, b, solver=Newton(tol=tol)).residual < 0.01


@pytest.mark.slow
def test_integers_lists_and_arrays_are_points():
    expected = connect(PARABOLOID, torch.tensor([0.0, 1.0]).double(), torch.ones(2).double())
    for a, b in [([0, 1], [1, 1]), (np.array([0, 1]), np.ones(2)), ((0.0, 1.0), [1.0, 1])]:
        assert torch.equal(connect(PARABOLOID, a, b).length, expected.length)


@pytest.mark.gpu
def test_a_gpu_finds_the_same():
    a, b = torch.randn(2, 6, 2, dtype=torch.float64)
    graph = LatentGraph.build(SPHERE, torch.cat([a, b]), resolution=20)
    on_gpu = LatentGraph.build(SPHERE, torch.cat([a, b]).cuda(), resolution=20)
    expected = connect(SPHERE, a, b, graph=graph)
    result = connect(SPHERE, a.cuda(), b.cuda(), graph=on_gpu)
    assert result.length.is_cuda
    torch.testing.assert_close(result.length.cpu(), expected.length)
    torch.testing.assert_close(result.points(9).cpu(), expected.points(9), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_flat_space_in_bent_coordinates_is_walked_at_constant_speed(dim):
    """The image of the straight line is straight, but not run through evenly."""
    a, b = torch.zeros(dim, dtype=torch.float64), torch.full((dim,), 2.0, dtype=torch.float64)
    result = connect(PullbackMetric(torch.exp), a, b)
    distance = dim**0.5 * (torch.tensor(2.0).double().exp() - 1)
    assert result.converged
    torch.testing.assert_close(result.length, distance, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(2 * result.energy, result.length**2, rtol=1e-3, atol=0.0)
    half_way = result.points(3)[1].exp()
    torch.testing.assert_close(half_way, (a.exp() + b.exp()) / 2, rtol=1e-3, atol=0.0)


def test_equal_ends_are_equal_by_their_coordinates_wherever_they_stand_in_a_batch():
    def by_place(z):  # as kernels do that round equal rows of a batch in different ways
        rows = torch.arange(z[..., 0].numel(), dtype=z.dtype).reshape(z.shape[:-1])
        return torch.cat([z, z.square()], -1) + 1e-14 * rows.unsqueeze(-1)

    point = torch.tensor([[0.3, -0.2]], dtype=torch.float64).expand(3, 2)
    result = connect(PullbackMetric(by_place, dim=2), point, point)
    assert result.length.tolist() == [0.0, 0.0, 0.0]
    assert bool(result.converged.all())
