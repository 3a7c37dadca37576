"""Energies of straight lines are those of the formula."""

import pytest
import torch

from pullback.manifolds import Manifold
from pullback.reproduction.claims.computation.energy_ranks import line_energy


def test_the_energy_of_lines_on_a_paraboloid():
    def paraboloid(z):
        return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)

    a, b = torch.tensor([[0.0, 0.0], [-1.0, 0.0]]).double(), torch.tensor([1.0, 0.0]).double()
    found = line_energy(Manifold(paraboloid, dim=2), a, b.expand_as(a), 1001)
    # 1/2 int |v|^2 (1 + 4 z^2) dt: of the first (1 + 4/3) / 2, of the second (4 + 16/3) / 2.
    assert found.tolist() == pytest.approx([7 / 6, 14 / 3], rel=1e-5)


def test_few_points_say_less_than_many():
    def wave(z):
        return torch.cat([z, torch.sin(5 * z)], -1)

    space, a, b = Manifold(wave, dim=1), torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    energies = [float(line_energy(space, a, b, n)) for n in (2, 3, 5, 9, 17)]
    assert energies == sorted(energies)  # by Jensen's inequality, where points are only added
