"""The bridge to scikit-learn: distances in closed form, and its estimators on top of them."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import DBSCAN, HDBSCAN, OPTICS, AgglomerativeClustering, SpectralClustering
from sklearn.exceptions import NotFittedError
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.geodesics import warn_of_failures
from pullback.manifolds import Manifold
from pullback.statistics import GeodesicAffinity, GeodesicDistances

from ..known_spaces import BROKEN, FLAT, HALF_PLANE, clusters, upper_distances, upper_points

Z, LABELS = clusters()
NEW, NEW_LABELS = clusters(4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "error"), [("newton", 1e-6), ("table", 1e-2), ("graph", 0.1)])
def test_distances_are_those_of_the_half_plane(method, error):
    data, new = upper_points(20), upper_points(6, seed=1)
    data[:, 1] = data[:, 1].clip(1.0)  # a table reaches beyond the points, and must stay inside
    distances = GeodesicDistances(HALF_PLANE, method=method)
    among = distances.fit_transform(data)
    assert np.array_equal(among, among.T)
    assert not among.diagonal().any()
    np.testing.assert_allclose(among, upper_distances(data, data), rtol=error)
    np.testing.assert_allclose(distances.transform(new), upper_distances(new, data), rtol=error)
    assert distances.n_failed_ == 0


@pytest.mark.slow
def test_what_a_distance_is_does_not_depend_on_what_else_is_measured():
    data, new = upper_points(15), upper_points(5, seed=1)
    for method in ("newton", "graph"):
        distances = GeodesicDistances(HALF_PLANE, method=method).fit(data)
        one_by_one = np.concatenate([distances.transform(new[i : i + 1]) for i in range(5)])
        np.testing.assert_allclose(distances.transform(new), one_by_one, rtol=1e-9)


@pytest.mark.parametrize(
    "estimator",
    [
        DBSCAN(eps=0.6, min_samples=3, metric="precomputed"),
        HDBSCAN(min_cluster_size=5, metric="precomputed", copy=True),
        OPTICS(min_samples=5, metric="precomputed"),
        AgglomerativeClustering(3, metric="precomputed", linkage="average"),
        AgglomerativeClustering(3, metric="precomputed", linkage="complete"),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_clusterings_of_scikit_learn_take_our_distances(estimator):
    labels = make_pipeline(GeodesicDistances(FLAT), estimator).fit_predict(Z)
    assert np.array_equal(labels, clone(estimator).fit_predict(cdist(Z, Z)))
    assert adjusted_rand_score(labels[labels >= 0], LABELS[labels >= 0]) > 0.9


@pytest.mark.slow
def test_a_clustering_follows_the_manifold_and_not_the_plane():
    # Two strips of a roll: near in the plane, far apart along the sheet between them.
    wall = Manifold(lambda z: torch.cat([z, 20 * torch.tanh(20 * z[..., 1:])], -1), dim=2)
    x = np.linspace(0, 1, 15)
    strips = np.concatenate([np.stack([x, y + 0 * x], -1) for y in (-0.15, 0.15)])
    linkage = AgglomerativeClustering(2, metric="precomputed", linkage="single")
    labels = make_pipeline(GeodesicDistances(wall, method="newton"), linkage).fit_predict(strips)
    assert adjusted_rand_score(labels, np.repeat([0, 1], 15)) == 1


@pytest.mark.slow
def test_predictions_go_through_the_pipeline():
    votes = make_pipeline(GeodesicDistances(FLAT), KNeighborsClassifier(3, metric="precomputed"))
    assert votes.fit(Z, LABELS).score(NEW, NEW_LABELS) == 1
    vectors = make_pipeline(GeodesicAffinity(FLAT), SVC(kernel="precomputed"))
    assert vectors.fit(Z, LABELS).score(NEW, NEW_LABELS) == 1
    spectral = SpectralClustering(3, affinity="precomputed", random_state=0)
    labels = make_pipeline(GeodesicAffinity(FLAT, scale=1.0), spectral).fit_predict(Z)
    assert adjusted_rand_score(labels, LABELS) == 1
    stochastic = TSNE(perplexity=5, init="random", metric="precomputed", random_state=0)
    picture = make_pipeline(GeodesicDistances(FLAT), stochastic).fit_transform(Z)
    assert picture.shape == (len(Z), 2)


@pytest.mark.slow
def test_affinities_are_what_they_say():
    affinity = GeodesicAffinity(HALF_PLANE, scale=0.7)
    data = upper_points(10)
    expected = np.exp(-(upper_distances(data, data) ** 2) / (2 * 0.7**2))
    np.testing.assert_allclose(affinity.fit_transform(data), expected, atol=1e-6)
    np.testing.assert_allclose(affinity.fit(data).transform(data), expected, atol=1e-6)
    median = GeodesicAffinity(FLAT).fit(Z).scale_
    i, j = np.triu_indices(len(Z), 1)
    assert median == pytest.approx(np.median(cdist(Z, Z)[i, j]), rel=1e-2)
    assert GeodesicAffinity(FLAT).fit([[1.0, 1.0]] * 3).scale_ == 1  # no scale to be seen


@pytest.mark.slow
@pytest.mark.cpu_seconds(30)
def test_pairs_with_no_path_are_an_error_that_says_what_to_do():
    parted = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]])
    wanted = r"2 of 3 pairs .* points 0 and 2\).*unreachable"
    for method in ("newton", "graph"):
        with pytest.raises(InvalidDataError, match=wanted):
            GeodesicDistances(BROKEN, method=method).fit_transform(parted)
    far = GeodesicDistances(BROKEN, method="newton", unreachable=50.0)
    with pytest.warns(ConvergenceWarning, match="2 of 3 geodesics"):
        distances = far.fit_transform(parted)
    np.testing.assert_allclose(distances, [[0, 1, 50], [1, 0, 50], [50, 50, 0]], atol=1e-6)
    assert far.n_failed_ == 2
    with pytest.warns(ConvergenceWarning, match="3 of 3 geodesics"):
        assert far.transform([[3.5, 0.0]])[0, 0] == 50
    nothing = GeodesicAffinity(BROKEN, scale=1.0, method="newton", unreachable=np.inf)
    with pytest.warns(ConvergenceWarning):
        assert nothing.fit_transform(parted)[0, 2] == 0


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::pullback.errors.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The minimum spanning tree contains")
def test_where_scikit_learn_takes_infinite_distances_and_where_not():
    apart = GeodesicDistances(BROKEN, method="newton", unreachable=np.inf)
    parted = np.concatenate([Z[LABELS != 1], [[5.0, 0.0]]])
    labels = make_pipeline(
        apart, HDBSCAN(min_cluster_size=4, metric="precomputed", copy=True)
    ).fit_predict(parted)
    assert labels[-1] < 0
    assert (labels[:-1] >= 0).any()
    with pytest.raises(ValueError, match="infinity"):
        make_pipeline(apart, DBSCAN(metric="precomputed")).fit(parted)
    far = apart.set_params(unreachable=100.0)
    labels = make_pipeline(far, DBSCAN(eps=1, min_samples=3, metric="precomputed")).fit_predict(
        parted
    )
    assert labels[-1] == -1


@pytest.mark.slow
def test_one_point_and_points_that_come_twice():
    assert GeodesicDistances(FLAT).fit_transform([[1.0, 2.0]]).tolist() == [[0.0]]
    twice = np.repeat(Z[:4], 2, 0)
    for method in ("newton", "graph", "table"):
        found = GeodesicDistances(FLAT, method=method).fit_transform(twice)
        assert found.max() < 2 * cdist(twice, twice).max()
        assert not found[0::2, 1::2].diagonal().any()


def test_bad_input_fails_at_the_door():
    with pytest.raises(InvalidDataError, match="must be finite"):
        GeodesicDistances(FLAT).fit([[np.nan, 0.0]])
    for options in ({"method": "euclid"}, {"unreachable": "far"}, {"unreachable": -1.0}):
        (name,) = options
        with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
            GeodesicDistances(FLAT, **options).fit(Z)
    with pytest.raises(InvalidParameterError, match="`scale` must be"):
        GeodesicAffinity(FLAT, scale=0.0).fit(Z)
    with pytest.raises(InvalidParameterError, match="at most 3 dimensions"):
        GeodesicDistances(FLAT, method="table").fit(np.eye(4))
    with pytest.raises(NotFittedError):
        GeodesicDistances(FLAT).transform(Z)
    with pytest.raises(ValueError, match="3 features"):
        GeodesicDistances(FLAT).fit(Z).transform(np.eye(3))


@pytest.mark.slow
def test_a_table_that_cannot_be_made_is_done_without():
    data = upper_points(70)  # some so near to the boundary that a table would reach across
    data[0, 1] = 0.05
    distances = GeodesicDistances(HALF_PLANE).fit(data)
    assert distances.transform(data[1:2]) == pytest.approx(
        upper_distances(data[1:2], data), rel=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GeodesicDistances, GeodesicAffinity])
def test_files(tmp_path, kind):
    fitted = kind(FLAT).fit(Z)
    fitted.save(tmp_path / "file")
    again = kind.load(tmp_path / "file", FLAT)
    assert np.array_equal(again.transform(NEW), fitted.transform(NEW))
    assert list(again.get_feature_names_out())[:1] == [f"{kind.__name__.lower()}0"]


def test_failures_are_counted_in_words():
    with pytest.warns(ConvergenceWarning, match="3 of 10 geodesics did not converge"):
        warn_of_failures(3, 10)
