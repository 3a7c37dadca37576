"""The recipe by name is arguments that a model and its training take, and each can be varied."""

import pytest
import torch

from pullback.errors import InvalidParameterError
from pullback.models import VAE, oddity


def test_it_is_what_the_paper_prints():
    model, training = oddity()
    vae = VAE(784, **model)
    shapes = [tuple(p.shape) for p in vae.decoder.mean.parameters() if p.ndim == 2]
    assert shapes == [(32, 2), (64, 32), (784, 64)]
    assert {type(module).__name__ for module in vae.decoder.mean.modules()} >= {"Tanh", "Sigmoid"}
    assert len(vae.decoder.likelihood.std.centers) == 64
    assert vae.config["bandwidth_factor"] == 2
    assert training["weight_decay"] == 1e-5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("constant_std", 0.1),
        ("bandwidth_factor", 1.0),
        ("n_centers", 16),
        ("zeta", 2.0),
        ("hidden", (8,)),
        ("shrinkage", 1.0),
    ],
)
def test_each_argument_of_the_model_can_be_varied(name, value):
    model, training = oddity(**{name: value})
    assert model == oddity()[0] | {name: value}
    assert training == oddity()[1]


def test_each_argument_of_the_training_can_be_varied():
    model, training = oddity(epochs=7, kl_warmup=0.0, weight_decay=0.0)
    assert model == oddity()[0]
    assert training == {"epochs": 7, "kl_warmup": 0.0, "weight_decay": 0.0}


def test_a_seed_is_of_both():
    assert [part["random_state"] for part in oddity(random_state=3)] == [3, 3]


@pytest.mark.parametrize("name", ["sigma", "data_dim", "checkpoint"])
def test_other_names_are_refused(name):
    with pytest.raises(InvalidParameterError, match=f"`changes` must be one of .*'{name}'"):
        oddity(**{name: 1})


def test_the_noise_of_the_first_stage_is_what_the_walls_start_from():
    X = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
    model, training = oddity(n_centers=4, epochs=1)
    vae = VAE(5, **model).fit(X, progress=False, **training)
    far = vae.decoder(torch.tensor([1e4, 0.0])).stddev
    assert torch.allclose(far, torch.tensor(1000 * 0.02))
