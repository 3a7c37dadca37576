import pytest
import torch
from torch import nn

from pullback import Manifold
from pullback.errors import InvalidParameterError
from pullback.manifolds.curvature.curvature import ricci, scalar_curvature
from pullback.manifolds.curvature.sectional_curvature import (
    estimate_ricci,
    estimate_scalar_curvature,
    sectional_curvature,
)
from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic
from pullback.metrics import ConformalMetric, PullbackMetric


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(d, m):
    torch.manual_seed(0)
    layers = nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, m)
    return nn.Sequential(*layers).double().requires_grad_(False)


def spheres(z):
    d = z.shape[-1] // 2
    return torch.cat([stereographic(z[..., :d]), 2 * stereographic(z[..., d:])], -1)


@pytest.mark.parametrize("metric", [PullbackMetric(paraboloid), HalfPlane()], ids=["flat", "none"])
def test_a_plane_is_what_two_vectors_span_whichever_they_are(metric):
    z = torch.tensor([[0.4, 0.7]], dtype=torch.float64).expand(4, 2)
    u = torch.tensor([[1, 0], [1, 0], [1e-9, 1e-9], [3e7, -1e7]], dtype=torch.float64)
    v = torch.tensor([[0, 1], [1, 1e-7], [0, -1e9], [2e7, 1e7]], dtype=torch.float64)
    K = sectional_curvature(metric, z, u, v)
    torch.testing.assert_close(K, K[:1].expand(4), rtol=1e-8, atol=0)
    torch.testing.assert_close(K, scalar_curvature(metric, z) / 2, rtol=1e-8, atol=0)


@pytest.mark.parametrize("metric", [PullbackMetric(paraboloid), HalfPlane()], ids=["flat", "none"])
def test_parallel_vectors_span_no_plane(metric):
    u = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0], [0.1, 0.3]], dtype=torch.float64)
    v = torch.tensor([[-3.0, -6.0], [1.0, 0.0], [0.0, 0.0], [0.3, 0.9]], dtype=torch.float64)
    z = torch.tensor([[0.4, 0.7]], dtype=torch.float64).expand(4, 2)
    assert bool(sectional_curvature(metric, z, u, v).isnan().all())


def test_a_curve_holds_no_plane():
    metric, z = PullbackMetric(lambda z: z), torch.zeros(1)
    with pytest.raises(InvalidParameterError, match="two or more dimensions, which a plane takes"):
        sectional_curvature(metric, z, z, z)
    with pytest.raises(InvalidParameterError, match="got 1 dimension"):
        Manifold(metric, dim=1).estimate_scalar_curvature([0.0])
    with pytest.raises(InvalidParameterError, match="got 1 dimension"):
        Manifold(metric, dim=1).estimate_ricci([0.0], [1.0])


@pytest.mark.parametrize("n_planes", [1, 0, True])
def test_a_standard_error_takes_two_planes(n_planes):
    with pytest.raises(InvalidParameterError, match="`n_planes` must be an integer >= 2"):
        Manifold(paraboloid, dim=2).estimate_scalar_curvature([0.0, 0.0], n_planes=n_planes)


@pytest.mark.slow
def test_where_all_planes_are_alike_a_few_tell_all():
    d = 50
    z, u = 0.3 * draw(3, d), draw(3, d, seed=1)
    spaces = [
        (PullbackMetric(stereographic), z, 1),
        (ConformalMetric(lambda z: z[..., -1] ** -2), z.abs() + 0.1, -1),
    ]
    for metric, z, K in spaces:
        found = estimate_scalar_curvature(metric, z, n_planes=3)
        torch.testing.assert_close(found.value, torch.full((3,), d * (d - 1.0) * K).double())
        assert found.standard_error.max() < 1e-8
        found = estimate_ricci(metric, z, u, n_planes=2)
        torch.testing.assert_close(found.value, (d - 1) * K * metric.inner_product(z, u, u))


@pytest.mark.slow
def test_the_estimates_have_no_bias_and_honest_errors():
    """300 estimates each; z-scores beyond 4.5 and the chi-square bounds: false alarms < 1e-4."""
    metric, d, n = PullbackMetric(spheres), 8, 300
    z, u = (0.5 * draw(1, d, seed=s).expand(n, d) for s in (0, 1))
    exact_ricci = torch.einsum("ni,nij,nj->n", u, ricci(metric, z), u)
    cases = [
        (estimate_scalar_curvature(metric, z, n_planes=64, generator=generator()), 15.0),
        (estimate_ricci(metric, z, u, n_planes=64, generator=generator(1)), exact_ricci[0]),
    ]
    for found, truth in cases:
        assert found.standard_error.min() > 0
        scores = (found.value - truth) / found.standard_error
        error = found.value.std() / n**0.5
        assert abs(found.value.mean() - truth) < 4.5 * error
        assert 0.75 < scores.square().mean() < 1.35


@pytest.mark.parametrize("seed", range(3))
def test_a_network_in_twelve_dimensions(seed):
    """A z-score beyond 5 of a mean of 2000 planes: a false alarm in fewer than 1e-5 of runs."""
    metric, z = PullbackMetric(network(12, 40)), draw(1, 12, seed=seed)
    exact = scalar_curvature(metric, z)
    found = estimate_scalar_curvature(metric, z, n_planes=2000, generator=generator(seed))
    assert abs(found.value - exact) < 5 * found.standard_error
    assert found.standard_error < 0.2 * exact.abs() + 0.1
    u = draw(1, 12, seed=seed + 9)
    found = estimate_ricci(metric, z, u, n_planes=2000, generator=generator(seed))
    exact = torch.einsum("ni,nij,nj->n", u, ricci(metric, z), u)
    assert abs(found.value - exact) < 5 * found.standard_error


@pytest.mark.slow
def test_the_same_generator_draws_the_same_planes():
    M, z = Manifold(spheres, dim=4), draw(2, 3, 4)
    first, second = (M.estimate_scalar_curvature(z, generator=generator(5)) for _ in range(2))
    assert torch.equal(first.value, second.value)
    assert first.value.shape == first.standard_error.shape == (2, 3)
    other = M.estimate_scalar_curvature(z, generator=generator(6))
    assert not torch.equal(first.value, other.value)
    assert M.estimate_ricci(z, z, generator=generator(5)).value.shape == (2, 3)


def test_where_the_metric_is_singular_there_is_no_estimate():
    cusp = PullbackMetric(lambda z: torch.cat([z**2, z[..., 1:]], -1))
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    u = torch.ones(2, 2, dtype=torch.float64)
    for found in (estimate_scalar_curvature(cusp, z), estimate_ricci(cusp, z, u)):
        assert found.value.isnan().tolist() == [True, False]
        assert found.standard_error.isnan().tolist() == [True, False]
    assert bool(estimate_ricci(cusp, z[1:], 0 * u[1:]).value.isnan())
