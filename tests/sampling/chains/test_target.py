"""What a step knows of its target: derivatives by finite differences, and what is no density."""

import math

import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, paraboloid
from pullback.metrics import PullbackMetric
from pullback.sampling import Target
from pullback.sampling.chains.langevin import _drift

POINTS = torch.tensor([[0.3, -0.4], [1.0, 0.5], [0.0, 0.0]], dtype=torch.float64)


def log_density(z):
    return z[:, 0].sin() - z.square().sum(-1)


def differences(f, z, h=1e-5):
    """df/dz_k with k last."""
    steps = h * torch.eye(z.shape[1], dtype=z.dtype)
    return torch.stack([(f(z + e) - f(z - e)) / (2 * h) for e in steps], -1)


@pytest.mark.parametrize("measure", ["riemannian", "lebesgue"])
def test_derivatives(measure):
    M = Manifold(paraboloid, dim=2)
    at = Target(M, log_density, measure=measure).at(POINTS)
    shift = 0 if measure == "riemannian" else M.log_volume(POINTS)
    assert torch.allclose(at.log_density, log_density(POINTS) - shift)

    def by_volume(z):
        return log_density(z) - (0 if measure == "riemannian" else M.log_volume(z))

    assert torch.allclose(at.gradient, differences(by_volume, POINTS), atol=1e-8)
    assert torch.allclose(at.log_volume, M.log_volume(POINTS))
    matrix = M.metric_matrix(POINTS)
    assert torch.allclose(at.factor @ at.factor.mT, matrix)
    change = differences(M.metric_matrix, POINTS)
    assert torch.allclose(at.change, change, atol=1e-8)
    slope = torch.einsum("nij,njlk->nilk", matrix.inverse(), change)
    assert torch.allclose(at.slope, slope, atol=1e-8)
    assert bool(at.regular.all())


def test_the_drift_is_half_of_the_gradient_of_log_p_and_the_divergence_of_the_inverse():
    M = Manifold(paraboloid, dim=2)
    drift = _drift(Target(M, log_density).at(POINTS))
    inverse = M.metric_matrix(POINTS).inverse()
    rise = differences(lambda z: log_density(z) + M.log_volume(z), POINTS)
    change = differences(lambda z: M.metric_matrix(z).inverse(), POINTS)
    truth = (inverse @ rise.unsqueeze(-1)).squeeze(-1) + torch.einsum("nijj->ni", change)
    assert torch.allclose(drift, truth / 2, atol=1e-8)


def test_what_is_no_density_counts_as_zero():
    plane = Manifold(HalfPlane())
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [0.0, -1.0]]).double()
    wild = torch.tensor([math.nan, math.inf, 0.5, 0.5]).double()
    at = Target(plane, lambda z: wild * z[:, 1]).at(z)
    assert at.log_density.tolist() == [-math.inf, -math.inf, 0.5, -math.inf]
    assert at.regular.tolist() == [True, True, True, False]
    assert all(bool(part.isfinite().all()) for part in at[1:-1])
    inside = Target(plane, region=lambda z: z[:, 0] > 0.5).at(z)
    assert inside.log_density.tolist() == [-math.inf, 0.0, 0.0, -math.inf]


def test_a_singular_metric_has_no_density():
    collapsed = Manifold(PullbackMetric(lambda z: z * torch.tensor([1.0, 0.0]).to(z), dim=2))
    at = Target(collapsed).at(POINTS)
    assert bool((at.log_density == -math.inf).all())
    assert not bool(at.regular.any())


def test_a_column_for_a_row_is_refused():
    with pytest.raises(InvalidDataError, match=r"`log_density` must return one number .*\(3, 1\)"):
        Target(Manifold(HalfPlane()), lambda z: z[:, :1]).at(POINTS)
