"""The metric of RHVAE, against its formula with an explicit inverse."""

import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import Metric, RHVAEMetric

T, LAMBDA = 0.8, 1e-2


@pytest.fixture(params=[1, 2, 3], ids="d = {}".format)
def metric(request):
    generator = torch.Generator().manual_seed(0)
    d = request.param
    centers = torch.randn(12, d, generator=generator, dtype=torch.float64)
    factors = torch.randn(12, d, d, generator=generator, dtype=torch.float64).tril()
    return RHVAEMetric(centers, factors, T, LAMBDA)


@pytest.fixture
def nodes(metric):
    return torch.randn(2, 5, metric.dim, dtype=torch.float64)


def test_it_is_the_formula(metric, nodes):
    z = nodes[0, 0]
    W = LAMBDA * torch.eye(metric.dim, dtype=torch.float64)
    for c, L in zip(metric.centers, metric.factors, strict=True):
        W = W + L @ L.T * torch.exp(-(z - c).square().sum() / T**2)
    torch.testing.assert_close(metric.metric_matrix(z), torch.linalg.inv(W))
    torch.testing.assert_close(metric.log_volume(z), -torch.linalg.slogdet(W).logabsdet / 2)


def test_derivatives_are_those_of_the_default(metric, nodes):
    for a, b in zip(metric.expand_chords(nodes), Metric.expand_chords(metric, nodes), strict=True):
        torch.testing.assert_close(a, b)
    v = nodes.roll(1, 0)
    torch.testing.assert_close(metric.acceleration(nodes, v), Metric.acceleration(metric, nodes, v))


def test_it_is_flat_far_off_the_centers(metric):
    far = torch.full((metric.dim,), 1e6, dtype=torch.float64)
    eye = torch.eye(metric.dim, dtype=torch.float64)
    torch.testing.assert_close(metric.metric_matrix(far), eye / LAMBDA)
    assert bool((metric.acceleration(far, torch.ones_like(far)) == 0).all())


@pytest.mark.slow
def test_geodesics_converge_and_keep_to_the_centers():
    t = torch.linspace(0, torch.pi, 30, dtype=torch.float64)
    centers = torch.stack([t.cos(), t.sin()], -1)
    factors = 0.3 * torch.eye(2, dtype=torch.float64).expand(30, 2, 2)
    M = Manifold(RHVAEMetric(centers, factors, 0.2, 1e-3), data=centers)
    path = M.geodesic(centers[0], centers[-1])
    assert bool(path.converged)
    assert float(path.points(65).norm(dim=-1).min()) > 0.7


def test_bad_input_is_refused():
    eye = torch.eye(2).expand(3, 2, 2)
    centers = torch.zeros(3, 2)
    with pytest.raises(InvalidParameterError, match=r"`factors` must be of shape \(3, 2, 2\)"):
        RHVAEMetric(centers, eye[:2])
    with pytest.raises(InvalidDataError, match="`centers` must be finite"):
        RHVAEMetric(centers * torch.nan, eye)
    with pytest.raises(InvalidParameterError, match="`temperature`"):
        RHVAEMetric(centers, eye, 0.0)
    with pytest.raises(InvalidParameterError, match="`regularization`"):
        RHVAEMetric(centers, eye, 1.0, 0.0)
