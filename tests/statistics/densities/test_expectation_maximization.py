"""Expectation maximisation: what the weights of a mixture become."""

import pytest
import torch

from pullback.manifolds import Manifold
from pullback.statistics.densities.expectation_maximization import fit_mixture, responsibilities
from pullback.statistics.densities.land_component import Component
from pullback.statistics.densities.riemannian_normal import antithetic, standardized

LINE = Manifold(lambda z: z, dim=1)


@pytest.mark.parametrize(("counts", "share"), [([1, 1, 1, 1], 0.75), ([0, 1, 1, 2], 0.5)])
def test_weights_are_the_shares_of_what_each_component_explains(counts, share):
    Z = torch.tensor([[-0.5], [0.0], [0.5], [9.0]], dtype=torch.float64)
    w = torch.tensor(counts, dtype=torch.float64)
    eps = standardized(antithetic(40, 1))
    parts = [Component(LINE, Z, eps, Z[k], w) for k in (1, 3)]
    equal = torch.full((2,), 0.5, dtype=torch.float64)
    mixture = fit_mixture(parts, equal, w, max_iter=20, tol=1e-6)
    assert mixture.weights.tolist() == pytest.approx([share, 1 - share], abs=1e-3)


def test_what_no_component_reaches_belongs_to_none():
    nowhere = torch.full((2, 1), -torch.inf)
    assert responsibilities(nowhere).tolist() == [[0.0], [0.0]]
