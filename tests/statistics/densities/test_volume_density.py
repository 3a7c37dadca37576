"""How exp stretches volume: closed forms of constant curvature, and the differential of exp."""

import pytest
import torch

from pullback.geodesics import shoot
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.statistics.densities.volume_density import log_volume_density

from ..known_spaces import FLAT, HALF_PLANE, SPHERE


def theta(manifold, a, b, n=65):
    found = manifold.geodesic(a, b)
    assert bool(found.converged.all())
    return log_volume_density(manifold.metric, found.curve.points(n)).exp()


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 3])
def test_on_the_sphere(d):
    a, b = 0.4 * torch.randn(2, 30, d, dtype=torch.float64)
    r = great_circle_dist(a, b)
    found = theta(Manifold(stereographic, dim=d), a, b)
    torch.testing.assert_close(found, (r.sin() / r) ** (d - 1), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_in_the_half_plane():
    a, b = torch.randn(2, 30, 2, dtype=torch.float64)
    a[:, 1], b[:, 1] = a[:, 1].exp(), b[:, 1].exp()
    r = HalfPlane().dist(a, b)
    torch.testing.assert_close(theta(HALF_PLANE, a, b), r.sinh() / r, rtol=1e-4, atol=0.0)


@pytest.mark.slow
def test_in_a_flat_space_and_on_a_line_it_is_one():
    a, b = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(theta(FLAT, a, b), torch.ones(5).double())
    line = Manifold(lambda z: torch.cat([z, z.sin()], -1), dim=1)
    torch.testing.assert_close(
        theta(line, a[:, :1], b[:, :1]), torch.ones(5).double(), rtol=1e-3, atol=0.0
    )
    same = theta(SPHERE, a[:, :2], a[:, :2])
    torch.testing.assert_close(same, torch.ones(5).double())


@pytest.mark.slow
def test_it_is_the_determinant_of_the_differential_of_exp_and_symmetric():
    M = Manifold(paraboloid, dim=2)
    a, v = 0.5 * torch.randn(2, 4, 2, dtype=torch.float64)
    flight = shoot(M.metric, a, v)
    b, nodes = flight.end, flight.points(65)
    determinant = torch.linalg.det(flight.differential()).abs()
    expected = determinant * (M.log_volume(b) - M.log_volume(a)).exp()
    found = log_volume_density(M.metric, nodes).exp()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0.0)
    back = log_volume_density(M.metric, nodes.flip(1)).exp()
    torch.testing.assert_close(back, found, rtol=1e-9, atol=0.0)


@pytest.mark.slow
def test_the_error_falls_with_the_fourth_power_of_the_step():
    height = [torch.linspace(0, 2, n + 1).double().exp() for n in (16, 32)]
    nodes = [torch.stack([torch.zeros_like(h), h], -1)[None] for h in height]
    exact = torch.tensor(2.0).double().sinh().div(2).log()
    wide, narrow = ((log_volume_density(HalfPlane(), z) - exact).abs().item() for z in nodes)
    assert 10 < wide / narrow < 25
