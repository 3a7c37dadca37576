"""What `VAE(likelihood=name)` promises, for every name that there is."""

import pytest
import torch

from pullback import Manifold
from pullback.models import VAE, draw, load
from pullback.models.likelihoods import LIKELIHOODS

N, D = 120, 6


def normal(t):
    return torch.cat([t, t.square(), t[:, :1] * t[:, 1:], t.sin()[:, :1]], -1)


# By name: options of the model, and data made of 120 points of the plane.
EXAMPLES = {
    "bernoulli": ({}, lambda t: (normal(t) > 0.5).float()),
    "beta_binomial": (
        {"likelihood_options": {"n_trials": 9}},
        lambda t: (9 * normal(t).sigmoid()).round(),
    ),
    "categorical": (
        {"n_categories": 3},
        lambda t: torch.nn.functional.one_hot((normal(t)[:, :2] > 0).long(), 3).flatten(1).float(),
    ),
    "negative_binomial": ({}, lambda t: normal(t).exp().round()),
    "normal": ({"n_centers": 8}, lambda t: 1000 + normal(t)),
    "poisson": ({}, lambda t: normal(t).exp().round()),
    "student_t": ({}, lambda t: 1000 + normal(t)),
    "von_mises_fisher": ({}, lambda t: torch.nn.functional.normalize(normal(t), dim=-1)),
}


def test_there_is_an_example_for_each():
    assert set(EXAMPLES) == set(LIKELIHOODS)


@pytest.fixture(params=sorted(EXAMPLES))
def trained(request):
    return train(request.param)


def train(name):
    """Return the trained model, its data, and what the bound was before."""
    options, make = EXAMPLES[name]
    X = make(torch.randn(N, 2, generator=torch.Generator().manual_seed(0)))
    vae = VAE(D, 2, likelihood=name, hidden=(16,), **options)
    untrained = vae.double().elbo(X.double(), generator=torch.Generator().manual_seed(1)).mean()
    vae.fit(X.double(), epochs=30, learning_rate=1e-2, progress=False)
    return vae, X.double(), float(untrained)


@pytest.mark.slow
def test_it_trains_measures_draws_saves_and_loads(trained, tmp_path):
    vae, X, untrained = trained
    bound = vae.elbo(X, generator=torch.Generator().manual_seed(1))
    assert float(bound.mean()) > untrained

    Z = vae.encode(X)
    M = Manifold(vae, data=Z)
    assert bool(M.metric_matrix(Z).isfinite().all())
    assert bool(M.geodesic(Z[:3], Z[3:6]).length.isfinite().all())

    M = Manifold(vae)
    assert M.metric_matrix(Z[:0]).shape == (0, 2, 2)
    assert bool(M.exp(Z[:2], 0.1 * torch.ones(2, 2).double()).isfinite().all())

    p = vae.decoder(Z)
    drawn = draw(p, (), torch.Generator().manual_seed(2))
    vae.decoder.likelihood.check("x", drawn)
    assert drawn.shape == X.shape == vae.reconstruct(X).shape

    vae.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.config == vae.config
    assert torch.equal(again.elbo(X, generator=torch.Generator().manual_seed(1)), bound)


@pytest.mark.slow
def test_the_mean_is_that_of_its_draws(trained):
    vae, X, _ = trained
    with torch.no_grad():
        p = vae.decoder(vae.encode(X[:4]))
    drawn = draw(p, (20_000,), torch.Generator().manual_seed(3))
    error = (drawn.mean(0) - p.mean) / (p.variance / 20_000).sqrt()
    # 24 means, each beyond 4.5 standard errors once in 150,000
    assert float(error.abs().max()) < 4.5
