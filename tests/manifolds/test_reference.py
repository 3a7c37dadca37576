"""The closed forms against each other and against quadrature."""

import math

import pytest
import torch
from scipy.integrate import quad

from pullback.errors import InvalidParameterError
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    meridian_length,
    paraboloid,
    stereographic,
    torus,
)
from pullback.metrics import PullbackMetric


@pytest.mark.parametrize("d", [1, 2, 5])
def test_stereographic_coordinates_of_the_sphere(d):
    a, b = torch.randn(2, 50, d, dtype=torch.float64)
    image_a, image_b = stereographic(a), stereographic(b)
    torch.testing.assert_close(image_a.norm(dim=-1), torch.ones(50).double())
    angle = torch.acos((image_a * image_b).sum(-1).clamp(-1, 1))
    torch.testing.assert_close(great_circle_dist(a, b), angle, rtol=1e-7, atol=1e-7)
    factor = 4 / (1 + a.square().sum(-1)) ** 2
    truth = factor[:, None, None] * torch.eye(d).double()
    torch.testing.assert_close(PullbackMetric(stereographic).metric_matrix(a), truth)


def test_great_circles_of_near_and_of_opposite_points():
    a = torch.tensor([[1e-9, 0.0], [0.3, -0.4]], dtype=torch.float64)
    b = torch.stack([torch.zeros(2).double(), -a[1] / a[1].square().sum()])
    truth = torch.tensor([2e-9, math.pi], dtype=torch.float64)
    torch.testing.assert_close(great_circle_dist(a, b), truth, rtol=1e-12, atol=0)


def test_distances_of_the_half_plane():
    plane = HalfPlane()
    a, b = (torch.rand(2, 20, 2, dtype=torch.float64) + 0.1).unbind()
    gap = (a - b).square().sum(-1)
    truth = torch.acosh(1 + gap / (2 * a[:, 1] * b[:, 1]))
    torch.testing.assert_close(plane.dist(a, b), truth)
    mobius = [torch.stack([-p[:, 0], p[:, 1]], -1) / p.square().sum(-1, True) for p in (a, b)]
    torch.testing.assert_close(plane.dist(*mobius), truth)  # -1 / z is an isometry
    outside = torch.tensor([0.0, -1.0])
    assert plane.metric_matrix(outside).isnan().any()
    assert plane.dist(outside, torch.ones(2)).isnan()


@pytest.mark.parametrize("r", [0.0, 0.01, 1.0, 30.0])
def test_meridians_of_the_paraboloid(r):
    truth, _ = quad(lambda s: math.hypot(1, 2 * s), 0, r)
    assert meridian_length(torch.tensor(r, dtype=torch.float64)).item() == pytest.approx(truth)
    z = torch.tensor([r, 0.0], dtype=torch.float64)
    M = PullbackMetric(paraboloid).metric_matrix(z)
    torch.testing.assert_close(M, torch.diag(torch.tensor([1 + 4 * r**2, 1.0]).double()))


def test_the_torus_lies_at_its_radii():
    z = 3 * torch.randn(30, 2, dtype=torch.float64)
    x, y, height = torus(z, major_radius=3, minor_radius=0.5).unbind(-1)
    torch.testing.assert_close((x.hypot(y) - 3).hypot(height), torch.full((30,), 0.5).double())
    M = PullbackMetric(torus).metric_matrix(z)
    v = z[:, 1]
    truth = torch.diag_embed(torch.stack([(2 + v.cos()) ** 2, torch.ones_like(v)], -1))
    torch.testing.assert_close(M, truth)
    with pytest.raises(InvalidParameterError, match="larger than `minor_radius` = 2, but got 1"):
        torus(z, major_radius=1, minor_radius=2)
