"""One ruler for all who ask for many distances: a pair has the same length, whoever asks."""

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from pullback.errors import InvalidParameterError
from pullback.geodesics import Ruler, build_graph
from pullback.manifolds import Manifold
from pullback.manifolds.reference import great_circle_dist, stereographic
from pullback.metrics import PullbackMetric, ScaledMetric, TabulatedMetric
from pullback.statistics import (
    GeodesicDistances,
    GeodesicEmbedding,
    KernelDensity,
    KMedoids,
    KNeighborsTransformer,
)

SPHERE = PullbackMetric(stereographic, dim=2)
STATED = 2e-3  # relative error of a short search on a table


def points(n, d=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) / 3


def true_distances(Z):
    return great_circle_dist(Z[:, None].expand(len(Z), *Z.shape), Z.expand(len(Z), *Z.shape))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "method"), [(10, "newton"), (50, "newton"), (70, "table")])
def test_all_who_ask_get_the_same_number_near_the_truth(n, method):
    M, Z = Manifold(SPHERE), points(n)
    expected = M.pairwise_dist(Z, progress=False).numpy()
    assert M.ruler(Z).method == method
    truth = true_distances(Z).numpy()
    np.testing.assert_allclose(expected, truth, rtol=STATED, atol=1e-9)
    np.testing.assert_array_equal(GeodesicDistances(M).fit_transform(Z), expected)
    halves = np.arange(n) % 2
    ours = silhouette_score(expected, halves, metric="precomputed")
    assert ours == pytest.approx(silhouette_score(truth, halves, metric="precomputed"), abs=STATED)
    if n == 50:  # as above, but 1225 careful searches for each line below
        return
    nearest, index = KNeighborsTransformer(M, 3).fit(Z).kneighbors()
    np.testing.assert_allclose(nearest, np.take_along_axis(expected, index, 1), rtol=1e-9)
    medoids = KMedoids(M, 1, random_state=0).fit(Z)
    assert medoids.inertia_ == pytest.approx(expected.sum(1).min(), rel=1e-12)
    width = KernelDensity(M, bandwidth="silverman", volume_density=False).fit(Z).bandwidth_
    other = KernelDensity(M, bandwidth="silverman", volume_density=False, method=method).fit(Z)
    assert width == other.bandwidth_
    stress = GeodesicEmbedding(M, kind="classical").fit(Z).stress_
    assert stress == GeodesicEmbedding(M, kind="classical", method=method).fit(Z).stress_


@pytest.mark.slow
def test_two_sets_count_all_pairs_and_measure_like_one():
    M, Z = Manifold(SPHERE), points(50)
    few = M.pairwise_dist(Z[:3], Z, progress=False)
    torch.testing.assert_close(few, true_distances(Z)[:3], rtol=1e-6, atol=1e-9)
    many = M.pairwise_dist(Z, Z, progress=False)  # 2500 pairs: a table
    torch.testing.assert_close(many, true_distances(Z), rtol=STATED, atol=1e-9)


def test_the_method_is_chosen_by_pairs_dimension_and_what_the_metric_costs():
    table = TabulatedMetric.build(SPHERE, points(5), rtol=1e-2)
    assert Ruler(table, points(2)).method == "table"
    assert Ruler(table, points(2)).metric is table
    assert Ruler(ScaledMetric(table, 4.0), points(2), "table").metric.is_cheap
    assert Ruler(table, points(2), "newton").method == "newton"
    made = Ruler(SPHERE, points(2), n_pairs=2000)
    assert made.method == "table"
    assert made.metric.is_cheap
    assert Ruler(SPHERE, points(2), n_pairs=1999).method == "newton"
    assert Ruler(PullbackMetric(lambda z: z), points(70, d=4)).method == "newton"
    with pytest.raises(InvalidParameterError, match="at most 3 dimensions"):
        Ruler(PullbackMetric(lambda z: z), points(2, d=4), "table")


def test_where_no_table_can_be_made_pairs_are_solved_with_care():
    broken = PullbackMetric(lambda z: torch.where(z[..., :1] > 1.5, torch.nan, z))
    Z = torch.tensor([[0.0, 0.0], [1.4, 0.0]], dtype=torch.float64)  # a table would reach to 1.68
    ruler = Ruler(broken, Z, n_pairs=5000)
    assert ruler.method == "newton"
    assert ruler.among().length[0, 1].item() == pytest.approx(1.4)


def test_a_graph_is_finer_where_edges_cost_little():
    table = TabulatedMetric.build(SPHERE, points(5), rtol=1e-2)
    assert len(build_graph(table, points(5)).nodes) == 5 + 96**2
    assert len(build_graph(SPHERE, points(5)).nodes) == 5 + 64**2
