import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from torch.distributions import kl_divergence
from torch.nn.functional import normalize

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models import VAE, VonMisesFisher, VonMisesFisherLikelihood, draw
from pullback.models.likelihoods.von_mises_fisher import log_normalizer, mean_cosine
from pullback.testing import check_likelihood


@pytest.mark.slow
@given(st.integers(2, 60), st.floats(-2, 8))
def test_the_normaliser_and_the_mean_are_scipys_bessel_functions(dim, log_kappa):
    kappa = 10.0**log_kappa
    below, above = special.ive(dim / 2 - 1, kappa), special.ive(dim / 2, kappa)
    at = torch.tensor(kappa, dtype=torch.float64)
    if below > 1e-280 and above > 1e-280:
        truth = math.log(below) + dim / 2 * math.log(2 * math.pi)
        truth -= (dim / 2 - 1) * math.log(kappa)
        assert math.isclose(float(log_normalizer(at, dim)), truth, rel_tol=1e-12, abs_tol=1e-12)
        length, slope = mean_cosine(at, dim)
        assert math.isclose(float(length), above / below, rel_tol=1e-10)
        # A' = 1 - (p - 1) A / kappa - A^2 cancels, to that many digits.
        wanted = 1 - (dim - 1) * float(length) / kappa - float(length) ** 2
        assert math.isclose(float(slope), wanted, rel_tol=1e-9, abs_tol=1e-11)


@pytest.mark.parametrize("dim", [2, 3, 10, 784])
@pytest.mark.parametrize("kappa", [0.0, 1e-6, 1.0, 1e4, 1e9])
def test_derivatives_are_consistent_and_finite_everywhere(dim, kappa):
    at = torch.tensor(kappa, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_normalizer(at, dim), at, create_graph=True)
    (bend,) = torch.autograd.grad(slope, at)
    length, variance = mean_cosine(at.detach(), dim)
    assert torch.isclose(slope.detach(), length - 1, rtol=1e-9, atol=1e-15)
    assert torch.isclose(bend, variance, rtol=1e-9, atol=1e-300)
    assert float(variance) > 0


@pytest.mark.parametrize("dim", [2, 3])
def test_the_density_integrates_to_one(dim):
    # Over the angle from the mean, which on the sphere of R^3 weighs by 2 pi sin.
    t = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    x = torch.stack([t.cos(), t.sin(), *[torch.zeros_like(t)] * (dim - 2)], -1)
    p = VonMisesFisher(x[0], torch.tensor(5.0, dtype=torch.float64))
    weight = 2 * torch.ones_like(t) if dim == 2 else 2 * math.pi * t.sin()
    total = torch.trapezoid(p.log_prob(x).exp() * weight, t)
    assert float(total) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("dim", [2, 3, 20])
@pytest.mark.parametrize("kappa", [0.0, 3.0, 1e3])
def test_draws_have_length_one_and_the_mean_and_variance_of_the_formulas(dim, kappa):
    direction = normalize(torch.arange(1.0, dim + 1, dtype=torch.float64), dim=0)
    p = VonMisesFisher(direction, torch.tensor(kappa, dtype=torch.float64))
    x = draw(p, (40_000,), torch.Generator().manual_seed(0))
    assert torch.allclose(x.norm(dim=-1), torch.ones(40_000, dtype=torch.float64), atol=1e-12)
    error = (x.mean(0) - p.mean) / (p.variance / 40_000).sqrt()
    assert float(error.abs().max()) < 4.5
    squared = (x - p.mean).square()
    error = (squared.mean(0) - p.variance) / (squared.std(0) / 200)
    assert float(error.abs().max()) < 4.5


def test_the_divergence_is_the_mean_of_log_ratios():
    g = torch.Generator().manual_seed(0)
    mu = normalize(torch.randn(2, 4, generator=g, dtype=torch.float64), dim=-1)
    p = VonMisesFisher(mu[0], torch.tensor(4.0, dtype=torch.float64))
    q = VonMisesFisher(mu[1], torch.tensor(9.0, dtype=torch.float64))
    x = draw(p, (40_000,), g)
    ratio = p.log_prob(x) - q.log_prob(x)
    error = (ratio.mean() - kl_divergence(p, q)) / (ratio.std() / 200)
    assert abs(float(error)) < 4
    assert float(kl_divergence(p, p)) == pytest.approx(0, abs=1e-14)


@pytest.mark.thorough
@pytest.mark.parametrize("dim", [2, 3, 8])
def test_its_geometry_obeys_the_laws(dim):
    def free(t):
        return VonMisesFisher(normalize(t[:, :-1], dim=-1), t[:, -1].exp())

    def fixed(t):
        return VonMisesFisher(normalize(t, dim=-1), torch.full_like(t[:, 0], 3.0))

    g = torch.Generator().manual_seed(dim)
    check_likelihood(free, torch.randn(3, dim + 1, generator=g), isometric=False, n_draws=4000)
    check_likelihood(fixed, torch.randn(3, dim, generator=g), n_draws=4000)


def test_of_a_circle_it_is_torchs_von_mises():
    angle = torch.tensor([0.3, 2.0], dtype=torch.float64)
    kappa = torch.tensor(7.0, dtype=torch.float64)
    p = VonMisesFisher(torch.tensor([1.0, 0.0], dtype=torch.float64), kappa)
    x = torch.stack([angle.cos(), angle.sin()], -1)
    truth = np.log(np.exp(7 * np.cos(angle.numpy())) / (2 * np.pi * special.i0(7)))
    assert np.allclose(p.log_prob(x).numpy(), truth, rtol=1e-13)


def test_what_is_no_direction_is_refused():
    x = torch.tensor([[0.6, 0.8], [3.0, 4.0]])
    with pytest.raises(InvalidDataError, match="1 of 2 are not, the first of length 5"):
        VonMisesFisherLikelihood().check("x", x)
    with pytest.raises(InvalidParameterError, match="mean_direction"):
        VonMisesFisher(torch.ones(1), torch.ones(()))


@pytest.mark.parametrize("kappa", [1e4, 1e8])
def test_draws_in_single_precision_have_the_right_gap(kappa):
    # kappa (1 - mu . x) is exponential for large kappa on the sphere: of mean 1 and variance 1.
    p = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(kappa))
    x = draw(p, (20_000,), torch.Generator().manual_seed(0))
    gap = kappa * x[:, :2].double().square().sum(-1) / 2
    assert abs(float(gap.mean()) - 1) < 4 / 20_000**0.5


def test_where_the_concentration_is_not_finite_so_are_draws():
    p = VonMisesFisher(torch.tensor([0.0, 1.0]), torch.tensor([1.0, math.nan, math.inf]), False)
    finite = draw(p, (), torch.Generator().manual_seed(0)).isfinite().all(-1)
    assert finite.tolist() == [True, False, False]


def test_one_dimension_has_no_directions():
    with pytest.raises(InvalidParameterError, match="`data_dim` must be an integer >= 2"):
        VAE(1, 1, likelihood="von_mises_fisher")
