import numpy as np
import pytest
import torch

from pullback.adapters import as_geomstats_metric
from pullback.errors import ConvergenceWarning, InvalidParameterError
from pullback.manifolds import Manifold

FOREIGN = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def sphere(z):
    """Longitude and latitude of the unit sphere."""
    x, y = z.unbind(-1)
    return torch.stack([y.cos() * x.cos(), y.cos() * x.sin(), y.sin()], -1)


@pytest.fixture
def metric():
    around = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 2)
    return as_geomstats_metric(Manifold(sphere, dim=2, data=around))


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-0.6, 0.6, size=(5, 2))


def arc(a, b):
    a, b = (sphere(torch.as_tensor(p)).numpy() for p in (a, b))
    return np.arccos((a * b).sum(-1).clip(-1, 1))


@pytest.mark.slow
def test_distances_are_those_of_the_sphere(metric, points):
    np.testing.assert_allclose(metric.dist(points[0], points), arc(points[0], points), atol=1e-5)
    np.testing.assert_allclose(
        metric.squared_dist(points, points[1]), arc(points, points[1]) ** 2, atol=1e-5
    )
    found = metric.dist_pairwise(points)
    np.testing.assert_allclose(found, arc(points[:, None], points), atol=1e-5)


@pytest.mark.thorough
def test_arguments_come_in_the_order_of_geomstats(metric, points):
    a, b = points[0], points[1]
    v = metric.log(b, a)
    assert isinstance(v, np.ndarray)
    np.testing.assert_allclose(metric.norm(v, a), arc(a, b), atol=1e-6)
    np.testing.assert_allclose(metric.squared_norm(v, a), arc(a, b) ** 2, atol=1e-6)
    np.testing.assert_allclose(metric.log(point=b, base_point=a), v)
    np.testing.assert_allclose(metric.exp(v, a), b, atol=1e-6)
    np.testing.assert_allclose(metric.exp(tangent_vec=v, base_point=a), b, atol=1e-6)


def test_inner_products_are_those_of_the_matrix(metric, points):
    expected = np.zeros((5, 2, 2))
    expected[:, 0, 0], expected[:, 1, 1] = np.cos(points[:, 1]) ** 2, 1
    np.testing.assert_allclose(metric.metric_matrix(points), expected, atol=1e-12)
    u, v = points[::-1], points + 1
    found = metric.inner_product(u, v, base_point=points)
    np.testing.assert_allclose(found, np.einsum("ni,nij,nj->n", u, expected, v))


@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(), (5,)])
def test_a_geodesic_by_its_end_is_that_by_its_velocity(metric, points, shape):
    a, b = (points[0], points[1]) if shape == () else (points, points[::-1])
    times = np.linspace(0, 1, 5)
    by_end = metric.geodesic(a, end_point=b)(times)
    by_velocity = metric.geodesic(a, initial_tangent_vec=metric.log(b, a))(times)
    assert by_end.shape == by_velocity.shape == (*shape, 5, 2)
    np.testing.assert_allclose(by_end, by_velocity, atol=1e-4)
    np.testing.assert_allclose(by_end[..., -1, :], b, atol=1e-9)
    assert metric.geodesic(a, b)(0.5).shape == (*shape, 1, 2)


@pytest.mark.parametrize("given", [{}, {"end_point": [0, 1], "initial_tangent_vec": [0, 1]}])
def test_a_geodesic_is_given_by_one_of_two(metric, given):
    with pytest.raises(InvalidParameterError, match=r"`end_point` must be given, or"):
        metric.geodesic([0.0, 0.0], **given)


@pytest.mark.slow
def test_a_geodesic_that_cannot_be_followed_warns():
    metric = as_geomstats_metric(Manifold(lambda z: torch.where(z > 9, torch.nan, z), dim=1))
    with pytest.warns(ConvergenceWarning, match="1 of 1 geodesics did not converge"):
        metric.geodesic([8.0], initial_tangent_vec=[3.0])


def test_the_space_is_all_of_r_d(metric, points):
    space = metric.space
    assert (space.dim, space.shape, space.point_ndim) == (2, (2,), 1)
    assert space.metric is metric
    assert space.projection(points) is points
    assert space.to_tangent(points, points) is points


@pytest.fixture
def learning(monkeypatch):
    """The package, which asks NumPy for a name that NumPy has dropped."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    return pytest.importorskip("geomstats.learning")


@FOREIGN
def test_its_frechet_mean_is_ours(learning, metric, points):
    from geomstats.learning.frechet_mean import FrechetMean

    from pullback import statistics

    theirs = FrechetMean(metric.space).set(epsilon=1e-8).fit(points).estimate_
    ours = statistics.FrechetMean(metric.manifold, tol=1e-4).fit(points).estimate_.numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


@FOREIGN
def test_its_k_means_finds_two_groups(learning, metric):
    from geomstats.learning.kmeans import RiemannianKMeans

    near = np.random.default_rng(1).normal(scale=0.05, size=(6, 2))
    codes = near + np.repeat([[-0.5, 0.2], [0.5, -0.2]], 3, axis=0)
    start = codes[[0, 5]].copy()
    labels = RiemannianKMeans(metric.space, n_clusters=2, init=start).fit(codes).labels_
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


@FOREIGN
def test_its_tangent_pca_finds_the_equator(learning, metric):
    from geomstats.learning.pca import TangentPCA

    along = np.linspace(-0.7, 0.7, 6)
    codes = np.stack([along, 0.01 * np.cos(7 * along)], -1)
    pca = TangentPCA(metric.space, n_components=1).fit(codes)
    np.testing.assert_allclose(np.abs(pca.components_[0]), [1, 0], atol=0.02)
