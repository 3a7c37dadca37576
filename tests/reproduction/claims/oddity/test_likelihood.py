"""log p(x) is the truth where it is known, and the bound of the paper lies below it."""

import torch
from torch import nn
from torch.distributions import MultivariateNormal

from pullback.models import ConstantStd, Decoder, NormalLikelihood
from pullback.models.encoder import GaussianEncoder
from pullback.models.priors import StandardNormal
from pullback.reproduction.claims.oddity.likelihood import likelihood


def linear(weight):
    """Return a layer z -> weight z, in double precision."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
    layer.weight = nn.Parameter(weight.double())
    return layer


def test_the_likelihood_of_a_linear_model():
    A = torch.tensor([[1.0], [-0.5], [0.2]]).double()
    decoder = Decoder(linear(A), NormalLikelihood(ConstantStd(3, 0.5)), latent_dim=1).double()
    # An encoder that is far from the posterior, but covers it: q(z|x) = N(x_0, log(2)^2).
    encoder = GaussianEncoder(linear(torch.tensor([[1.0, 0, 0], [0, 0, 0]])), latent_dim=1)
    modules = encoder, decoder, StandardNormal(1).double()
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double()
    truth = MultivariateNormal(torch.zeros(3).double(), A @ A.T + 0.25 * torch.eye(3)).log_prob(x)
    exact, error, bound = likelihood(x, modules, n_prior=10_000, seed=0).values()
    assert abs(exact - float(truth.mean())) < max(error, 1e-6)
    assert error < 0.1
    assert abs(bound - exact) < 0.02
    # Few samples of the prior give less.
    *_, bound = likelihood(x, modules, n_prior=3, seed=0).values()
    assert bound < exact - 0.05
