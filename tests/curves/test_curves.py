"""Curves against polynomials, SciPy's splines and closed lengths."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline as SciPySpline

from pullback.curves import (
    CubicSpline,
    GradedSpline,
    Polyline,
    energy,
    graded_durations,
    graded_times,
    length,
    straight_line,
)
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import HalfPlane, paraboloid
from pullback.metrics import PullbackMetric

FLAT = PullbackMetric(lambda z: z)


@pytest.mark.slow
@given(n=st.integers(2, 20), seed=st.integers(0, 1000))
def test_the_cubic_spline_is_scipys(n, seed):
    nodes = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    truth = SciPySpline(np.linspace(0, 1, n), nodes.numpy(), bc_type="not-a-knot")
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    curve = CubicSpline(nodes)
    np.testing.assert_allclose(curve.at(t), truth(t), atol=1e-11)
    np.testing.assert_allclose(curve.velocity(t), truth(t, 1), atol=1e-9)


@pytest.mark.parametrize("kind", [CubicSpline, Polyline])
@pytest.mark.parametrize("batch", [(), (4,), (2, 0), (2, 3)])
def test_curves_pass_through_their_nodes_exactly(kind, batch):
    nodes = torch.randn(*batch, 6, 2)
    curve = kind(nodes)
    assert torch.equal(curve.points(2), nodes[..., [0, -1], :])
    assert torch.equal(curve.start, nodes[..., 0, :])
    assert torch.equal(curve.end, nodes[..., -1, :])
    torch.testing.assert_close(curve.points(6), nodes)
    assert curve.points(11).shape == (*batch, 11, 2)
    assert curve.velocity(torch.rand(7)).shape == (*batch, 7, 2)


def test_a_finer_spline_through_a_spline_is_the_same():
    curve = CubicSpline(torch.randn(3, 9, 2, dtype=torch.float64))
    t = torch.rand(50, dtype=torch.float64)
    torch.testing.assert_close(CubicSpline(curve.points(33)).at(t), curve.at(t))


def test_the_error_of_the_spline_falls_with_the_fourth_power():
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)

    def circle(t):
        return torch.stack([(2 * t).cos(), (2 * t).sin()], -1)

    def error(n):
        nodes = circle(torch.linspace(0, 1, n + 1, dtype=torch.float64))
        return (CubicSpline(nodes).at(t) - circle(t)).abs().max()

    order = torch.log2(error(16) / error(32))
    assert 3.7 < order < 5


def test_a_polyline_is_straight_between_nodes():
    curve = Polyline(torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 5.0]]))
    t = torch.tensor([0.25, 0.5, 0.75, 1.5, -1.0])
    assert curve.at(t).tolist() == [[0.5, 1.0], [1.0, 2.0], [1.0, 3.5], [1.0, 5.0], [0.0, 0.0]]
    assert curve.velocity(t[[0, 2]]).tolist() == [[2.0, 4.0], [0.0, 6.0]]


def test_length_and_energy_have_their_closed_forms():
    t = torch.linspace(0, 1, 20001, dtype=torch.float64)
    upwards = torch.stack([torch.zeros_like(t), torch.exp(3 * t)], -1)  # constant speed 3
    assert abs(length(HalfPlane(), upwards).item() - 3) < 1e-7
    assert abs(energy(HalfPlane(), upwards).item() - 4.5) < 1e-6
    uneven = (t**2).unsqueeze(-1)  # speed 2 t
    assert abs(length(FLAT, uneven).item() - 1) < 1e-12
    assert abs(energy(FLAT, uneven).item() - 2 / 3) < 1e-8


@pytest.mark.slow
@given(seed=st.integers(0, 1000), n=st.integers(2, 30))
def test_length_is_at_most_the_root_of_twice_the_energy(seed, n):
    points = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    metric = PullbackMetric(paraboloid)
    L, E = length(metric, points), energy(metric, points)
    assert L**2 <= 2 * E * (1 + 1e-12)


def test_a_finer_chain_on_a_curve_is_never_shorter():
    curve = CubicSpline(torch.randn(6, 2, dtype=torch.float64))
    lengths = [length(PullbackMetric(paraboloid), curve.points(2**k + 1)) for k in range(3, 9)]
    assert all(a <= b for a, b in pairwise(lengths))


def test_straight_lines_keep_their_ends():
    a, b = torch.randn(2, 4, 3, 2)
    points = straight_line(a, b, 7)
    assert points.shape == (4, 3, 8, 2)
    assert torch.equal(points[..., 0, :], a)
    assert torch.equal(points[..., -1, :], b)
    torch.testing.assert_close(points.diff(dim=-2), ((b - a) / 7).unsqueeze(-2).expand(4, 3, 7, 2))


@pytest.mark.parametrize("kind", [CubicSpline, Polyline])
@pytest.mark.parametrize("shape", [(1, 2), (4, 0, 2)])
def test_too_few_nodes_are_refused(kind, shape):
    with pytest.raises(InvalidDataError, match="at least its two end points"):
        kind(torch.zeros(shape))
    with pytest.raises(InvalidParameterError, match="`n` must be an integer >= 2"):
        kind(torch.zeros(2, 2)).points(1)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_graded_times_are_mirrored_and_crowd_at_both_ends(n):
    times, steps = graded_times(n), graded_durations(n)
    torch.testing.assert_close(times.diff(), steps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(times + times.flip(0), torch.ones_like(times))
    torch.testing.assert_close(steps, steps.flip(0), rtol=1e-12, atol=0)
    if n > 2:
        assert steps[0] < steps[n // 2] / 10


def test_a_graded_spline_is_by_time_what_its_nodes_say():
    times = graded_times(64)
    nodes = torch.stack([times, times.square()], -1)
    curve = GradedSpline(nodes)
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    torch.testing.assert_close(curve.at(t), torch.stack([t, t.square()], -1), rtol=0, atol=1e-5)
    along = torch.stack([torch.ones_like(t), 2 * t], -1)
    torch.testing.assert_close(curve.velocity(t), along, rtol=0, atol=1e-2)
    torch.testing.assert_close(curve.at(times), nodes, rtol=0, atol=1e-9)
