"""Geometric medians against another optimiser, the optimality condition and an outlier."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, stereographic
from pullback.statistics import FrechetMean, GeometricMedian, geometric_medians

FLAT = Manifold(lambda z: 2 * z, dim=2)
SPHERE = Manifold(stereographic, dim=2)
HALF_PLANE = Manifold(HalfPlane())


def on_half_plane(n, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(np.stack([rng.normal(size=n) * 2, rng.uniform(0.3, 4.3, n)], -1))


def on_sphere(n, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(0.4, 0.5, size=(n, 2)))


SPACES = {
    "sphere": (SPHERE, great_circle_dist, on_sphere),
    "half-plane": (HALF_PLANE, HalfPlane().dist, on_half_plane),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SPACES)
def test_another_optimiser_ends_at_the_same_point(name, seed):
    manifold, dist, draw = SPACES[name]
    Z = draw(8, seed)
    w = torch.as_tensor(np.random.default_rng(seed).uniform(0.5, 1.5, 8))
    median = GeometricMedian(manifold).fit(Z, sample_weight=w)

    def objective(c):
        return float(w @ dist(torch.as_tensor(c).expand_as(Z), Z) / w.sum())

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000}
    starts = [median.estimate_.numpy(), *Z[:3].numpy()]
    ends = [minimize(objective, z, method="Nelder-Mead", options=options) for z in starts]
    truth = min(ends, key=lambda end: end.fun)
    assert dist(median.estimate_, torch.as_tensor(truth.x)).item() < 3e-4 * median.spread_
    assert objective(median.estimate_) <= truth.fun * (1 + 1e-6)
    assert median.spread_ == pytest.approx(truth.fun, rel=1e-5)
    assert median.converged_


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_point_of_half_the_weight_is_the_median_exactly(name):
    manifold, _, draw = SPACES[name]
    Z, weights = draw(6), [1.0, 1.0, 5.5, 1.0, 1.0, 1.0]
    median = GeometricMedian(manifold).fit(Z, sample_weight=weights)
    assert torch.equal(median.estimate_, Z[2])
    assert median.converged_
    assert median.unique_


@pytest.mark.slow
def test_it_leaves_a_point_of_the_data_that_is_no_median():
    Z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-0.5, 0.9], [-0.5, -0.8]]).double()
    median = GeometricMedian(FLAT).fit(Z, start=[1.0, 0.0], sample_weight=[0.01, 1, 1, 1])
    assert median.converged_
    unit = Z - median.estimate_
    pull = torch.tensor([0.01, 1, 1, 1]).double() @ (unit / unit.norm(dim=1, keepdim=True))
    assert pull.norm().item() < 1e-3 or torch.equal(median.estimate_, Z[0])


@pytest.mark.thorough
def test_one_outlier_moves_it_little_and_the_mean_far():
    Z = on_half_plane(9)
    far = torch.cat([Z[:-1], torch.tensor([[100.0, 0.3]]).double()])
    moved = [
        HalfPlane().dist(kind(HALF_PLANE).fit(Z).estimate_, kind(HALF_PLANE).fit(far).estimate_)
        for kind in (GeometricMedian, FrechetMean)
    ]
    assert moved[0].item() < moved[1].item() / 3


@pytest.mark.slow
def test_of_two_points_all_between_them_are_medians():
    two = GeometricMedian(SPHERE).fit([[0.0, 0.0], [0.5, 0.0]])
    assert not two.unique_
    assert two.spread_ == pytest.approx(np.arctan(0.5), rel=1e-4)
    three = GeometricMedian(SPHERE).fit([[0.0, 0.0], [0.5, 0.0], [0.2, 0.0]])
    assert three.estimate_.tolist() == [0.2, 0.0]
    assert three.unique_


@pytest.mark.thorough
def test_groups_as_one_batch_are_the_groups_one_by_one():
    Z, labels = on_sphere(11), torch.tensor([0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0])
    medians = geometric_medians(SPHERE, Z, labels)
    for k in range(2):
        one = GeometricMedian(SPHERE).fit(Z[labels == k])
        torch.testing.assert_close(medians.points[k], one.estimate_, rtol=0, atol=3e-4)
    assert bool(medians.converged.all())


@pytest.mark.slow
def test_score_is_minus_the_mean_distance():
    Z = on_sphere(7)
    median = GeometricMedian(SPHERE).fit(Z)
    assert median.score(Z) == pytest.approx(-median.spread_, rel=1e-6)
    one = GeometricMedian(SPHERE).fit(Z[:1])
    assert one.spread_ == 0
    assert one.converged_


@pytest.mark.thorough
def test_a_saved_one_is_the_same(tmp_path):
    median = GeometricMedian(SPHERE, n_init=2).fit(on_sphere(5))
    median.save(tmp_path / "median")
    read = GeometricMedian.load(tmp_path / "median", SPHERE)
    assert torch.equal(read.estimate_, median.estimate_)
    assert np.array_equal(read.transform(on_sphere(3)), median.transform(on_sphere(3)))


def test_bad_input_is_refused():
    with pytest.raises(InvalidDataError, match="NaN"):
        GeometricMedian(SPHERE).fit([[np.nan, 0.0]])
    with pytest.raises(InvalidParameterError, match="`tol` must be"):
        GeometricMedian(SPHERE, tol=0).fit([[0.0, 0.0]])
    with pytest.raises(InvalidDataError, match="have none"):
        geometric_medians(SPHERE, [[0.0, 0.0], [1.0, 0.0]], [0, 1], sample_weight=[1.0, 0.0])
