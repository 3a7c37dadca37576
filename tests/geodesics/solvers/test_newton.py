"""The solver by itself."""

import pytest
import torch

from pullback.curves import straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Status
from pullback.manifolds.reference import paraboloid
from pullback.metrics import PullbackMetric

METRIC = PullbackMetric(paraboloid)


def test_a_quadratic_is_solved_in_one_step():
    A = torch.tensor([[2.0, 0.3], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    flat = PullbackMetric(lambda z: z @ A.T)
    nodes = straight_line(torch.zeros(1, 2).double(), torch.ones(1, 2).double(), 12)
    bent = nodes.clone()
    bent[:, 1:-1] += 0.05 * torch.randn(1, 11, 2).double()
    solver = Newton(initial_damping=1e-12)
    state = solver.step(flat, solver.init(flat, bent), 1e-9)
    relaxed = Newton().relax(flat, bent)
    torch.testing.assert_close(relaxed.nodes, nodes, rtol=0, atol=1e-7)
    assert relaxed.status.tolist() == [Status.CONVERGED]
    assert flat.squared_chord_sum(state.nodes) < flat.squared_chord_sum(bent)


@pytest.mark.parametrize("max_age", [1, 3])
def test_the_sum_of_squared_chords_never_rises(max_age):
    solver = Newton(max_age=max_age)
    a, b = torch.randn(2, 10, 2, dtype=torch.float64)
    nodes = straight_line(a, b, 10)
    nodes[:, 1:-1] += 0.5 * torch.randn(10, 9, 2, dtype=torch.float64)
    state = solver.init(METRIC, nodes)
    values = [METRIC.squared_chord_sum(state.nodes)]
    for _ in range(8):
        state = solver.step(METRIC, state, 1e-9)
        values.append(METRIC.squared_chord_sum(state.nodes))
        assert bool((values[-1] <= values[-2] * (1 + 1e-12)).all())
    assert bool((values[-1] < values[0]).all())


def test_relaxing_leaves_the_input_and_the_ends_alone():
    nodes = straight_line(*torch.randn(2, 5, 2, dtype=torch.float64), 8)
    before = nodes.clone()
    relaxed = Newton().relax(METRIC, nodes).nodes
    assert torch.equal(nodes, before)
    assert torch.equal(relaxed[:, [0, -1]], nodes[:, [0, -1]])


def test_the_gradient_vanishes_where_it_converged():
    nodes = straight_line(*torch.randn(2, 5, 2, dtype=torch.float64), 16)
    relaxed = Newton(tol=1e-14).relax(METRIC, nodes)
    assert bool((relaxed.status == Status.CONVERGED).all())
    before, after = (METRIC.expand_chords(n).gradient.abs().max() for n in (nodes, relaxed.nodes))
    assert after < 1e-6 * before


def test_steps_are_counted_for_each_curve():
    a = torch.tensor([[-1.0, 0.2], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.2], [1.0, 1e-3]], dtype=torch.float64)
    hard, easy = Newton().relax(METRIC, straight_line(a, b, 16)).n_steps.tolist()
    assert easy < hard < 100


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 0},
        {"tol": 0.0},
        {"tol": -1.0},
        {"max_move": 0.0},
        {"initial_damping": -1.0},
        {"max_age": 0},
    ],
)
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        Newton(**options)
