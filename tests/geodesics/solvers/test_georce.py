"""GEORCE by itself: against the control problem it solves, closed forms and Newton's method."""

import pytest
import torch

from pullback.curves import CubicSpline, length, straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Status
from pullback.geodesics.solvers import georce
from pullback.geodesics.solvers.georce import GEORCE
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.metrics import Metric, PullbackMetric

SPHERE = PullbackMetric(stereographic)
PARABOLOID = PullbackMetric(paraboloid)
A = torch.tensor([[0.9, -0.4, 0.3], [0.2, 0.8, -0.7]], dtype=torch.float64)
DECODER = PullbackMetric(lambda z: torch.cat([torch.tanh(2 * z @ A.to(z)), z], -1))


def lines(n_pairs=6, n_segments=32):
    return straight_line(*torch.randn(2, n_pairs, 2, dtype=torch.float64), n_segments)


def energy(metric, nodes):
    control = nodes.diff(dim=1)
    G = metric.metric_matrix(nodes[:, :-1])
    return torch.einsum("bni,bnij,bnj->b", control, G, control)


def measured(metric, nodes):
    return length(metric, CubicSpline(nodes).points(4001))


def test_a_step_solves_the_control_problem_with_metric_and_forces_held_fixed():
    n, d = 7, 3
    nodes = torch.randn(1, n + 1, d, dtype=torch.float64)
    root = torch.randn(n, d, d, dtype=torch.float64)
    G, force = root @ root.mT + torch.eye(d), torch.randn(n - 1, d, dtype=torch.float64)
    step, promised, positive = georce._best_step(nodes, G[None], force[None])

    # The same as one linear system for all controls and the multiplier of sum_s u_s = b - a.
    tied = torch.eye(d, dtype=torch.float64).repeat(1, n)
    quadratic = torch.block_diag(*2 * G)
    system = torch.cat([torch.cat([quadratic, tied.T], 1), torch.nn.functional.pad(tied, (0, d))])
    ahead = torch.cat([force.flip(0).cumsum(0).flip(0), torch.zeros(1, d)])
    rhs = torch.cat([-ahead.flatten(), nodes[0, -1] - nodes[0, 0]])
    best = torch.linalg.solve(system, rhs)[: n * d].reshape(n, d)
    torch.testing.assert_close(nodes[0, 1:-1] + step[0], nodes[0, 0] + best.cumsum(0)[:-1])
    assert positive.tolist() == [True]

    def model(control):
        bent = torch.einsum("ni,nij,nj->", control, G, control)
        return bent + (control * ahead).sum()

    torch.testing.assert_close(promised[0], model(nodes[0].diff(dim=0)) - model(best))


def test_where_the_metric_is_constant_one_step_is_exact():
    flat = PullbackMetric(lambda z: z @ A)
    nodes = lines()
    bent = nodes.clone()
    bent[:, 1:-1] += torch.randn(6, 31, 2, dtype=torch.float64)
    relaxed = GEORCE().relax(flat, bent)
    assert relaxed.n_steps.tolist() == [2] * 6
    assert relaxed.status.tolist() == [Status.CONVERGED] * 6
    torch.testing.assert_close(relaxed.nodes, nodes, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "dist", "shift"),
    [(SPHERE, great_circle_dist, 0.0), (HalfPlane(), HalfPlane().dist, 1.0)],
)
def test_closed_forms(metric, dist, shift):
    a = torch.tensor([[-0.6, 0.4], [0.5, 0.3]], dtype=torch.float64)
    b = torch.tensor([[0.7, 0.6], [-0.6, 1.0]], dtype=torch.float64)
    a[:, 1] += shift
    b[:, 1] += shift
    relaxed = GEORCE().relax(metric, straight_line(a, b, 64))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 2
    torch.testing.assert_close(measured(metric, relaxed.nodes), dist(a, b), rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [PARABOLOID, DECODER])
def test_the_length_converges_at_second_order_to_that_of_newton(metric):
    a = torch.tensor([[-1.0, 0.4], [0.5, 0.3]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.2], [-0.6, 1.0]], dtype=torch.float64)
    best = measured(metric, Newton(tol=1e-13).relax(metric, straight_line(a, b, 512)).nodes)
    errors = []
    for n_segments in (32, 64, 128):
        relaxed = GEORCE(tol=1e-12).relax(metric, straight_line(a, b, n_segments))
        assert relaxed.status.tolist() == [Status.CONVERGED] * 2
        errors.append(measured(metric, relaxed.nodes) / best - 1)
    order = -torch.stack(errors).log2().diff(dim=0)
    assert bool((order > 1.8).all())
    assert errors[-1].max() < 1e-4


@pytest.mark.slow
def test_the_energy_never_rises_and_the_ends_stay():
    nodes = lines(n_segments=16)
    before = nodes.clone()
    state = GEORCE().init(DECODER, nodes)
    values = [energy(DECODER, nodes)]
    for _ in range(10):
        state = GEORCE().step(DECODER, state, 1e-12)
        values.append(energy(DECODER, state.nodes))
        torch.testing.assert_close(state.energy, values[-1])
    rise = torch.stack(values).diff(dim=0) / values[0]
    assert bool((rise <= 1e-12).all())
    assert torch.equal(nodes, before)
    assert torch.equal(state.nodes[:, [0, -1]], before[:, [0, -1]])


@pytest.mark.slow
def test_it_never_ends_on_a_longer_curve_if_the_nodes_are_many():
    nodes = lines(n_segments=64)
    relaxed = GEORCE().relax(DECODER, nodes)
    longer = measured(DECODER, relaxed.nodes) / measured(DECODER, nodes)
    assert bool((longer < 1 + 1e-6).all())
    assert longer.min() < 0.999


@pytest.mark.slow
def test_a_batch_is_a_loop():
    nodes = lines()
    relaxed = GEORCE().relax(DECODER, nodes)
    for i in range(len(nodes)):
        alone = GEORCE().relax(DECODER, nodes[i : i + 1])
        assert alone.status[0] == relaxed.status[i]
        assert alone.n_steps[0] == relaxed.n_steps[i]
        torch.testing.assert_close(alone.nodes[0], relaxed.nodes[i], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_its_own_answer_is_left_as_it_is():
    found = GEORCE(tol=1e-12).relax(DECODER, lines()).nodes
    again = GEORCE().relax(DECODER, found)
    assert again.n_steps.tolist() == [1] * 6
    assert again.status.tolist() == [Status.CONVERGED] * 6
    assert torch.equal(again.nodes, found)


@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_joined_by_a_point(metric):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    relaxed = GEORCE().relax(metric, straight_line(a, a, 8))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    assert torch.equal(relaxed.nodes, straight_line(a, a, 8))


@pytest.mark.slow
def test_a_broken_decoder_breaks_one_pair_only():
    metric = PullbackMetric(lambda z: paraboloid(z) * torch.where(z[..., :1] > 2, torch.nan, 1.0))
    a = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0], [3.0, 0.0], [1.5, 1.0]], dtype=torch.float64)
    relaxed = GEORCE().relax(metric, straight_line(a, b, 16))
    assert relaxed.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    truth = GEORCE().relax(PARABOLOID, straight_line(a, b, 16)).nodes
    torch.testing.assert_close(relaxed.nodes[[0, 2]], truth[[0, 2]], rtol=0, atol=1e-9)


def test_a_dead_axis_is_degenerate():
    metric = PullbackMetric(lambda z: torch.tanh(z[..., :1] * torch.arange(1.0, 4.0)))
    relaxed = GEORCE().relax(metric, lines())
    assert relaxed.status.tolist() == [Status.DEGENERATE] * 6


@pytest.mark.slow
def test_the_boundary_of_the_space_is_not_crossed():
    a, b = torch.tensor([[[-1.0, 0.1]], [[1.0, 0.1]]], dtype=torch.float64)
    relaxed = GEORCE().relax(HalfPlane(), straight_line(a, b, 64))
    assert relaxed.status.tolist() == [Status.CONVERGED]
    dist = HalfPlane().dist(a, b)
    torch.testing.assert_close(measured(HalfPlane(), relaxed.nodes), dist, rtol=1e-3, atol=0)


def test_a_kink_in_the_metric_stalls():
    class Kinked(Metric):
        def metric_matrix(self, z):
            y = z[..., 1, None, None]
            return (y.exp() + 1e3 * y.abs()) * torch.eye(2, dtype=z.dtype)

    a, b = torch.tensor([[[-1.0, 0.0]], [[1.0, 0.0]]], dtype=torch.float64)
    relaxed = GEORCE().relax(Kinked(), straight_line(a, b, 16))
    assert relaxed.status.tolist() == [Status.STALLED]
    assert torch.equal(relaxed.nodes, straight_line(a, b, 16))


@pytest.mark.slow
def test_single_precision_is_near_double():
    nodes = lines()
    single, double = (GEORCE(tol=1e-6).relax(DECODER, part) for part in (nodes.float(), nodes))
    assert single.nodes.dtype == torch.float32
    assert single.status.tolist() == [Status.CONVERGED] * 6
    value, best = (energy(DECODER, r.nodes.double()) for r in (single, double))
    torch.testing.assert_close(value, best, rtol=1e-4, atol=0)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"tol": 0.0}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        GEORCE(**options)
