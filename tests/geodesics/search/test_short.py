"""Short searches against closed forms, and what they do with curves to start from."""

import math

import pytest
import torch

from pullback.geodesics import connect, search_shortly, with_ends
from pullback.geodesics.search.short import ShortGeodesics
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    great_circle_log,
    stereographic,
)
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic, dim=2)


def pairs(n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 2, generator=generator, dtype=torch.float64) * 0.4


def test_lengths_to_a_thousandth_and_directions_to_three_hundredths():
    a, b = pairs()
    found = search_shortly(SPHERE, a, b)
    assert torch.allclose(found.length, great_circle_dist(a, b), rtol=1e-3)
    log = great_circle_log(a, b)
    assert bool(((found.velocity() - log).norm(dim=-1) < 3e-2 * log.norm(dim=-1)).all())
    assert torch.equal(found.nodes[:, 0], a)
    assert torch.equal(found.nodes[:, -1], b)


def test_the_curves_of_the_last_call_are_good_starts():
    a, b = pairs()
    first = search_shortly(SPHERE, a, b)
    moved = search_shortly(SPHERE, a + 0.05, b, initial=first.nodes)
    assert torch.allclose(moved.length, great_circle_dist(a + 0.05, b), rtol=1e-3)


@pytest.mark.slow
def test_a_curve_that_leads_round_an_obstacle_is_kept():
    M = Manifold(_bump, dim=2)
    a, b = torch.tensor([[-1.0, 0.05]]).double(), torch.tensor([[1.0, 0.05]]).double()
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    round_it = torch.stack([2 * t - 1, 0.05 + 0.9 * (torch.pi * t).sin()], -1)[None]
    straight = search_shortly(M.metric, a, b).length
    assert bool(search_shortly(M.metric, a, b, initial=round_it).length <= straight * 1.001)


def test_points_that_are_equal_are_at_distance_zero():
    a = pairs()[0]
    found = search_shortly(SPHERE, a, a)
    assert torch.equal(found.length, torch.zeros(50, dtype=torch.float64))
    assert torch.equal(found.velocity(), torch.zeros_like(a))


def test_where_the_metric_is_not_finite_the_length_is_not():
    a, b = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0], [0.0, -2.0]])
    found = search_shortly(HalfPlane(), a.double(), b.double())
    assert found.length[0].item() == pytest.approx(math.log(2), rel=1e-3)
    assert not bool(found.length[1].isfinite())


def test_ends_are_moved_and_what_lies_between_with_them():
    curves = torch.rand(3, 7, 2)
    a, b = torch.rand(3, 2), torch.rand(3, 2)
    moved = with_ends(curves, a, b)
    assert torch.allclose(moved[:, 0], a)
    assert torch.allclose(moved[:, -1], b)
    assert torch.allclose(with_ends(moved, curves[:, 0], curves[:, -1]), curves, atol=1e-6)


def _bump(z):
    height = 6 * torch.exp(-8 * z.square().sum(-1, keepdim=True))
    return torch.cat([z, height], -1)


def test_velocities_of_cubic_curves_are_exact():
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    nodes = torch.stack([t + 2 * t**2 - t**3, 3 * t], -1)[None]
    velocity = ShortGeodesics(torch.ones(1), nodes).velocity()
    assert torch.allclose(velocity, torch.tensor([[1.0, 3.0]], dtype=torch.float64), atol=1e-12)


@pytest.mark.slow
def test_where_few_nodes_do_not_see_the_ripples_there_are_more():
    def rippled(z):
        return torch.cat([z, 0.3 * torch.sin(12 * z[..., :1] + 5 * z[..., 1:])], -1)

    metric = PullbackMetric(rippled, dim=2)
    a, b = 2.5 * pairs(12)
    # With few nodes alone they are up to 45 % too long.
    excess = search_shortly(metric, a, b).length / connect(metric, a, b).length - 1
    assert float(excess.max()) < 0.15
    assert float(excess.mean()) < 0.04
