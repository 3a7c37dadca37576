"""Short searches against closed forms, and what they do with curves to start from."""

import math

import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics import connect, search_shortly, with_ends
from pullback.geodesics.fields import refinement
from pullback.geodesics.search import short
from pullback.geodesics.search.short import ShortGeodesics
from pullback.geodesics.solvers.newton import Newton
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    great_circle_log,
    stereographic,
)
from pullback.metrics import PullbackMetric, TabulatedMetric

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


def bumpy_table(d):
    """A table of a bumpy metric, forty pairs on it, and curves between ends near to theirs."""
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(d, 8, generator=generator, dtype=torch.float64)
    B = torch.randn(8, 6, generator=generator, dtype=torch.float64)
    metric = PullbackMetric(lambda z: torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1), dim=d)
    ends = torch.rand(2, 40, d, generator=generator, dtype=torch.float64) * 2 - 1
    table = TabulatedMetric.build(metric, ends.flatten(0, 1), rtol=1e-2)
    near = 0.9 * ends + 0.05 * torch.rand(ends.shape, generator=generator, dtype=torch.float64)
    return table, *ends, search_shortly(table, *near).nodes


@pytest.mark.slow  # for the compiling: d = 1 and 3 by themselves
@pytest.mark.parametrize(
    "d", [pytest.param(d, marks=pytest.mark.thorough) for d in (1, 3)] + [2], ids=str
)
def test_kernels_follow_curves_to_where_pytorch_does(d, monkeypatch):
    pytest.importorskip("numba")
    table, a, b, curves = bumpy_table(d)
    shortly = search_shortly(table, a, b, initial=curves)
    assert bool(refinement.follow(table, with_ends(curves, a, b))[0].isfinite().all())
    monkeypatch.setattr(refinement, "_SHORTLY", (1e-12, 0.025))
    found = search_shortly(table, a, b, initial=curves)

    monkeypatch.setattr(short, "table_search", lambda _: None)
    usual = search_shortly(table, a, b, initial=curves)
    torch.testing.assert_close(shortly.length, usual.length, rtol=1e-3, atol=0)
    assert bool(((shortly.velocity() - usual.velocity()).norm(dim=-1) < 0.02 * speed(usual)).all())

    monkeypatch.setattr(short, "_SOLVER", Newton(tol=1e-12, max_steps=40, max_age=1))
    monkeypatch.setattr(short, "_rough", lambda metric: metric)  # in double precision
    truth = search_shortly(table, a, b, initial=curves)
    # Each second node was solved; the cubics between them differ, as does what measures them.
    torch.testing.assert_close(found.nodes[:, ::2], truth.nodes[:, ::2], rtol=0, atol=1e-8)
    torch.testing.assert_close(found.nodes, truth.nodes, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.length, truth.length, rtol=1e-5, atol=0)
    assert bool(((found.velocity() - truth.velocity()).norm(dim=-1) < 0.02 * speed(truth)).all())


def speed(found):
    return found.velocity().norm(dim=-1)


@pytest.mark.slow
def test_what_kernels_cannot_follow_pytorch_does(monkeypatch):
    pytest.importorskip("numba")
    corners = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    table = TabulatedMetric.build(HalfPlane(), corners, rtol=1e-4)
    a = torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(5, 2).clone()
    # On the table, beyond it, beyond the half-plane, on the spot, and from a curve that is lost.
    b = torch.tensor([[0.0, 2.0], [0.0, 40.0], [0.0, -2.0], [0.0, 1.0], [0.5, 2.0]]).double()
    curves = straight_line(a, b, 64)
    curves[4] = torch.nan
    followed = refinement.follow(table, with_ends(curves, a, b))[0].isfinite()
    assert followed.tolist() == [True, False, False, True, False]
    found = search_shortly(table, a, b, initial=curves)
    assert found.length.isfinite().tolist() == [True, True, False, True, True]
    truth = torch.acosh(1 + (a - b).square().sum(-1) / (2 * a[:, 1] * b[:, 1]))
    torch.testing.assert_close(
        found.length[[0, 1, 3, 4]], truth[[0, 1, 3, 4]], rtol=1e-3, atol=1e-12
    )
    assert found.velocity()[3].tolist() == [0.0, 0.0]
    assert torch.equal(found.nodes[:, 0], a)
    assert torch.equal(found.nodes[:, -1], b)
    monkeypatch.setattr(short, "table_search", lambda _: None)
    usual = search_shortly(table, a, b, initial=curves)
    assert torch.equal(usual.length.isfinite(), found.length.isfinite())


@pytest.mark.slow
def test_where_kernels_do_not_see_the_ripples_there_are_more_nodes(monkeypatch):
    pytest.importorskip("numba")

    def rippled(z):
        return torch.cat([z, 0.3 * torch.sin(12 * z[..., :1] + 5 * z[..., 1:])], -1)

    a, b = 2.5 * pairs(12)
    table = TabulatedMetric.build(PullbackMetric(rippled, dim=2), torch.cat([a, b]), rtol=1e-2)
    lines = straight_line(a, b, 64)
    truth = connect(table, a, b).length
    excess = search_shortly(table, a, b, initial=lines).length / truth - 1
    assert float(excess.abs().max()) < 0.05
    monkeypatch.setattr(refinement, "_SHORTLY", (1e-3, math.inf))
    few = search_shortly(table, a, b, initial=lines).length / truth - 1
    assert float(few.abs().mean()) > 2 * float(excess.abs().mean())


@pytest.mark.slow
def test_kernels_follow_the_shorter_of_curve_and_line():
    pytest.importorskip("numba")
    corners = torch.tensor([[-1.5, -1.5], [1.5, 1.5]], dtype=torch.float64)
    table = TabulatedMetric.build(Manifold(_bump, dim=2).metric, corners, rtol=1e-2)
    a, b = torch.tensor([[-1.0, 0.05]]).double(), torch.tensor([[1.0, 0.05]]).double()
    t = torch.linspace(0, 1, 65, dtype=torch.float64)
    # From the other side a curve leads round the bump there, which is longer, as is one far about.
    sides = [0.9, -0.9, 1.3]
    arcs = [torch.stack([2 * t - 1, 0.05 + h * (torch.pi * t).sin()], -1) for h in sides]
    near, far, about = refinement.follow(table, torch.stack(arcs))[0].tolist()
    truth, line = connect(table, a, b).length.item(), straight_line(a, b, 64)
    assert near == pytest.approx(truth, rel=1e-3)
    assert refinement.follow(table, line)[0].item() == pytest.approx(truth, rel=1e-3)
    assert far > 1.01 * truth
    assert about < 1.01 * truth
