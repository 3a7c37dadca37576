"""Geodesic balls against the circles of the sphere and the half-plane."""

import math

import pytest
import torch

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.geodesics import Status
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.manifolds.spreading.balls import geodesic_ball, unit_vectors
from pullback.metrics import Metric, PullbackMetric

SPHERE, PLANE = PullbackMetric(stereographic), HalfPlane()


class Strip(Metric):
    """The flat plane where y > 0, and nothing elsewhere."""

    def metric_matrix(self, z):
        identity = torch.eye(z.shape[-1], dtype=z.dtype)
        return torch.where((z[..., 1] > 0)[..., None, None], identity, torch.nan)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0])
def test_a_hyperbolic_circle_is_a_circle_higher_up(radius):
    center = torch.tensor([[0.5, 1.0], [-2.0, 3.0]], dtype=torch.float64)
    ball = geodesic_ball(PLANE, center, radius, n=24)
    middle = torch.stack([center[:, 0], center[:, 1] * math.cosh(radius)], -1)
    size = (ball.boundary - middle.unsqueeze(1)).norm(dim=-1)
    wanted = (center[:, 1:] * math.sinh(radius)).expand_as(size)
    torch.testing.assert_close(size, wanted, rtol=1e-6, atol=0)
    assert ball.boundary.shape == (2, 24, 2)
    assert not ball.status.any()


@pytest.mark.slow
def test_a_ball_of_the_sphere_has_its_radius():
    center = torch.tensor([0.7, -0.4], dtype=torch.float64)
    ball = geodesic_ball(SPHERE, center, 1.2, n=16)
    dist = great_circle_dist(center.expand_as(ball.boundary), ball.boundary)
    torch.testing.assert_close(dist, torch.full_like(dist, 1.2), rtol=1e-6, atol=0)


@pytest.mark.exhaustive
def test_beyond_a_conjugate_point_the_boundary_is_marked():
    ball = geodesic_ball(SPHERE, [0.5, 0.3], 3.4, n=3, conjugate=True)
    assert ball.past_conjugate.all()
    assert ball.boundary.isfinite().all()
    near = geodesic_ball(SPHERE, [0.5, 0.3], 2.0, n=3, conjugate=True)
    assert not near.past_conjugate.any()


@pytest.mark.slow
def test_a_ball_over_the_edge_says_which_directions_are_lost():
    ball = geodesic_ball(Strip(), [0.0, 1.0], 2.0, n=4)
    assert (ball.status == Status.CONVERGED).tolist() == [True, True, True, False]
    assert ball.boundary[3].isnan().all()
    torch.testing.assert_close(ball.boundary[1], torch.tensor([0.0, 3.0]).double())


def test_unit_vectors_are_and_stand_at_their_angles():
    z = torch.randn(3, 2, dtype=torch.float64)
    metric = PullbackMetric(paraboloid)
    u = unit_vectors(metric, z, torch.eye(2, dtype=torch.float64))
    gram = u @ metric.metric_matrix(z) @ u.mT
    torch.testing.assert_close(gram, torch.eye(2).double().expand(3, 2, 2))


@pytest.mark.slow
def test_the_manifold_s_ball():
    M = Manifold(PLANE)
    ball = M.ball([0.0, 1.0], math.log(4), n=4)
    torch.testing.assert_close(ball.boundary[1], torch.tensor([0.0, 4.0]).double())


def test_bad_input_is_refused():
    with pytest.raises(InvalidParameterError, match="two dimensions"):
        geodesic_ball(PullbackMetric(lambda z: z), [0.0, 0.0, 0.0], 1.0)
    with pytest.raises(InvalidParameterError, match="`radius`"):
        geodesic_ball(PLANE, [0.0, 1.0], -1.0)
    with pytest.raises(InvalidParameterError, match="`n`"):
        geodesic_ball(PLANE, [0.0, 1.0], 1.0, n=2)
    with pytest.raises(InvalidDataError, match="`point` must be finite"):
        geodesic_ball(PLANE, [math.inf, 1.0], 1.0)
