"""K-means against scikit-learn where the space is flat, and closed forms where it is not."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans as EuclideanKMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    great_circle_exp,
    great_circle_log,
    paraboloid,
    stereographic,
)
from pullback.metrics import Metric
from pullback.models import mlp
from pullback.statistics import KMeans

FLAT = Manifold(lambda z: z, dim=2)
CURVED = Manifold(paraboloid, dim=2)


class Wall(Metric):
    """Flat, and not finite where |x| < 1."""

    def metric_matrix(self, z):
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return torch.where(z[..., :1, None].abs() < 1, torch.nan, eye)


class NotFinite(Metric):
    def metric_matrix(self, z):
        return torch.full((*z.shape, z.shape[-1]), torch.nan, dtype=z.dtype, device=z.device)


def blobs(n=15, spread=0.3, d=2):
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [3.0, 0.5], [1.0, 3.0]])
    centers = np.pad(centers, [(0, 0), (0, d - 2)])
    return np.concatenate([c + spread * rng.normal(size=(n, d)) for c in centers])


@pytest.mark.slow
@pytest.mark.parametrize(("method", "n_init"), [("graph", 10), ("log", 2), ("newton", 2)])
def test_in_a_flat_space_it_is_the_euclidean_one(method, n_init):
    Z = blobs()
    ours = KMeans(FLAT, 3, method=method, n_init=n_init, random_state=0).fit(Z)
    theirs = EuclideanKMeans(3, n_init=10, random_state=0).fit(Z)
    assert adjusted_rand_score(ours.labels_, theirs.labels_) == 1
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=0.1 if method == "graph" else 1e-4)
    new = np.array([[0.1, 0.1], [2.5, 0.5], [1.0, 2.0]])
    assert ours.predict(new).tolist() == [
        ours.labels_[list(theirs.labels_).index(label)] for label in theirs.predict(new)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log", "newton"])
def test_labels_are_the_nearest_centres_and_inertia_their_sum(method):
    Z = torch.as_tensor(blobs(n=8 if method == "graph" else 4, spread=1.0))
    k_means = KMeans(CURVED, 3, method=method, n_init=1, random_state=1).fit(Z)
    assert k_means.predict(Z).tolist() == k_means.labels_.tolist()
    assert k_means.cluster_centers_.shape == (3, 2)
    assert sorted(set(k_means.labels_.tolist())) == [0, 1, 2]
    distances = CURVED.dist(k_means.cluster_centers_[:, None], Z)
    slack = 1.15 if method == "graph" else 1.001  # paths on a graph are longer
    inertia = distances.square().amin(0).sum().item()
    assert inertia / slack**2 <= k_means.inertia_ <= inertia * slack**2
    chosen = distances.gather(0, torch.as_tensor(k_means.labels_)[None])[0]
    assert bool((chosen <= slack * distances.amin(0) + 1e-2).all())


@pytest.mark.slow
def test_more_starts_and_more_clusters_only_help():
    Z = blobs(spread=1.0)
    inertia = [KMeans(CURVED, k, random_state=0).fit(Z).inertia_ for k in (1, 2, 4, 8)]
    assert inertia == sorted(inertia, reverse=True)
    few, many = (KMeans(CURVED, 5, n_init=n, random_state=0).fit(Z).inertia_ for n in (1, 8))
    assert many <= few


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log", "newton"])
def test_as_many_clusters_as_points(method):
    Z = torch.randn(5, 2, dtype=torch.float64)
    k_means = KMeans(CURVED, 5, method=method, n_init=1, random_state=0).fit(Z)
    assert sorted(k_means.labels_.tolist()) == [0, 1, 2, 3, 4]
    assert k_means.inertia_ == pytest.approx(0, abs=1e-10)
    with pytest.raises(InvalidDataError, match="6 clusters for 5 points"):
        KMeans(CURVED, 6, method=method).fit(Z)


@pytest.mark.slow
def test_equal_points_are_no_trouble():
    Z = np.concatenate([np.zeros((20, 2)), np.ones((20, 2))])
    k_means = KMeans(CURVED, 2, n_init=2, random_state=0).fit(Z)
    assert adjusted_rand_score(k_means.labels_, [0] * 20 + [1] * 20) == 1
    assert KMeans(CURVED, 3, n_init=1, random_state=0).fit(Z[:20]).inertia_ < 1e-10


@pytest.mark.slow
def test_a_seed_fixes_everything():
    Z = blobs(spread=1.5)
    one, two = (KMeans(CURVED, 4, n_init=1, random_state=3).fit(Z) for _ in range(2))
    assert np.array_equal(one.labels_, two.labels_)
    assert torch.equal(one.cluster_centers_, two.cluster_centers_)


@pytest.mark.slow
def test_the_contract_of_scikit_learn():
    k_means = KMeans(CURVED, 3, method="graph", n_init=2, random_state=0)
    assert k_means.get_params()["n_clusters"] == 3
    copy = clone(k_means.set_params(n_clusters=2))
    assert copy.n_clusters == 2
    Z = blobs()
    assert np.array_equal(copy.fit_predict(Z), copy.labels_)
    pipeline = make_pipeline(StandardScaler(), KMeans(CURVED, 3, n_init=2, random_state=0))
    labels = pipeline.fit_predict(Z)
    assert adjusted_rand_score(labels, np.repeat([0, 1, 2], 15)) == 1
    assert np.array_equal(pipeline.predict(Z), labels)
    with pytest.raises(NotFittedError):
        KMeans(CURVED, 3).predict(Z)


@pytest.mark.slow
def test_the_manifold_may_compute_in_single_precision():
    M = Manifold(mlp([3, 8, 5]), dim=3, dtype=torch.float32)
    Z = blobs(d=3, spread=1.0)
    k_means = KMeans(M, 3, n_init=2, random_state=0).fit(Z)
    assert k_means.cluster_centers_.dtype == torch.float32
    assert np.array_equal(k_means.predict(Z), k_means.labels_)


@pytest.mark.slow
def test_data_join_what_lies_far_apart():
    M = Manifold(lambda z: z, dim=4)
    Z = np.concatenate([np.random.default_rng(0).normal(size=(30, 4)) + c for c in (0, 50)])
    with pytest.raises(InvalidDataError, match="falls into parts"):
        KMeans(M, 2, method="graph", random_state=0).fit(Z)
    apart = KMeans(M, 2, random_state=0).fit(Z)
    assert apart.method_ == "log"
    assert adjusted_rand_score(apart.labels_, [0] * 30 + [1] * 30) == 1
    between = np.linspace(0, 50, 100)[:, None] * np.ones(4)
    joined = Manifold(lambda z: z, dim=4, data=between)
    labels = KMeans(joined, 2, method="graph", n_init=1, random_state=0).fit_predict(Z)
    assert adjusted_rand_score(labels, [0] * 30 + [1] * 30) == 1


def test_where_the_decoder_fails_no_centre_lies():
    M = Manifold(lambda z: torch.where(z[..., :1] > 3, torch.nan, z), dim=2)
    Z = np.random.default_rng(0).uniform(0, 2.9, size=(20, 2))  # the grid reaches beyond 3
    k_means = KMeans(M, 2, n_init=2, random_state=0).fit(Z)
    assert bool((k_means.cluster_centers_[:, 0] <= 3).all())
    assert np.array_equal(k_means.predict(Z), k_means.labels_)


@pytest.mark.parametrize(
    "options",
    [{"n_clusters": 0}, {"n_init": 0}, {"max_iter": 0}, {"tol": -1.0}, {"method": "euclidean"}],
)
def test_bad_settings_are_refused_by_fit(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        KMeans(CURVED, **options).fit(blobs())


SPHERE = Manifold(stereographic, dim=2)
PLANE = HalfPlane()


def blobs_of(exp, centers, n=12, spread=0.15):
    centers = torch.tensor(centers).double()
    noise = spread * torch.randn(len(centers), n, 2, dtype=torch.float64)
    noise = noise * (centers[:, 1:].unsqueeze(1).abs() + 0.5)
    return exp(*torch.broadcast_tensors(centers.unsqueeze(1), noise)).reshape(-1, 2)


def lloyd(Z, centers, dist, log, exp):
    """K-means in closed form: the labels and centres that it settles on."""
    for _ in range(50):
        distances = dist(*torch.broadcast_tensors(centers.unsqueeze(1), Z))
        labels = distances.argmin(0)
        for k in range(len(centers)):
            for _ in range(30):
                own = Z[labels == k]
                c = centers[k].expand_as(own)
                centers[k] = exp(centers[k], log(c, own).mean(0))
    return labels, centers, distances.amin(0).square().sum().item()


SPACES = {
    "sphere": (SPHERE, great_circle_dist, great_circle_log, great_circle_exp),
    "half-plane": (Manifold(PLANE), PLANE.dist, PLANE.log, PLANE.exp),
}
PLACES = {
    "sphere": [[0.0, 0.1], [1.0, 0.8], [-0.7, 1.2]],
    "half-plane": [[0.0, 1.0], [3.0, 1.5], [1.0, 6.0]],
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("method", ["log", "newton"])
def test_it_ends_where_lloyds_turns_end_in_closed_form(name, method):
    manifold, dist, log, exp = SPACES[name]
    Z = blobs_of(exp, PLACES[name], spread=0.3)
    found = KMeans(manifold, 3, method=method, n_init=3, random_state=0).fit(Z)
    labels, centers, inertia = lloyd(Z, found.cluster_centers_.clone(), dist, log, exp)
    assert found.labels_.tolist() == labels.tolist()
    assert dist(found.cluster_centers_, centers).max().item() < 1e-4
    assert found.inertia_ == pytest.approx(inertia, rel=1e-4)
    assert found.n_failed_ == 0
    assert adjusted_rand_score(found.labels_, np.repeat([0, 1, 2], 12)) > 0.5


@pytest.mark.thorough
def test_on_a_table_it_takes_geodesics():
    Z = blobs_of(great_circle_exp, PLACES["sphere"])
    k_means = KMeans(SPHERE.tabulated(Z), 3, n_init=2, random_state=0).fit(Z)
    assert k_means.method_ == "log"
    exact = KMeans(SPHERE, 3, method="newton", n_init=2, random_state=0).fit(Z)
    assert k_means.labels_.tolist() == exact.labels_.tolist()
    torch.testing.assert_close(k_means.cluster_centers_, exact.cluster_centers_, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log"])
def test_scores_and_distances_belong_to_the_labels(method):
    Z = blobs(n=8, spread=0.8)
    k_means = KMeans(CURVED, 3, method=method, n_init=2, random_state=0).fit(Z)
    distances = k_means.transform(Z)
    assert distances.shape == (24, 3)
    assert np.array_equal(distances.argmin(1), k_means.labels_)
    assert -k_means.score(Z) == pytest.approx(k_means.inertia_, rel=1e-6)
    assert -k_means.score(Z, sample_weight=np.full(24, 2.0)) == pytest.approx(
        2 * k_means.inertia_, rel=1e-6
    )
    assert (distances.min(1) ** 2).sum() == pytest.approx(k_means.inertia_, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log"])
def test_weights_count_as_copies(method):
    Z = blobs(n=6, spread=0.5)
    weights = np.arange(18) % 3
    weighted, copied = (
        KMeans(CURVED, 3, method=method, random_state=0).fit(data, sample_weight=w)
        for data, w in ((Z, weights), (np.repeat(Z, weights, 0), None))
    )
    assert weighted.inertia_ == pytest.approx(copied.inertia_, rel=1e-4 if method == "log" else 0.1)
    assert adjusted_rand_score(np.repeat(weighted.labels_, weights), copied.labels_) == 1
    light = KMeans(CURVED, 3, method=method, random_state=0).fit(Z, sample_weight=0.5 * weights)
    assert light.inertia_ == pytest.approx(weighted.inertia_ / 2, rel=1e-6)


@pytest.mark.slow
def test_points_that_no_centre_reaches_have_no_label():
    M = Manifold(Wall())
    near = np.random.default_rng(0).normal(size=(12, 2)) * 0.2
    Z = np.concatenate([near + np.array([3, 0]), near[:4] - np.array([3, 0])])
    with pytest.raises(InvalidDataError, match="falls into parts"):
        KMeans(M, 1, method="graph").fit(Z)
    with pytest.warns(ConvergenceWarning, match="4 of 16 points are reached from no centre"):
        one = KMeans(M, 1, random_state=0).fit(Z)
    assert one.labels_.tolist() == [0] * 12 + [-1] * 4
    assert one.n_failed_ == 4
    np.testing.assert_allclose(one.cluster_centers_[0], Z[:12].mean(0), atol=1e-3)
    with pytest.warns(ConvergenceWarning, match="label is -1"):
        assert one.predict(Z[-1:]).tolist() == [-1]
    two = KMeans(M, 2, random_state=0).fit(Z)
    assert adjusted_rand_score(two.labels_, [0] * 12 + [1] * 4) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log"])
def test_a_centre_is_the_mean_and_not_the_median(method):
    """Of three points at 0 and one at 4 the squares of distances are least from 1."""
    Z = np.array([[0.0, 0.0], [0.0, 1e-3], [1e-3, 0.0], [4.0, 0.0]])
    centre = KMeans(Manifold(lambda z: z, dim=2), 1, method=method, random_state=0).fit(Z)
    np.testing.assert_allclose(centre.cluster_centers_[0], [1, 0], atol=0.06)  # half a cell


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graph", "log"])
@pytest.mark.cpu_seconds(30)
def test_hostile_data_are_refused_or_clustered_in_time(method):
    k_means = KMeans(CURVED, 2, method=method, n_init=1, random_state=0)
    for bad in ([[0.0, np.nan], [1.0, 1.0]], [[0.0], [1.0]], np.zeros((0, 2)), [[0.0, 0.0]]):
        with pytest.raises(ValueError, match="`X`|sample|features|at most the number of points"):
            k_means.fit(bad)
    with pytest.raises(InvalidDataError, match="`sample_weight`"):
        k_means.fit(np.eye(2), sample_weight=[1.0, -1.0])
    with pytest.raises(InvalidDataError, match="every edge"):
        KMeans(Manifold(NotFinite()), 2, method=method).fit(np.eye(2))
    assert k_means.fit(np.zeros((9, 2))).inertia_ == pytest.approx(0, abs=1e-12)
    assert k_means.set_params(n_clusters=1).fit([[1.0, 2.0]]).labels_.tolist() == [0]


LOAD = """
import sys
import numpy as np
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.statistics import KMeans
k_means = KMeans.load(sys.argv[1], Manifold(HalfPlane()))
print(k_means.predict(np.load(sys.argv[2])).tolist(), k_means.inertia_)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["graph", "log"])
def test_a_saved_one_predicts_the_same_in_a_new_process(tmp_path, method):
    Z = blobs_of(PLANE.exp, PLACES["half-plane"]).numpy()
    k_means = KMeans(Manifold(PLANE), 3, method=method, n_init=2, random_state=0).fit(Z)
    k_means.save(tmp_path / "k_means")
    np.save(tmp_path / "Z.npy", Z)
    command = [sys.executable, "-c", LOAD, tmp_path / "k_means", tmp_path / "Z.npy"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600).stdout
    assert said.strip() == f"{k_means.predict(Z).tolist()} {k_means.inertia_}"
    assert k_means.predict(Z).tolist() == k_means.labels_.tolist()
