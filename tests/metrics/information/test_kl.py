"""The metric of a divergence against the exact Fisher information."""

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    Gumbel,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    VonMises,
    kl_divergence,
)

from pullback.errors import InvalidParameterError
from pullback.manifolds import Manifold
from pullback.metrics import FisherRaoMetric, KLMetric, symmetric_divergence
from pullback.models import Decoder, mlp
from pullback.testing import check_metric


def network(n_out):
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 16), (16,), (16, n_out))
    ]
    return lambda z: 0.5 * torch.tanh(z @ weights[0] + weights[1]) @ weights[2]


def of_two(family):
    """A decoder to five observations of a family with two parameters, the second positive."""
    h = network(10)
    return lambda z: Independent(family(h(z)[..., :5], h(z)[..., 5:].exp()), 1)


def of_one(family):
    """A decoder to distributions with four numbers as parameters."""
    h = network(4)
    return lambda z: family(h(z))


DECODERS = {
    "Normal": of_two(Normal),
    "Beta": of_two(lambda a, b: Beta(a.exp(), b)),
    "Gamma": of_two(lambda a, b: Gamma(a.exp(), b)),
    "Dirichlet": of_one(lambda h: Dirichlet(h.exp())),
    "Bernoulli": of_one(lambda h: Bernoulli(logits=h)),
    "Categorical": of_one(lambda h: Categorical(logits=h)),
    "OneHotCategorical": of_one(lambda h: OneHotCategorical(logits=h)),
    "Poisson": of_one(lambda h: Poisson(h.exp())),
    "Exponential": of_one(lambda h: Exponential(h.exp())),
    "MultivariateNormal": of_one(
        lambda h: MultivariateNormal(h, scale_tril=torch.diag_embed(h.exp()))
    ),
    "product": of_one(lambda h: (Normal(h[:, :2], 1.0), {"counts": Poisson(h[:, 2:].exp())})),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_the_expansion_is_the_fisher_information(name):
    """Published relative errors are 5e-4 for Normal and 2e-5 for Beta."""
    z = torch.randn(20, 2, dtype=torch.float64)
    metric = KLMetric.from_decoder(DECODERS[name], dim=2)
    exact = FisherRaoMetric.from_decoder(DECODERS[name], dim=2).metric_matrix(z)
    error = (metric.metric_matrix(z) - exact).norm(dim=(-1, -2)) / exact.norm(dim=(-1, -2))
    assert error.max() < 1e-8
    assert (error <= 10 * metric.error(z) + 1e-9).all()
    assert metric.error(z).max() < 1e-4


@pytest.mark.slow
def test_the_error_is_of_sixth_order_and_its_estimate_is_honest():
    z = torch.randn(20, 2, dtype=torch.float64)
    exact = FisherRaoMetric.from_decoder(DECODERS["Gamma"], dim=2).metric_matrix(z)
    errors, estimates = [], []
    for step in (0.8, 0.4):
        metric = KLMetric.from_decoder(DECODERS["Gamma"], dim=2, step=step)
        error = (metric.metric_matrix(z) - exact).norm(dim=(-1, -2)) / exact.norm(dim=(-1, -2))
        errors.append(error)
        estimates.append(metric.error(z))
        assert (error < metric.error(z)).float().mean() > 0.8
    assert (errors[0] / errors[1]).median() > 2**5.5
    assert (estimates[0] / estimates[1]).median() > 2**3.5


@pytest.mark.slow
def test_chords_are_symmetric_divergences():
    metric = KLMetric.from_decoder(DECODERS["Normal"], dim=2)
    points = torch.randn(3, 4, 2, dtype=torch.float64)
    for i, curve in enumerate(points):
        p, q = DECODERS["Normal"](curve[:-1]), DECODERS["Normal"](curve[1:])
        truth = (kl_divergence(p, q) + kl_divergence(q, p)).sqrt()
        torch.testing.assert_close(metric.chords(points)[i], truth)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Normal", "Beta", "Gamma"])
def test_geodesics_have_the_length_of_the_exact_metric(name):
    a = torch.tensor([[-1.5, -1.0], [1.0, 1.5]], dtype=torch.float64)
    b = torch.tensor([[1.5, 0.5], [-1.0, 0.0]], dtype=torch.float64)
    lengths = []
    for kind in (FisherRaoMetric, KLMetric):
        result = Manifold(kind.from_decoder(DECODERS[name], dim=2)).geodesic(a, b)
        assert result.converged.all()
        lengths.append(result.length)
    torch.testing.assert_close(lengths[1], lengths[0], rtol=1e-5, atol=0)


@pytest.mark.slow
def test_families_beyond_the_tables_are_measured():
    """Gumbel, scale s: information 1 / s^2 of the place; Binomial: n p (1 - p) of the logit."""
    z = torch.zeros(1, 1, dtype=torch.float64)
    gumbel = KLMetric.from_decoder(lambda z: Gumbel(z, 0.5 * torch.ones_like(z)), dim=1)
    assert gumbel.metric_matrix(z).item() == pytest.approx(4, rel=1e-8)
    binomial = KLMetric.from_decoder(lambda z: Binomial(torch.tensor(3.0), logits=z), dim=1)
    assert binomial.metric_matrix(z).item() == pytest.approx(0.75, rel=1e-8)


def test_a_divergence_of_one_s_own_is_used():
    def kl(p, q):
        """Of von Mises distributions, which torch has none registered for."""
        ratio = torch.special.i1e(p.concentration) / torch.special.i0e(p.concentration)
        return ratio * p.concentration * (1 - torch.cos(p.loc - q.loc))

    def decoder(z):
        return VonMises(z, 2.0)

    z = torch.zeros(1, 1, dtype=torch.float64)
    found = KLMetric.from_decoder(decoder, dim=1, kl=kl).metric_matrix(z)
    exact = FisherRaoMetric.from_decoder(decoder, dim=1).metric_matrix(z)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=0)


def test_without_a_divergence_the_error_says_what_to_do():
    with pytest.raises(InvalidParameterError, match=r"`kl` must be .* VonMises. Give `kl`"):
        KLMetric.from_decoder(lambda z: VonMises(z, 2.0), dim=1)


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan")])
def test_hostile_steps_are_refused(step):
    with pytest.raises(InvalidParameterError, match="step"):
        KLMetric(DECODERS["Normal"], 2, step=step)


@pytest.mark.slow
def test_shapes_and_batches():
    metric = KLMetric.from_decoder(DECODERS["Normal"], dim=2)
    z = torch.randn(3, 700, 2, dtype=torch.float64)
    together = metric.metric_matrix(z)
    assert together.shape == (3, 700, 2, 2)
    torch.testing.assert_close(metric.metric_matrix(z[1, 5]), together[1, 5])
    assert metric.error(z).shape == (3, 700)
    assert torch.equal(together, together.mT)


@pytest.mark.slow
def test_the_metric_obeys_the_laws_of_metrics():
    metric = KLMetric.from_decoder(DECODERS["Beta"], dim=2)
    check_metric(metric, torch.randn(5, 2, dtype=torch.float64))


@pytest.mark.slow
def test_single_precision_is_close():
    z = torch.randn(20, 2, dtype=torch.float64)

    def decoder(z):
        return Normal(torch.sin(z), 1 + z.square())

    exact = KLMetric.from_decoder(decoder, dim=2).metric_matrix(z)
    rough = KLMetric.from_decoder(decoder, dim=2, dtype=torch.float32).metric_matrix(z.float())
    error = (rough - exact).norm(dim=(-1, -2)) / exact.norm(dim=(-1, -2))
    assert error.max() < 5e-3


def test_a_module_that_trains_is_followed():
    class Decoder(nn.Module):
        latent_dim = 2

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, z):
            return Normal(torch.tanh(self.layer(z)), 1.0, validate_args=False)

    decoder = Decoder()
    metric = KLMetric.from_decoder(decoder, trainable=True)
    metric.metric_matrix(torch.zeros(1, 2).double()).sum().backward()
    assert metric.requires_grad
    assert decoder.layer.weight.grad.abs().max() > 0


def test_symmetric_divergence_is_torch_s():
    p, q = (Categorical(logits=torch.randn(4, 3).double()) for _ in range(2))
    truth = kl_divergence(p, q) + kl_divergence(q, p)
    torch.testing.assert_close(symmetric_divergence(p, q), truth)
    assert torch.equal(symmetric_divergence(p, q, kl_divergence), truth)
    p, q = (Bernoulli(logits=torch.randn(4, 3).double()) for _ in range(2))
    truth = kl_divergence(p, q) + kl_divergence(q, p)
    torch.testing.assert_close(symmetric_divergence(Independent(p, 1), Independent(q, 1)), truth)


@pytest.mark.slow
def test_a_kink_of_the_density_is_allowed_for():
    """Of Laplace distributions halving the step halves the error: odd powers count."""
    torch.manual_seed(0)
    network = mlp([2, 16, 6]).double().requires_grad_(False)

    def decoder(z):
        loc, log_scale = network(z).chunk(2, -1)
        return Independent(Laplace(loc, log_scale.exp(), validate_args=False), 1)

    metric = KLMetric.from_decoder(decoder, dim=2)
    z = torch.randn(50, 2, dtype=torch.float64)
    J = torch.func.vmap(torch.func.jacrev(network))(z)
    weight = torch.cat([(-2 * network(z)[:, 3:]).exp(), torch.ones(50, 3).double()], -1)
    exact = J.mT @ (weight.unsqueeze(-1) * J)
    error = (metric.metric_matrix(z) - exact).norm(dim=(1, 2)) / exact.norm(dim=(1, 2))
    assert error.median() < 1e-6
    assert error.max() < 1e-4


@pytest.mark.slow
def test_a_module_is_compared_in_double_precision():
    torch.manual_seed(0)
    decoder = Decoder(mlp([2, 8, 6]), lambda x: Normal(x[..., :3], x[..., 3:].exp()))
    single = KLMetric.from_decoder(decoder, dtype=torch.float32)
    double = KLMetric.from_decoder(decoder)
    z = torch.randn(20, 2)
    assert single.metric_matrix(z).dtype == torch.float32
    torch.testing.assert_close(
        single.metric_matrix(z).double(), double.metric_matrix(z.double()), rtol=1e-5, atol=1e-6
    )
