import json

import numpy as np
import pytest
import torch
from torch import nn

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models import (
    VAE,
    BernoulliLikelihood,
    Decoder,
    GaussianEncoder,
    NetworkStd,
    RBFPrecision,
    StandardNormal,
    load,
    mlp,
)
from pullback.models.config import as_sizes


@pytest.fixture
def vae():
    return VAE(5, 2, n_centers=4)


def test_the_networks_are_the_papers():
    vae = VAE(784)
    encoder = [m for m in vae.encoder.modules() if isinstance(m, nn.Linear)]
    mean = [m for m in vae.decoder.mean.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in encoder] == [(784, 64), (64, 32), (32, 4)]
    assert [(m.in_features, m.out_features) for m in mean] == [(2, 32), (32, 64), (64, 784)]
    assert sum(isinstance(m, nn.Tanh) for m in vae.modules()) == 4
    network = VAE(784, std="network").decoder.likelihood.std
    assert isinstance(network, NetworkStd)
    assert network.network is not vae.decoder.mean
    rbf = VAE(784, n_centers=7).decoder.likelihood.std
    assert isinstance(rbf, RBFPrecision)
    assert rbf.weights.shape == (784, 7)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_every_method_takes_any_batch_dimensions(vae, batch):
    x, z = torch.randn(*batch, 5), torch.randn(*batch, 2)
    assert vae.encode(x).shape == (*batch, 2)
    assert vae.posterior(x).batch_shape == batch
    assert vae.decode(z).shape == (*batch, 5)
    assert vae.reconstruct(x).shape == (*batch, 5)
    assert vae.elbo(x, n_samples=3).shape == batch
    assert vae.importance_weighted_bound(x, n_samples=3).shape == batch
    assert vae.log_marginal(x).shape == batch


def test_batch_equals_loop(vae):
    x = torch.randn(4, 3, 5)
    loop = torch.stack([torch.stack([vae.reconstruct(point) for point in row]) for row in x])
    assert torch.allclose(vae.reconstruct(x), loop, atol=1e-6)


def test_arrays_lists_and_tensors_are_the_same(vae):
    x = np.random.default_rng(0).normal(size=(3, 5))
    read_only = x.copy()
    read_only.flags.writeable = False
    expected = vae.encode(torch.tensor(x, dtype=torch.float32))
    for same in (x, x.tolist(), torch.tensor(x), read_only, np.asfortranarray(x), x[::-1][::-1]):
        assert torch.equal(vae.encode(same), expected)
    assert vae.double().encode(x).dtype == torch.float64


def test_gradients_flow_to_inputs_that_require_them_and_to_nothing_else(vae):
    assert not vae.encode(torch.randn(3, 5)).requires_grad
    assert vae.decode([0.0, 0.0]).numpy().shape == (5,)
    x = torch.randn(3, 5, requires_grad=True)
    vae.reconstruct(x).sum().backward()
    assert x.grad.abs().sum() > 0
    z = torch.randn(2, dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(vae.decode(z)[0], z)
    step = 1e-2 * gradient / gradient.norm()
    rise = vae.decode(z + step)[0] - vae.decode(z - step)[0]
    assert float(rise.detach()) == pytest.approx(2e-2 * float(gradient.norm()), rel=1e-2)


def test_samples_follow_the_prior_and_the_likelihood():
    vae = VAE(3, 2, std="constant", constant_std=0.5)
    generator = torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    means = vae.sample(20_000, generator=generator, mean=True)
    draws = vae.sample(20_000, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert means.shape == draws.shape == (20_000, 3)
    assert torch.allclose(draws.var(0), means.var(0) + 0.25, rtol=0.05)
    again = vae.sample(20_000, generator=torch.Generator().manual_seed(0), mean=True)
    assert torch.equal(means, again)


def test_weights_depend_on_random_state_alone():
    before = torch.get_rng_state()
    first = VAE(5, random_state=1).state_dict()
    torch.manual_seed(17)
    again, other = VAE(5, random_state=1).state_dict(), VAE(5, random_state=2).state_dict()
    torch.set_rng_state(before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["encoder.network.0.weight"], other["encoder.network.0.weight"])
    VAE(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_config_rebuilds_the_model_through_json():
    given = VAE(12, 3, architecture="convolutional", image_shape=(1, 3, 4), hidden=(4, 2), zeta=0.1)
    rebuilt = VAE(**json.loads(json.dumps(given.config)))
    assert rebuilt.config == given.config
    assert str(rebuilt) == str(given)


def test_an_unfitted_model_has_its_constant_deviation_everywhere():
    for std in ("constant", "rbf"):
        decoder = VAE(5, std=std, constant_std=0.3).decoder
        assert torch.allclose(decoder(torch.randn(10, 2)).stddev, torch.tensor(0.3))


def test_bernoulli_decodes_probabilities():
    vae = VAE(5, likelihood="bernoulli")
    mean = vae.decode(10 * torch.randn(100, 2))
    assert ((mean > 0) & (mean < 1)).all()
    assert set(vae.sample(10, generator=torch.Generator()).unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "allowed", "arguments"),
    [
        ("data_dim", "an integer >= 1", {"data_dim": 0}),
        ("latent_dim", r"an integer in \[1, 5\]", {"latent_dim": 0}),
        ("latent_dim", r"an integer in \[1, 5\]", {"latent_dim": 6}),
        ("likelihood", "'bernoulli', 'beta_binomial'", {"likelihood": "cauchy"}),
        ("std", "'constant', 'network', 'rbf'", {"std": "learned"}),
        ("architecture", "'convolutional', 'mlp'", {"architecture": "cnn"}),
        ("output", "'auto', 'identity', 'sigmoid', 'tanh'", {"output": "relu"}),
        ("output", "logits", {"output": "sigmoid", "likelihood": "bernoulli"}),
        ("activation", "'tanh'", {"activation": "swoosh"}),
        ("hidden", "an integer >= 1", {"hidden": (64, 0)}),
        ("constant_std", r"\(0, inf\)", {"constant_std": 0.0}),
        ("constant_std", "or 'learned'", {"constant_std": "free"}),
        ("n_centers", "an integer >= 1", {"n_centers": 0}),
        ("bandwidth_factor", r"\(0, inf\)", {"bandwidth_factor": -1.0}),
        ("shrinkage", r"\[0, inf\)", {"shrinkage": -1.0}),
        ("shrinkage", "left at its default None", {"shrinkage": 1.0, "std": "network"}),
        ("shrinkage", "left at its default None", {"shrinkage": 0.0, "likelihood": "bernoulli"}),
        ("zeta", r"\(0, inf\)", {"zeta": 0.0}),
        ("min_std", r"\(0, inf\)", {"min_std": 0.0}),
        ("random_state", r"an integer in \[0, 4294967295\]", {"random_state": -1}),
        ("random_state", r"an integer in \[0, 4294967295\]", {"random_state": 2**32}),
        ("image_shape", "product data_dim = 5", {"architecture": "convolutional"}),
        (
            "image_shape",
            "product data_dim = 5",
            {"architecture": "convolutional", "image_shape": (1, 2, 2)},
        ),
        ("image_shape", "None for an MLP", {"image_shape": (1, 1, 5)}),
    ],
)
def test_bad_arguments_are_refused_by_name(name, allowed, arguments):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be .*{allowed}"):
        VAE(**{"data_dim": 5} | arguments)


@pytest.mark.parametrize("method", ["encode", "posterior", "reconstruct", "elbo", "log_marginal"])
def test_bad_observations_are_refused(vae, method):
    with pytest.raises(InvalidDataError, match=r"`x` must have shape \(\.\.\., 5\).*\(3, 4\)"):
        getattr(vae, method)(torch.zeros(3, 4))
    with pytest.raises(InvalidDataError, match=r"`x` must be finite.*1 of its 5 .*index \(2,\)"):
        getattr(vae, method)([0, 0, float("nan"), 0, 0])


def test_bad_latent_points_and_numbers_are_refused(vae):
    with pytest.raises(InvalidDataError, match=r"`z` must have shape \(\.\.\., 2\)"):
        vae.decode(torch.zeros(3))
    with pytest.raises(InvalidParameterError, match="`n` must be an integer >= 1"):
        vae.sample(0)


@pytest.mark.slow
def test_custom_modules_train_and_evaluate():
    decoder = Decoder(mlp([2, 8, 5]), BernoulliLikelihood())
    vae = VAE.from_modules(GaussianEncoder(mlp([5, 8, 4]), 2), decoder, StandardNormal(2))
    X = (torch.rand(60, 5) < torch.tensor([0.1, 0.9, 0.5, 0.2, 0.7])).float()
    before = float(vae.elbo(X, n_samples=20).mean())
    vae.fit(X, epochs=30, learning_rate=1e-2, progress=False)
    assert float(vae.elbo(X, n_samples=20).mean()) > before + 0.2
    assert vae.config is None
    assert {row["stage"] for row in vae.history} == {"mean"}


def test_custom_modules_keep_their_dtype():
    decoder = Decoder(mlp([2, 8, 5]), BernoulliLikelihood()).double()
    vae = VAE.from_modules(GaussianEncoder(mlp([5, 8, 4]), 2).double(), decoder)
    assert vae.prior().mean.dtype == torch.float64
    assert vae.log_marginal(torch.zeros(3, 5)).dtype == torch.float64


def test_custom_decoder_must_say_its_dimensions():
    with pytest.raises(InvalidParameterError, match=r"`decoder` must be .*attribute `latent_dim`"):
        VAE.from_modules(GaussianEncoder(mlp([5, 8, 4]), 2), mlp([2, 5]))


@pytest.mark.gpu
def test_model_works_on_a_gpu():
    X = torch.rand(100, 5, generator=torch.Generator().manual_seed(0))
    vae = VAE(5, n_centers=4).fit(X, epochs=5, device="cuda", progress=False)
    before = torch.cuda.get_rng_state()
    assert vae.encode(X).device.type == "cuda"
    generator = torch.Generator().manual_seed(0)
    assert vae.sample(3, generator=generator).device.type == "cuda"
    assert vae.log_marginal(X, generator=generator).shape == (100,)
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("method", ["elbo", "importance_weighted_bound", "log_marginal"])
def test_bounds_are_only_for_what_the_likelihood_stands_for(method):
    bernoulli = VAE(5, 2, likelihood="bernoulli")
    few = {} if method == "log_marginal" else {"n_samples": 5}
    with pytest.raises(InvalidDataError, match=r"`x` must lie in \[0, 1\].*lies in \[0, 7\]"):
        getattr(bernoulli, method)([[0.0, 1.0, 0.5, 7.0, 0.0]])
    assert (getattr(bernoulli, method)(torch.rand(9, 5), **few) < 0).all()
    assert torch.isfinite(getattr(VAE(5, 2), method)([0.0, 1.0, 0.5, 7.0, 0.0], **few))


@pytest.mark.parametrize("method", ["elbo", "importance_weighted_bound", "log_marginal"])
def test_bounds_need_an_observation_and_a_draw(vae, method):
    with pytest.raises(InvalidDataError, match=r"at least one observation, .*\(0, 5\)"):
        getattr(vae, method)(torch.zeros(0, 5))
    with pytest.raises(InvalidParameterError, match="`n_samples` must be an integer >= 1"):
        getattr(vae, method)(torch.zeros(3, 5), n_samples=0)


def test_values_beyond_the_range_of_the_model_are_refused(vae):
    with pytest.raises(InvalidDataError, match=r"`x` must lie within the range .*float32"):
        vae.encode(np.full(5, 1e39))
    with pytest.raises(InvalidDataError, match=r"`X` must lie within the range .*float32"):
        vae.fit(np.full((9, 5), 1e39), progress=False)


def test_a_custom_decoder_needs_no_likelihood_of_ours():
    class Plain(nn.Module):
        latent_dim, data_dim = 2, 5

        def __init__(self):
            super().__init__()
            self.network = mlp([2, 5])

        def forward(self, z):
            return torch.distributions.Independent(
                torch.distributions.Normal(self.network(z), 1.0), 1
            )

    vae = VAE.from_modules(GaussianEncoder(mlp([5, 4]), 2), Plain())
    assert torch.isfinite(vae.elbo(torch.randn(3, 5))).all()


@pytest.mark.parametrize("sizes", [64, "64", None])
def test_sizes_must_be_a_sequence(sizes):
    with pytest.raises(InvalidParameterError, match=r"`hidden` must be a sequence.*Write `hidden="):
        as_sizes("hidden", sizes)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("zeta", {"std": "constant", "zeta": 1.0}),
        ("zeta", {"std": "network", "zeta": 1.0}),
        ("min_std", {"std": "constant", "min_std": 1.0}),
        ("min_std", {"likelihood": "bernoulli", "min_std": 1.0}),
        ("std", {"likelihood": "bernoulli", "std": "network"}),
        ("constant_std", {"likelihood": "bernoulli", "constant_std": 0.1}),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(name, settings):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be left at its default"):
        VAE(5, 2, **settings)


def test_a_convolutional_model_has_a_dense_layer_unless_none_is_wanted(tmp_path):
    images = {"architecture": "convolutional", "image_shape": (1, 4, 4)}
    vae = VAE(16, **images)
    assert (vae.config["hidden"], vae.config["dense_units"]) == ((32, 16), 128)
    bare = VAE(16, dense_units=0, **images)
    assert isinstance(bare.decoder.mean[0].stem, nn.Linear)
    assert VAE(16).config["hidden"] == (64, 32)
    with pytest.raises(InvalidParameterError, match=r"dense_units.*Put the layer into `hidden`"):
        VAE(16, dense_units=8)
    with pytest.raises(InvalidParameterError, match="dense_units"):
        VAE(16, dense_units=-1, **images)


def test_a_convolutional_model_saved_without_a_dense_layer_is_read(tmp_path, monkeypatch):
    images = {"architecture": "convolutional", "image_shape": (1, 4, 4), "hidden": (4, 2)}
    vae = VAE(16, dense_units=0, std="constant", **images)
    before = {key: value for key, value in vae.config.items() if key != "dense_units"}
    with monkeypatch.context() as patch:
        patch.setattr(VAE, "config", before)
        vae.save(tmp_path)
    assert "dense_units" not in (tmp_path / "model.json").read_text()
    z = torch.zeros(3, 2)
    assert torch.equal(load(tmp_path).decode(z), vae.eval().decode(z))
