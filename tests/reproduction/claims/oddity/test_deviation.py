"""How sigma goes with the distance to the data is judged right where it is known."""

import pytest
import torch

from pullback.reproduction.claims.oddity.deviation import grid_around, growth


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
