"""Preconditioned L-BFGS on graded chains: against closed forms and an exact oracle."""

import math

import pytest
import torch

from pullback.curves import graded_times
from pullback.errors import InvalidParameterError
from pullback.geodesics import GaussNewtonLBFGS, Status, connect
from pullback.geodesics.solvers.gauss_newton import graded_weights
from pullback.geodesics.solvers.preconditioner import gauss_newton_factor
from pullback.manifolds.reference import great_circle_dist, stereographic
from pullback.metrics import PullbackMetric, SumMetric


def lines(a, b, n_segments=32):
    return torch.lerp(a.unsqueeze(1), b.unsqueeze(1), graded_times(n_segments).unsqueeze(-1))


def shear(d, seed=0):
    """An invertible map of R^d with its inverse, by two shears of half the coordinates."""
    generator = torch.Generator().manual_seed(seed)
    half = d // 2
    A, B = torch.randn(2, half, half, generator=generator, dtype=torch.float64) / half**0.5

    def forward(z):
        x, y = z[..., :half], z[..., half:]
        y = y + (x @ A).sin()
        return torch.cat([x + (y @ B).sin(), y], -1)

    def inverse(u):
        x, y = u[..., :half], u[..., half:]
        x = x - (y @ B).sin()
        return torch.cat([x, y - (x @ A).sin()], -1)

    return forward, inverse


def ends(n, d, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, d, generator=generator, dtype=torch.float64).unbind(0)


@pytest.mark.slow
@pytest.mark.parametrize("d", [10, 80])
def test_the_geodesics_of_an_invertible_map_are_preimages_of_lines(d):
    forward, inverse = shear(d)
    a, b = ends(3, d)
    found = connect(PullbackMetric(forward, d), a, b, confirm=False)
    assert found.converged.all()
    torch.testing.assert_close(
        found.length, (forward(a) - forward(b)).norm(dim=-1), rtol=1e-5, atol=0
    )
    middle = (forward(a) + forward(b)) / 2
    at_half = found.curve.at(torch.tensor([0.5], dtype=torch.float64)).squeeze(1)
    torch.testing.assert_close(at_half, inverse(middle), rtol=0, atol=0.02)
    assert bool((found.speed_variation < 0.01).all())


@pytest.mark.slow
@pytest.mark.parametrize("most_dense", [0, 64])
def test_great_circles_are_found_in_many_dimensions(most_dense):
    d = 12
    metric = PullbackMetric(stereographic, dim=d)
    a, b = (0.5 * x for x in ends(4, d))
    solver = GaussNewtonLBFGS(most_dense=most_dense)
    found = connect(metric, a, b, solver=solver, levels=(32, 64, 128), confirm=False)
    assert found.converged.all()
    torch.testing.assert_close(found.length, great_circle_dist(a, b), rtol=1e-5, atol=0)


def test_a_chain_that_is_stationary_has_no_gradient():
    metric, (a, b) = PullbackMetric(stereographic), ends(3, 3)
    start = lines(a, b, 16)
    weights = graded_weights(start)
    found = GaussNewtonLBFGS(tol=1e-12).relax(metric, start)
    assert (found.status == Status.CONVERGED).all()
    before = metric.weighted_chord_gradient(start, weights)[1].abs().max()
    assert metric.weighted_chord_gradient(found.nodes, weights)[1].abs().max() < 1e-4 * before


def test_the_preconditioner_is_the_hessian_where_the_image_is_flat():
    A = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = PullbackMetric(lambda z: z @ A.T, dim=3)
    a, b = ends(2, 3)
    nodes = lines(a, b, 8)
    nodes[:, 1:-1] += 0.1
    weights = graded_weights(nodes)
    value, gradient = flat.weighted_chord_gradient(nodes, weights)
    step = gauss_newton_factor(flat, nodes, weights, value, 0 * value).solve(-gradient)
    moved = torch.cat([nodes[:, :1], nodes[:, 1:-1] + step, nodes[:, -1:]], 1)
    torch.testing.assert_close(moved, lines(a, b, 8), rtol=0, atol=1e-8)


@pytest.mark.parametrize("metric", [
    PullbackMetric(stereographic),
    SumMetric([PullbackMetric(stereographic), PullbackMetric(torch.sin)], weights=[0.5, 2.0]),
])  # fmt: skip
def test_weighted_gradients_are_those_of_the_weighted_sum(metric):
    nodes = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = torch.linspace(0.5, 2.0, 5, dtype=torch.float64)

    def total(inner):
        chain = torch.cat([nodes[:, :1], inner, nodes[:, -1:]], 1)
        return (weights * metric.chords(chain).square()).sum()

    value, gradient = metric.weighted_chord_gradient(nodes, weights)
    inner = nodes[:, 1:-1].clone().requires_grad_(True)
    torch.testing.assert_close(total(inner), value.sum())
    torch.testing.assert_close(torch.autograd.grad(total(inner), inner)[0], gradient)
    # Of equal weights it is the gradient that all solvers use.
    for weighted, plain in zip(
        metric.weighted_chord_gradient(nodes, torch.ones_like(weights)),
        metric.chord_gradient(nodes),
        strict=True,
    ):
        torch.testing.assert_close(weighted, plain)


def test_a_batch_is_a_loop():
    metric, (a, b) = PullbackMetric(stereographic), ends(4, 5)
    start = lines(a, b, 16)
    whole = GaussNewtonLBFGS().relax(metric, start)
    for i in range(len(start)):
        one = GaussNewtonLBFGS().relax(metric, start[i : i + 1])
        torch.testing.assert_close(whole.nodes[i : i + 1], one.nodes, rtol=0, atol=1e-7)
        assert whole.n_steps[i] == one.n_steps[0]


def test_points_and_broken_maps_end_with_a_status():
    solver = GaussNewtonLBFGS(max_steps=20)
    still = solver.relax(PullbackMetric(stereographic), torch.ones(1, 9, 3, dtype=torch.float64))
    assert still.status.tolist() == [Status.CONVERGED]
    a, b = ends(1, 3)
    broken = solver.relax(PullbackMetric(lambda z: z * math.nan), lines(a, b))
    assert broken.status.tolist() == [Status.NOT_FINITE]


@pytest.mark.parametrize(
    "options", [{"memory": 0}, {"max_age": 0}, {"initial_damping": 0.0}, {"most_dense": -1}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidParameterError, match=next(iter(options))):
        GaussNewtonLBFGS(**options)
