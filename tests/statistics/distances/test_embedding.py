"""Maps: exact where the space is flat, scikit-learn's Isomap and MDS, and known curvature."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.exceptions import NotFittedError
from sklearn.manifold import ClassicalMDS, smacof
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import curved_plane, great_circle_dist
from pullback.statistics import GeodesicEmbedding

from ..known_spaces import BROKEN, FLAT, HALF_PLANE, SPHERE, clusters, upper_points

Z, _ = clusters(6)
NEW, _ = clusters(2, seed=1)


def cap(n=25):
    """Points of the sphere within 60 degrees of its south pole, and their distances."""
    z = torch.tan(torch.rand(n, 1).double() * torch.pi / 6)
    angle = 2 * torch.pi * torch.rand(n, 1).double()
    z = z * torch.cat([angle.cos(), angle.sin()], -1)
    return z, great_circle_dist(z[:, None].expand(-1, n, -1), z.expand(n, -1, -1)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classical", "stress"])
def test_a_flat_space_is_mapped_up_to_isometry(kind):
    bent = Manifold(curved_plane, dim=2)  # flat, in curved coordinates
    data, new = 0.6 * torch.randn(20, 2).double(), 0.3 * torch.randn(5, 2).double()
    flat_map = GeodesicEmbedding(bent, kind=kind, method="newton").fit(data)
    image, new_image = curved_plane(data).numpy(), curved_plane(new).numpy()
    np.testing.assert_allclose(cdist(*[flat_map.embedding_] * 2), cdist(image, image), atol=1e-4)
    placed = flat_map.transform(new)
    np.testing.assert_allclose(
        cdist(placed, flat_map.embedding_), cdist(new_image, image), atol=1e-3
    )
    assert flat_map.stress_ < 1e-4
    assert flat_map.negative_share_ < 1e-4
    assert flat_map.explained_variance_ratio_.sum() == pytest.approx(1, abs=1e-4)
    assert flat_map.n_failed_ == 0


@pytest.mark.slow
def test_it_is_the_classical_scaling_of_scikit_learn():
    data, distances = cap()
    ours = GeodesicEmbedding(SPHERE, 3, method="newton").fit(data)
    theirs = ClassicalMDS(3, metric="precomputed").fit(distances)
    signs = np.sign((ours.embedding_ * theirs.embedding_).sum(0))
    np.testing.assert_allclose(ours.embedding_ * signs, theirs.embedding_, atol=1e-5)
    np.testing.assert_allclose(ours.eigenvalues_[:3], theirs.eigenvalues_, atol=1e-5)
    i, j = np.triu_indices(len(data), 1)
    error = (cdist(*[theirs.embedding_] * 2) - distances)[i, j]
    stress = np.sqrt((error**2).sum() / (distances[i, j] ** 2).sum())
    assert ours.stress_ == pytest.approx(stress, abs=1e-5)


@pytest.mark.slow
def test_least_stress_is_less_than_that_of_classical_scaling_and_scikit_learn_s():
    data, distances = cap()
    classical = GeodesicEmbedding(SPHERE, method="newton").fit(data)
    least = GeodesicEmbedding(SPHERE, kind="stress", method="newton", tol=1e-9).fit(data)
    assert least.stress_ < classical.stress_
    _, raw = smacof(
        distances, n_components=2, n_init=8, eps=1e-9, random_state=0, normalized_stress=False
    )
    i, j = np.triu_indices(len(data), 1)
    assert least.stress_ <= np.sqrt(raw / (distances[i, j] ** 2).sum()) * 1.01
    # Points of the map are put where they are.
    np.testing.assert_allclose(least.transform(data[:4]), least.embedding_[:4], atol=0.02)


@pytest.mark.slow
def test_a_curved_space_has_no_exact_map_and_a_sphere_unfolds_in_three_dimensions():
    data, _ = cap()
    sphere = GeodesicEmbedding(SPHERE, method="newton").fit(data)
    hyperbolic = GeodesicEmbedding(HALF_PLANE, method="newton").fit(upper_points(15))
    assert min(sphere.stress_, hyperbolic.stress_) > 1e-3
    assert hyperbolic.negative_share_ > 0.01
    more = GeodesicEmbedding(SPHERE, 3, method="newton").fit(data)
    assert more.explained_variance_ratio_.sum() > sphere.explained_variance_ratio_.sum()


@pytest.mark.slow
def test_new_points_and_pipelines():
    flat_map = GeodesicEmbedding(FLAT).fit(Z)
    np.testing.assert_allclose(flat_map.transform(Z), flat_map.embedding_, atol=1e-6)
    pipeline = make_pipeline(StandardScaler(), GeodesicEmbedding(FLAT, 1))
    assert pipeline.fit_transform(Z).shape == (len(Z), 1)
    assert pipeline.transform(NEW).shape == (len(NEW), 1)
    assert list(flat_map.get_feature_names_out()) == ["geodesicembedding0", "geodesicembedding1"]


@pytest.mark.slow
@pytest.mark.cpu_seconds(20)
def test_parts_that_do_not_touch_are_an_error():
    for method in ("newton", "graph"):
        with pytest.raises(InvalidDataError, match="Embed each part by itself"):
            GeodesicEmbedding(BROKEN, method=method).fit([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    fitted = GeodesicEmbedding(BROKEN).fit([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    with pytest.raises(InvalidDataError, match="no finite distance"):
        fitted.transform([[5.0, 0.0]])


@pytest.mark.slow
def test_one_point_and_points_that_coincide():
    alone = GeodesicEmbedding(FLAT, 1).fit([[3.0, 1.0]])
    assert alone.embedding_.tolist() == [[0.0]]
    assert (alone.stress_, alone.negative_share_) == (0, 0)
    for kind in ("classical", "stress"):
        same = GeodesicEmbedding(FLAT, kind=kind).fit([[3.0, 1.0]] * 4)
        assert not same.embedding_.any()
        assert np.isfinite(same.transform(NEW)).all()
        twice = GeodesicEmbedding(FLAT, kind=kind).fit(np.repeat(Z, 2, 0))
        np.testing.assert_allclose(twice.embedding_[::2], twice.embedding_[1::2], atol=1e-5)


def test_bad_input_fails_at_the_door():
    for options in ({"kind": "round"}, {"n_components": 0}, {"max_iter": 0}, {"method": "euclid"}):
        (name,) = options
        with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
            GeodesicEmbedding(FLAT, **options).fit(Z)
    with pytest.raises(InvalidParameterError, match="`tol` must be"):
        GeodesicEmbedding(FLAT, tol=-1.0).fit(Z)
    with pytest.raises(InvalidParameterError, match="`n_components` must be at most"):
        GeodesicEmbedding(FLAT, 3).fit(Z[:2])
    with pytest.raises(InvalidDataError, match="must be finite"):
        GeodesicEmbedding(FLAT).fit([[np.nan, 1.0], [0.0, 0.0]])
    with pytest.raises(NotFittedError):
        GeodesicEmbedding(FLAT).transform(Z)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classical", "stress"])
def test_files(tmp_path, kind):
    fitted = GeodesicEmbedding(FLAT, kind=kind).fit(Z)
    fitted.save(tmp_path / "map")
    again = GeodesicEmbedding.load(tmp_path / "map", FLAT)
    np.testing.assert_allclose(again.transform(NEW), fitted.transform(NEW), atol=1e-12)
    np.testing.assert_array_equal(again.embedding_, fitted.embedding_)
    assert again.stress_ == fitted.stress_
