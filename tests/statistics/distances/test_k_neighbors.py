"""Neighbours: scikit-learn's where the space is flat, brute force in closed form elsewhere."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.sparse import issparse
from sklearn import neighbors
from sklearn.cluster import DBSCAN, SpectralClustering
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import great_circle_dist
from pullback.statistics import KNeighborsClassifier, KNeighborsRegressor, KNeighborsTransformer
from pullback.statistics.distances.nearest import find_nearest

from ..known_spaces import (
    BROKEN,
    FLAT,
    HALF_PLANE,
    SPHERE,
    clusters,
    upper_distances,
    upper_points,
)

Z, LABELS = clusters(spread=1.2)
NEW, NEW_LABELS = clusters(5, seed=1, spread=1.2)
VALUES = np.sin(Z[:, 0]) + Z[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 4, len(Z)])
def test_in_a_flat_space_they_are_scikit_learn_s(k, weights):
    ours = KNeighborsClassifier(FLAT, k, weights=weights).fit(Z, LABELS)
    theirs = neighbors.KNeighborsClassifier(k, weights=weights).fit(Z, LABELS)
    for found, wanted in zip(ours.kneighbors(NEW), theirs.kneighbors(NEW), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(NEW), theirs.predict_proba(NEW), atol=1e-5)
    assert np.array_equal(ours.predict(NEW), theirs.predict(NEW))
    assert ours.score(NEW, NEW_LABELS) == theirs.score(NEW, NEW_LABELS)
    assert np.array_equal(ours.classes_, [0, 1, 2])
    mean = KNeighborsRegressor(FLAT, k, weights=weights).fit(Z, VALUES)
    their_mean = neighbors.KNeighborsRegressor(k, weights=weights).fit(Z, VALUES)
    np.testing.assert_allclose(mean.predict(NEW), their_mean.predict(NEW), atol=1e-5)


@pytest.mark.slow
def test_training_points_are_not_their_own_neighbours():
    ours = KNeighborsRegressor(FLAT, 3).fit(Z, VALUES)
    theirs = neighbors.NearestNeighbors(n_neighbors=3).fit(Z)
    assert np.array_equal(ours.kneighbors(return_distance=False), theirs.kneighbors()[1])
    graph = ours.kneighbors_graph(mode="distance")
    np.testing.assert_allclose(
        graph.toarray(), theirs.kneighbors_graph(mode="distance").toarray(), atol=1e-6
    )
    assert ours.kneighbors_graph(NEW, 2).sum() == 2 * len(NEW)


@pytest.mark.slow
def test_in_the_half_plane_they_are_the_nearest_by_brute_force():
    data, new = upper_points(60), upper_points(10, seed=1)
    nearest = KNeighborsRegressor(HALF_PLANE, 4, method="newton").fit(data, np.zeros(60))
    found, index = nearest.kneighbors(new)
    exact = upper_distances(new, data)
    assert np.array_equal(index, exact.argsort(1)[:, :4])
    np.testing.assert_allclose(found, np.sort(exact, 1)[:, :4], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["newton", "table"])
def test_on_the_sphere_the_bound_spares_most_geodesics_and_loses_no_neighbour(method):
    data, new = torch.randn(2, 80, 2, dtype=torch.float64)
    new = new[:20]
    exact = great_circle_dist(new[:, None].expand(-1, 80, -1), data.expand(20, -1, -1))
    ruler = SPHERE.ruler(data, method)
    found = find_nearest(ruler, new, 3)
    rtol = {"newton": 1e-6, "table": 1e-2}[method]
    torch.testing.assert_close(found.length, exact.sort(-1).values[:, :3], rtol=rtol, atol=1e-9)
    assert found.n_solved < 20 * 80 / 5
    assert found.n_failed == 0


def test_on_the_graph_they_are_nearly_the_same():
    ours = KNeighborsClassifier(FLAT, 5, method="graph").fit(Z, LABELS)
    theirs = neighbors.KNeighborsClassifier(5).fit(Z, LABELS)
    assert np.mean(ours.predict(NEW) == theirs.predict(NEW)) > 0.85
    own = ours.kneighbors(return_distance=False)
    assert not (own == np.arange(len(Z))[:, None]).any()


@pytest.mark.slow
def test_the_classes_follow_the_manifold_and_not_the_plane():
    # Two arms of a roll, near in the plane; the sheet between them is steep.
    wall = Manifold(lambda z: torch.cat([z, 20 * torch.tanh(20 * z[..., 1:])], -1), dim=2)
    x = np.linspace(0, 1, 8)
    upper, lower = (np.stack([x, y + 0 * x], -1) for y in (0.1, -0.1))
    data, labels = np.concatenate([upper[::7], lower]), [1, 1] + [0] * 8
    assert (KNeighborsClassifier(wall, 1).fit(data, labels).predict(upper) == 1).all()
    flat = neighbors.KNeighborsClassifier(1).fit(data, labels)
    assert (flat.predict(upper) == 1).mean() < 0.6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_the_sparse_graph_serves_scikit_learn():
    tight, labels = clusters()
    graph = KNeighborsTransformer(FLAT, 6)
    matrix = graph.fit_transform(tight)
    theirs = neighbors.KNeighborsTransformer(n_neighbors=6).fit_transform(tight)
    assert issparse(matrix)
    np.testing.assert_allclose(matrix.toarray(), theirs.toarray(), atol=1e-6)
    density = DBSCAN(eps=0.5, min_samples=3, metric="precomputed")
    found = make_pipeline(graph, density).fit_predict(tight)
    assert adjusted_rand_score(found[found >= 0], labels[found >= 0]) > 0.9
    spectral = SpectralClustering(
        3, affinity="precomputed_nearest_neighbors", n_neighbors=5, random_state=0
    )
    wide = KNeighborsTransformer(FLAT, 20)
    assert adjusted_rand_score(make_pipeline(wide, spectral).fit_predict(tight), labels) == 1
    ones = KNeighborsTransformer(FLAT, 6, mode="connectivity").fit_transform(tight)
    assert ones.sum() == 6 * len(tight)


@pytest.mark.slow
def test_labels_may_be_words_tensors_or_several():
    words = np.array(["one", "two", "three"])[LABELS]
    assert set(KNeighborsClassifier(FLAT, 3).fit(Z, words).predict(NEW)) <= set(words)
    assert KNeighborsClassifier(FLAT, 3).fit(Z, torch.as_tensor(LABELS)).score(Z, LABELS) > 0.5
    both = np.stack([LABELS, LABELS > 0], 1)
    two = KNeighborsClassifier(FLAT, 3).fit(Z, both)
    assert two.predict(NEW).shape == (len(NEW), 2)
    assert [p.shape[1] for p in two.predict_proba(NEW)] == [3, 2]
    assert KNeighborsRegressor(FLAT, 2).fit(Z, Z).predict(NEW).shape == NEW.shape


@pytest.mark.slow
def test_a_grid_search_over_the_number_of_neighbours():
    search = GridSearchCV(KNeighborsClassifier(FLAT), {"n_neighbors": [1, 5, 9]}, cv=3)
    search.fit(Z, LABELS)
    theirs = GridSearchCV(neighbors.KNeighborsClassifier(), {"n_neighbors": [1, 5, 9]}, cv=3)
    theirs.fit(Z, LABELS)
    assert search.best_params_ == theirs.best_params_
    assert search.best_score_ == pytest.approx(theirs.best_score_)


@pytest.mark.parametrize("method", ["graph", "newton"])
def test_of_equally_near_neighbours_the_first_is_taken(method):
    """Copies of one point are equally near, whatever the rounding: the order of the data counts."""
    Z = np.array([[5.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 4.0]])
    search = KNeighborsClassifier(FLAT, 2, method=method).fit(Z, [0, 1, 2, 3, 4])
    assert search.kneighbors([[0.0, 0.0]], return_distance=False).tolist() == [[1, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2])
def test_what_is_near_in_space_may_be_far_along_the_surface(k):
    """On a spiral the next turn is nearer through the air than what comes next on the way."""
    spiral = Manifold(lambda z: torch.cat([z * z.cos(), z * z.sin()], -1), dim=1)
    t = 4 * np.pi + np.array([0.0, 0.9, -0.9, 2 * np.pi, -2 * np.pi])
    images = np.stack([t * np.cos(t), t * np.sin(t)], -1)
    assert np.linalg.norm(images[1:] - images[0], axis=1).argmin() in (2, 3)
    search = KNeighborsClassifier(spiral, k, method="newton").fit(t[1:, None], [0, 1, 2, 3])
    length, index = search.kneighbors(t[:1, None])
    assert index[0].tolist() == [1, 0][:k]  # inwards a turn is shorter
    way = [quad(lambda s: np.hypot(1, s), *sorted(t[[0, i]]))[0] for i in (2, 1)]
    np.testing.assert_allclose(length[0], way[:k], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.cpu_seconds(20)
def test_points_that_reach_too_few_others_are_an_error():
    data = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    for method in ("newton", "graph"):
        vote = KNeighborsClassifier(BROKEN, 2, method=method).fit(data, [0, 1, 1])
        with pytest.raises(InvalidDataError, match=r"1 of 2 points .* point 1, which reaches 0\)"):
            vote.predict([[0.4, 0.0], [5.0, 0.0]])


@pytest.mark.slow
def test_neighbours_that_cannot_be_reached_are_passed_over_with_a_warning():
    data = np.array([[3.1, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    vote = KNeighborsClassifier(BROKEN, 1, method="newton").fit(data, [0, 1, 1])
    with pytest.warns(ConvergenceWarning, match="1 of "):
        assert vote.predict([[2.9, 0.0]]) == [1]


def test_equal_points_are_no_trouble():
    twice = np.repeat(Z[:5], 4, 0)
    vote = KNeighborsClassifier(FLAT, 4).fit(twice, np.repeat(np.arange(5), 4))
    assert np.array_equal(vote.predict(Z[:5]), np.arange(5))
    assert not vote.kneighbors(Z[:5])[0].any()
    assert KNeighborsClassifier(FLAT, 1).fit([[0.0, 1.0]], [7]).predict([[5.0, 5.0]]) == [7]


def test_bad_input_fails_at_the_door():
    for kind in (KNeighborsClassifier, KNeighborsRegressor):
        with pytest.raises(InvalidParameterError, match="`n_neighbors` must be at most 3 .*got 5"):
            kind(FLAT).fit(Z[:3], LABELS[:3])
        with pytest.raises(InvalidParameterError, match="`n_neighbors` must be an integer"):
            kind(FLAT, 0).fit(Z, LABELS)
        with pytest.raises(InvalidParameterError, match="`method` must be"):
            kind(FLAT, method="euclid").fit(Z, LABELS)
        with pytest.raises(ValueError, match="weights"):
            kind(FLAT, weights="heavy").fit(Z, LABELS)
        with pytest.raises(InvalidDataError, match="must be finite"):
            kind(FLAT).fit(np.where(Z > 3, np.nan, Z), LABELS)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            kind(FLAT).fit(Z, LABELS[:-1])
        with pytest.raises(NotFittedError):
            kind(FLAT).predict(Z)
    with pytest.raises(InvalidParameterError, match="at most 2 neighbours"):
        KNeighborsRegressor(FLAT, 3).fit(Z[:3], VALUES[:3]).kneighbors()
    with pytest.raises(InvalidParameterError, match="`mode` must be"):
        KNeighborsTransformer(FLAT, mode="weights").fit(Z)


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels", [LABELS, np.array(["a", "b", "c"])[LABELS], LABELS[:, None] > [0, 1]]
)
def test_files(tmp_path, labels):
    fitted = KNeighborsClassifier(FLAT, 4, weights="distance").fit(Z, labels)
    fitted.save(tmp_path / "votes")
    again = KNeighborsClassifier.load(tmp_path / "votes", FLAT)
    assert np.array_equal(again.predict(NEW), fitted.predict(NEW))
    assert np.array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
    assert np.array_equal(again.classes_, fitted.classes_)
    mean = KNeighborsRegressor(FLAT).fit(Z, VALUES)
    mean.save(tmp_path / "mean")
    assert np.array_equal(
        KNeighborsRegressor.load(tmp_path / "mean", FLAT).predict(NEW), mean.predict(NEW)
    )
