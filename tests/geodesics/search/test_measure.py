"""Curves placed and measured, against closed forms."""

import math
from itertools import pairwise

import pytest
import torch

from pullback.curves import CubicSpline, graded_durations, graded_times
from pullback.geodesics.search.measure import (
    at_constant_speed,
    fine_points,
    from_chords,
    measure,
    resample,
)
from pullback.metrics import Metric, PullbackMetric


def points_of(curve, n):
    """Points of one curve t -> c(t) at n equal times, shape (1, n, d)."""
    return torch.stack(curve(torch.linspace(0, 1, n, dtype=torch.float64)), -1)[None]


PLANE = PullbackMetric(lambda z: z)


def spiral(t):
    """A curve whose speed |c'|^2 = e^2t (1 + 9) grows: length sqrt(10) (e - 1)."""
    return t.exp() * (3 * t).cos(), t.exp() * (3 * t).sin()


LENGTH = math.sqrt(10) * (math.e - 1)
ENERGY = 10 * (math.e**2 - 1) / 4


@pytest.mark.parametrize("what", ["length", "energy"])
def test_lengths_and_energies_are_of_fourth_order(what):
    index, truth = {"length": (0, LENGTH), "energy": (1, ENERGY)}[what]
    errors = [
        abs(float(measure(PLANE, points_of(spiral, n))[index]) - truth) for n in (33, 65, 129)
    ]
    assert errors[0] < 1e-4 * truth
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(4, abs=0.3)


def test_the_variation_of_the_speed_is_its_deviation_over_its_mean():
    variation = float(measure(PLANE, points_of(spiral, 2049))[2])
    mean, square = math.e - 1, (math.e**2 - 1) / 2  # of e^t
    assert variation == pytest.approx(math.sqrt(square - mean**2) / mean, rel=1e-3)


def test_no_energy_lies_below_that_of_constant_speed():
    # Chords of one length exactly: twice the energy is the square of the length, but for rounding.
    narrow = torch.full((1, 63), 0.1, dtype=torch.float64)
    wide = torch.full((1, 31), 0.2 * (1 - 1e-3), dtype=torch.float64)
    length, energy, variation = from_chords(narrow, wide)
    assert 2 * energy >= length.square()
    assert variation <= 1e-15
    # And where it varies the energy is larger, by as much as the formula says.
    uneven = torch.tensor([[1.0, 3.0]]).double()
    length, energy, _ = from_chords(uneven, torch.tensor([[4.0]]).double())
    assert float(length) == 4
    assert float(energy) == pytest.approx((4 * 2 * 10 - 16) / 6)


def test_every_node_is_among_the_points_that_measure():
    for n_segments in (2, 5, 32, 48, 200):
        nodes = torch.randn(1, n_segments + 1, 2, dtype=torch.float64)
        points = fine_points(CubicSpline(nodes))
        per_segment, rest = divmod(points.shape[1] - 1, n_segments)
        assert rest == 0
        assert per_segment >= 2
        assert per_segment % 2 == 0
        assert points.shape[1] > 64
        torch.testing.assert_close(points[:, ::per_segment], nodes, rtol=0, atol=1e-12)


def test_a_bump_between_the_nodes_is_measured():
    def bump(z):
        return torch.stack([z[..., 0], (-((z[..., 0] - 0.25) / 0.05).square()).exp()], -1)

    line = torch.tensor([[[0.0], [1.0]]]).double()
    length = float(measure(PullbackMetric(bump), fine_points(CubicSpline(line)))[0])
    t = torch.linspace(0, 1, 100001, dtype=torch.float64)[:, None]
    truth = float(bump(t).diff(dim=0).norm(dim=-1).sum())
    assert truth > 2.5
    assert length == pytest.approx(truth, rel=2e-2)


def test_nodes_come_at_equal_distances():
    points = points_of(spiral, 1001)
    chords = points.diff(dim=1).norm(dim=-1)
    nodes = at_constant_speed(points, chords, 17)
    steps = (math.exp(1.0) - 1) / 16  # of r = e^t, which grows in proportion to the length
    radius = nodes.norm(dim=-1)[0]
    expected = 1 + steps * torch.arange(17, dtype=torch.float64)
    torch.testing.assert_close(radius, expected, rtol=1e-5, atol=0)
    assert nodes[:, [0, -1]].equal(points[:, [0, -1]])


def test_nodes_stay_apart_where_the_metric_is_zero():
    points = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1)
    chords = torch.tensor([[1.0, 1, 1, 0, 0, 0, 0, 1]]).double()
    nodes = at_constant_speed(points, chords, 401)
    assert bool((nodes.diff(dim=1) > 0).all())
    nothing = at_constant_speed(points, torch.zeros_like(chords), 5)
    torch.testing.assert_close(nothing[0, :, 0], torch.linspace(0, 1, 5).double())


class Torn(Metric):
    """A line that cannot be measured beyond 1 / 2."""

    def metric_matrix(self, z):
        return torch.where(z > 0.5, torch.nan, torch.ones_like(z)).unsqueeze(-1)


def test_what_cannot_be_measured_is_nan():
    line = torch.linspace(0, 1, 33, dtype=torch.float64).reshape(1, 33, 1)
    assert bool(torch.stack(measure(Torn(), line)).isnan().all())
    assert bool(at_constant_speed(line, Torn().chords(line), 5).isfinite().all())


def test_resampled_nodes_lie_on_the_same_curve():
    nodes = points_of(spiral, 65)
    assert resample(nodes, 65) is nodes
    torch.testing.assert_close(resample(nodes, 129), points_of(spiral, 129), rtol=0, atol=1e-4)
    line = torch.tensor([[[0.0], [1.0], [3.0]]]).double()
    assert resample(line, 5).flatten().tolist() == [0, 0.5, 1, 2, 3]


def test_energy_and_speed_are_by_the_times_that_are_given():
    flat = PullbackMetric(lambda z: z)
    t = graded_times(64)
    steps = graded_durations(64)
    line = torch.stack([t, 2 * t], -1)[None]
    length, energy, variation = measure(flat, line, steps)
    torch.testing.assert_close(length.item(), 5**0.5)
    torch.testing.assert_close(energy.item(), 2.5)
    assert variation.item() < 1e-6
    uneven = torch.stack([t.square(), 0 * t], -1)[None]  # int 2 t^2 dt, and a speed of 2 t
    length, energy, variation = measure(flat, uneven, steps)
    assert energy.item() == pytest.approx(2 / 3, rel=1e-3)
    assert variation.item() == pytest.approx(3**-0.5, rel=1e-2)
