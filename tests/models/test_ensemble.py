"""Ensembles of decoders: what they are, how they train and keep, and how they are drawn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

import pullback as pb
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models import (
    VAE,
    DecoderSampler,
    EnsembleDecoder,
    GaussianEncoder,
    Mixture,
    mc_dropout,
    mlp,
)


@pytest.fixture(name="X")
def noisy_arc():
    rng = np.random.default_rng(0)
    t = rng.uniform(0, np.pi, 60)
    curve = np.stack([np.cos(t), np.sin(t), t / 3, t**2 / 10, np.cos(2 * t)], 1)
    return (curve + 0.03 * rng.normal(size=curve.shape)).astype(np.float32)


def build(n_decoders=3, **options):
    return VAE(5, 2, n_decoders=n_decoders, hidden=(8,), **options)


def fit(vae, X, **options):
    return vae.fit(X, **{"epochs": 4, "batch_size": 9, "progress": False} | options)


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class Rows(torch.utils.data.Dataset):
    """A dataset that breaks off at the n-th look."""

    def __init__(self, X, left):
        self.X, self.left = X, left

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.X[index]


# --- the mixture


def two_normals():
    loc, scale = torch.tensor([[-1.0, 0.0], [3.0, 0.5]]), torch.tensor([[0.5, 1.0], [2.0, 1.0]])
    return [Independent(Normal(m, s), 1) for m, s in zip(loc, scale, strict=True)]


def test_mixture_has_the_moments_and_the_density_of_a_mixture():
    parts = two_normals()
    mixture = Mixture(parts)
    torch.testing.assert_close(mixture.mean, torch.tensor([1.0, 0.25]))
    # (0.25 + 4) / 2 + ((-1 - 1)^2 + (3 - 1)^2) / 2, and (1 + 1) / 2 + 0.25^2
    torch.testing.assert_close(mixture.variance, torch.tensor([6.125, 1.0625]))
    x = torch.randn(7, 2)
    density = (parts[0].log_prob(x).exp() + parts[1].log_prob(x).exp()) / 2
    torch.testing.assert_close(mixture.log_prob(x).exp(), density)


def test_mixture_draws_whole_observations_from_one_component():
    draws = Mixture(two_normals()).sample((40_000,))
    assert draws.shape == (40_000, 2)
    # Four standard errors of the mean, false alarms below 1e-4 for each number.
    error = 4 * (torch.tensor([6.125, 1.0625]) / 40_000).sqrt()
    assert ((draws.mean(0) - torch.tensor([1.0, 0.25])).abs() < error).all()
    covariance = torch.cov(draws.T)[0, 1]  # ((-2)(-0.25) + 2 * 0.25) / 2
    assert float(covariance) == pytest.approx(0.5, abs=0.08)


def test_mixture_draws_from_another_component_at_each_point():
    wide = [Independent(Normal(torch.full((500, 1), m), 1e-3), 1) for m in (-1.0, 1.0)]
    signs = Mixture(wide).sample((2,)).sign().squeeze(-1)
    assert signs.shape == (2, 500)
    assert 150 < int((signs[0] > 0).sum()) < 350


# --- the ensemble


def test_ensemble_decodes_to_the_mean_of_its_members():
    vae = build(3)
    z = torch.randn(4, 6, 2)
    assert isinstance(vae.decoder, EnsembleDecoder)
    assert len(vae.decoder.members) == 3
    parts = torch.stack([member(z).mean for member in vae.decoder.members])
    torch.testing.assert_close(vae.decode(z), parts.mean(0))
    assert float(parts.detach().std(0).min()) > 0  # they start from different weights


@pytest.mark.slow
def test_elbo_is_the_mean_of_the_members_and_log_marginal_that_of_the_mixture(X):
    vae = fit(build(2), X)
    x = torch.tensor(X[:5])
    singles = [VAE.from_modules(vae.encoder, m) for m in vae.decoder.members]

    def seed():
        return torch.Generator().manual_seed(3)

    bounds = torch.stack([one.elbo(x, n_samples=4000, generator=seed()) for one in singles])
    whole = vae.elbo(x, n_samples=4000, generator=seed())
    torch.testing.assert_close(whole, bounds.mean(0), atol=0.2, rtol=0)
    logs = torch.stack([one.log_marginal(x) for one in singles])
    mixed = logs.logsumexp(0) - np.log(2)
    torch.testing.assert_close(vae.log_marginal(x), mixed)


def test_one_decoder_is_a_plain_one_with_the_weights_it_had():
    one, three = build(1, std="constant"), build(3)
    assert not isinstance(one.decoder, EnsembleDecoder)
    assert same(one.encoder, three.encoder)
    assert same(one.decoder, three.decoder.members[0])


def test_ensembles_are_random_modules_of_chance(X):
    generator = torch.Generator().manual_seed(0)
    ensemble = build(4).decoder
    drawn = [ensemble.draw_member(generator) for _ in range(60)]
    assert {id(member) for member in drawn} == {id(member) for member in ensemble.members}


# --- training


def test_each_batch_trains_the_encoder_and_one_member(X):
    vae = build(3)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    fit(vae, X[:, :], epochs=1, batch_size=1000, validation_fraction=0.0)  # a single batch
    changed = {
        name.split(".")[2] if name.startswith("decoder") else "encoder"
        for name, value in vae.named_parameters()
        if "weight" in name and not torch.equal(value, before[name])
    }
    assert "encoder" in changed
    assert len(changed) == 2


@pytest.mark.thorough
def test_every_member_learns(X):
    vae = fit(build(3), X, epochs=150, learning_rate=1e-2)
    codes, data = vae.encode(X), torch.tensor(X)
    for member in vae.decoder.members:
        with torch.no_grad():
            error = (member(codes).mean - data).square().mean()
        assert float(error) < 0.3 * float(data.var(0).mean())
    levels = [float(m.likelihood.std(torch.zeros(2)).detach()[0]) for m in vae.decoder.members]
    assert len(set(levels)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_interrupted_and_resumed_is_as_undisturbed(X, tmp_path, share):
    whole = Rows(X, 10**9)
    expected = fit(build(3), whole)
    looks = int(share * (10**9 - whole.left))
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(build(3), Rows(X, looks), checkpoint=path)
    resumed = fit(build(3), X, checkpoint=path)
    assert same(resumed, expected)
    torch.manual_seed(99)
    assert same(fit(build(3), X), expected)
    assert not same(fit(build(3), X, random_state=1), expected)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "negative_binomial"])
def test_other_likelihoods_train_too(X, likelihood):
    counts = np.round(5 * np.abs(X))
    data = counts if likelihood != "bernoulli" else np.clip(X, 0, 1)
    vae = fit(build(2, likelihood=likelihood), data, epochs=2)
    assert vae.elbo(data).isfinite().all()
    with pytest.raises(InvalidDataError):
        vae.elbo(-1 - data)


def test_saved_and_loaded_is_the_same(X, tmp_path):
    vae = fit(build(3), X, epochs=1)
    vae.save(tmp_path)
    loaded = pb.load(tmp_path)
    assert same(loaded, vae)
    assert loaded.config == vae.config
    assert loaded.config["n_decoders"] == 3
    assert loaded.config["std"] == "constant"


def test_a_model_of_custom_modules_takes_an_ensemble(X):
    decoders = [build(1, std="constant", random_state=seed).decoder for seed in range(2)]
    vae = VAE.from_modules(GaussianEncoder(mlp([5, 8, 4]), 2), EnsembleDecoder(decoders))
    before = {name: value.clone() for name, value in vae.named_parameters()}
    fit(vae, X, epochs=3)
    assert all(not torch.equal(value, before[name]) for name, value in vae.named_parameters())


# --- what is refused


@pytest.mark.parametrize("std", ["network", "rbf"])
def test_deviations_that_do_not_go_with_ensembles_are_refused(std):
    with pytest.raises(InvalidParameterError, match=r"`std` must be 'auto' or 'constant' for n_d"):
        build(2, std=std)


@pytest.mark.parametrize("n_decoders", [0, -1, True])
def test_numbers_of_decoders_are_checked(n_decoders):
    with pytest.raises(InvalidParameterError, match=r"`n_decoders` must be an integer >= 1"):
        build(n_decoders)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "but got none"),
        ([torch.sin, 4], "but got a int"),
    ],
)
def test_what_is_no_ensemble_is_refused(members, message):
    with pytest.raises(InvalidParameterError, match=message):
        EnsembleDecoder(members)


@pytest.mark.slow
def test_models_with_their_own_latent_spaces_are_refused():
    with pytest.raises(InvalidParameterError, match="latent spaces of their own"):
        EnsembleDecoder([build(1), build(1, random_state=1)])


def test_members_of_different_dimensions_are_refused():
    parts = [VAE(5, dim, std="constant").decoder for dim in (2, 3)]
    with pytest.raises(InvalidParameterError, match=r"of one `latent_dim`.*\[2, 3\]"):
        EnsembleDecoder(parts)


# --- draws of decoders


def test_sampler_draws_from_its_generator_and_only_once():
    def draw(generator):
        scale = torch.randn((), generator=generator, dtype=torch.float64)
        return lambda z: scale * z

    def scales(seed):
        generator = torch.Generator().manual_seed(seed)
        sampler = DecoderSampler(draw, n_samples=4, generator=generator, latent_dim=1)
        z = torch.ones(1, dtype=torch.float64)
        first = torch.stack([member(z) for member in sampler.members])
        assert torch.equal(first, torch.stack([member(z) for member in sampler.members]))
        return first

    assert torch.equal(scales(0), scales(0))
    assert not torch.equal(scales(0), scales(1))
    assert len(scales(0).unique()) == 4
    with pytest.raises(InvalidParameterError, match="but got a int"):
        DecoderSampler(lambda generator: 3)


def dropped(rate=0.3):
    return nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Dropout(rate), nn.Linear(64, 3))


@pytest.mark.slow
def test_dropout_masks_are_frozen_and_of_the_right_rate():
    network = dropped()
    ensemble = mc_dropout(network, 200, torch.Generator().manual_seed(0))
    z = torch.randn(5, 2)
    for member in ensemble.members[:3]:
        assert torch.equal(member(z), member(z))
        torch.testing.assert_close(member(z)[:2], member(z[:2]))
    masks = torch.stack([member[2].mask for member in ensemble.members])
    kept = (masks > 0).double().mean()
    assert float(kept) == pytest.approx(0.7, abs=4 * (0.21 / masks.numel()) ** 0.5)
    assert masks.unique().tolist() == pytest.approx([0, 1 / 0.7])
    # The layer after it is linear, so the mean over masks is the network in evaluation mode.
    outputs = torch.stack([member(z) for member in ensemble.members])
    error = 5 * outputs.std(0) / 200**0.5
    assert ((outputs.mean(0) - network.eval()(z)).abs() < error).all()


def test_dropout_members_share_weights_and_leave_the_network_alone():
    network = dropped().train()
    ensemble = mc_dropout(network, 2)
    assert network.training
    assert isinstance(network[2], nn.Dropout)
    assert ensemble.members[0][0].weight is network[0].weight
    again = mc_dropout(network, 2)
    assert torch.equal(again.members[1][2].mask, ensemble.members[1][2].mask)
    assert not torch.equal(ensemble.members[0][2].mask, ensemble.members[1][2].mask)


def test_a_dropout_layer_in_two_places_gets_two_masks():
    drop = nn.Dropout(0.5)
    network = nn.Sequential(nn.Linear(2, 16), drop, nn.Linear(16, 24), drop, nn.Linear(24, 3))
    member = mc_dropout(network, 1).members[0]
    assert [member[i].mask.shape for i in (1, 3)] == [(16,), (24,)]


def test_channels_are_dropped_as_a_whole():
    network = nn.Sequential(
        nn.Linear(2, 8 * 9),
        nn.Unflatten(1, (8, 3, 3)),
        nn.Dropout2d(0.5),
        nn.Conv2d(8, 1, 3),
        nn.Flatten(),
    )
    member = mc_dropout(network, 1).members[0]
    assert member[2].mask.shape == (8, 1, 1)
    assert member(torch.zeros(4, 2)).shape == (4, 1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (mlp([2, 4, 3]), "none that is reached"),
        (dropped(0.0), "none that is reached"),
        (nn.Sequential(nn.Linear(2, 4), nn.AlphaDropout(0.2), nn.Linear(4, 3)), "a AlphaDropout"),
        (torch.sin, "a builtin_function_or_method"),
        (nn.Sequential(nn.Dropout(0.5)), "`latent_dim` must be given"),
    ],
)
def test_networks_without_masks_are_refused(network, message):
    with pytest.raises(InvalidParameterError, match=message):
        mc_dropout(network)


def test_everything_may_be_dropped():
    network = dropped(1.0)
    member = mc_dropout(network, 1).members[0]
    torch.testing.assert_close(member(torch.randn(3, 2)), network[3].bias.expand(3, 3))
