"""What is known of a geodesic between and beyond its steps."""

import math

import pytest
import torch

from pullback.autodiff import jacobian
from pullback.errors import InvalidParameterError
from pullback.geodesics import Status, Trajectory, shoot
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_exp,
    paraboloid,
    stereographic,
)
from pullback.metrics import PullbackMetric

PLANE = HalfPlane()
START, VECTOR = torch.tensor([[[0.0, 1.0]], [[1.5, 0.5]]], dtype=torch.float64)


def exact(t):
    """Points and velocities `(n, 2)` of a geodesic of the half-plane, by its closed form."""
    t = t.unsqueeze(-1)
    point, velocity = jacobian(lambda t: PLANE.exp(START.expand(len(t), 2), (t - 2) * VECTOR), t)
    return point, velocity.squeeze(-1)


def sampled(n):
    """Know that geodesic at the ends of n equal steps only."""
    t = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    point, velocity = exact(t)
    one, count = torch.ones(1, dtype=torch.float64), torch.full((1,), n)
    return Trajectory(
        metric=PLANE,
        times=t.unsqueeze(0),
        knots=point.unsqueeze(0),
        velocities=velocity.unsqueeze(0),
        accelerations=PLANE.acceleration(point, velocity).unsqueeze(0),
        reached=one,
        speed_variation=0 * one,
        n_steps=count,
        n_evaluations=count,
        status=0 * count,
    )


@pytest.mark.slow
def test_between_the_knots_the_error_falls_with_the_eighth_power():
    t = torch.linspace(0, 1, 301, dtype=torch.float64)
    point, slope = exact(t)
    position = [(sampled(n).at(t) - point).abs().max() for n in (6, 12)]
    velocity = [(sampled(n).velocity(t) - slope).abs().max() for n in (6, 12)]
    assert 7.5 < math.log2(position[0] / position[1]) < 8.5
    assert 6.5 < math.log2(velocity[0] / velocity[1]) < 7.5


@pytest.mark.slow
def test_the_knots_are_met_exactly():
    path = shoot(PLANE, START, VECTOR)
    (times,) = path.times
    torch.testing.assert_close(path.at(times), path.knots, rtol=1e-15, atol=0)
    torch.testing.assert_close(path.velocity(times), path.velocities, rtol=1e-12, atol=1e-14)
    assert torch.equal(path.points(2), torch.stack([path.start, path.end], 1))
    assert torch.equal(path.start, START)


@pytest.mark.slow
def test_curves_of_many_and_of_few_steps_share_a_batch():
    v = torch.tensor([[0.1, 0.0], [5.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    path = shoot(PLANE, START, v)
    assert path.n_steps[1] > 2 * path.n_steps[0]
    t = torch.rand(40, dtype=torch.float64)
    truth = PLANE.exp(START.expand(3, 40, 2), t[:, None] * v.unsqueeze(1))
    torch.testing.assert_close(path.at(t), truth, rtol=1e-7, atol=1e-8)
    some = path.where(torch.tensor([2, 0]))
    assert torch.equal(some.at(t), path.at(t)[[2, 0]])


@pytest.mark.parametrize("times", [[0.5, 1.1], [-0.1], [math.nan], [[0.5]]])
def test_times_out_of_range_are_refused(times):
    with pytest.raises(InvalidParameterError, match=r"`t` must be times in \[0, 1\]"):
        sampled(2).at(torch.tensor(times))


@pytest.mark.thorough
@pytest.mark.parametrize("d", [1, 3])
def test_the_differential_of_exp_is_that_of_the_closed_form(d):
    z, v = torch.randn(2, 2, 3, d, dtype=torch.float64) / 3
    path = shoot(PullbackMetric(stereographic), z, v)
    _, truth = jacobian(lambda v: great_circle_exp(z, v), v)
    assert path.differential().shape == (2, 3, d, d)
    torch.testing.assert_close(path.differential(), truth, rtol=1e-6, atol=1e-7)
    assert path.quotients(1e-7).shape == (2, 3, d, d)
    torch.testing.assert_close(path.quotients(1e-7), truth, rtol=1e-5, atol=1e-6)
    with pytest.raises(InvalidParameterError, match="`step`"):
        path.quotients(0.0)


@pytest.mark.slow
def test_the_differential_of_exp_is_a_difference_of_ends():
    metric = PullbackMetric(paraboloid)
    z, v = torch.randn(2, 3, 2, dtype=torch.float64)
    v[2] /= 100
    step = 1e-4 * torch.eye(2, dtype=torch.float64).unsqueeze(1)
    ahead, behind = (shoot(metric, z, v + s * step, rtol=1e-12, atol=0).end for s in (1, -1))
    truth = ((ahead - behind) / 2e-4).movedim(0, -1)
    torch.testing.assert_close(shoot(metric, z, v).differential(), truth, rtol=1e-5, atol=1e-6)


@pytest.mark.thorough
def test_the_end_of_half_a_great_circle_is_conjugate_to_its_start():
    a = torch.tensor([0.5, 0.0], dtype=torch.float64)
    v = torch.tensor([0.0, math.pi * (1 + 0.25) / 2], dtype=torch.float64)
    path = shoot(PullbackMetric(stereographic), a, v)
    assert torch.linalg.svdvals(path.differential())[-1] < 1e-6


@pytest.mark.slow
def test_what_is_printed_says_what_happened():
    v = torch.tensor([[1.0, 0.0], [0.0, -900.0]])
    path = shoot(PLANE, START.float(), v)
    text = str(path)
    assert "1 of 2 geodesics reached t = 1" in text
    assert Status(path.status[1].item()).message in text
    assert f"geodesic 1 at t = {path.reached[1]:.3g}" in text
