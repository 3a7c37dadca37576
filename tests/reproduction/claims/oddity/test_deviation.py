"""How sigma goes with the distance to the data is judged right where it is known."""

import pytest
import torch
from scipy.stats import spearmanr

from pullback.models import ConstantStd, Decoder, NormalLikelihood
from pullback.reproduction.claims.oddity.deviation import (
    grid_around,
    growth,
    rank_correlation,
    total_std,
)


def codes():
    return torch.rand(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_grid_reaches_half_of_the_extent_beyond_the_codes():
    square = torch.tensor([[0.0, 10.0], [2.0, 14.0], [1.0, 11.0]]).double()
    places = grid_around(square, 5)
    assert places.shape == (25, 2)
    assert places.amin(0).tolist() == [-1.0, 8.0]
    assert places.amax(0).tolist() == [3.0, 16.0]


def test_what_is_the_distance_grows_with_it_everywhere():
    z = codes()
    places = grid_around(z, 20)

    def sigma(points):
        return 1 + torch.cdist(points, z).amin(1)

    found = growth(sigma(places), sigma(z), places, z)
    assert found["Spearman"] == pytest.approx(1.0)
    assert found["share off the data above 99 % of codes"] == 1.0
    found = growth(-sigma(places), -sigma(z), places, z)
    assert found["Spearman"] == pytest.approx(-1.0)
    assert found["share off the data above 99 % of codes"] == 0.0


def test_ranks_are_scipys_and_what_is_constant_has_none():
    a, b = torch.randn(2, 50, generator=torch.Generator().manual_seed(1)).double().numpy()
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(0 * a, b) == 0.0


def test_sigma_is_summed_over_the_features():
    decoder = Decoder(torch.nn.Linear(2, 5), NormalLikelihood(ConstantStd(5, 0.5)), latent_dim=2)
    assert total_std(decoder, codes()[:3]).tolist() == pytest.approx([2.5] * 3)
