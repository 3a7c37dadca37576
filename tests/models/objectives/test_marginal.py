"""log p(x) against closed forms and against grids so fine that they are the truth."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from pullback.errors import ConvergenceWarning, InvalidParameterError
from pullback.models import VAE, ConstantStd, Decoder, GaussianEncoder, NormalLikelihood, marginal

from ..linear_gaussian import MIN_SCALE, LinearGaussian, as_array


def principal_components(latent_dim, noise, data_dim=20):
    """A linear model with this noise, its encoder a fifth off and 0.7 of the width it should be."""
    truth = LinearGaussian.random(data_dim, latent_dim, exact=False)
    precision = (truth.W**2).sum(0) / noise**2 + 1
    width = precision**-0.5
    off = 0.2 * width[:, None] * np.random.default_rng(2).normal(size=(latent_dim, data_dim))
    A = (truth.W / noise**2).T / precision[:, None] + off
    return LinearGaussian(truth.W, truth.b, noise, A, np.maximum(0.7 * width, 1.1 * MIN_SCALE))


class Mixture(nn.Module):
    """An equal mixture of normal densities with one standard deviation."""

    def __init__(self, means, std):
        super().__init__()
        self.means, self.std = means, std

    def forward(self):
        parts = Independent(Normal(self.means, self.std, validate_args=False), 1)
        equal = Categorical(logits=torch.zeros(len(self.means), dtype=self.means.dtype))
        return MixtureSameFamily(equal, parts, validate_args=False)


class Function(nn.Module):
    def __init__(self, function, latent_dim):
        super().__init__()
        self.function, self.latent_dim = function, latent_dim

    def forward(self, z):
        return self.function(z)


def blind(function, latent_dim, data_dim, noise, prior=None):
    """A model whose encoder says N(0, log 2) of everything."""
    network = nn.Linear(data_dim, 2 * latent_dim).double()
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    std = ConstantStd(data_dim, noise).double()
    decoder = Decoder(Function(function, latent_dim), NormalLikelihood(std), check=False)
    return VAE.from_modules(GaussianEncoder(network, latent_dim), decoder, prior).double()


@torch.no_grad()
def on_a_grid(vae, x, low, high, n):
    """log p(x) by the trapezoidal rule on n nodes along each axis of a square or a line."""
    axis = torch.linspace(low, high, n, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[axis] * vae.latent_dim).reshape(-1, vae.latent_dim)
    parts = [
        vae.decoder(block).log_prob(x.unsqueeze(1)) + vae.prior().log_prob(block)
        for block in nodes.split(100_000)
    ]
    cell = vae.latent_dim * math.log(float(axis[1] - axis[0]))
    return torch.cat(parts, 1).logsumexp(1) + cell


@pytest.mark.parametrize("noise", [0.7, 1e-2])
@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_quadrature_is_the_closed_form(latent_dim, noise):
    truth = principal_components(latent_dim, noise)
    x = truth.draw(10).reshape(2, 5, -1)
    found = truth.vae().marginal(x)
    assert found.method == "quadrature"
    assert found.effective_sample_size is None
    assert bool(found.converged.all())
    error = np.abs(as_array(found.value) - truth.log_marginal(x))
    assert error.max() < 1e-3
    assert (error <= as_array(found.error) + 1e-9).all()


@pytest.mark.parametrize("noise", [0.7, 1e-2])
@pytest.mark.parametrize("latent_dim", [2, 5, 10])
def test_importance_sampling_is_the_closed_form(latent_dim, noise):
    truth = principal_components(latent_dim, noise)
    x = truth.draw(20)
    found = truth.vae().marginal(x, method="importance")
    assert bool(found.converged.all())
    assert bool((found.effective_sample_size > 500).all())
    score = (as_array(found.value) - truth.log_marginal(x)) / as_array(found.error)
    assert np.abs(score).max() < 4.5
    assert np.sqrt(np.mean(score**2)) < 1.5


def test_more_than_three_dimensions_are_sampled():
    vae = principal_components(5, 0.7).vae()
    x = torch.zeros(1, 20, dtype=torch.float64)
    assert vae.marginal(x).method == "importance"
    with pytest.raises(InvalidParameterError, match="`method` must be another than 'quadrature'"):
        vae.marginal(x, method="quadrature")


@pytest.mark.parametrize("method", ["encoder", "prior"])
def test_bounds_of_a_sharp_decoder_say_that_they_are_bad(method):
    """Of a prior that never comes near, and of an encoder five times too narrow."""
    truth = principal_components(3, 1e-2)
    x = truth.draw(5)
    truth.t = truth.t / 5
    found = truth.vae().marginal(x, method=method)
    assert not bool(found.converged.any())
    assert (as_array(found.value) < truth.log_marginal(x)).mean() > 0.5


@pytest.mark.parametrize("method", ["quadrature", "importance"])
def test_a_second_mode_that_the_encoder_does_not_know_is_found(method):
    """x = (z_1^2, z_2^2) has four, of which an encoder that says 0 knows none."""
    vae = blind(lambda z: z.square(), 2, 2, 1e-2)
    x = torch.tensor([[1.0, 0.5], [2.0, 1.0]], dtype=torch.float64)
    found = vae.marginal(x, method=method)
    truth = on_a_grid(vae, x, -3, 3, 3001)
    assert bool(found.converged.all())
    assert bool(((found.value - truth).abs() < 5 * found.error + 1e-3).all())


@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_a_mixture_prior_has_a_closed_form(noise):
    """Narrow components far apart, of which one, or all, explain the data."""
    means = 6 * torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    vae = blind(lambda z: 1.0 * z, 2, 2, noise, Mixture(means, 0.05))
    x = torch.cat([means[:3], torch.zeros(1, 2, dtype=torch.float64)])
    spread = math.hypot(noise, 0.05)
    parts = Independent(Normal(means, spread), 1).log_prob(x.unsqueeze(1))
    truth = parts.logsumexp(1) - math.log(12)
    found = vae.marginal(x)
    assert bool(found.converged.all())
    assert float((found.value - truth).abs().max()) < 2e-3


def test_a_bent_posterior_is_followed():
    vae = blind(lambda z: torch.stack([z[..., 0], 5 * (z[..., 1] - z[..., 0] ** 2)], -1), 2, 2, 0.3)
    x = torch.tensor([[1.0, 0.5], [0.0, 0.0]], dtype=torch.float64)
    found = vae.marginal(x)
    assert bool(found.converged.all())
    assert float((found.value - on_a_grid(vae, x, -5, 5, 2001)).abs().max()) < 0.01


@pytest.mark.slow
def test_a_thin_ring_is_right_or_said_not_to_be():
    """The curvature at any point of it promises a straight ridge."""
    vae = blind(lambda z: z.square().sum(-1, keepdim=True), 2, 1, 0.03)
    x = torch.tensor([[0.25], [1.0]], dtype=torch.float64)
    found = vae.marginal(x)
    off = (found.value - on_a_grid(vae, x, -3, 3, 3001)).abs()
    assert bool((off[found.converged] < 0.1).all())
    assert bool((found.converged | (found.error > 0.1)).all())


@pytest.mark.thorough
def test_a_trained_decoder_agrees_with_a_fine_grid_and_exceeds_its_bounds():
    X = torch.rand(200, 12, generator=torch.Generator().manual_seed(0))
    t = X[:, :1] * 6
    X = torch.cat([(t + k).sin() for k in range(12)], 1) * 0.5 + 0.02 * X
    vae = VAE(12, 2, n_centers=16).fit(X, epochs=60, progress=False).double()
    x = X[:6].double()
    found = vae.marginal(x)
    assert bool(found.converged.all())
    assert float((found.value - on_a_grid(vae, x, -5, 5, 1201)).abs().max()) < 0.05
    repeated = x.expand(400, *x.shape)
    bound = vae.importance_weighted_bound(repeated, n_samples=20)
    assert bool((bound.mean(0) < found.value + 4 * bound.std(0) / 20).all())


def test_what_fails_is_warned_of_and_draws_are_repeated_by_the_seed():
    vae = blind(lambda z: z.square().sum(-1, keepdim=True), 5, 1, 1e-3)
    x = torch.ones(1, 1, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match=r"1 of 1 samples is not good to 0.1 nats"):
        first = vae.log_marginal(x, n_samples=200)
    generators = [torch.Generator().manual_seed(s) for s in (0, 1)]
    parts = x, vae.encoder, vae.decoder, vae.prior
    again, other = (marginal(*parts, n_samples=200, generator=g).value for g in generators)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
