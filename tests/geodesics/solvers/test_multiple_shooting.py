"""Initial velocities by short arcs, against closed forms."""

import pytest
import torch

from pullback.errors import InvalidParameterError
from pullback.geodesics import Status, connect, refine_velocity, shoot
from pullback.geodesics.solvers.multiple_shooting import fit_arcs, n_arcs
from pullback.manifolds.reference import HalfPlane, great_circle_exp, stereographic
from pullback.metrics import PullbackMetric

PLANE, SPHERE = HalfPlane(), PullbackMetric(stereographic, dim=2)


def arcs_of(metric, a, b, levels=(32,)):
    """Points and velocities of roughly solved geodesics."""
    curve = connect(metric, a, b, levels=levels, rtol=1e-2, confirm=False).curve
    t = torch.linspace(0, 1, n_arcs(a.shape[-1]) + 1, dtype=a.dtype)
    return curve.at(t), curve.velocity(t)


def test_velocities_on_the_sphere_are_those_of_great_circles():
    z, v = torch.randn(2, 12, 2, dtype=torch.float64) / 2
    velocity, status, miss = fit_arcs(SPHERE, *arcs_of(SPHERE, z, great_circle_exp(z, v)))
    assert status.tolist() == [Status.CONVERGED] * 12
    assert float(miss.max()) <= 1e-9
    torch.testing.assert_close(velocity, v, rtol=1e-7, atol=1e-8)


def test_equal_points_have_no_velocity_and_far_ones_the_logarithm_of_their_ratio():
    a = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).double()
    b = torch.tensor([[0.0, 1.0], [0.0, 50.0]]).double()
    velocity, status, _ = fit_arcs(PLANE, *arcs_of(PLANE, a, b, levels=(128,)))
    assert status.tolist() == [Status.CONVERGED] * 2
    assert velocity[0].tolist() == [0.0, 0.0]
    torch.testing.assert_close(velocity[1, 1], torch.tensor(50.0).double().log(), rtol=1e-7, atol=0)


@pytest.mark.slow
def test_where_neighbours_part_by_eight_orders_of_magnitude_arcs_still_fit():
    """In constant negative curvature c'' = k^2 c of neighbours: they part as sinh(k)."""

    def saddle(z):  # steep to both sides of the valley z_2 = 0, along which the geodesic runs
        height = 40 * z[..., 0] * z[..., 1]
        return torch.cat([z, height.unsqueeze(-1)], -1)

    metric = PullbackMetric(saddle, dim=2)
    a, b = torch.tensor([[[-1.0, 1e-3]], [[1.0, 2e-3]]]).double()
    points, velocities = arcs_of(metric, a, b, levels=(32, 64, 128))
    velocity, status, _ = fit_arcs(metric, points, velocities)
    assert status.tolist() == [Status.CONVERGED]
    end = shoot(metric, a, velocity, rtol=1e-12).end
    spread = torch.linalg.svdvals(shoot(metric, a, velocity).differential())[0, 0]
    assert float((end - b).norm()) <= 1e-8 * float(spread) + 1e-8


def test_the_two_ways_of_shooting_agree():
    a, b = torch.randn(2, 6, 2, dtype=torch.float64) / 3
    points, velocities = arcs_of(SPHERE, a, b)
    by_arcs = fit_arcs(SPHERE, points, velocities)[0]
    at_once = refine_velocity(SPHERE, a, b, velocities[:, 0])[0]
    torch.testing.assert_close(by_arcs, at_once, rtol=1e-7, atol=1e-9)


def test_a_row_that_fails_leaves_the_others_alone():
    a = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).double()
    b = torch.tensor([[0.5, 1.0], [0.5, 2.0]]).double()
    points, velocities = arcs_of(PLANE, a, b)
    alone = fit_arcs(PLANE, points[1:], velocities[1:])
    velocities[0] = torch.nan
    velocity, status, miss = fit_arcs(PLANE, points, velocities)
    assert status.tolist() == [Status.NOT_FINITE, Status.CONVERGED]
    assert miss[0] == torch.inf
    assert torch.equal(velocity[1], alone[0][0])


def test_what_is_out_of_range_is_refused():
    nodes = torch.zeros(1, 3, 2).double()
    with pytest.raises(InvalidParameterError, match="`tol`"):
        fit_arcs(PLANE, nodes, nodes, tol=0.0)
    with pytest.raises(InvalidParameterError, match="`max_steps`"):
        fit_arcs(PLANE, nodes, nodes, max_steps=0)
