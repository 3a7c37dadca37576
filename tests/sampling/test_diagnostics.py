"""R-hat and effective sample sizes, against ArviZ's numbers and against series of known ones."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.sampling import Diagnostics, effective_sample_size, r_hat


def autoregressive(shape, phi, seed):
    """Stationary series x_t = phi x_(t-1) + eps_t, whose ESS for the mean is n (1 - phi)/(1 + phi).

    NumPy's streams are the same everywhere.
    """
    noise = np.random.default_rng(seed).standard_normal(shape)
    noise[:, 0] /= math.sqrt(1 - phi**2)
    return torch.as_tensor(lfilter([1.0], [1.0, -phi], noise))


LAST_HIGHER, LAST_WIDER = torch.tensor([0.0, 0, 0, 1]), torch.tensor([1.0, 1, 1, 3])
SERIES = {
    "independent": autoregressive((4, 500), 0.0, 0),
    "slow": autoregressive((4, 501), 0.9, 1),
    "alternating": autoregressive((3, 400), -0.5, 2),
    "apart": autoregressive((4, 250), 0.3, 4) + LAST_HIGHER.unsqueeze(-1),
    "wider": autoregressive((4, 250), 0.3, 5) * LAST_WIDER.unsqueeze(-1),
    "ties": autoregressive((4, 300), 0.6, 6).round(),
    "heavy tails": (1.4 * autoregressive((2, 600), 0.7, 7).tanh()).tan(),
}
# What ArviZ 0.23.4 gives for the same series: rank R-hat, and the ESS of bulk, tail and mean.
ARVIZ = {
    "independent": (1.000698378871917, 2003.152288929528, 2055.6087859576396, 2007.1013689207825),
    "slow": (1.0469128396241008, 71.48833463251258, 232.48165254704776, 72.69203295683975),
    "alternating": (1.0025159641846784, 3695.0174952571, 1226.8924968423648, 3695.0174952571497),
    "apart": (1.0851169340610567, 37.41495583544272, 306.38040568131515, 37.7129266528512),
    "wider": (1.1383387220414496, 524.3354014957939, 51.02870177859636, 497.7431221693581),
    "ties": (1.0071235538763041, 315.8235544759222, 469.1920555754545, 316.1607832917804),
    "heavy tails": (1.0112470991385913, 179.3975019164319, 421.246179367379, 181.0228222793324),
}


@pytest.mark.parametrize("name", ARVIZ)
def test_they_are_those_of_arviz(name):
    draws = SERIES[name]
    found = [
        r_hat(draws),
        *(effective_sample_size(draws, kind=k) for k in ("bulk", "tail", "mean")),
    ]
    assert [x.item() for x in found] == pytest.approx(ARVIZ[name], rel=1e-9)


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.5, 0.9])
def test_the_ess_of_an_autoregressive_series_is_known(phi):
    draws = autoregressive((4, 50_000), phi, 11)
    expected = draws.numel() * (1 - phi) / (1 + phi)
    # The sum of autocorrelations is cut at about 20 of its times tau: its relative standard error
    # is near sqrt(2 * 40 tau / n) = 6 % at most, so that 4.5 of them are below 30 %.
    for kind in ("bulk", "mean"):
        found = effective_sample_size(draws, kind=kind).item()
        assert found == pytest.approx(expected, rel=0.1 if phi < 0.9 else 0.3)


def test_each_quantity_is_diagnosed_by_itself():
    draws = torch.stack([SERIES["apart"], SERIES["wider"]], -1)
    at = Diagnostics.of(draws)
    assert at.r_hat.tolist() == pytest.approx([ARVIZ["apart"][0], ARVIZ["wider"][0]])
    assert at.bulk_ess.tolist() == pytest.approx([ARVIZ["apart"][1], ARVIZ["wider"][1]])
    assert at.tail_ess.tolist() == pytest.approx([ARVIZ["apart"][2], ARVIZ["wider"][2]])
    assert not at.mixed
    assert "not mixed" in str(at)
    assert "1.138" in str(at)


def test_independent_draws_are_mixed():
    at = Diagnostics.of(SERIES["independent"])
    assert at.mixed
    assert str(at).startswith("4 chains of 500 draws\n")


@pytest.mark.slow
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_scale_and_shift_do_not_matter(scale, shift):
    draws = SERIES["slow"]
    moved = scale * draws + shift
    assert r_hat(moved).item() == pytest.approx(r_hat(draws).item(), rel=1e-6)
    ess = effective_sample_size(draws, kind="mean").item()
    assert effective_sample_size(moved, kind="mean").item() == pytest.approx(ess, rel=1e-6)


def test_ranks_alone_matter_to_the_bulk():
    draws = SERIES["slow"]
    assert effective_sample_size(draws.exp()).item() == effective_sample_size(draws).item()


def test_chains_that_stand_still_are_not_mixed():
    apart = torch.arange(3.0).unsqueeze(-1).expand(3, 100)
    assert r_hat(apart).item() == math.inf
    assert not Diagnostics.of(apart).mixed
    same = torch.ones(3, 100)
    assert r_hat(same).isnan()
    assert effective_sample_size(same).isnan()
    assert not Diagnostics.of(same).mixed


@pytest.mark.thorough
def test_more_numbers_than_torch_s_quantile_takes():
    long = torch.randn(1, 2**24 + 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RuntimeError, match="too large"):
        long.quantile(0.5)
    from pullback.sampling.diagnostics import _quantile

    assert abs(_quantile(long.unsqueeze(-1), 0.5).item()) < 4.5 * 1.2533 / 2**12


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
def test_few_draws_give_finite_numbers(n):
    draws = autoregressive((2, n), 0.0, n)
    assert r_hat(draws).isfinite()
    assert 0 < effective_sample_size(draws).item() <= 2 * n * math.log10(2 * n)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        (torch.zeros(2, 3), "n >= 4 draws"),
        (torch.zeros(10), "shape .chains, n"),
        (torch.full((2, 10), torch.nan), "must be finite"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(draws, message):
    for diagnose in (r_hat, effective_sample_size):
        with pytest.raises(InvalidDataError, match=message):
            diagnose(draws)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InvalidParameterError, match="'bulk', 'mean', 'tail'"):
        effective_sample_size(torch.zeros(2, 10), kind="head")
