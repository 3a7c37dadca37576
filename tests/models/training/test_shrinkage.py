"""The shrinkage of the RBF weights is what makes the samples that were held out likeliest."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from pullback.errors import InvalidParameterError
from pullback.models import VAE, ConstantStd, Trainer, TrainingOptions, load
from pullback.models.training.shrinkage import SHRINKAGES, held_out_log_marginal, set_apart

from ..linear_gaussian import LinearGaussian


def arc(n, seed=0):
    """Points on half a circle, noisier towards its end."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, math.pi, n)
    curve = np.stack([np.cos(t), np.sin(t), np.cos(2 * t)], 1)
    return (curve + (0.02 + 0.1 * t)[:, None] * rng.normal(size=curve.shape)).astype(np.float32)


def fit(X, *, n_centers=8, shrinkage=None, **options):
    vae = VAE(3, 1, n_centers=n_centers, hidden=(16,), shrinkage=shrinkage)
    options = {"epochs": 30, "learning_rate": 1e-2, "batch_size": 32} | options
    return vae.fit(X, progress=False, **options)


def log_marginal(vae, x):
    """The mean of log p(x) by the trapezoidal rule over the latent line."""
    z = torch.linspace(-8, 8, 20_001)[:, None]
    with torch.no_grad():
        p = vae.decoder(z).base_dist
    mean, std = p.loc.double().numpy(), p.scale.double().numpy()
    prior = stats.norm.pdf(z.double().numpy()[:, 0])
    found = []
    for row in x:
        density = np.exp(stats.norm.logpdf(row, mean, std).sum(1)) * prior
        found.append(np.log(integrate.trapezoid(density, z.double().numpy()[:, 0])))
    return float(np.mean(found))


@pytest.mark.parametrize("exact", [True, False])
def test_the_estimate_is_the_closed_form(exact):
    """Under the sigma that the encoder was made for, and under a sharper and a duller one."""
    model = LinearGaussian.random(6, 2, exact=exact)
    vae, X = model.vae(), model.draw(300)
    levels = [0.4, 0.7, 1.5]
    truth = []
    for level in levels:
        model.s = level
        truth.append(model.log_marginal(X).mean())
    stds = [ConstantStd(6, level).double() for level in levels]
    data = torch.tensor(X)
    found = held_out_log_marginal(vae, vae.decoder.mean, stds, data, data[:0], seed=0)
    assert found == pytest.approx(truth, abs=0.1)


def test_far_from_zero_the_estimate_is_as_exact():
    model = LinearGaussian.random(6, 2, exact=True)
    model.b = model.b + 1e5
    vae, data = model.vae(), torch.tensor(model.draw(300))
    std = [vae.decoder.likelihood.std]
    (found,) = held_out_log_marginal(vae, vae.decoder.mean, std, data, data, seed=0)
    assert found == pytest.approx(model.log_marginal(data.numpy()).mean(), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_centers", "worst"), [(600, 8, 1.0), (80, 40, 0.0)])
def test_what_is_chosen_makes_held_out_samples_likeliest(n, n_centers, worst):
    X = arc(n)
    chosen = fit(X, n_centers=n_centers, validation_fraction=0.3)
    trainer = Trainer(
        VAE(3, 1, n_centers=2), X, TrainingOptions(validation_fraction=0.3), progress=False
    )
    held_out = X[trainer.validation.numpy()]
    scores = [
        log_marginal(
            fit(X, n_centers=n_centers, shrinkage=shrinkage, validation_fraction=0.3), held_out
        )
        for shrinkage in SHRINKAGES
    ]
    best = scores[SHRINKAGES.index(chosen.config["shrinkage"])]
    assert best > max(scores) - 0.2 * (max(scores) - min(scores))
    assert SHRINKAGES[scores.index(min(scores))] == worst
    assert log_marginal(chosen, held_out) == pytest.approx(best)


def test_what_is_given_is_taken():
    X = arc(100)
    assert fit(X, epochs=2, shrinkage=0.5).config["shrinkage"] == 0.5
    weights = [
        fit(X, epochs=2, shrinkage=shrinkage).decoder.likelihood.std.weights
        for shrinkage in (0.0, 1e6)
    ]
    spread = [float((w.amax(1) / w.amin(1)).log().max()) for w in weights]
    assert spread[0] > 1
    assert spread[1] < 1e-2  # all centres share one weight


def test_without_samples_that_were_held_out_some_of_the_others_choose():
    vae = fit(arc(100), epochs=2, validation_fraction=0.0)
    given = fit(
        arc(100), epochs=2, validation_fraction=0.0, shrinkage=vae.config["shrinkage"]
    )  # which sees all samples again
    weights = [model.decoder.likelihood.std.weights for model in (vae, given)]
    assert torch.equal(*weights)


def test_few_samples_are_shrunk_with_caution():
    assert set_apart(torch.zeros(45, 3), torch.zeros(9, 3)) is None
    assert fit(arc(30), epochs=2).config["shrinkage"] == 1.0


def test_the_samples_that_judge_are_no_others():
    training, validation = torch.arange(60.0)[:, None], torch.arange(10.0)[:, None]
    fitted, judges = set_apart(training, validation)
    assert fitted is training
    assert judges is validation
    fitted, judges = set_apart(training, validation[:9])
    assert len(judges) == 12
    assert torch.equal(torch.cat([fitted, judges]).sort(0).values, training)


def test_the_choice_is_saved(tmp_path):
    vae = fit(arc(100), epochs=2)
    vae.save(tmp_path)
    read = load(tmp_path)
    assert read.config == vae.config
    assert read.config["shrinkage"] in SHRINKAGES
    z = torch.zeros(1)
    assert torch.equal(read.decoder(z).stddev, vae.decoder(z).stddev)


def test_regression_shrinks_nothing():
    with pytest.raises(InvalidParameterError, match="`shrinkage` must be left at its default None"):
        fit(arc(40), shrinkage=1.0, precision_fit="regression")
