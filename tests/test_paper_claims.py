"""The paper's first claim, on real digits that the model has not seen."""

import pytest
import torch

from pullback import Manifold
from pullback.datasets import mnist, split
from pullback.models import VAE
from pullback.statistics import triplet_share


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("digits", [(0, 1, 7), (0, 1, 2)])
def test_points_of_one_class_are_closer_along_geodesics(digits, seed):
    X, y = mnist(digits=digits)
    parts = split(X, y, test_fraction=0.3, random_state=seed)
    vae = VAE(data_dim=784, latent_dim=2, random_state=seed)
    vae.fit(parts.X_train, epochs=120, random_state=seed, progress=False)
    Z = vae.encode(parts.X_test).double()
    geodesic = Manifold(vae, data=vae.encode(parts.X_train)).pairwise_dist(Z, method="graph")
    euclidean = triplet_share(torch.cdist(Z, Z), parts.y_test)
    assert triplet_share(geodesic, parts.y_test) > euclidean + 0.01
