from dataclasses import replace

import numpy as np
import pytest
import torch

from pullback.datasets import Table
from pullback.errors import DeviceError, InvalidDataError, InvalidParameterError
from pullback.models import VAE
from pullback.models.config import TrainingOptions
from pullback.pages.chapter import Verdict
from pullback.report.chapters.density import supports
from pullback.report.chapters.generation import generation
from pullback.report.chapters.likelihood import likelihood
from pullback.report.study import Study
from pullback.runs import RunFolder, Settings, build_model, prepare, refuse_unfit, train
from pullback.runs.training import with_constant_std, with_network_std, with_rbf_std


def prepared(X):
    return prepare(Table(X, None, tuple(f"f{i}" for i in range(X.shape[1]))))


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((80, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def vae(X):
    return VAE(5, 2, n_centers=4).fit(X, epochs=5, progress=False)


def test_small_data_get_fewer_centres(X):
    settings = Settings("train", "a.csv", "0a")
    assert build_model(settings, prepared(X)).config["n_centers"] == 8
    assert build_model(settings, prepared(X[:10])).config["n_centers"] == 2


def test_what_training_would_refuse_is_refused_before(X):
    refuse_unfit(Settings("train", "a.csv", "0a"), prepared(X))
    with pytest.raises(InvalidParameterError, match="latent_dim"):
        refuse_unfit(Settings("train", "a.csv", "0a", latent_dim=6), prepared(X))
    with pytest.raises(InvalidParameterError, match="epochs"):
        refuse_unfit(Settings("train", "a.csv", "0a", epochs=0), prepared(X))
    with pytest.raises(DeviceError, match="cuda:99"):
        refuse_unfit(Settings("train", "a.csv", "0a", device="cuda:99"), prepared(X))
    flat = Table(X * [7, 7, 7, 7, 0], None, tuple("abcde"))
    with pytest.raises(InvalidDataError, match="1 of 5 are constant"):
        refuse_unfit(Settings("train", "a.csv", "0a"), prepare(flat, scale="none"))


@pytest.mark.slow
def test_a_variance_network_leaves_encoder_and_mean_as_they_are(vae, X):
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    network = with_network_std(vae, X, TrainingOptions(epochs=3))
    for name, value in vae.state_dict().items():
        assert torch.equal(value, before[name])
        if name.startswith(("encoder", "decoder.mean")):
            assert torch.equal(network.state_dict()[name], value)
    assert {row["stage"] for row in network.history} == {"std"}


@pytest.mark.slow
def test_training_the_variance_network_makes_the_data_likelier(X):
    X = X * np.float32([1, 0.5, 0.2, 0.1, 0.05])  # noise of five levels, which it has to learn
    vae = VAE(5, 2, n_centers=4).fit(X, epochs=5, progress=False)
    short, long = (
        with_network_std(vae, X, TrainingOptions(epochs=n, patience=None)) for n in (1, 60)
    )
    assert long.history[-1]["elbo"] > short.history[-1]["elbo"] + 0.2


@pytest.mark.slow
def test_a_precision_that_is_fitted_anew_is_that_of_the_same_model(X):
    X = X * np.float32([1, 0.5, 0.2, 0.1, 0.05])
    vae = VAE(5, 2, n_centers=4, min_std=0.01, shrinkage=0.0)
    vae.fit(X, epochs=30, validation_fraction=0.0, progress=False)
    again, Z = with_rbf_std(vae, torch.as_tensor(X)), vae.encode(X)
    torch.testing.assert_close(again.encode(X), Z)
    torch.testing.assert_close(again.decode(Z), vae.decode(Z))
    first, second = (one.decoder(Z).stddev.detach().log() for one in (vae, again))
    near, far = (
        (first - one).abs().median()
        for one in (second, second.roll(1, 0))  # at the codes, and at others
    )
    assert near < far / 3  # other draws of z


def test_it_has_the_settings_that_were_asked_for(vae, X):
    data = torch.as_tensor(X)
    other = with_rbf_std(vae, data, n_centers=9, zeta=0.01)
    assert other.decoder.likelihood.std.centers.shape == (9, 2)
    far = other.decoder(torch.full((1, 2), 1e4)).stddev
    assert far.max().item() == pytest.approx(10.0, rel=1e-4)
    assert other.config["shrinkage"] == vae.config["shrinkage"]
    with pytest.raises(InvalidParameterError, match="n_centers"):
        with_rbf_std(vae, data, n_centers=len(data) + 1)


def test_a_learned_constant_is_the_likeliest_one(X):
    data = torch.as_tensor(X)
    learned = VAE(5, 2, constant_std="learned", n_centers=4).fit(X, epochs=5, progress=False)

    def log_likelihood(std):
        mean = learned.reconstruct(data)
        return float(torch.distributions.Normal(mean, std).log_prob(data).sum())

    std = with_constant_std(learned, data)(torch.zeros(2)).stddev[0]
    assert log_likelihood(std) > max(log_likelihood(0.98 * std), log_likelihood(1.02 * std))


@pytest.mark.slow
def test_a_run_that_is_trained_is_not_trained_again(tmp_path, X):
    folder = RunFolder(tmp_path / "run")
    folder.begin(Settings("train", "a.csv", "0a", epochs=2), prepared(X))
    assert not folder.is_trained
    train(folder, progress=False)
    written = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*") if p.is_file()}
    assert folder.is_trained
    assert not folder.checkpoint.exists()
    assert not folder.network_checkpoint.exists()
    train(folder, progress=False)
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*") if p.is_file()} == written


def test_the_likelihood_of_a_run_is_the_model_s(X):
    settings = Settings("train", "a.csv", "0a", likelihood="student_t")
    options = {"likelihood_options": {"df": 7}}
    assert build_model(replace(settings, **options), prepared(X)).decoder.likelihood.df == 7
    options = {"likelihood_options": {"n_categories": 5}, "likelihood": "categorical"}
    assert build_model(replace(settings, **options), prepared(X)).config["n_categories"] == 5
    with pytest.raises(InvalidParameterError, match=r"options of .*'student_t': df, but got scale"):
        refuse_unfit(replace(settings, likelihood_options={"scale": 1}), prepared(X))


def test_a_run_without_standard_deviations_has_one_model_and_chapters_say_so(tmp_path, X):
    folder = RunFolder(tmp_path / "run")
    settings = Settings("train", "a.csv", "0a", epochs=1, likelihood="student_t")
    folder.begin(settings, prepared(X))
    train(folder, progress=False)
    assert folder.is_trained
    assert not folder.network_model.exists()
    study = Study(folder)
    assert study.network is None
    for chapter in (generation(study), likelihood(study)):
        assert chapter.verdict is Verdict.ABSENT
        assert "student t likelihood has no standard deviation" in chapter.outcome
    assert list(supports(study)) == ["near the codes"]
