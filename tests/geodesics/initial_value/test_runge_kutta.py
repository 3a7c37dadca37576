"""One step, and the estimate of its error, by the orders that they fall with."""

import math

import pytest
import torch

from pullback.geodesics.initial_value.runge_kutta import ORDER, runge_kutta_step


def pendulum(y):
    angle, rate = y.unbind(-1)
    return torch.stack([rate, -angle.sin()], -1)


def test_a_linear_equation_is_solved_to_the_eighth_order():
    y = torch.ones(2, 1, dtype=torch.float64)
    h = torch.tensor([0.4, 0.2], dtype=torch.float64)
    end = runge_kutta_step(lambda y: y, y, y, h).end.squeeze(-1)
    wide, narrow = (end - h.exp()).abs()
    assert math.log2(wide / narrow) == pytest.approx(ORDER + 1, abs=0.3)


def test_the_estimate_bounds_the_error_and_falls_with_it():
    y = torch.tensor([[1.0, 0.5]], dtype=torch.float64).expand(2, 2)
    h = torch.tensor([0.8, 0.4], dtype=torch.float64)
    stages = runge_kutta_step(pendulum, y, pendulum(y), h)
    fine = y
    for _ in range(16):
        fine = runge_kutta_step(pendulum, fine, pendulum(fine), h / 16).end
    error = (stages.end - fine).norm(dim=-1)
    estimate = stages.error(h)
    assert bool((error < estimate).all())
    assert bool((estimate < 1e-5).all())
    assert math.log2(estimate[0] / estimate[1]) == pytest.approx(ORDER, abs=0.7)


def test_the_stages_end_where_the_next_step_begins():
    y = torch.randn(3, 2, dtype=torch.float64)
    stages = runge_kutta_step(pendulum, y, pendulum(y), torch.full((3,), 0.1).double())
    assert torch.equal(stages.states[0], y)
    assert torch.equal(stages.states[-1], stages.end)
    assert torch.equal(stages.slopes[-1], pendulum(stages.end))
    assert len(stages.states) == len(stages.slopes) == 13


def test_a_step_of_no_length_goes_nowhere_without_error():
    y = torch.randn(3, 2, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    stages = runge_kutta_step(pendulum, y, pendulum(y), zero)
    assert torch.equal(stages.end, y)
    assert stages.error(zero).tolist() == [0, 0, 0]
