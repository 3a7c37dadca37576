"""The bounds of log p(x) lie close below it, where it is known."""

import torch
from torch import nn
from torch.distributions import MultivariateNormal

from pullback.models import ConstantStd, Decoder, NormalLikelihood
from pullback.models.encoder import GaussianEncoder
from pullback.models.priors import StandardNormal
from pullback.reproduction.claims.oddity.likelihood import bounds


def linear(weight):
    """Return a layer z -> weight z, in double precision."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
    layer.weight = nn.Parameter(weight.double())
    return layer


def test_bounds_of_a_linear_model_lie_close_below_the_truth():
    A = torch.tensor([[1.0], [-0.5], [0.2]]).double()
    decoder = Decoder(linear(A), NormalLikelihood(ConstantStd(3, 0.5)), latent_dim=1).double()
    # An encoder that is far from the posterior, but covers it: q(z|x) = N(x_0, log(2)^2).
    encoder = GaussianEncoder(linear(torch.tensor([[1.0, 0, 0], [0, 0, 0]])), latent_dim=1)
    modules = encoder, decoder, StandardNormal(1).double()
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double()
    truth = MultivariateNormal(torch.zeros(3).double(), A @ A.T + 0.25 * torch.eye(3)).log_prob(x)
    found = bounds(x, modules, n_prior=10_000, n_encoder=10_000, seed=0)
    assert len(found) == 3
    for name, value in found.items():
        assert abs(value - float(truth.mean())) < 0.02, name
    # Few samples of either give less, and both together no less than the better one, but for log 2.
    by_prior, by_encoder, by_both = bounds(x, modules, n_prior=3, n_encoder=1, seed=0).values()
    assert max(by_prior, by_encoder) < float(truth.mean()) - 0.05
    assert max(by_prior, by_encoder) - 0.7 < by_both < float(truth.mean())
