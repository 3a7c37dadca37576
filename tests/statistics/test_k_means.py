"""K-means against scikit-learn where the space is flat, and by its laws where it is not."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans as EuclideanKMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import paraboloid
from pullback.models import mlp
from pullback.statistics import KMeans

FLAT = Manifold(lambda z: z, dim=2)
CURVED = Manifold(paraboloid, dim=2)


def blobs(n=15, spread=0.3, d=2):
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [3.0, 0.5], [1.0, 3.0]])
    centers = np.pad(centers, [(0, 0), (0, d - 2)])
    return np.concatenate([c + spread * rng.normal(size=(n, d)) for c in centers])


@pytest.mark.parametrize(("method", "n_init"), [("graph", 10), ("newton", 2)])
def test_in_a_flat_space_it_is_the_euclidean_one(method, n_init):
    Z = blobs()
    ours = KMeans(FLAT, 3, method=method, n_init=n_init, random_state=0).fit(Z)
    theirs = EuclideanKMeans(3, n_init=10, random_state=0).fit(Z)
    assert adjusted_rand_score(ours.labels_, theirs.labels_) == 1
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=0.1 if method == "graph" else 1e-2)
    new = np.array([[0.1, 0.1], [2.5, 0.5], [1.0, 2.0]])
    assert ours.predict(new).tolist() == [
        ours.labels_[list(theirs.labels_).index(label)] for label in theirs.predict(new)
    ]


@pytest.mark.parametrize("method", ["graph", "newton"])
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


def test_more_starts_and_more_clusters_only_help():
    Z = blobs(spread=1.0)
    inertia = [KMeans(CURVED, k, random_state=0).fit(Z).inertia_ for k in (1, 2, 4, 8)]
    assert inertia == sorted(inertia, reverse=True)
    few, many = (KMeans(CURVED, 5, n_init=n, random_state=0).fit(Z).inertia_ for n in (1, 8))
    assert many <= few


@pytest.mark.parametrize("method", ["graph", "newton"])
def test_as_many_clusters_as_points(method):
    Z = torch.randn(5, 2, dtype=torch.float64)
    k_means = KMeans(CURVED, 5, method=method, n_init=1, random_state=0).fit(Z)
    assert sorted(k_means.labels_.tolist()) == [0, 1, 2, 3, 4]
    assert k_means.inertia_ == pytest.approx(0, abs=1e-10)
    with pytest.raises(InvalidDataError, match="6 clusters for 5 points"):
        KMeans(CURVED, 6, method=method).fit(Z)


def test_equal_points_are_no_trouble():
    Z = np.concatenate([np.zeros((20, 2)), np.ones((20, 2))])
    k_means = KMeans(CURVED, 2, n_init=2, random_state=0).fit(Z)
    assert adjusted_rand_score(k_means.labels_, [0] * 20 + [1] * 20) == 1
    assert KMeans(CURVED, 3, n_init=1, random_state=0).fit(Z[:20]).inertia_ < 1e-10


def test_a_seed_fixes_everything():
    Z = blobs(spread=1.5)
    one, two = (KMeans(CURVED, 4, n_init=1, random_state=3).fit(Z) for _ in range(2))
    assert np.array_equal(one.labels_, two.labels_)
    assert torch.equal(one.cluster_centers_, two.cluster_centers_)


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


def test_the_manifold_may_compute_in_single_precision():
    M = Manifold(mlp([3, 8, 5]), dim=3, dtype=torch.float32)
    Z = blobs(d=3, spread=1.0)
    k_means = KMeans(M, 3, n_init=2, random_state=0).fit(Z)
    assert k_means.cluster_centers_.dtype == torch.float32
    assert np.array_equal(k_means.predict(Z), k_means.labels_)


def test_data_join_what_lies_far_apart():
    M = Manifold(lambda z: z, dim=4)
    Z = np.concatenate([np.random.default_rng(0).normal(size=(30, 4)) + c for c in (0, 50)])
    with pytest.raises(InvalidDataError, match="falls into parts"):
        KMeans(M, 2, random_state=0).fit(Z)
    between = np.linspace(0, 50, 100)[:, None] * np.ones(4)
    joined = Manifold(lambda z: z, dim=4, data=between)
    labels = KMeans(joined, 2, n_init=1, random_state=0).fit_predict(Z)
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
