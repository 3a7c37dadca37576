"""K-medoids against all sets of medoids, and by its laws."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
)
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import Metric
from pullback.statistics import KMedoids
from pullback.statistics.clustering.medoids import choose_medoids

from ..known_spaces import BROKEN, quietly

FLAT = Manifold(lambda z: z, dim=3)
HALF_PLANE = Manifold(HalfPlane())


class Wall(Metric):
    """Flat, and not finite where |x| < 1."""

    def metric_matrix(self, z):
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return torch.where(z[..., :1, None].abs() < 1, torch.nan, eye)


class NotFinite(Metric):
    def metric_matrix(self, z):
        return torch.full((*z.shape, z.shape[-1]), torch.nan, dtype=z.dtype, device=z.device)


def on_half_plane(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(size=n) * 2, rng.uniform(0.3, 4.3, n)], -1)


def least(costs, weights, k):
    """The least cost of all sets of k medoids."""
    sets = itertools.combinations(range(len(costs)), k)
    return min(float(weights @ costs[:, list(chosen)].min(1)) for chosen in sets)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_swaps_find_the_best_of_all_sets(k):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z = torch.as_tensor(rng.normal(size=(13, 2)))
        costs, weights = torch.cdist(z, z), torch.as_tensor(rng.uniform(0, 2, 13))
        options = {"n_init": 8, "max_iter": 99}
        found = choose_medoids(costs, weights, k, rng=rng, swaps=True, **options)
        assert found.cost == pytest.approx(least(costs.numpy(), weights.numpy(), k), rel=1e-12)
        assert found.cost == pytest.approx(float(weights @ costs[:, found.chosen].amin(1)))
        turns = choose_medoids(costs, weights, k, rng=rng, swaps=False, **options)
        assert turns.cost >= found.cost * (1 - 1e-12)


@pytest.mark.slow
def test_on_a_manifold_it_is_the_best_of_all_sets_too():
    Z = on_half_plane(11)
    z = torch.as_tensor(Z)
    distances = HalfPlane().dist(*torch.broadcast_tensors(z[:, None], z)).numpy()
    medoids = KMedoids(HALF_PLANE, 3, n_init=5, random_state=0).fit(Z)
    assert medoids.inertia_ == pytest.approx(least(distances, np.ones(11), 3), rel=1e-4)
    assert np.array_equal(medoids.cluster_centers_.numpy(), Z[medoids.medoid_indices_])
    assert medoids.labels_.tolist() == distances[:, medoids.medoid_indices_].argmin(1).tolist()
    assert medoids.labels_[medoids.medoid_indices_].tolist() == [0, 1, 2]
    assert medoids.predict(Z).tolist() == medoids.labels_.tolist()
    np.testing.assert_allclose(
        medoids.transform(Z), distances[:, medoids.medoid_indices_], rtol=1e-4, atol=1e-9
    )
    assert medoids.score(Z) == pytest.approx(-medoids.inertia_, rel=1e-4)


@pytest.mark.parametrize("method", ["alternate", "pam"])
def test_weights_count_as_copies(method):
    Z = np.random.default_rng(0).normal(size=(9, 3))
    weights = np.arange(9) % 3
    settings = {"method": method, "n_init": 8, "random_state": 0}
    weighted = KMedoids(FLAT, 2, **settings).fit(Z, sample_weight=weights)
    copied = KMedoids(FLAT, 2, **settings).fit(np.repeat(Z, weights, 0))
    assert weighted.inertia_ == pytest.approx(copied.inertia_, rel=1e-6)


@pytest.mark.slow
def test_a_seed_fixes_everything_and_one_cluster_for_each_point_costs_nothing():
    Z = np.random.default_rng(0).normal(size=(12, 3))
    one, two = (KMedoids(FLAT, 4, n_init=1, random_state=7).fit(Z) for _ in range(2))
    assert np.array_equal(one.medoid_indices_, two.medoid_indices_)
    assert KMedoids(FLAT, 12, random_state=0).fit(Z).inertia_ == 0
    assert KMedoids(FLAT, 3, random_state=0).fit(np.ones((6, 3))).inertia_ == 0


def test_what_lies_apart_has_its_own_medoid_or_no_label():
    rng = np.random.default_rng(0)
    sides = np.repeat([[3.0, 0.0], [-3.0, 0.0]], [9, 4], axis=0)
    Z = sides + 0.2 * rng.normal(size=(13, 2))
    M = Manifold(Wall())
    two = KMedoids(M, 2, distances="graph", random_state=0).fit(Z)
    assert adjusted_rand_score(two.labels_, np.repeat([0, 1], [9, 4])) == 1
    assert two.n_failed_ == 36
    with pytest.warns(ConvergenceWarning, match="4 of 13 points are reached from no centre"):
        one = KMedoids(M, 1, distances="graph", random_state=0).fit(Z)
    assert one.labels_.tolist() == [0] * 9 + [-1] * 4
    assert np.isfinite(one.inertia_)
    with pytest.warns(ConvergenceWarning, match="label is -1"):
        assert one.predict(Z[-2:]).tolist() == [-1, -1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pullback.errors.ConvergenceWarning")
@pytest.mark.cpu_seconds(20)
def test_hostile_data_are_refused_or_clustered_in_time():
    medoids = KMedoids(FLAT, 2, random_state=0)
    with pytest.raises(NotFittedError):
        medoids.predict(np.zeros((1, 3)))
    for bad in ([[np.nan, 0, 0], [0, 0, 0]], [[0.0, 0.0]], [[0.0, 0.0, 0.0]]):
        with pytest.raises(InvalidDataError, match="`X`|`n_clusters`"):
            medoids.fit(bad)
    with pytest.raises(InvalidDataError, match="every edge of the graph"):
        KMedoids(Manifold(NotFinite(), dim=3), 2).fit(np.eye(3))
    parted = [[0.0, 0.0], [3.5, 0.0], [4.0, 0.0]]
    with pytest.raises(ConvergenceError, match="None of the 3 geodesics between the 3 points"):
        quietly(KMedoids(BROKEN, 2).fit, parted)
    assert KMedoids(FLAT, 1).fit([[1.0, 2.0, 3.0]]).labels_.tolist() == [0]


@pytest.mark.parametrize(
    "options",
    [{"n_clusters": 0}, {"n_init": 0}, {"max_iter": 0}, {"method": "best"}, {"distances": "l2"}],
)
def test_bad_settings_are_refused_by_fit(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        KMedoids(FLAT, **options).fit(np.eye(3))


def test_single_precision_will_do():
    M = Manifold(lambda z: z, dim=2, dtype=torch.float32)
    Z = np.random.default_rng(0).normal(size=(20, 2)) + np.repeat([[0, 0], [9, 0]], 10, axis=0)
    medoids = KMedoids(M, 2, random_state=0).fit(Z)
    assert medoids.cluster_centers_.dtype == torch.float32
    assert adjusted_rand_score(medoids.labels_, np.repeat([0, 1], 10)) == 1


LOAD = """
import sys
import numpy as np
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.statistics import KMedoids
medoids = KMedoids.load(sys.argv[1], Manifold(HalfPlane()))
print(medoids.predict(np.load(sys.argv[2])).tolist(), medoids.inertia_)
"""


@pytest.mark.thorough
def test_a_saved_one_predicts_the_same_in_a_new_process(tmp_path):
    Z = on_half_plane(9)
    medoids = KMedoids(HALF_PLANE, 2, random_state=0).fit(Z)
    medoids.save(tmp_path / "medoids")
    np.save(tmp_path / "Z.npy", Z)
    command = [sys.executable, "-c", LOAD, tmp_path / "medoids", tmp_path / "Z.npy"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600).stdout
    assert said.strip() == f"{medoids.predict(Z).tolist()} {medoids.inertia_}"
