"""What reports and the ledger measure alike, against what is known."""

import pytest
import torch
from scipy.stats import spearmanr

from pullback.errors import InvalidDataError
from pullback.models import ConstantStd, Decoder, NormalLikelihood
from pullback.runs.quantities import jerkiness, rank_correlation, total_std


def test_an_even_curve_has_one_and_a_jump_has_all_steps():
    t = torch.linspace(0, 1, 11)[:, None]
    even = torch.cat([t, 2 * t], -1)
    jump = (even > 0.95).float()
    torch.testing.assert_close(jerkiness(torch.stack([even, jump]))[0], torch.tensor(1.0))
    assert jerkiness((t > 0.5).float()) == 10


def test_one_point_is_no_curve():
    with pytest.raises(InvalidDataError, match="at least two points"):
        jerkiness(torch.zeros(1, 3))


def test_ranks_are_scipys_and_what_is_constant_has_none():
    a, b = torch.randn(2, 50, generator=torch.Generator().manual_seed(1)).double().numpy()
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(0 * a, b) == 0.0


def test_sigma_is_summed_over_the_features():
    decoder = Decoder(torch.nn.Linear(2, 5), NormalLikelihood(ConstantStd(5, 0.5)), latent_dim=2)
    z = torch.rand(3, 2, generator=torch.Generator().manual_seed(0))
    assert total_std(decoder, z).tolist() == pytest.approx([2.5] * 3)
