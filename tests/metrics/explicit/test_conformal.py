"""Conformal metrics, against the half-plane and the density they are made of."""

import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import HalfPlane, great_circle_dist
from pullback.metrics import ConformalMetric, Metric


def height_cost(z):
    y = z[..., 1]
    return torch.where(y > 0, y, torch.nan) ** -2


PLANE = ConformalMetric(height_cost, 2)


def test_it_is_the_half_plane():
    z, v = torch.rand(2, 5, 2, dtype=torch.float64) + 0.5
    truth = HalfPlane()
    torch.testing.assert_close(PLANE.metric_matrix(z), truth.metric_matrix(z))
    torch.testing.assert_close(PLANE.acceleration(z, v), truth.acceleration(z, v))
    torch.testing.assert_close(PLANE.log_volume(z), truth.log_volume(z))
    below = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    assert PLANE.contains(below).tolist() == [True, False]


@pytest.mark.slow
def test_geodesics_have_the_lengths_of_the_half_plane():
    a = torch.tensor([[-1.0, 0.3], [0.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.5], [0.0, 3.0], [-2.0, 0.2]], dtype=torch.float64)
    M = Manifold(PLANE)
    path = M.geodesic(a, b)
    assert bool(path.converged.all())
    torch.testing.assert_close(path.length, HalfPlane().dist(a, b), rtol=1e-3, atol=0)
    end = M.exp(a, HalfPlane().log(a, b))
    torch.testing.assert_close(end, b, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_sphere_in_stereographic_coordinates():
    sphere = ConformalMetric(lambda z: 4 / (1 + z.square().sum(-1)).square(), 2)
    a, b = torch.tensor([[[0.1, 0.2]], [[-0.8, 0.5]]], dtype=torch.float64)
    torch.testing.assert_close(
        Manifold(sphere).dist(a, b), great_circle_dist(a, b), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("d", [1, 3])
def test_derivatives_are_those_of_the_default(d):
    metric = ConformalMetric(lambda z: torch.exp(z.sin().sum(-1)))
    nodes = torch.randn(2, 5, d, dtype=torch.float64)
    for a, b in zip(metric.expand_chords(nodes), Metric.expand_chords(metric, nodes), strict=True):
        torch.testing.assert_close(a, b)


def test_of_a_density():
    def density(z):
        return torch.exp(-z.square().sum(-1))

    metric = ConformalMetric.from_density(density, alpha=2.0, beta=0.1, dim=2)
    z = torch.randn(4, 2, dtype=torch.float64)
    expected = 1 / (2 * density(z) + 0.1)
    torch.testing.assert_close(metric.metric_matrix(z)[:, 0, 0], expected)
    assert float(metric.diagonal(torch.full((2,), 99.0, dtype=torch.float64))[0]) == 10.0


def test_bad_input_is_refused():
    with pytest.raises(InvalidParameterError, match="`beta`"):
        ConformalMetric.from_density(height_cost, beta=0.0)
    with pytest.raises(InvalidDataError, match=r"`cost` must return a tensor of shape \(3,\)"):
        ConformalMetric(lambda z: z).metric_matrix(torch.zeros(3, 2))
