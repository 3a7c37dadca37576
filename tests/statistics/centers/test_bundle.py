"""Curves and centre relaxed together, against other optimisers and against differences."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pullback.curves import straight_line
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, stereographic
from pullback.metrics import PullbackMetric
from pullback.statistics import frechet_means
from pullback.statistics.centers import descent
from pullback.statistics.centers.bundle import relax_bundle
from pullback.statistics.centers.mass import Mass

SPACES = {
    "sphere": (PullbackMetric(stereographic, dim=2), great_circle_dist),
    "half-plane": (HalfPlane(), HalfPlane().dist),
}


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(np.stack([rng.normal(size=n) / 2, rng.uniform(0.4, 1.6, n)], -1))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_its_centres_are_those_of_another_optimiser(name):
    metric, dist = SPACES[name]
    Z, owner = draw(9), torch.tensor([0, 0, 1, 0, 1, 0, 0, 1, 0])
    mass = Mass(owner, torch.linspace(0.5, 2, 9).double(), 2)
    starts = torch.stack([Z[0], Z[2]])
    found = relax_bundle(metric, straight_line(starts[owner], Z, 64), mass)
    assert bool(found.converged.all())
    for k in range(2):
        own, w = Z[owner == k], mass.weights[owner == k]

        def value(c, own=own, w=w):
            squared = dist(torch.as_tensor(c).expand_as(own), own).square()
            return float(w @ squared / w.sum())

        truth = minimize(value, starts[k].numpy(), method="Nelder-Mead", options={"xatol": 1e-8})
        centres = found.nodes[owner == k, 0]
        assert torch.equal(centres, centres[:1].expand_as(centres))
        np.testing.assert_allclose(centres[0], truth.x, atol=2e-4)
        assert found.value[k].item() == pytest.approx(truth.fun, rel=1e-3)


@pytest.mark.slow
def test_its_hessian_is_that_of_the_mean_squared_distance():
    metric, dist = SPACES["sphere"]
    Z, mass = draw(5), Mass(torch.zeros(5).long(), torch.ones(5).double(), 1)
    found = relax_bundle(metric, straight_line(Z[:1].expand_as(Z), Z, 128), mass, tol=1e-12)

    def value(c):
        return dist(c.expand_as(Z), Z).square().mean()

    truth = torch.autograd.functional.hessian(value, found.nodes[0, 0])
    torch.testing.assert_close(found.hessian[0], truth, rtol=5e-3, atol=5e-3)


def test_a_group_without_weight_stays_and_one_out_of_reach_does_not_converge():
    metric = PullbackMetric(lambda z: torch.where(z[..., :1] > 5, torch.nan, z), dim=2)
    Z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [9.0, 0.0], [1.0, 1.0]]).double()
    mass = Mass(torch.tensor([0, 0, 1, 2]), torch.tensor([1.0, 1.0, 1.0, 0.0]).double(), 3)
    nodes = straight_line(torch.zeros(4, 2).double(), Z, 8)
    found = relax_bundle(metric, nodes, mass)
    assert found.converged.tolist() == [True, False, False]
    torch.testing.assert_close(found.nodes[0, 0], torch.tensor([0.5, 1.0]).double())
    assert torch.equal(found.nodes[2:], nodes[2:])


@pytest.mark.slow
def test_a_leap_to_a_worse_place_is_not_taken(monkeypatch):
    manifold, Z = Manifold(stereographic, dim=2), draw(5)
    truth = frechet_means(manifold, Z, [0] * 5, n_init=1)
    assert truth.joint.tolist() == [True]
    honest = descent.leap

    def astray(*args, **options):
        found = honest(*args, **options)
        points = found.points + 0.3
        curves = straight_line(points.expand(5, 2), found.curves[:, -1], 128)
        return found._replace(points=points, curves=curves)

    monkeypatch.setattr(descent, "leap", astray)
    found = frechet_means(manifold, Z, [0] * 5, n_init=1)
    assert found.joint.tolist() == [False]
    assert bool(found.converged.all())
    torch.testing.assert_close(found.points, truth.points, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.values, truth.values, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_a_leap_from_exact_geodesics_ends_where_one_from_short_searches_does(monkeypatch):
    manifold, Z, groups = Manifold(stereographic, dim=2), draw(7), [0, 1, 0, 1, 1, 0, 2]
    truth = frechet_means(manifold, Z, groups, n_init=1)
    monkeypatch.setattr(descent, "_EASY", 1)
    found = frechet_means(manifold, Z, groups, n_init=1)
    assert truth.joint.tolist() == found.joint.tolist() == [True, True, False]
    assert bool(found.converged.all())
    torch.testing.assert_close(found.points, truth.points, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.values, truth.values, rtol=1e-6, atol=0)
