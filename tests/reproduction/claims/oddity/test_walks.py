"""Steps of both kinds of walks are matched, and distances measured, right where they are known."""

import pytest
import torch

from pullback.manifolds import Manifold
from pullback.reproduction.claims.oddity.walks import drift, matched_step
from pullback.sampling import BrownianMotion


def codes():
    return torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()


def test_in_the_plane_the_step_is_the_length():
    plane = Manifold(lambda z: z, dim=2)
    assert matched_step(plane, codes(), 0.1) == pytest.approx(0.1)


def test_in_another_unit_the_same_noise_leads_to_the_same_places():
    plane, large = Manifold(lambda z: z, dim=2), Manifold(lambda z: 7 * z, dim=2)
    walks = [
        BrownianMotion(space, step_size=matched_step(space, codes(), 0.1), method="driftless")
        for space in (plane, large)
    ]
    one, other = (walk.sample(codes()[:3], 5, random_state=0).points for walk in walks)
    assert torch.allclose(one, other)


def test_the_distance_is_that_to_the_nearest_code_in_units_of_the_spread():
    square = torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]]).double()
    walk = torch.tensor([[0.0, 0.0], [100.0, 0.0], [4.0, 7.0], [4.0, 5.0]]).double()
    found = drift(walk[None], square)
    spread = float(square.std(0).mean())
    assert found["distance in the second half"] == pytest.approx(2 / spread)
    assert found["distance at the end"] == pytest.approx(1 / spread)
