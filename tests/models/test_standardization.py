"""The unit and the origin of the data change nothing but the unit and the origin of the model."""

import math

import numpy as np
import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.models import VAE, NetworkStd, mlp
from pullback.models.standardization import Destandardization, Standardization

UNITS = [(0.0, 1.0), (10.0, 1.0), (0.0, 50.0), (1000.0, 50.0), (0.0, 1e-3), (0.0, 1e-8)]


def circle(offset=0.0, scale=1.0):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * math.pi, 300)
    plane = np.stack([np.cos(angle), np.sin(angle)], 1) @ rng.normal(size=(2, 5))
    return offset + scale * (plane + 0.05 * rng.normal(size=(300, 5)))


def fit(X, std="constant", epochs=80, **options):
    options = {"learning_rate": 1e-2, "progress": False} | options
    kind = {"n_centers": 10} if std == "rbf" else {}
    return VAE(5, 2, std=std, hidden=(16, 16), **kind).fit(X, epochs=epochs, **options)


def explained(vae, X):
    residual = X - vae.reconstruct(X).double().numpy()
    return 1 - residual.var(0).sum() / X.var(0).sum()


def test_the_maps_are_inverse_to_each_other():
    center, scale = torch.tensor([3.0, -1.0]), torch.tensor(0.25)
    standardize, destandardize = Standardization(2), Destandardization(2)
    assert standardize.is_identity
    for module in (standardize, destandardize):
        module.set_(center, scale)
    x = torch.randn(7, 3, 2)
    assert not standardize.is_identity
    assert torch.allclose(standardize(x), (x - center) / scale)
    assert torch.allclose(destandardize(standardize(x)), x, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("std", ["constant", "network", "rbf"])
def test_offset_and_scale_of_the_data_do_not_matter(std):
    unit = circle()
    reference = fit(unit, std)
    best = explained(reference, unit)
    assert best > 0.9
    sigma = reference.decoder(reference.encode(unit)).stddev.detach().median()
    for offset, scale in UNITS[1:]:
        X = circle(offset, scale)
        vae = fit(X, std)
        assert explained(vae, X) > best - 0.03
        found = vae.decoder(vae.encode(X)).stddev.detach()
        assert torch.isfinite(found).all()
        assert float(found.median() / scale) == pytest.approx(float(sigma), rel=0.3)
        assert torch.isfinite(vae.elbo(X)).all()


def test_center_and_scale_are_those_of_the_data_and_stay():
    X = circle(10.0, 3.0)
    vae = fit(X, epochs=1)
    for module in (vae.encoder.standardize, vae.decoder.mean[-1]):
        assert np.allclose(module.center, X.mean(0))
        assert float(module.scale) == pytest.approx(math.sqrt(X.var(0).mean()))
    kept = vae.decoder.mean[-1].center.clone()
    vae.fit(X + 5.0, epochs=1, progress=False)
    assert torch.equal(vae.decoder.mean[-1].center, kept)


def test_bounded_outputs_and_logits_have_no_unit():
    X = np.random.default_rng(0).uniform(size=(40, 5)) > 0.5
    vae = VAE(5, 2, likelihood="bernoulli").fit(X, epochs=1, progress=False)
    assert vae.encoder.standardize.is_identity
    bounded = fit(X.astype(float), epochs=1)
    assert bounded.encoder.standardize.is_identity
    assert isinstance(bounded.decoder.mean[-1], torch.nn.Sigmoid)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e20, 1e-30])
def test_data_beyond_the_range_of_the_precision_are_refused_or_fitted_in_double(scale):
    X = circle(0.0, scale)
    with pytest.raises(InvalidDataError, match=r"`X` must have .*standard deviation.*`double\(\)`"):
        fit(X, epochs=1)
    vae = VAE(5, 2, n_centers=10, hidden=(16, 16)).double()
    vae.fit(X, epochs=80, learning_rate=1e-2, progress=False)
    assert explained(vae, X) > 0.9
    assert torch.isfinite(vae.elbo(X)).all()


@pytest.mark.parametrize("level", [1e-6, 1.0, 1e6])
def test_a_network_starts_near_the_level_at_any_scale(level):
    std = NetworkStd(mlp([2, 8, 3]), 0.1 * level)
    std.set_level(level)
    sigma = std(torch.randn(50, 2)).detach()
    assert float(sigma.mean() / level) == pytest.approx(1.0, rel=0.3)
    assert (sigma >= 0.1 * level).all()
