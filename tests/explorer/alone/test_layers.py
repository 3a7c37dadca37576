import math

import numpy as np
import pytest
import torch
from torch import nn

from pullback.errors import InvalidParameterError

IMAGE = (3, 4, 5)


class Own(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def networks():
    """A network for each kind of layer, in evaluation mode."""
    torch.manual_seed(0)
    plain = [
        nn.Tanh(),
        nn.Sigmoid(),
        nn.Softplus(),
        nn.Softplus(beta=3.0, threshold=2.0),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.ReLU(),
        nn.LeakyReLU(0.2),
        nn.ELU(0.7),
        nn.LayerNorm(7),
        nn.LayerNorm(7, elementwise_affine=False),
        nn.BatchNorm1d(7),
        nn.Dropout(0.5),
        nn.Identity(),
    ]
    made = [nn.Sequential(nn.Linear(2, 7), layer, nn.Linear(7, 3, bias=False)) for layer in plain]
    for network in made:
        network[0].weight.data *= 4  # far out, where functions differ
    norm = made[12][1]
    norm.running_mean, norm.running_var = torch.randn(7), torch.rand(7) + 0.5
    norm.weight.data, norm.bias.data = torch.randn(7), torch.randn(7)
    stem = [nn.Linear(2, math.prod(IMAGE)), nn.Unflatten(1, IMAGE)]
    convolutions = [
        nn.Conv2d(3, 2, (3, 2), (2, 1), (1, 0)),
        nn.ConvTranspose2d(3, 2, (3, 4), (2, 3), (1, 2), (1, 0)),
        nn.ConvTranspose2d(3, 1, 3, bias=False),
    ]
    made += [nn.Sequential(*stem, layer, nn.Tanh(), nn.Flatten()) for layer in convolutions]
    made.append(nn.Sequential(nn.Sequential(nn.Linear(2, 5), nn.Tanh()), nn.Linear(5, 5)))
    return [network.double().eval() for network in made]


@pytest.mark.slow
def test_every_layer_gives_what_torch_gives(decode):
    from pullback.explorer.alone.layers import inlined, packed

    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(1)).double()
    unit = {"scale": packed([1.0]), "center": packed([0.0])}
    models = []
    for network in networks():
        layers, shape = inlined(network, (2,))
        assert shape == network(z).shape[1:]
        models.append({"layers": layers, "family": {"name": "point"}, "unit": unit})
    for network, found in zip(networks(), decode(models, z.tolist()), strict=True):
        truth = network(z).detach().numpy()
        np.testing.assert_allclose(found[0], truth.ravel(), rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_the_decoders_of_both_architectures_give_what_torch_gives(decode):
    from pullback.explorer.alone.layers import inlined, packed
    from pullback.models import ConvolutionalDecoder, mlp

    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).double()
    unit = {"scale": packed([1.0]), "center": packed([0.0])}
    torch.manual_seed(0)
    made = [
        mlp([2, 8, 6], activation="softplus"),
        ConvolutionalDecoder(2, (1, 7, 10), channels=(4, 3)),
        ConvolutionalDecoder(2, (2, 8, 8), channels=(4, 3), dense_units=6),
    ]
    made = [network.double() for network in made]
    models = [
        {"layers": inlined(network, (2,))[0], "family": {"name": "point"}, "unit": unit}
        for network in made
    ]
    for network, found in zip(made, decode(models, z.tolist()), strict=True):
        truth = network(z).detach().numpy()
        np.testing.assert_allclose(found[0], truth.ravel(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Softmax(-1), "a Softmax (layer `1`)"),
        (Own(4, 4), "a Own (layer `1`)"),
        (nn.Sequential(nn.Tanh(), nn.PReLU()), "a PReLU (layer `1.1`)"),
        (nn.Linear(5, 4), "a Linear of 5 features for a (4,) array (layer `1`)"),
        (nn.LayerNorm(3), "a LayerNorm of another shape than (4,) (layer `1`)"),
        (nn.BatchNorm1d(4, track_running_stats=False), "a BatchNorm1d without running means"),
        (nn.Flatten(0), "a Flatten of some dimensions"),
        (nn.Unflatten(1, (3,)), "an Unflatten of other sizes"),
        (nn.Conv2d(4, 1, 1), "of no image (layer `1`)"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(layer, said):
    from pullback.explorer.alone.layers import inlined

    with pytest.raises(InvalidParameterError) as told:
        inlined(nn.Sequential(nn.Linear(2, 4), layer).eval(), (2,))
    assert said in str(told.value)
    assert "`pullback explore` shows every decoder" in str(told.value)


def test_a_layer_with_a_hook_is_refused():
    from pullback.explorer.alone.layers import inlined

    network = nn.Sequential(nn.Linear(2, 4))
    network[0].register_forward_hook(lambda layer, x, y: 2 * y)
    with pytest.raises(InvalidParameterError, match="a Linear with a hook"):
        inlined(network, (2,))


def test_numbers_are_in_single_precision_where_that_keeps_them():
    from pullback.explorer.alone.layers import packed

    weights = torch.randn(5, generator=torch.Generator().manual_seed(0))
    assert packed(weights.double())["kind"] == "<f4"
    assert packed(weights.double() / 3)["kind"] == "<f8"
