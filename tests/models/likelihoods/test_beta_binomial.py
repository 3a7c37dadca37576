import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch.distributions import Binomial, Independent

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import fisher_information
from pullback.models import VAE, BetaBinomial, BetaBinomialLikelihood, draw
from pullback.models.likelihoods.readings import read
from pullback.testing import check_likelihood


@settings(max_examples=30)
@given(st.integers(1, 40), st.floats(-5, 5), st.floats(-4, 6))
def test_it_is_scipys(n, logit, log_c):
    x, c = np.arange(n + 1), np.exp(log_c)
    p = BetaBinomial(n, torch.tensor(logit, dtype=torch.float64), float(c))
    truth = stats.betabinom(n, c * special.expit(logit), c * special.expit(-logit))
    assert np.allclose(p.log_prob(torch.tensor(x)).numpy(), truth.logpmf(x), rtol=1e-9, atol=1e-9)
    assert np.isclose(float(p.mean), truth.mean())
    assert np.isclose(float(p.variance), truth.var())


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 7, 200])
def test_its_information_obeys_the_laws(n):
    def make(t):
        return BetaBinomial(torch.full_like(t[:, :1], n), t[:, :1], t[:, 1:].exp())

    inner = torch.randn(3, 2, generator=torch.Generator().manual_seed(n))
    edges = torch.tensor([[30.0, 0.0], [-30.0, 1.0], [0.0, 12.0], [0.0, -8.0]])
    check_likelihood(make, inner, edges=edges)


def test_for_a_large_concentration_it_is_the_binomials():
    # n p (1 - p) of the logit, and nothing of the concentration.
    n, logit = 12.0, torch.tensor([0.7], dtype=torch.float64)
    information = fisher_information(BetaBinomial(torch.tensor(n), logit, 1e9))[:2, :2]
    variance = float(Binomial(n, logits=logit).variance)
    wanted = torch.tensor([[variance, 0], [0, 0]], dtype=torch.float64)
    assert torch.allclose(information, wanted, rtol=1e-6, atol=1e-9)


def test_training_begins_at_the_mean_share_of_each_feature():
    likelihood = BetaBinomialLikelihood(3, n_trials=10)
    likelihood.set_unit(torch.tensor([0.0, 5.0, 9.0]), torch.tensor(1.0))
    mean = likelihood(torch.zeros(1, 3), torch.zeros(1, 2)).mean
    assert torch.allclose(mean, torch.tensor([[0.01, 5.0, 9.0]]), atol=1e-5)


def test_draws_are_successes_among_the_trials():
    likelihood = BetaBinomialLikelihood(3, n_trials=4)
    x = draw(likelihood(torch.zeros(500, 3), torch.zeros(500, 2)))
    likelihood.check("x", x)
    assert set(x.unique().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "no n_trials"),
        ({"n_trials": 3, "df": 2}, "df"),
        ({"n_trials": 0}, "n_trials"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(InvalidParameterError, match=said):
        VAE(4, likelihood="beta_binomial", likelihood_options=options)


def test_options_of_a_likelihood_without_any_are_refused():
    with pytest.raises(InvalidParameterError, match="likelihood='poisson': none, but got n_trials"):
        VAE(4, likelihood="poisson", likelihood_options={"n_trials": 3})


def test_more_successes_than_trials_are_refused():
    with pytest.raises(InvalidDataError, match="among n_trials = 4 trials, but the largest is 5"):
        BetaBinomialLikelihood(1, n_trials=4).check("x", torch.tensor([[5.0]]))


@pytest.mark.parametrize(
    ("n", "logit", "c"),
    [(4, 16.0, 1.0), (1000, 9.0, 0.1), (100, 0.0, 1e6), (10, -95.0, 1.0), (10, 95.0, 1.0)],
)
def test_single_precision_is_near_double(n, logit, c):
    x = torch.tensor([0.0, n / 2, float(n)])

    def log_prob(dtype):
        p = BetaBinomial(n, torch.tensor(logit, dtype=dtype), torch.tensor(c, dtype=dtype))
        return p.log_prob(x.to(dtype))

    single, double = log_prob(torch.float32), log_prob(torch.float64)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), double, rtol=1e-5, atol=1e-5)
    c_64 = np.float64(c)
    truth = stats.betabinom(n, c_64 * special.expit(logit), c_64 * special.expit(-logit))
    wanted = truth.logpmf(x.numpy())
    near = np.abs(logit) < 20  # beyond, SciPy loses what is left of 1 - p
    assert not near or np.allclose(double.numpy(), wanted, rtol=1e-6, atol=1e-8)


def test_numbers_of_trials_may_differ():
    logits, c = torch.tensor([0.3, -1.0]).double(), torch.tensor([2.0, 5.0]).double()
    both = fisher_information(Independent(BetaBinomial(torch.tensor([4, 10]), logits, c), 1))
    for k, n in enumerate((4, 10)):
        alone = fisher_information(BetaBinomial(n, logits[k : k + 1], c[k : k + 1]))
        part = both[3 * k : 3 * k + 3, 3 * k : 3 * k + 3]
        assert torch.allclose(part, alone, rtol=1e-12, atol=1e-14)


def test_options_are_kept_as_they_were_given():
    options = {"n_trials": np.int64(4)}
    vae = VAE(4, likelihood="beta_binomial", likelihood_options=options)
    options["n_trials"] = 9
    assert vae.config["likelihood_options"] == {"n_trials": 4}
    assert "likelihood_options" not in VAE(4).config  # as in files that were written before
    with pytest.raises(InvalidParameterError, match="numbers, texts, or lists"):
        VAE(4, likelihood="beta_binomial", likelihood_options={"n_trials": object()})


def test_a_decoder_that_returns_its_parameters_is_read():
    logits, c = torch.rand(2, 5, 4, dtype=torch.float64) + 0.5
    p = read((torch.full_like(c, 7), logits, c), "beta_binomial")
    x = torch.arange(20.0, dtype=torch.float64).reshape(5, 4) % 8
    rate = torch.sigmoid(logits)
    expected = stats.betabinom.logpmf(x.numpy(), 7, (c * rate).numpy(), (c - c * rate).numpy())
    torch.testing.assert_close(p.log_prob(x), torch.as_tensor(expected.sum(-1)))
