import itertools
import math

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from pullback.errors import (
    ConvergenceError,
    DeviceError,
    InvalidDataError,
    InvalidParameterError,
    StorageError,
)
from pullback.models import VAE, Trainer, TrainingOptions


def arc(n):
    """Points on an arc in five dimensions, noisier towards its end, within [0, 1]."""
    rng = np.random.default_rng(0)
    t = rng.uniform(0, math.pi, n)
    curve = np.stack([np.cos(t), np.sin(t), t / 3, t**2 / 10, np.cos(2 * t)], 1)
    noise = (0.01 + 0.06 * t / math.pi)[:, None] * rng.normal(size=curve.shape)
    return (0.5 + 0.3 * curve + noise).clip(0, 1).astype(np.float32)


@pytest.fixture(name="X")
def small_arc():
    return arc(120)


def build(*, std="rbf", latent_dim=2):
    return VAE(5, latent_dim, std=std, n_centers=8, hidden=(16, 8), constant_std=0.05)


def fit(X, *, std="rbf", latent_dim=2, epochs=6, **options):
    options = {"learning_rate": 1e-2, "batch_size": 32, "progress": False} | options
    return build(std=std, latent_dim=latent_dim).fit(X, epochs=epochs, **options)


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


def test_every_epoch_draws_anew(X):
    """With nothing learned, epochs differ by the draws of z and the order of the batches alone."""
    history = fit(X, std="constant", epochs=3, learning_rate=1e-12, kl_warmup=0.0).history
    told = [row["reconstruction"] for row in history]
    assert min(abs(a - b) for a, b in itertools.combinations(told, 2)) > 1e-3
    assert [row["kl"] for row in history] == pytest.approx([history[0]["kl"]] * 3, rel=1e-5)


@pytest.mark.parametrize("std", ["constant", "network", "rbf"])
def test_a_trained_model_is_in_evaluation_mode(X, std):
    assert not any(module.training for module in fit(X, std=std, epochs=1).modules())


@pytest.mark.slow
def test_a_linear_model_reaches_the_maximum_likelihood_of_probabilistic_pca():
    """Tipping and Bishop (1999): the noise is the mean of the eigenvalues left over."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 6)) + 0.5 * rng.normal(size=(600, 6))
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    noise = eigenvalues[2:].mean()
    covariance = np.log(eigenvalues[:2]).sum() + 4 * np.log(noise)
    best = -0.5 * (6 * np.log(2 * np.pi) + covariance + 6)
    vae = VAE(6, 2, hidden=(), std="constant", constant_std="learned")
    vae.fit(
        X,
        epochs=150,
        learning_rate=2e-2,
        batch_size=200,
        validation_fraction=0.0,
        patience=None,
        progress=False,
    )
    generator = torch.Generator().manual_seed(0)
    reached = float(vae.elbo(X, n_samples=50, generator=generator).mean())
    assert best - 0.1 < reached < best + 0.01
    fitted = vae.decoder.likelihood.std(torch.zeros(2)).detach()[0] ** 2
    assert float(fitted) == pytest.approx(noise, rel=0.1)


@pytest.mark.slow
def test_training_leaves_the_global_random_state_alone(X):
    before = torch.get_rng_state()
    fit(X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_does_not(X):
    first = fit(X, random_state=1)
    torch.manual_seed(17)
    assert same(first, fit(X, random_state=1))
    assert not same(first, fit(X, random_state=2))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("std", "options"),
    [("network", {}), ("rbf", {}), ("rbf", {"precision_fit": "regression"})],
)
def test_the_second_stage_changes_the_deviation_alone_and_for_the_better(std, options):
    X, common = arc(500), {"latent_dim": 1, "epochs": 25}
    constant, vae = fit(X, std="constant", **common), fit(X, std=std, **common, **options)
    for name in ("encoder", "decoder.mean"):
        assert same(constant.get_submodule(name), vae.get_submodule(name))
    assert vae.history[-1]["validation_elbo"] > constant.history[-1]["validation_elbo"]
    with torch.no_grad():
        decoded = vae.decoder(vae.encode(X))
    residual = torch.tensor(X) - decoded.mean
    assert 0.8 < float((residual / decoded.stddev).square().mean().sqrt()) < 1.2  # calibrated


def test_a_stage_can_be_begun_at_and_those_before_it_change_nothing(X):
    vae = build(std="network")
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    trainer = Trainer(vae, X, TrainingOptions(epochs=2), progress=False)
    with pytest.raises(InvalidParameterError, match="`stage` must be one of 'mean', 'std'"):
        trainer.begin_at("variance")
    trainer.begin_at("std")
    trainer.run()
    changed = {n for n, value in vae.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert not [name for name in changed if name.startswith(("encoder", "decoder.mean"))]
    assert {row["stage"] for row in vae.history} == {"std"}


@pytest.mark.slow
def test_rbf_deviation_grows_to_zeta_away_from_the_codes():
    X = arc(500)
    vae = fit(X, epochs=25, latent_dim=1)
    zeta = (1000 * 0.05) ** -2
    far = vae.decoder(torch.tensor([[1e3]])).stddev
    assert torch.allclose(far, torch.tensor(zeta**-0.5))
    assert vae.decoder(vae.encode(X)).stddev.median() < 0.1
    given = VAE(5, 1, n_centers=8, zeta=0.25).fit(X, epochs=1, progress=False)
    assert torch.allclose(given.decoder(torch.tensor([1e3])).stddev, torch.tensor(2.0))


@pytest.mark.slow
def test_history_has_a_row_for_each_epoch(X):
    history = fit(X, std="network", epochs=4).history
    assert [(row["stage"], row["epoch"]) for row in history] == [
        *(("mean", epoch) for epoch in range(1, 5)),
        *(("std", epoch) for epoch in range(1, 5)),
    ]
    for row in history:
        assert row["elbo"] == pytest.approx(row["reconstruction"] - row["kl"])
        assert row["kl"] > 0
        assert row["seconds"] > 0


@pytest.mark.slow
def test_warm_up_leaves_the_kl_term_for_later(X):
    options = {"std": "constant", "epochs": 12, "validation_fraction": 0.0}
    warm, cold = (fit(X, kl_warmup=warmup, **options) for warmup in (1.0, 0.0))
    assert warm.history[2]["kl"] > cold.history[2]["kl"]


@pytest.mark.thorough
def test_early_stopping_waits_and_keeps_the_best_weights(X):
    vae = fit(X, std="constant", epochs=300, patience=3, kl_warmup=0.02, learning_rate=0.05)
    values = [row["validation_elbo"] for row in vae.history]
    warmup = round(0.02 * 300)
    best = max(range(warmup - 1, len(values)), key=values.__getitem__)
    assert len(values) == best + 1 + 3 < 300
    patient = fit(X, std="constant", epochs=300, patience=None, kl_warmup=0.02, learning_rate=0.05)
    assert len(patient.history) == 300
    stopped = fit(X, std="constant", epochs=best + 1, kl_warmup=warmup / (best + 1))
    assert len(stopped.history) == best + 1


@pytest.mark.slow
def test_best_weights_are_those_of_the_best_epoch(X):
    """A run that ends at the best epoch of a longer one has the longer one's weights."""
    options = {"std": "constant", "kl_warmup": 0.0, "learning_rate": 0.1, "patience": None}
    longer = fit(X, epochs=60, **options)
    values = [row["validation_elbo"] for row in longer.history]
    best = int(np.argmax(values)) + 1
    assert best < 60
    assert same(longer, fit(X, epochs=best, **options))


@pytest.mark.slow
def test_gradient_clip_limits_the_step(X):
    """A gradient far below the epsilon of Adam moves nothing."""
    options = {"std": "constant", "epochs": 3, "validation_fraction": 0.0}
    clipped = fit(X, gradient_clip=1e-16, **options)
    start = build(std="constant")
    free = fit(X, **options)
    for name, value in start.named_parameters():
        assert torch.allclose(clipped.state_dict()[name], value, atol=1e-6)
    assert not torch.allclose(
        free.state_dict()["encoder.network.0.weight"],
        start.state_dict()["encoder.network.0.weight"],
        atol=1e-3,
    )


class Rows(Dataset):
    """A dataset that may break off at the n-th look."""

    def __init__(self, X, stop_after=math.inf):
        self.X, self.left = X, stop_after

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.X[index]


@pytest.mark.slow
def test_datasets_give_the_same_weights_as_arrays(X):
    expected = fit(X)
    labelled = TensorDataset(torch.tensor(X).reshape(-1, 1, 5), torch.zeros(len(X)))
    for data in (torch.tensor(X), X.tolist(), Rows(X), labelled):
        options = {"learning_rate": 1e-2, "batch_size": 32, "progress": False}
        vae = build().fit(data, epochs=6, **options)
        assert same(vae, expected)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.15, 0.4, 0.6, 0.8, 0.98])
@pytest.mark.parametrize(
    ("std", "options"),
    [("constant", {}), ("network", {"patience": 2}), ("rbf", {"precision_fit": "regression"})],
)
def test_interrupted_and_resumed_is_as_undisturbed(X, tmp_path, share, std, options):
    X, options = X[:40], {"batch_size": 9, "epochs": 4, **options}
    whole = Rows(X)
    whole.left = 10**9
    expected = VAE(5, 2, std=std, n_centers=8).fit(whole, progress=False, **options)
    looks = int(share * (10**9 - whole.left))
    path = tmp_path / "run.safetensors"
    vae = VAE(5, 2, std=std, n_centers=8)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(Rows(X, stop_after=looks), checkpoint=path, progress=False, **options)
    resumed = VAE(5, 2, std=std, n_centers=8)
    resumed.fit(X, checkpoint=path, progress=False, **options)
    assert same(resumed, expected)
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.history]
    assert strip == [{k: v for k, v in row.items() if k != "seconds"} for row in expected.history]


@pytest.mark.slow
def test_a_finished_run_is_taken_from_its_checkpoint(X, tmp_path):
    path = tmp_path / "deep" / "run.safetensors"
    first = fit(X, checkpoint=path)
    again = fit(X, checkpoint=path)
    assert same(first, again)
    assert again.history == first.history


@pytest.mark.slow
def test_checkpoint_of_another_run_is_refused_or_replaced(X, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(X, checkpoint=path)
    kept = path.read_bytes()
    for change in ({"X": X[::-1]}, {"X": X, "epochs": 7}, {"X": X, "std": "network"}):
        with pytest.raises(StorageError, match=r"other data or settings.*`resume=False`"):
            fit(**change, checkpoint=path)
    assert path.read_bytes() == kept
    replaced = fit(X, epochs=7, checkpoint=path, resume=False)
    assert same(replaced, fit(X, epochs=7))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_damaged_checkpoint_is_refused(X, tmp_path, damage):
    path = tmp_path / "run.safetensors"
    fit(X, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=r"no checkpoint that can be read.*Delete it"):
        fit(X, checkpoint=path)


def test_checkpoint_that_cannot_be_written_is_refused_before_training(X, tmp_path):
    (tmp_path / "file").write_text("in the way")
    vae = VAE(5, 2, n_centers=8)
    with pytest.raises(StorageError, match="Cannot write .*run.safetensors"):
        vae.fit(X, checkpoint=tmp_path / "file" / "run.safetensors", progress=False)
    assert vae.history == []


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(X, tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(
        ConvergenceError, match=r"in epoch 1 of stage 'mean'.*`learning_rate`.*as it"
    ):
        fit(X, learning_rate=1e30, checkpoint=path)
    assert path.exists()


@pytest.mark.slow
def test_progress_shows_the_parts_of_the_elbo(X, capsys, monkeypatch):
    monkeypatch.setattr("pullback.progress._is_watched", lambda: True)  # as on a terminal
    fit(X, std="constant", epochs=3, progress=True)
    shown = capsys.readouterr().err
    for word in ("mean", "3/3", "elbo=", "reconstruction=", "kl=", "validation_elbo="):
        assert word in shown
    fit(X, std="constant", epochs=3, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_output_follows_the_data(X):
    assert fit(X, epochs=1).config["output"] == "sigmoid"
    assert fit(X - 1, epochs=1).config["output"] == "identity"
    assert (
        (VAE(5, 2, n_centers=2).fit(X, epochs=1, progress=False).sample(9, mean=True)) > 0
    ).all()


@pytest.mark.slow
def test_background_pixels_are_fine_under_a_bounded_output(X):
    X = np.hstack([X[:, :4], np.zeros((len(X), 1), np.float32)])
    vae = fit(X, epochs=25)
    assert torch.isfinite(vae.elbo(X)).all()
    assert vae.decoder(vae.encode(X)).stddev[:, -1].min() > 0.01


@pytest.mark.slow
def test_convolutional_model_learns():
    generator = torch.Generator().manual_seed(0)
    brightness = torch.rand(80, 1, generator=generator)
    X = brightness * torch.linspace(0, 1, 36)
    vae = VAE(
        36, 1, architecture="convolutional", image_shape=(1, 6, 6), hidden=(8, 4), n_centers=5
    )
    vae.fit(X, epochs=60, learning_rate=1e-2, progress=False)
    assert float((vae.reconstruct(X) - X).square().mean()) < 0.2 * float(X.var())


NAN = np.full((10, 5), np.nan)
GOOD = np.random.default_rng(0).uniform(-1, 1, (10, 5))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (NAN, r"`X` must be finite, but 50 of its 50 entries are NaN or infinite"),
        (np.where(np.eye(10, 5) > 0, np.inf, 0), r"`X` must be finite.*first at index \(0, 0\)"),
        (GOOD[:, :4], "`X` must have 5 features, as the model has, but got 4"),
        (GOOD[0], r"`X` must have shape \(n_samples, n_features\), but got \(5,\)"),
        (GOOD.reshape(2, 5, 5), r"must have shape \(n_samples, n_features\).*Flatten"),
        (GOOD[:1], "at least 2 samples, but got 1"),
        (GOOD[:0], "at least 2 samples, but got 0"),
        (np.array([["a"] * 5] * 10), "`X` must hold real numbers"),
        (np.ones((10, 5)), "`X` must vary, but all of its samples are the same"),
        (np.hstack([GOOD[:, :4], np.ones((10, 1))]), r"1 of 5 are constant \(columns 4\). Drop"),
        (TensorDataset(torch.tensor(GOOD[:1])), "at least 2 samples, but got 1"),
        (TensorDataset(torch.tensor(GOOD[:, :4])), r"item 0 has shape \(4,\)"),
        (TensorDataset(torch.tensor(NAN)), "`X` must be finite"),
    ],
)
def test_bad_data_are_refused_at_the_door(X, message):
    vae = VAE(5, 2, n_centers=2)
    with pytest.raises(InvalidDataError, match=message):
        vae.fit(X, progress=False)
    assert vae.history == []
    assert vae.config["output"] == "auto"


def test_datasets_without_a_length_are_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(torch.zeros(3, 5))

    with pytest.raises(InvalidDataError, match="map-style Dataset with a length"):
        VAE(5).fit(Stream(), progress=False)


@pytest.mark.parametrize(
    ("arguments", "interval"),
    [
        ({"output": "sigmoid"}, r"\[0, 1\]"),
        ({"output": "tanh"}, r"\[-1, 1\]"),
        ({"likelihood": "bernoulli"}, r"\[0, 1\]"),
    ],
)
def test_data_out_of_range_are_refused(arguments, interval):
    vae = VAE(5, 2, n_centers=2, **arguments)
    with pytest.raises(InvalidDataError, match=rf"`X` must lie in {interval}.*lies in \[-2, "):
        vae.fit(2 * GOOD / -GOOD.min(), progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("weight_decay", -1.0),
        ("kl_warmup", 1.5),
        ("validation_fraction", 1.0),
        ("patience", 0),
        ("gradient_clip", 0.0),
        ("precision_fit", "magic"),
        ("random_state", -1),
    ],
)
def test_bad_settings_are_refused_by_name(name, value):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        VAE(5, 2, n_centers=2).fit(GOOD, progress=False, **{name: value})


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(
        InvalidParameterError, match=r"`n_centers` must be at most .*samples, 9, .*64"
    ):
        VAE(5, 2).fit(GOOD, progress=False)
    with pytest.raises(InvalidParameterError, match="`precision_fit` must be 'likelihood'"):
        VAE(5, 2, std="network").fit(GOOD, precision_fit="regression", progress=False)
    with pytest.raises(DeviceError, match="`device` 'cuda:99' is not on this machine"):
        VAE(5, 2).fit(GOOD, device="cuda:99", progress=False)


def test_two_samples_are_enough():
    vae = VAE(5, 1, n_centers=2).fit(GOOD[:2], epochs=2, progress=False)
    assert torch.isfinite(vae.elbo(GOOD)).all()
