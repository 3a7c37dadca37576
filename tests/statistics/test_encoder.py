"""The encoder as a step of a pipeline."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.models import VAE
from pullback.statistics import Encoder, GeodesicDistances, KNeighborsClassifier


@pytest.fixture(scope="module")
def trained():
    """A model of two groups of data, the data, and their groups."""
    torch.manual_seed(0)
    y = torch.arange(60) % 2
    X = torch.randn(60, 4) * 0.2 + 2 * y[:, None]
    return VAE(data_dim=4, latent_dim=2, n_centers=8).fit(X, epochs=30, progress=False), X, y


@pytest.mark.slow
def test_it_encodes_and_decodes(trained):
    vae, X, _ = trained
    encoder = Encoder(vae, batch_size=7).fit(X)
    np.testing.assert_allclose(encoder.transform(X), vae.encode(X).detach().numpy(), atol=1e-6)
    Z = encoder.transform(X.numpy())
    assert Z.shape == (60, 2)
    np.testing.assert_allclose(
        encoder.inverse_transform(Z), vae.decode(Z).detach().numpy(), atol=1e-6
    )
    assert list(encoder.get_feature_names_out()) == ["encoder0", "encoder1"]


@pytest.mark.slow
def test_copies_share_the_model_and_need_no_fit(trained):
    vae, X, _ = trained
    copy = clone(Encoder(vae, batch_size=5))
    assert copy.vae is vae
    assert copy.batch_size == 5
    assert copy.transform(X).shape == (60, 2)


@pytest.mark.slow
def test_a_pipeline_from_data_to_classes(trained):
    vae, X, y = trained
    vote = KNeighborsClassifier(Manifold(vae), 3, method="graph")
    votes = make_pipeline(Encoder(vae), vote).fit(X.numpy(), y.numpy())
    assert votes.score(X.numpy(), y.numpy()) > 0.9
    probability = votes.predict_proba(X.numpy()[:3])
    np.testing.assert_allclose(probability.sum(1), 1)


@pytest.mark.slow
def test_a_grid_search_over_the_pipeline(trained):
    vae, X, y = trained
    votes = make_pipeline(Encoder(vae), KNeighborsClassifier(Manifold(vae), method="graph"))
    grid = {"kneighborsclassifier__n_neighbors": [1, 3]}
    search = GridSearchCV(votes, grid, cv=2).fit(X.numpy(), y.numpy())
    assert search.best_score_ > 0.9
    assert search.best_estimator_[0].vae is vae


@pytest.mark.slow
def test_a_pipeline_from_data_to_clusters(trained):
    vae, X, _ = trained
    density = DBSCAN(eps=1.0, metric="precomputed")
    distances = GeodesicDistances(Manifold(vae), method="graph")
    assert make_pipeline(Encoder(vae), distances, density).fit_predict(X.numpy()).shape == (60,)


@pytest.mark.slow
def test_bad_input_fails_at_the_door(trained):
    vae, X, _ = trained
    with pytest.raises(InvalidParameterError, match="`vae` must be a `VAE`"):
        Encoder(vae).set_params(vae=Manifold(vae)).fit(X)
    with pytest.raises(InvalidParameterError, match="`batch_size` must be"):
        Encoder(vae, batch_size=0).fit(X)
    with pytest.raises(InvalidDataError, match="4 features"):
        Encoder(vae).fit(X[:, :3])
    with pytest.raises(InvalidDataError, match="must be finite"):
        Encoder(vae).fit(X).transform(X.numpy() * np.nan)
    with pytest.raises(InvalidDataError, match="2 features"):
        Encoder(vae).inverse_transform(np.eye(3))
