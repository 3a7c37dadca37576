"""Expectation maximisation: what the weights of a mixture become."""

import pytest
import torch

from pullback.errors import ConvergenceError, ConvergenceWarning
from pullback.manifolds import Manifold
from pullback.statistics import LAND
from pullback.statistics.densities import land_component
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


@pytest.fixture
def walled(monkeypatch):
    """Lets no draw through whose variance is above 4, as a wall all around would."""
    draw = land_component.draw_normal

    def draw_within(manifold, mean, covariance, eps, **options):
        if covariance.max() > 4:
            raise ConvergenceError("None could be followed.")
        return draw(manifold, mean, covariance, eps, **options)

    monkeypatch.setattr(land_component, "draw_normal", draw_within)


def test_a_component_whose_draws_are_lost_is_back_where_they_were_made(walled):
    Z = torch.tensor([[-4.0], [-1.0], [1.0], [4.0]], dtype=torch.float64)
    near, all_ = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    part = Component(LINE, Z, standardized(antithetic(40, 1)), Z.mean(0), near)
    lost, variances = False, [part.covariance.item()]
    while not lost:
        part.maximize(all_)
        lost = not part.renew()
        variances.append(part.covariance.item())
    assert variances == sorted(variances)
    assert 2 < variances[-1] == variances[-2] <= 4
    assert part.freshness() == pytest.approx(1)
    assert part.log_prob().isfinite().all()


def test_land_keeps_the_turn_before_and_says_so(walled, monkeypatch):
    Z = 3 * torch.randn(60, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    land = LAND(LINE, n_samples=40, random_state=0)
    with pytest.raises(ConvergenceError):  # there is no draw at all, from the beginning on
        land.fit(Z)
    # Of the points near 0 alone the first covariance is a small one; the turns are given all.
    near = torch.where(Z[:, 0].abs() < 1.5, 0, -1)
    monkeypatch.setattr(LAND, "_start", lambda *_: (near, torch.zeros(1, 1).double()))
    with pytest.warns(ConvergenceWarning, match="stopped"):
        land.fit(Z)
    assert not land.converged_
    assert land.covariances_.item() <= 4
    assert land.lower_bound_ == land.log_likelihood_history_[-1]
    assert land.lower_bound_ == pytest.approx(float(land.score_samples(Z).mean()), abs=0.1)


def test_no_covariance_is_much_wider_than_that_of_the_draws():
    logs = torch.linspace(-3, 3, 101, dtype=torch.float64).unsqueeze(-1)
    drawn = torch.ones(1, 1, dtype=torch.float64)
    weights = -logs.squeeze(-1).square() / 2  # of draws from a normal distribution of variance 1
    found = land_component.matched_covariance(drawn, 9 * drawn, logs, weights, drawn=drawn)
    assert 1.2 < found.item() <= 1.5
    assert land_component.matched_covariance(drawn, 9 * drawn, logs, weights).item() > 1.5
