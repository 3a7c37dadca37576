import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Independent, Laplace, Normal

from pullback.errors import InvalidParameterError
from pullback.models import elbo, importance_weighted_bound, kl_divergence, log_marginal

from .linear_gaussian import LinearGaussian, as_array


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_kl_agrees_with_quadrature():
    q, p = stats.norm(0.7, 0.4), stats.norm(0, 1)
    truth, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -8, 8)
    kl = kl_divergence(Normal(torch.tensor(0.7), 0.4), Normal(torch.tensor(0.0), 1.0))
    assert float(kl) == pytest.approx(truth, rel=1e-6)


def test_kl_without_closed_form_names_the_pair():
    q = Laplace(torch.zeros(1), 1.0)
    p = torch.distributions.Gumbel(torch.zeros(1), 1.0)
    with pytest.raises(InvalidParameterError, match=r"closed-form KL.*Laplace.*Gumbel"):
        kl_divergence(q, p)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_elbo_agrees_with_its_closed_form(latent_dim, exact, generator):
    truth = LinearGaussian.random(6, latent_dim, exact=exact)
    vae, x = truth.vae(), truth.draw(5)
    parts = elbo(
        torch.tensor(x),
        vae.encoder,
        vae.decoder,
        vae.prior,
        n_samples=100_000,
        generator=generator,
    )
    assert np.allclose(as_array(parts.kl), truth.kl(x), rtol=1e-9)
    assert np.allclose(as_array(parts.reconstruction), truth.reconstruction(x), atol=0.05)
    bound = truth.reconstruction(x) - truth.kl(x)
    assert np.allclose(as_array(parts.value), bound, atol=0.05)
    if exact:
        assert np.allclose(bound, truth.log_marginal(x))
    else:
        assert (bound < truth.log_marginal(x)).all()


def test_beta_weighs_the_kl_term(generator):
    truth = LinearGaussian.random(4, 2, exact=False)
    vae, x = truth.vae(), torch.tensor(truth.draw(3))
    parts = elbo(x, vae.encoder, vae.decoder, vae.prior, beta=0.25, generator=generator)
    assert torch.allclose(parts.value, parts.reconstruction - 0.25 * parts.kl)


@pytest.mark.parametrize("n_samples", [1, 7])
def test_every_bound_is_exact_under_the_true_posterior(n_samples, generator):
    """All importance weights are then p(x) itself, whatever z is."""
    truth = LinearGaussian.random(6, 2, exact=True)
    vae, x = truth.vae(), truth.draw(5)
    bound = vae.importance_weighted_bound(x, n_samples=n_samples, generator=generator)
    estimate = vae.log_marginal(x, method="encoder", n_samples=n_samples, generator=generator)
    assert np.allclose(as_array(bound), truth.log_marginal(x), rtol=1e-10)
    assert np.allclose(as_array(estimate), truth.log_marginal(x), rtol=1e-10)


@pytest.mark.slow
def test_importance_weighted_bound_agrees_with_quadrature(generator):
    """For d = 1 and two draws, E log (w_1 + w_2) / 2 is an integral in the plane."""
    truth = LinearGaussian.random(3, 1, exact=False)
    vae, x = truth.vae(), truth.draw(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    m = ((x - truth.b) @ truth.A.T).item()
    z = m + truth.t.item() * nodes
    log_joint = (
        stats.norm(z[:, None] * truth.W.T + truth.b, truth.s).logpdf(x).sum(-1)
        + stats.norm.logpdf(z)
        - stats.norm(m, truth.t.item()).logpdf(z)
    )
    pair = np.logaddexp(log_joint[:, None], log_joint[None, :]) - math.log(2)
    expected = weights @ pair @ weights
    repeated = torch.tensor(x).expand(200_000, -1)
    bound = vae.importance_weighted_bound(repeated, n_samples=2, generator=generator)
    error = 4 * float(bound.std()) / math.sqrt(len(repeated))
    assert float(bound.mean()) == pytest.approx(expected, abs=error)
    assert truth.reconstruction(x).item() - truth.kl(x).item() < expected
    assert expected < truth.log_marginal(x).item()


@pytest.mark.parametrize("method", ["encoder", "prior"])
def test_bounds_by_draws_converge_to_the_truth(method, generator):
    truth = LinearGaussian.random(4, 2, exact=False)
    vae, x = truth.vae(), truth.draw(5)
    estimate = vae.log_marginal(x, n_samples=50_000, method=method, generator=generator)
    assert np.allclose(as_array(estimate), truth.log_marginal(x), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["encoder", "prior"])
@pytest.mark.parametrize("chunk_size", [3, 64])
def test_chunks_change_nothing_but_the_memory(method, chunk_size, generator):
    """With far more draws than fit in a chunk, and with chunks that split the data too."""
    truth = LinearGaussian.random(4, 1, exact=False)
    vae, x = truth.vae(), truth.draw(10).reshape(2, 5, 4)
    estimate = vae.log_marginal(
        x, n_samples=300, method=method, chunk_size=chunk_size, generator=generator
    )
    assert estimate.shape == (2, 5)
    assert np.allclose(as_array(estimate), truth.log_marginal(x), atol=0.5)


def test_log_marginal_evaluates_no_more_than_a_chunk_at_once(generator):
    truth = LinearGaussian.random(4, 1, exact=False)
    vae, x = truth.vae(), torch.tensor(truth.draw(10))
    seen = []
    vae.decoder.register_forward_hook(lambda _, inputs, out: seen.append(inputs[0][..., 0].numel()))
    vae.log_marginal(x, method="prior", n_samples=100, chunk_size=50, generator=generator)
    assert max(seen) * 10 <= 50  # every point for all samples
    assert sum(seen) == 100


def test_bounds_have_gradients(generator):
    truth = LinearGaussian.random(4, 2, exact=False)
    vae, x = truth.vae(), truth.draw(3)
    parts = torch.tensor(x), vae.encoder, vae.decoder, vae.prior
    bounds = elbo(*parts).value, importance_weighted_bound(*parts, n_samples=5)
    for bound in bounds:
        vae.zero_grad()
        bound.sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


def test_bad_numbers_of_samples_and_proposals_are_refused():
    vae = LinearGaussian.random(4, 2, exact=True).vae()
    x = torch.zeros(1, 4, dtype=torch.float64)
    with pytest.raises(InvalidParameterError, match="`n_samples` must be an integer >= 1"):
        log_marginal(x, vae.encoder, vae.decoder, vae.prior, n_samples=0)
    with pytest.raises(InvalidParameterError, match="`n_samples`"):
        vae.elbo(x, n_samples=0)
    with pytest.raises(InvalidParameterError, match="`method` must be one of 'auto', 'encoder'"):
        vae.log_marginal(x, method="posterior")
    with pytest.raises(InvalidParameterError, match="`n_samples` must be None for 'quadrature'"):
        vae.log_marginal(x, method="quadrature", n_samples=5)
    with pytest.raises(InvalidParameterError, match="`tolerance`"):
        vae.log_marginal(x, tolerance=0.0)


def test_bernoulli_reconstruction_is_the_cross_entropy():
    from pullback.models import BernoulliLikelihood

    logits, x = torch.randn(3, 5), torch.rand(3, 5)
    p = logits.sigmoid()
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    distribution = BernoulliLikelihood()(logits, torch.zeros(3, 2))
    assert isinstance(distribution, Independent)
    assert torch.allclose(distribution.log_prob(x), expected, atol=1e-5)
