"""The closed forms against each other and against quadrature."""

import math

import pytest
import torch
from scipy.integrate import quad

from pullback.autodiff import jvp
from pullback.errors import InvalidParameterError
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    curved_plane_inverse,
    great_circle_dist,
    great_circle_exp,
    great_circle_log,
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


@pytest.mark.parametrize("d", [1, 2, 5])
def test_great_circles_are_sections_of_the_sphere(d):
    a, v = torch.randn(2, 50, d, dtype=torch.float64)
    image, push = jvp(stereographic, a, v)
    angle = push.norm(dim=-1, keepdim=True)
    truth = angle.cos() * image + angle.sin() * push / angle
    torch.testing.assert_close(stereographic(great_circle_exp(a, v)), truth)
    # Twice round, and back to where it began.
    around = v * (1 + 4 * math.pi / angle)
    torch.testing.assert_close(great_circle_exp(a, around), great_circle_exp(a, v))


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0])
def test_logarithms_on_the_sphere_undo_exponentials(size):
    a, b = torch.randn(2, 50, 3, dtype=torch.float64)
    b = a + size * b
    v = great_circle_log(a, b)
    torch.testing.assert_close(great_circle_exp(a, v) - a, b - a, rtol=1e-10, atol=1e-15)
    length = PullbackMetric(stereographic).norm(a, v)
    torch.testing.assert_close(length, great_circle_dist(a, b))
    assert great_circle_log(a, a).abs().max() == 0
    assert torch.equal(great_circle_exp(a, torch.zeros_like(a)), a)


def test_opposite_points_have_no_logarithm():
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert great_circle_log(a, -a).isnan().all()


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 10.0])
def test_exponentials_and_logarithms_of_the_half_plane(size):
    plane = HalfPlane()
    a = torch.randn(50, 2, dtype=torch.float64).exp()
    v = torch.randn(50, 2, dtype=torch.float64)
    v = size * v / plane.norm(a, v).unsqueeze(-1)
    v[0] = size * a[0, 1] * torch.tensor([0.0, 1.0])
    b = plane.exp(a, v)
    gap = 1e-3 * a[:, 1].max() * size  # the ends of a short curve are rounded
    length = torch.full((50,), size, dtype=torch.float64)
    torch.testing.assert_close(plane.dist(a, b), length, rtol=1e-9, atol=float(gap))
    torch.testing.assert_close(plane.log(a, b), v, rtol=1e-9, atol=float(gap))
    torch.testing.assert_close(plane.exp(a, plane.log(a, b)), b, rtol=1e-9, atol=1e-12)

    def turn(p):  # -1 / z is an isometry, and pushes velocities forward by its derivative
        return torch.stack([-p[:, 0], p[:, 1]], -1) / p.square().sum(-1, True)

    torch.testing.assert_close(plane.exp(*jvp(turn, a, v)), turn(b))


def test_vertical_lines_of_the_half_plane():
    plane, a = HalfPlane(), torch.tensor([2.0, 3.0], dtype=torch.float64)
    up = torch.tensor([0.0, 3.0], dtype=torch.float64) * torch.tensor([[30.0], [-30.0], [0.0]])
    b = plane.exp(a.expand(3, 2), up)
    heights = 3 * torch.tensor([30.0, -30.0, 0.0], dtype=torch.float64).exp()
    torch.testing.assert_close(b, torch.stack([torch.full_like(heights, 2), heights], -1))
    torch.testing.assert_close(plane.log(a.expand(3, 2), b), up)
    outside = torch.tensor([0.0, -1.0])
    assert plane.exp(outside, torch.ones(2)).isnan().all()
    assert plane.log(outside, torch.ones(2)).isnan().all()
    assert plane.log(torch.ones(2), outside).isnan().all()


def test_the_curved_plane_is_flat():
    z = 2 * torch.randn(30, 2, dtype=torch.float64)
    torch.testing.assert_close(curved_plane_inverse(curved_plane(z)), z)
    metric = PullbackMetric(curved_plane)
    M = metric.metric_matrix(z)
    torch.testing.assert_close(torch.linalg.det(M), torch.ones(30).double())  # shears keep areas
    assert M.std(0).min() > 0.1
    # Images of geodesics are straight: the pulled-back acceleration undoes the second derivative.
    v = torch.randn(30, 2, dtype=torch.float64)
    _, bend = jvp(lambda z: jvp(curved_plane, z, v)[1], z, v)
    _, pushed = jvp(curved_plane, z, metric.acceleration(z, v))
    torch.testing.assert_close(pushed, -bend)


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
