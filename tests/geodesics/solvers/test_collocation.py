"""Collocation by itself: against closed forms and Newton's method on the chain."""

import pytest
import torch

from pullback.curves import CubicSpline, length, straight_line
from pullback.errors import InvalidParameterError
from pullback.geodesics import Newton, Status
from pullback.geodesics.solvers.collocation import Collocation
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
A = torch.tensor([[0.9, -0.4, 0.3], [0.2, 0.8, -0.7]], dtype=torch.float64)
DECODER = PullbackMetric(lambda z: torch.cat([torch.tanh(2 * z @ A.to(z)), z], -1))


def lines(n_pairs=3, n_segments=16):
    return straight_line(*torch.randn(2, n_pairs, 2, dtype=torch.float64), n_segments)


def measured(metric, nodes):
    return length(metric, CubicSpline(nodes).points(4001))


@pytest.mark.slow
def test_closed_forms():
    a, b = torch.tensor([[[-0.6, 0.4]], [[0.7, 0.6]]], dtype=torch.float64)
    for metric, dist in ((SPHERE, great_circle_dist), (HalfPlane(), HalfPlane().dist)):
        relaxed = Collocation().relax(metric, straight_line(a, b, 32))
        assert relaxed.status.tolist() == [Status.CONVERGED]
        torch.testing.assert_close(measured(metric, relaxed.nodes), dist(a, b), rtol=1e-6, atol=0)
    apex = torch.zeros_like(b)
    relaxed = Collocation().relax(PARABOLOID, straight_line(apex, b, 32))
    truth = meridian_length(b.norm(dim=-1))
    torch.testing.assert_close(measured(PARABOLOID, relaxed.nodes), truth, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_the_tolerance_bounds_the_share_of_energy_that_is_lost(tol):
    a, b = torch.tensor([[[-0.8, 0.7]], [[0.9, 0.6]]], dtype=torch.float64)
    found = Collocation(tol=tol).relax(SPHERE, straight_line(a, b, 8)).nodes
    energy, truth = (x.square() for x in (measured(SPHERE, found), great_circle_dist(a, b)))
    assert bool(((energy / truth - 1).abs() < tol).all())


@pytest.mark.thorough
def test_it_finds_what_newton_finds():
    nodes = lines()
    relaxed = Collocation().relax(DECODER, nodes)
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    best = Newton(tol=1e-13).relax(DECODER, straight_line(nodes[:, 0], nodes[:, -1], 256))
    torch.testing.assert_close(relaxed.nodes, best.nodes[:, ::16], rtol=0, atol=1e-3)
    found, truth = (measured(DECODER, part) for part in (relaxed.nodes, best.nodes))
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=0)


@pytest.mark.thorough
def test_no_curve_is_longer_than_its_start():
    a = torch.tensor([[-1.0, 0.4], [-0.6, 0.4]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.2], [0.7, 0.6]], dtype=torch.float64)
    nodes = straight_line(a, b, 32)
    relaxed = Collocation().relax(SPHERE, nodes)  # the first goes the long way round
    assert relaxed.status.tolist() == [Status.STALLED, Status.CONVERGED]
    assert torch.equal(relaxed.nodes[0], nodes[0])
    assert measured(SPHERE, relaxed.nodes)[1] < measured(SPHERE, nodes)[1]


@pytest.mark.thorough
def test_the_ends_stay_and_the_input_is_left_alone():
    nodes = lines()
    before = nodes.clone()
    relaxed = Collocation().relax(DECODER, nodes)
    assert torch.equal(nodes, before)
    assert torch.equal(relaxed.nodes[:, [0, -1]], nodes[:, [0, -1]])
    assert relaxed.n_steps.tolist() == [1] * 3


@pytest.mark.thorough
def test_a_batch_is_a_loop():
    nodes = lines()
    relaxed = Collocation().relax(DECODER, nodes)
    alone = [Collocation().relax(DECODER, nodes[i : i + 1]).nodes for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), relaxed.nodes, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_geodesic_is_left_as_it_is():
    a, b = torch.randn(2, 3, 2, dtype=torch.float64)
    geodesics = Newton(tol=1e-13).relax(DECODER, straight_line(a, b, 64)).nodes
    relaxed = Collocation().relax(DECODER, geodesics)
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    torch.testing.assert_close(relaxed.nodes, geodesics, rtol=0, atol=1e-3)


@pytest.mark.thorough
def test_what_is_near_or_in_other_units_is_solved_as_well():
    a, b = torch.tensor([[[-0.6, 0.4]], [[0.7, 0.6]]], dtype=torch.float64)
    plain = Collocation().relax(SPHERE, straight_line(a, b, 16))
    for unit in (1e-6, 1e6):
        metric = PullbackMetric(lambda z, unit=unit: stereographic(z / unit))
        scaled = Collocation().relax(metric, straight_line(unit * a, unit * b, 16))
        assert scaled.status.tolist() == [Status.CONVERGED]
        torch.testing.assert_close(scaled.nodes / unit, plain.nodes, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_joined_by_a_point(metric):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    relaxed = Collocation().relax(metric, straight_line(a, a, 8))
    assert relaxed.status.tolist() == [Status.CONVERGED] * 3
    torch.testing.assert_close(relaxed.nodes, straight_line(a, a, 8), rtol=0, atol=1e-12)


@pytest.mark.thorough
def test_each_failure_is_named_and_stays_its_own():
    broken = PullbackMetric(lambda z: paraboloid(z) * torch.where(z[..., :1] > 2, torch.nan, 1.0))
    a = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0], [3.0, 0.0], [1.5, 1.0]], dtype=torch.float64)
    nodes = straight_line(a, b, 16)
    relaxed = Collocation().relax(broken, nodes)
    assert relaxed.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    assert torch.equal(relaxed.nodes[1], nodes[1])
    truth = Collocation().relax(PARABOLOID, nodes).nodes[[0, 2]]
    torch.testing.assert_close(relaxed.nodes[[0, 2]], truth, rtol=0, atol=1e-9)

    dead = PullbackMetric(lambda z: torch.tanh(z[..., :1] * torch.arange(1.0, 4.0)))
    assert Collocation().relax(dead, nodes).status.tolist() == [Status.DEGENERATE] * 3

    coarse = Collocation(max_nodes=12).relax(SPHERE, straight_line(a, b, 8))
    assert coarse.status.tolist() == [Status.MAX_STEPS] * 3
    assert torch.equal(coarse.nodes, straight_line(a, b, 8))


@pytest.mark.parametrize("options", [{"tol": 0.0}, {"tol": -1.0}, {"max_nodes": 1}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        Collocation(**options)


def test_it_takes_one_step_and_no_other_number():
    assert Collocation().max_steps == 1
    with pytest.raises(TypeError, match="max_steps"):
        Collocation(max_steps=3)
