import pytest
import torch
from torch import nn

from pullback.autodiff import jacobian
from pullback.manifolds.curvature.christoffels import christoffels
from pullback.manifolds.reference import HalfPlane, torus
from pullback.metrics import (
    EnsembleMetric,
    FisherRaoMetric,
    PullbackMetric,
    SumMetric,
    TabulatedMetric,
)


def draw(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def network(seed=0):
    torch.manual_seed(seed)
    layers = nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6)
    return nn.Sequential(*layers).double().requires_grad_(False)


def gamma(z):
    return torch.distributions.Gamma(z[..., :1].exp(), (z[..., 1:2] - z[..., 2:]).exp() + 1)


METRICS = {
    "pull-back": PullbackMetric(network(), 3),
    "ensemble": EnsembleMetric([PullbackMetric(network(seed), 3) for seed in range(2)]),
    "sum with a field": SumMetric(
        [FisherRaoMetric.from_decoder(gamma, dim=3), PullbackMetric(network(), 3)]
    ),
}


def test_polar_coordinates():
    def polar(z):
        r, angle = z.unbind(-1)
        return torch.stack([r * angle.cos(), r * angle.sin()], -1)

    symbols = christoffels(PullbackMetric(polar), torch.tensor([2.0, 0.7]).double())
    expected = torch.zeros(2, 2, 2).double()
    expected[0, 1, 1], expected[1, 0, 1], expected[1, 1, 0] = -2.0, 0.5, 0.5
    torch.testing.assert_close(symbols, expected)


def test_the_half_plane():
    z = torch.stack([draw(5, 1)[:, 0], draw(5, 1, seed=1)[:, 0].abs() + 0.1], -1)
    symbols, y = christoffels(HalfPlane(), z), z[:, 1]
    expected = torch.zeros(5, 2, 2, 2).double()
    expected[:, 0, 0, 1] = expected[:, 0, 1, 0] = expected[:, 1, 1, 1] = -1 / y
    expected[:, 1, 0, 0] = 1 / y
    torch.testing.assert_close(symbols, expected)


@pytest.mark.parametrize("name", METRICS)
def test_they_are_those_of_the_geodesic_equation(name):
    metric, z, v = METRICS[name], draw(6, 3), draw(6, 3, seed=1)
    bent = -torch.einsum("nkij,ni,nj->nk", christoffels(metric, z), v, v)
    torch.testing.assert_close(bent, metric.acceleration(z, v), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", METRICS)
def test_the_connection_keeps_the_metric_and_has_no_torsion(name):
    metric, z = METRICS[name], draw(6, 3)
    symbols = christoffels(metric, z)
    torch.testing.assert_close(symbols, symbols.mT, rtol=1e-9, atol=1e-12)
    M, change = jacobian(lambda z: metric.metric_matrix(z).flatten(1), z)
    half = torch.einsum("nlki,nlj->nijk", symbols, M.reshape(6, 3, 3))
    torch.testing.assert_close(
        half + half.transpose(1, 2), change.reshape(6, 3, 3, 3), rtol=1e-8, atol=1e-10
    )


@pytest.mark.slow
def test_a_batch_is_measured_as_its_points_and_a_table_as_its_exact_metric():
    metric, z = PullbackMetric(torus, 2), draw(6, 2)
    together = christoffels(metric, z.reshape(3, 2, 2))
    alone = torch.stack([christoffels(metric, point) for point in z])
    torch.testing.assert_close(together.reshape(6, 2, 2, 2), alone)
    table = TabulatedMetric.build(metric, z, rtol=0.05)
    assert torch.equal(christoffels(table, z), christoffels(metric, z))
    assert christoffels(metric, z[:0]).shape == (0, 2, 2, 2)
    assert christoffels(metric, z.float()).dtype == torch.float32


def test_where_the_metric_is_singular_there_are_none():
    cusp, z = PullbackMetric(lambda z: z**2), torch.tensor([[0.0, 1.0], [1.0, 1.0]]).double()
    assert christoffels(cusp, z).isnan().flatten(1).all(-1).tolist() == [True, False]
    assert bool(christoffels(cusp, z)[1].isfinite().all())
    outside = christoffels(HalfPlane(), torch.tensor([0.0, -1.0]).double())
    assert bool(outside.isnan().all())
