"""L-BFGS by itself: against closed forms, Newton's method, Adam and the textbook's recursion."""

from itertools import pairwise

import pytest
import torch

from pullback.curves import straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Status
from pullback.geodesics.solvers import lbfgs
from pullback.geodesics.solvers.lbfgs import LBFGS
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


def decoder(dim, gain=1.5, n_hidden=(32, 64), n_outputs=50):
    """A smooth random map, the more strongly curved the larger the gain."""
    sizes = [dim, *n_hidden, n_outputs]
    generator = torch.Generator().manual_seed(dim)
    weights = [
        torch.randn(i, j, generator=generator, dtype=torch.float64) / i**0.5
        for i, j in pairwise(sizes)
    ]

    def f(z):
        for weight in weights[:-1]:
            z = torch.tanh(gain * z @ weight.to(z))
        return z @ weights[-1].to(z)

    return PullbackMetric(f)


def lines(dim, n_pairs=6, n_segments=16, scale=1.0):
    return straight_line(*scale * torch.randn(2, n_pairs, dim, dtype=torch.float64), n_segments)


def chain_length(metric, nodes):
    return metric.chords(nodes).sum(-1)


@pytest.mark.parametrize("n_steps", [1, 3, 12])
def test_the_direction_is_that_of_the_two_loop_recursion(n_steps):
    metric, solver = decoder(3), LBFGS(memory=5)
    state = solver.init(metric, lines(3))
    for _ in range(n_steps):
        state = solver.step(metric, state, 1e-30)

    for i in range(len(state.nodes)):
        memory = [
            (s, y) for s, y in zip(state.steps[i], state.changes[i], strict=True) if s @ y > 0
        ]
        q, weights = state.gradient[i].clone(), []
        for s, y in reversed(memory):
            weights.append((s @ q) / (s @ y))
            q -= weights[-1] * y
        if memory:
            s, y = memory[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), weight in zip(memory, reversed(weights), strict=True):
            q += (weight - (y @ q) / (s @ y)) * s
        torch.testing.assert_close(state.direction[i], -q, rtol=1e-7, atol=1e-9)


def test_the_inner_product_is_h1():
    factor, _ = torch.linalg.cholesky_ex(torch.tensor([[[2.0, 0.3], [0.3, 1.0]]]).double())
    move = torch.randn(1, 2 * 7, dtype=torch.float64)
    delta = lbfgs._from_h1(move, factor)
    padded = torch.nn.functional.pad(delta, (0, 0, 1, 1)).diff(dim=1)
    M = factor @ factor.mT
    squared = 2 * torch.einsum("bni,bij,bnj->b", padded, M, padded)
    torch.testing.assert_close(squared, move.square().sum(-1))
    covector = torch.randn(1, 7, 2, dtype=torch.float64)
    pairing = (lbfgs._to_h1(covector, factor) * move).sum()
    torch.testing.assert_close(pairing, (covector * delta).sum())


@pytest.mark.slow
def test_the_length_on_the_sphere_converges_at_second_order():
    a = torch.tensor([[-1.0, 0.8, 0.1], [0.5, 0.3, -0.4]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.9, 0.3], [-0.6, 1.0, 0.2]], dtype=torch.float64)
    truth, errors = great_circle_dist(a, b), []
    for n_segments in (8, 16, 32, 64):
        relaxed = LBFGS(tol=1e-12).relax(SPHERE, straight_line(a, b, n_segments))
        assert relaxed.status.tolist() == [Status.CONVERGED] * 2
        errors.append((chain_length(SPHERE, relaxed.nodes) / truth - 1).abs())
    order = -torch.stack(errors).log2().diff(dim=0)
    assert bool(((order > 1.9) & (order < 2.1)).all())


@pytest.mark.slow
def test_meridians_and_hyperbolic_lines():
    a, b = torch.tensor([[[-0.4, 0.3]], [[0.8, -0.6]]], dtype=torch.float64)
    relaxed = LBFGS().relax(PARABOLOID, straight_line(a, b, 128))
    truth = meridian_length(a.norm(dim=-1)) + meridian_length(b.norm(dim=-1))
    torch.testing.assert_close(chain_length(PARABOLOID, relaxed.nodes), truth, rtol=1e-4, atol=0)
    a, b = torch.tensor([[[-1.0, 0.5]], [[1.0, 0.8]]], dtype=torch.float64)
    relaxed = LBFGS().relax(HalfPlane(), straight_line(a, b, 128))
    truth = HalfPlane().dist(a, b)
    torch.testing.assert_close(chain_length(HalfPlane(), relaxed.nodes), truth, rtol=1e-4, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 5])
def test_it_finds_what_newton_finds(dim):
    metric, nodes = decoder(dim), lines(dim, n_segments=32)
    relaxed = LBFGS(tol=1e-12).relax(metric, nodes)
    assert bool((relaxed.status == Status.CONVERGED).all())
    truth = Newton(tol=1e-13).relax(metric, nodes)
    value, best = (metric.squared_chord_sum(r.nodes) for r in (relaxed, truth))
    torch.testing.assert_close(value, best, rtol=1e-9, atol=0)
    torch.testing.assert_close(relaxed.nodes, truth.nodes, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_steps_hardly_grow_with_the_nodes():
    a, b = torch.randn(2, 6, 8, dtype=torch.float64)
    few, many = (LBFGS().relax(decoder(8), straight_line(a, b, n)) for n in (16, 128))
    assert few.n_steps.amax() < 100
    assert many.n_steps.sum() < 1.5 * few.n_steps.sum()


@pytest.mark.thorough
@pytest.mark.parametrize("dim", [8, 32])
def test_it_beats_adam_with_a_tenth_of_the_gradients(dim):
    metric, nodes = decoder(dim, gain=2.0), lines(dim, n_segments=32)
    relaxed = LBFGS(max_steps=200).relax(metric, nodes)
    best = torch.full((len(nodes),), torch.inf, dtype=torch.float64)
    for rate in (1e-3, 1e-2):
        inner = nodes[:, 1:-1].clone().requires_grad_(True)
        adam = torch.optim.Adam([inner], lr=rate)
        for _ in range(2000):
            chain = torch.cat([nodes[:, :1], inner, nodes[:, -1:]], 1)
            value = metric.squared_chord_sum(chain)
            best = torch.minimum(best, value.detach())
            adam.zero_grad()
            value.sum().backward()
            adam.step()
    assert bool((metric.squared_chord_sum(relaxed.nodes) <= best * (1 + 1e-7)).all())


@pytest.mark.slow
def test_the_sum_of_squared_chords_never_rises_and_the_ends_stay():
    solver, metric = LBFGS(), decoder(4, gain=3.0)
    nodes = lines(4, scale=2.0)
    before = nodes.clone()
    state = solver.init(metric, nodes)
    values = [state.value]
    for _ in range(30):
        state = solver.step(metric, state, 1e-12)
        values.append(metric.squared_chord_sum(state.nodes))
    rise = torch.stack(values).diff(dim=0) / values[0]
    assert bool((rise <= 1e-12).all())
    assert bool((values[-1] < values[0]).all())
    assert torch.equal(nodes, before)
    assert torch.equal(state.nodes[:, [0, -1]], before[:, [0, -1]])


@pytest.mark.slow
def test_a_batch_is_a_loop():
    metric, nodes = decoder(4), lines(4)
    relaxed = LBFGS().relax(metric, nodes)
    for i in range(len(nodes)):
        alone = LBFGS().relax(metric, nodes[i : i + 1])
        assert alone.status[0] == relaxed.status[i]
        assert abs(int(alone.n_steps[0] - relaxed.n_steps[i])) <= 2  # sums in another order
        torch.testing.assert_close(alone.nodes[0], relaxed.nodes[i], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_geodesic_is_left_as_it_is():
    metric = decoder(3)
    geodesics = Newton(tol=1e-14).relax(metric, lines(3)).nodes
    relaxed = LBFGS().relax(metric, geodesics)
    assert relaxed.n_steps.tolist() == [1] * 6
    assert relaxed.status.tolist() == [Status.CONVERGED] * 6
    torch.testing.assert_close(relaxed.nodes, geodesics, rtol=0, atol=1e-5)


@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_joined_by_a_point(metric):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    relaxed = LBFGS().relax(metric, straight_line(a, a, 8))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    assert torch.equal(relaxed.nodes, straight_line(a, a, 8))


def test_a_broken_decoder_breaks_one_pair_only():
    metric = PullbackMetric(lambda z: torch.where(z[..., :1] > 2, torch.nan, paraboloid(z)))
    a = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0], [3.0, 0.0], [1.5, 1.0]], dtype=torch.float64)
    relaxed = LBFGS().relax(metric, straight_line(a, b, 16))
    assert relaxed.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    truth = LBFGS().relax(PARABOLOID, straight_line(a, b, 16)).nodes
    torch.testing.assert_close(relaxed.nodes[[0, 2]], truth[[0, 2]], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_boundary_of_the_space_is_not_crossed():
    a, b = torch.tensor([[[-1.0, 0.02]], [[1.0, 0.02]]], dtype=torch.float64)
    relaxed = LBFGS(max_steps=500).relax(HalfPlane(), straight_line(a, b, 64))
    assert relaxed.status.tolist() == [Status.CONVERGED]
    assert bool((relaxed.nodes[..., 1] > 0).all())
    length = chain_length(HalfPlane(), relaxed.nodes)
    torch.testing.assert_close(length, HalfPlane().dist(a, b), rtol=2e-3, atol=0)


def test_a_gradient_that_is_none_stalls():
    class Wrong(PullbackMetric):
        def chord_gradient(self, nodes):
            value, gradient = super().chord_gradient(nodes)
            return value, -gradient

    nodes = lines(2)
    relaxed = LBFGS().relax(Wrong(paraboloid), nodes)
    assert relaxed.status.tolist() == [Status.STALLED] * 6
    assert torch.equal(relaxed.nodes, nodes)


@pytest.mark.slow
def test_single_precision_is_near_double():
    metric, nodes = decoder(4), lines(4)
    single, double = (LBFGS().relax(metric, part) for part in (nodes.float(), nodes))
    assert single.nodes.dtype == torch.float32
    assert single.status.tolist() == [Status.CONVERGED] * 6
    value, best = (metric.squared_chord_sum(r.nodes.double()) for r in (single, double))
    torch.testing.assert_close(value, best, rtol=1e-4, atol=0)


def test_it_stops_when_out_of_steps():
    relaxed = LBFGS(max_steps=3).relax(decoder(4, gain=3.0), lines(4))
    assert relaxed.status.tolist() == [Status.MAX_STEPS] * 6
    assert relaxed.n_steps.tolist() == [3] * 6


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"tol": 0.0}, {"memory": 0}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        LBFGS(**options)
