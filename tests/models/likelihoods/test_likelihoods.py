import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import kl_divergence

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models import (
    VAE,
    CategoricalLikelihood,
    NegativeBinomialLikelihood,
    OneHotSequence,
    PoissonLikelihood,
    load,
)
from pullback.models.likelihoods.base import LIKELIHOODS, family_of

Z = torch.zeros(4, 2, dtype=torch.float64)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def log_mean(generator):
    return torch.randn(4, 3, generator=generator, dtype=torch.float64)


def one_hot(letters, k):
    return torch.nn.functional.one_hot(torch.as_tensor(letters), k).double().flatten(-2)


def test_poisson_is_scipy_s(log_mean):
    p = PoissonLikelihood()(log_mean, Z)
    x = torch.tensor([0.0, 1.0, 7.0], dtype=torch.float64)
    truth = stats.poisson(log_mean.exp().numpy()).logpmf(x.numpy()).sum(-1)
    assert np.allclose(p.log_prob(x).numpy(), truth)
    assert torch.equal(p.mean, log_mean.exp())


def test_negative_binomial_is_scipy_s(log_mean):
    likelihood = NegativeBinomialLikelihood(3).double()
    theta = np.array([0.3, 2.0, 50.0])
    with torch.no_grad():
        likelihood.log_dispersion.copy_(torch.tensor(theta).log())
    p = likelihood(log_mean, Z)
    mean = log_mean.exp().numpy()
    truth = stats.nbinom(theta, theta / (theta + mean))
    x = np.array([0.0, 1.0, 7.0])
    assert np.allclose(p.log_prob(torch.tensor(x)).detach().numpy(), truth.logpmf(x).sum(-1))
    assert np.allclose(p.mean.detach().numpy(), mean)
    assert np.allclose(p.variance.detach().numpy(), mean + mean**2 / theta)


def test_a_large_dispersion_makes_the_negative_binomial_a_poisson(log_mean):
    likelihood = NegativeBinomialLikelihood(3).double()
    with torch.no_grad():
        likelihood.log_dispersion.fill_(math.log(1e6))
    x = torch.tensor([0.0, 1.0, 7.0], dtype=torch.float64)
    wide, narrow = likelihood(log_mean, Z).log_prob(x), PoissonLikelihood()(log_mean, Z).log_prob(x)
    assert torch.allclose(wide, narrow, atol=1e-4)


def test_the_dispersion_is_learnt_by_maximum_likelihood():
    theta, mean = 3.0, 20.0
    x = stats.nbinom(theta, theta / (theta + mean)).rvs((4000, 1), random_state=0)
    likelihood = NegativeBinomialLikelihood(1).double()
    optimizer = torch.optim.LBFGS(likelihood.parameters(), line_search_fn="strong_wolfe")
    features, z = torch.full((4000, 1), math.log(mean)).double(), torch.zeros(4000, 2)

    def loss():
        optimizer.zero_grad()
        value = -likelihood(features, z).log_prob(torch.as_tensor(x).double()).mean()
        value.backward()
        return value.detach()

    optimizer.step(loss)
    # Its standard error is below 0.1, from the curvature of the likelihood.
    found = float(likelihood.log_dispersion.detach().exp())
    assert found == pytest.approx(theta, abs=0.4)


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(2, 5), st.integers(0, 2**31))
def test_the_probabilities_of_all_sequences_sum_to_one(length, k, seed):
    logits = 3 * torch.randn(length * k, generator=torch.Generator().manual_seed(seed)).double()
    p = CategoricalLikelihood(k)(logits, Z[0])
    letters = torch.cartesian_prod(*[torch.arange(k)] * length).reshape(-1, length)
    assert float(p.log_prob(one_hot(letters, k)).logsumexp(0)) == pytest.approx(0, abs=1e-9)


def test_a_sequence_is_independent_letters(generator):
    logits = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    p = OneHotSequence(logits)
    letters = torch.tensor([2, 0, 1, 1, 2])
    truth = logits.log_softmax(-1).gather(-1, letters.expand(4, 5).unsqueeze(-1)).sum((-1, -2))
    assert torch.allclose(p.log_prob(one_hot(letters, 3)), truth)
    assert torch.allclose(p.mean, logits.softmax(-1).flatten(-2))
    assert torch.equal(p.mode, one_hot(logits.argmax(-1), 3))
    assert torch.allclose(p.variance, p.mean * (1 - p.mean))


def test_draws_of_a_sequence_are_sequences_with_its_probabilities(generator):
    p = OneHotSequence(torch.randn(5, 3, generator=generator))
    draws = p.sample((20_000,))
    assert draws.shape == (20_000, 15)
    CategoricalLikelihood(3).check("x", draws)
    # Five standard errors: a false alarm once in 100,000 runs, and the seed is fixed.
    assert float((draws.mean(0) - p.mean).abs().max()) < 5 * 0.5 / math.sqrt(20_000)


def test_a_sequence_expands_and_has_a_divergence(generator):
    logits = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    p, q = OneHotSequence(logits[0]), OneHotSequence(logits[1])
    truth = (p.mean * (logits[0].log_softmax(-1) - logits[1].log_softmax(-1)).flatten()).sum()
    assert float(kl_divergence(p, q)) == pytest.approx(float(truth))
    assert p.expand((7,)).sample((2,)).shape == (2, 7, 12)
    assert p.expand((7,)).event_shape == (12,)


COUNTS = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 5.0]])


@pytest.mark.parametrize("likelihood", [PoissonLikelihood(), NegativeBinomialLikelihood(3)])
def test_counts_are_whole_numbers(likelihood):
    likelihood.check("x", COUNTS)
    with pytest.raises(InvalidDataError, match=r"`X` must hold counts.* 2 of its 6.* 0\.5 of feat"):
        likelihood.check("X", COUNTS + torch.eye(2, 3) / 2)
    with pytest.raises(InvalidDataError, match="whole numbers >= 0.*-1 of feature 2.*raw counts"):
        likelihood.check("x", COUNTS.index_fill(1, torch.tensor(2), -1.0))


@pytest.mark.parametrize(
    "x",
    [
        [0.5, 0.5, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 0, 0, 2, 0, 0],
        [1, 0, 0, 1, 1, -1],
    ],
)
def test_letters_are_one_hot(x):
    likelihood = CategoricalLikelihood(3)
    likelihood.check("x", torch.tensor([1.0, 0, 0, 0, 0, 1]))
    with pytest.raises(InvalidDataError, match="one-hot: at each of 2 positions.*1 are not, the f"):
        likelihood.check("x", torch.tensor(x, dtype=torch.float32))


def counts(n=60, D=5):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, n)
    rate = np.where(kind[:, None] == 0, np.geomspace(0.5, 50, D), np.geomspace(20, 1, D))
    return rng.poisson(rate * rng.gamma(5, 0.2, (n, D))).astype(np.float64)


def sequences(n=60, length=4, k=3):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, k, (n, 1))
    letters = np.where(rng.random((n, length)) < 0.9, kind, rng.integers(0, k, (n, length)))
    return one_hot(letters, k).numpy()


CASES = {
    "poisson": (counts(), {}),
    "negative_binomial": (counts(), {}),
    "categorical": (sequences(), {"n_categories": 3}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_learns_saves_and_comes_back(name, tmp_path):
    X, extra = CASES[name]
    vae = VAE(X.shape[1], 2, likelihood=name, hidden=(16,), **extra)
    before = float(vae.elbo(X, n_samples=20).mean())
    vae.fit(X, epochs=60, batch_size=16, learning_rate=5e-3, progress=False)
    assert float(vae.elbo(X, n_samples=20).mean()) > before + 1
    vae.save(tmp_path)
    again = load(tmp_path)
    z = vae.encode(X)
    assert torch.equal(again.encode(X), z)
    assert torch.equal(again.decode(z), vae.decode(z))
    assert again.config == vae.config
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.state_dict().values(), vae.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", CASES)
def test_what_a_model_draws_it_takes(name, generator):
    X, extra = CASES[name]
    vae = VAE(X.shape[1], 2, likelihood=name, hidden=(16,), **extra).double()
    vae.fit(X, epochs=2, progress=False)
    x = vae.sample(50, generator=generator)
    assert x.shape == (50, X.shape[1])
    assert bool(vae.log_marginal(x).isfinite().all())
    assert bool(vae.importance_weighted_bound(x.reshape(5, 10, -1)).isfinite().all())


def test_counts_start_from_their_means():
    X = counts()
    vae = VAE(X.shape[1], 2, likelihood="poisson", hidden=(16,))
    vae.fit(X, epochs=1, learning_rate=1e-9, progress=False)
    with torch.no_grad():
        vae.decoder.mean[0][-1].weight.zero_()
        vae.decoder.mean[0][-1].bias.zero_()
    assert np.allclose(vae.decode(torch.zeros(2)).numpy(), X.mean(0), rtol=1e-5)
    standardized = vae.encoder.standardize(torch.tensor(X).float())
    assert np.allclose(standardized.numpy(), np.log1p(X) - np.log1p(X.mean(0)), atol=1e-5)


def test_a_feature_that_was_never_counted_is_no_trouble():
    X = counts()
    X[:, 2] = 0
    vae = VAE(X.shape[1], 2, likelihood="poisson", hidden=(16,)).fit(X, epochs=3, progress=False)
    assert bool(vae.elbo(X).isfinite().all())
    assert float(vae.decode(torch.zeros(2))[2]) < 1e-2


@pytest.mark.parametrize("name", CASES)
def test_data_that_are_none_of_it_are_refused_at_the_door(name):
    X, extra = CASES[name]
    vae = VAE(X.shape[1], 2, likelihood=name, **extra)
    with pytest.raises(InvalidDataError, match=r"`X` must (hold counts|be one-hot)"):
        vae.fit(X + 0.5, epochs=1, progress=False)
    with pytest.raises(InvalidDataError, match=r"`x` must (hold counts|be one-hot)"):
        vae.elbo(X - 0.5)


@pytest.mark.parametrize(
    ("name", "message", "likelihood", "arguments"),
    [
        ("n_categories", "divides data_dim = 6, but got None", "categorical", {}),
        ("n_categories", "divides", "categorical", {"n_categories": 4}),
        ("n_categories", ">= 2", "categorical", {"n_categories": 1}),
        ("n_categories", "None for likelihood='poisson'", "poisson", {"n_categories": 3}),
        ("output", "negative binomial.*log means", "negative_binomial", {"output": "tanh"}),
        ("std", "left at its default", "poisson", {"std": "network"}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, message, likelihood, arguments):
    with pytest.raises(InvalidParameterError, match=message) as error:
        VAE(6, 2, likelihood=likelihood, **arguments)
    assert error.value.name == name


def test_a_name_that_is_taken_and_a_family_that_is_inherited_stay_as_they_are():
    with pytest.raises(InvalidParameterError, match="'poisson' is by PoissonLikelihood"):

        class Other(PoissonLikelihood, name="poisson"):
            pass

    class Robust(PoissonLikelihood, name="robust"):
        pass

    try:
        assert LIKELIHOODS["robust"] is Robust
        assert family_of(torch.distributions.Poisson) is PoissonLikelihood
    finally:
        del LIKELIHOODS["robust"]


def test_what_a_likelihood_needs_has_its_unit_where_the_output_is_bounded():
    X = 0.4 + 0.1 * torch.rand(80, 3, generator=torch.Generator().manual_seed(0))
    vae = VAE(3, 2, likelihood="student_t", hidden=(8,))
    vae.fit(X, epochs=1, progress=False)
    assert vae.config["output"] == "sigmoid"
    assert float(vae.decoder.likelihood.log_scale.detach().exp().max()) < 0.1
