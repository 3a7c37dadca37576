"""Distances of walks to codes, and steps that match, where both are known."""

import pytest
import torch
from scipy.spatial import cKDTree

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import stereographic
from pullback.metrics import PullbackMetric
from pullback.sampling import BrownianMotion, excursions, matched_step


def codes(n=30):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0)).double()


def plane():
    return Manifold(lambda z: z, dim=2)


def test_the_distance_is_that_to_the_nearest_code_in_units_of_the_spread():
    square = torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]]).double()
    walk = torch.tensor([[0.0, 0.0], [100.0, 0.0], [4.0, 7.0], [4.0, 5.0]]).double()
    found = excursions(walk, square)
    torch.testing.assert_close(found, torch.tensor([3.0, 1.0]).double() / square.std(0).mean())


def test_many_walks_are_measured_as_a_tree_of_the_codes_measures_them():
    walks = 3 * torch.randn(4, 5, 301, 2, generator=torch.Generator().manual_seed(1)).double()
    found = excursions(walks, codes())
    assert found.shape == (4, 5, 151)
    expected, _ = cKDTree(codes().numpy()).query(walks[..., 150:, :].numpy())
    torch.testing.assert_close(found * codes().std(0).mean(), torch.tensor(expected))


def test_in_parts_they_are_the_same(monkeypatch):
    walks = torch.randn(3, 40, 2, generator=torch.Generator().manual_seed(1)).double()
    whole = excursions(walks, codes())
    monkeypatch.setitem(excursions.__globals__, "_AT_ONCE", 100)
    torch.testing.assert_close(excursions(walks, codes()), whole)


def test_in_the_plane_the_step_is_the_length():
    assert matched_step(plane(), codes(), 0.1) == pytest.approx(0.1)


def test_in_another_unit_the_same_noise_leads_to_the_same_places():
    large = Manifold(lambda z: 7 * z, dim=2)
    walks = [
        BrownianMotion(space, step_size=matched_step(space, codes(), 0.1), method="driftless")
        for space in (plane(), large)
    ]
    one, other = (walk.sample(codes()[:3], 5, random_state=0).points for walk in walks)
    assert torch.allclose(one, other)


def test_on_the_sphere_the_median_code_sets_the_step():
    # M = 4 I / (1 + r^2)^2: a step s moves s (1 + r^2) / 2 along each axis.
    sphere, Z = Manifold(PullbackMetric(stereographic, dim=2)), codes(31)
    factor = ((1 + Z.square().sum(1)) / 2).median()
    assert matched_step(sphere, Z, 0.1) == pytest.approx(0.1 / float(factor))


def test_codes_where_the_metric_is_singular_do_not_count():
    fold = Manifold(PullbackMetric(lambda z: z.square(), dim=1))  # M = 4 z^2
    assert matched_step(fold, torch.tensor([[0.0], [0.0], [1.0]]).double(), 0.1) == pytest.approx(
        0.2
    )
    with pytest.raises(InvalidDataError, match="singular at every one"):
        matched_step(fold, torch.zeros(3, 1).double(), 0.1)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InvalidDataError, match="`codes` must differ"):
        excursions(torch.zeros(4, 2), torch.ones(3, 2))
    with pytest.raises(InvalidDataError, match="`points` must be finite"):
        excursions(torch.full((4, 2), torch.nan), codes())
    with pytest.raises(InvalidParameterError, match="`length` must be a finite number"):
        matched_step(plane(), codes(), 0)
