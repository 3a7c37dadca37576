"""The Fisher-Rao metric: distances with a closed form, and the door."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Exponential,
    Gamma,
    Independent,
    Laplace,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
)

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.metrics import FisherRaoMetric, PullbackMetric
from pullback.models import ZeroInflatedNegativeBinomial
from pullback.models.likelihoods import negative_binomial
from pullback.testing import check_metric


class GammaDecoder(nn.Module):
    """Two latent dimensions to ten gamma distributions."""

    latent_dim = 2

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 20))

    def forward(self, z):
        shape, rate = self.net(z).exp().chunk(2, -1)
        return Independent(Gamma(shape, rate, validate_args=False), 1, validate_args=False)


@pytest.mark.slow
def test_normal_distributions_are_the_hyperbolic_plane():
    metric = FisherRaoMetric.from_decoder(lambda z: Normal(z[:, :1], z[:, 1:].exp()), dim=2)
    a, b = torch.tensor([[[0.0, 0.0]], [[3.0, 1.0]]], dtype=torch.float64)
    squared = (3 / math.sqrt(2)) ** 2 + (1 - math.e) ** 2
    truth = math.sqrt(2) * math.acosh(1 + squared / (2 * math.e))
    assert Manifold(metric).dist(a, b).item() == pytest.approx(truth, rel=1e-6)


@pytest.mark.slow
def test_covariances_have_the_affine_invariant_distance():
    """Between covariances with a common mean: |log of the relative eigenvalues| / sqrt 2."""

    def family(z):
        below = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).to(z)
        scale_tril = torch.diag_embed(z[:, :2].exp()) + z[:, 2, None, None] * below
        return MultivariateNormal(torch.zeros(2).to(z), scale_tril=scale_tril)

    ends = torch.tensor([[0.0, 0.0, 0.0], [0.6, -0.3, 0.8]], dtype=torch.float64)
    covariance = family(ends).covariance_matrix
    eigenvalues = torch.linalg.eigvals(torch.linalg.solve(covariance[0], covariance[1])).real
    truth = eigenvalues.log().norm() / math.sqrt(2)
    metric = FisherRaoMetric.from_decoder(family, dim=3)
    found = Manifold(metric).dist(ends[:1], ends[1:])
    torch.testing.assert_close(found[0], truth, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "family", [lambda z: Bernoulli(logits=z), lambda z: Exponential(z.exp())], ids=["logit", "log"]
)
def test_flat_families_agree_with_their_immersion(family):
    z = torch.randn(5, 2, dtype=torch.float64)
    fisher = FisherRaoMetric.from_decoder(family, dim=2)
    flat = PullbackMetric.from_decoder(family, dim=2)
    torch.testing.assert_close(fisher.metric_matrix(z), flat.metric_matrix(z))
    torch.testing.assert_close(fisher.chords(z), flat.chords(z))


def test_the_metric_does_not_depend_on_the_coordinates_of_the_family():
    """Shape and rate, or shape and mean: the same distributions, the same metric."""
    z = torch.randn(6, 2, dtype=torch.float64)
    by_rate = FisherRaoMetric.from_decoder(
        lambda z: Gamma(z[:, :1].exp(), (z[:, :1] - z[:, 1:]).exp()), dim=2
    )
    shape = z[:, 0].exp()
    truth = torch.diag_embed(
        torch.stack([shape**2 * torch.special.polygamma(1, shape) - shape, shape], -1)
    )
    torch.testing.assert_close(by_rate.metric_matrix(z), truth)


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        GammaDecoder(),
        lambda z: ZeroInflatedNegativeBinomial(z[:, :1].exp(), z[:, 1:].exp(), z[:, :1] - z[:, 1:]),
        lambda z: NegativeBinomial(z[:, :1].exp(), logits=z[:, 1:]),
    ],
    ids=["Gamma", "ZeroInflated", "NegativeBinomial"],
)
def test_energy_derivatives_are_those_of_differences(family):
    metric = FisherRaoMetric.from_decoder(family, dim=2)
    nodes = torch.randn(1, 5, 2, dtype=torch.float64)
    at = metric.expand_chords(nodes)
    step = 1e-5
    for k in range(2):
        move = torch.zeros_like(nodes)
        move[0, 2, k] = step
        up, down = metric.expand_chords(nodes + move), metric.expand_chords(nodes - move)
        torch.testing.assert_close(
            at.gradient[0, 1, k], (up.value - down.value)[0] / (2 * step), rtol=1e-5, atol=1e-7
        )
        torch.testing.assert_close(
            at.diagonal[0, 1, k],
            (up.gradient - down.gradient)[0, 1] / (2 * step),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.slow
@pytest.mark.parametrize("extra", [False, True], ids=["NegativeBinomial", "ZeroInflated"])
def test_a_fixed_dispersion_costs_nothing_and_changes_nothing(extra, monkeypatch):
    theta = torch.tensor([0.5, 3.0], dtype=torch.float64)

    def family(z, theta=theta):
        if extra:
            return ZeroInflatedNegativeBinomial(z.exp(), theta, z.sum(-1, keepdim=True))
        return NegativeBinomial(theta, logits=z)

    def both(z):
        """The same, with a dispersion that moves, if only by a hair."""
        return Independent(family(z, theta + 1e-30 * z), 1), {"more": family(z)}

    z = torch.randn(5, 2, dtype=torch.float64)
    learnt = FisherRaoMetric.from_decoder(lambda z: both(z)[0], dim=2)
    fixed = FisherRaoMetric.from_decoder(family, dim=2)
    together = FisherRaoMetric.from_decoder(both, dim=2)
    once = learnt.metric_matrix(z)
    torch.testing.assert_close(fixed.metric_matrix(z), once)
    torch.testing.assert_close(together.metric_matrix(z), 2 * once)
    torch.testing.assert_close(fixed.chords(z), learnt.chords(z))

    def refuse(*_):
        raise RuntimeError

    monkeypatch.setattr(negative_binomial, "dispersion_information", refuse)
    fixed.metric_matrix(z)
    with pytest.raises(RuntimeError):
        learnt.metric_matrix(z)


@pytest.mark.thorough
def test_the_metric_obeys_the_laws_of_metrics():
    metric = FisherRaoMetric.from_decoder(GammaDecoder().eval())
    check_metric(metric, torch.randn(5, 2, dtype=torch.float64))


@pytest.mark.slow
def test_a_module_is_copied_and_one_that_trains_is_followed():
    decoder = GammaDecoder().eval()
    copied = FisherRaoMetric.from_decoder(decoder)
    followed = FisherRaoMetric.from_decoder(decoder, trainable=True)
    z = torch.zeros(1, 2, dtype=torch.float64)
    before = copied.metric_matrix(z)
    with torch.no_grad():
        decoder.net[2].weight.mul_(2)
    assert torch.equal(copied.metric_matrix(z), before)
    assert (followed.metric_matrix(z) - before).norm() > 0.1 * before.norm()
    assert followed.requires_grad
    assert not copied.requires_grad
    followed.metric_matrix(z).sum().backward()
    assert decoder.net[0].weight.grad.abs().max() > 0
    assert isinstance(copied.decoder, nn.Module)


def test_hostile_decoders_are_refused():
    with pytest.raises(InvalidParameterError, match="Laplace"):
        FisherRaoMetric.from_decoder(lambda z: Laplace(z, 1.0), dim=2)
    with pytest.raises(InvalidParameterError, match="dim"):
        FisherRaoMetric.from_decoder(lambda z: Normal(z, 1.0))
    with pytest.raises(InvalidDataError, match="`scale` must be greater"):
        FisherRaoMetric.from_decoder(lambda z: Normal(z, -1.0), dim=2)
    with pytest.raises(InvalidDataError, match="one row for each"):
        FisherRaoMetric.from_decoder(lambda z: Gamma(z.exp().sum(0), 1.0), dim=2)
    with pytest.raises(InvalidDataError, match="does not depend on z"):
        FisherRaoMetric.from_decoder(lambda z: Gamma(1 + 0 * z, 1.0), dim=2)
