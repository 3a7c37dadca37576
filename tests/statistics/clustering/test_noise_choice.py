"""The noise is chosen by stability alone: where it is known which clusters are there."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import nn

from pullback.errors import InvalidParameterError
from pullback.manifolds import Manifold
from pullback.models import VAE, GaussianEncoder
from pullback.statistics import KMeans, choose_noise, clustering_stability


class Flat(nn.Module):
    """A decoder to the plane, whose geometry is that of the codes."""

    latent_dim = data_dim = 2

    def forward(self, z):
        return torch.distributions.Independent(torch.distributions.Normal(z, 1.0), 1)


class Squeeze(nn.Module):
    """An encoder's network whose first coordinate, in which the classes part, is shrunk."""

    def __init__(self, factor):
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([factor, 1.0]))

    def forward(self, x):
        return torch.cat([x * self.factors, torch.zeros_like(x)], -1)


def three_classes(n=40, spread=0.3):
    rng = np.random.default_rng(0)
    centers = np.repeat([[0.0, 0.0], [5.0, 0.0], [10.0, 0.0]], n, 0)
    order = rng.permutation(3 * n)
    X = (centers + spread * rng.normal(size=centers.shape))[order]
    return X.astype(np.float32), np.repeat([0, 1, 2], n)[order]


def squeezed(X, noise):
    """Train nothing: the larger the noise, the nearer the classes are to each other."""
    del X
    return VAE.from_modules(GaussianEncoder(Squeeze(1 - noise), 2), Flat())


@pytest.mark.parametrize("noises", [(0.99, 0.1, 0.9), (0.1, 0.9), (0.95, 0.99, 0.0)])
def test_the_model_is_kept_whose_classes_are_apart(noises):
    X, y = three_classes()
    choice = choose_noise(X, 3, noises=noises, train=squeezed)
    assert choice.noise == min(noises)
    assert list(choice.stabilities) == list(noises)
    assert choice.stabilities[choice.noise] == 1
    assert max(value for noise, value in choice.stabilities.items() if noise > 0.5) < 0.9
    Z = choice.vae.encode(X).double()
    labels = KMeans(Manifold(choice.vae), 3, method="graph", random_state=0).fit_predict(Z)
    assert adjusted_rand_score(y, labels) == 1


def test_what_it_tells_is_the_stability_of_the_geodesic_distances():
    X, _ = three_classes()
    choice = choose_noise(X, 3, noises=(0.9,), train=squeezed, random_state=4)
    Z = squeezed(X, 0.9).encode(X).double()
    Z = Z[torch.as_tensor(np.random.default_rng(4).permutation(len(Z)))]
    truth = clustering_stability(torch.cdist(Z, Z), 3, random_state=4)
    assert 0.2 < truth < 0.95
    # The graph's distances are a few per cent too long, so that a few labels differ.
    assert choice.stabilities[0.9] == pytest.approx(truth, abs=0.1)


def test_a_seed_gives_the_same_again_and_few_codes_are_enough():
    X, _ = three_classes()
    runs = [choose_noise(X, 3, noises=(0.9, 0.1), n_codes=60, train=squeezed) for _ in range(2)]
    assert runs[0].stabilities == runs[1].stabilities
    assert runs[0].noise == 0.1


@pytest.mark.slow
def test_trained_models_are_chosen_so_that_known_classes_part():
    # Under a noise of 5 nothing of x is worth a nat: the posterior is the prior, codes say nothing.
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, size=150)
    X = (rng.normal(size=(3, 8))[y] + 0.1 * rng.normal(size=(150, 8))).astype(np.float32)

    def train(X, noise):
        model = VAE(8, hidden=(16,), std="constant", constant_std=noise)
        return model.fit(X, epochs=150, kl_warmup=0.3, learning_rate=5e-3, progress=False)

    choice = choose_noise(X, 3, noises=(5.0, 0.1), train=train)
    assert choice.noise == 0.1
    Z = choice.vae.encode(X).double()
    labels = KMeans(Manifold(choice.vae), 3, method="graph", random_state=0).fit_predict(Z)
    assert adjusted_rand_score(y, labels) > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noises": ()}, "`noises` must be at least one number"),
        ({"noises": (0.1, 0.1)}, "each once"),
        ({"n_codes": 5}, "`n_codes` must be an integer >= 6"),
    ],
)
def test_it_refuses_settings_before_it_trains(options, message):
    def train(X, noise):
        raise AssertionError("trained")

    with pytest.raises(InvalidParameterError, match=message):
        choose_noise(three_classes()[0], 3, train=train, **options)
