import warnings

import pytest
import torch
from torch import nn

from pullback.errors import InvalidParameterError, SmoothnessWarning
from pullback.models import ConvolutionalDecoder, ConvolutionalEncoder, activation, mlp


@pytest.mark.parametrize("name", ["tanh", "softplus", "silu", "gelu"])
def test_smooth_activations_have_a_second_derivative_without_jumps(name):
    function = activation(name)
    t = torch.linspace(-1, 1, 4001, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(function(t).sum(), t, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), t)
    assert second.abs().max() > 0.1
    assert second.diff().abs().max() < 1e-2


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_kinked_activations_warn_and_name_the_consequence(name):
    with pytest.warns(SmoothnessWarning, match=r"second derivative is zero.*geodesics get kinks"):
        activation(name)
    with pytest.warns(SmoothnessWarning):
        mlp([2, 4, 3], activation=name)


def test_unknown_activation_lists_the_known():
    with pytest.raises(InvalidParameterError, match=r"`activation` must be one of .*'tanh'"):
        activation("swoosh")


def test_mlp_is_what_it_says():
    network = mlp([2, 5, 3])
    first, _, last = network
    z = torch.randn(4, 6, 2)
    by_hand = torch.tanh(z @ first.weight.T + first.bias) @ last.weight.T + last.bias
    assert torch.allclose(network(z), by_hand, atol=1e-6)
    assert not any(isinstance(module, nn.Tanh) for module in mlp([2, 3]))


@pytest.mark.parametrize("sizes", [[3], [], [2, 0, 3]])
def test_mlp_refuses_bad_sizes(sizes):
    with pytest.raises(InvalidParameterError, match="`sizes`"):
        mlp(sizes)


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 7, 10), (1, 1, 5), (2, 9, 9)])
def test_convolutional_networks_fit_any_image(image_shape):
    channels, height, width = image_shape
    data_dim = channels * height * width
    encoder = ConvolutionalEncoder(image_shape, 4, channels=(3, 5, 2))
    decoder = ConvolutionalDecoder(2, image_shape, channels=(2, 5, 3))
    assert encoder(torch.zeros(2, 3, data_dim)).shape == (2, 3, 4)
    assert decoder(torch.zeros(2, 3, 2)).shape == (2, 3, data_dim)
    assert decoder(torch.zeros(2)).shape == (data_dim,)


def test_convolutional_batch_equals_loop():
    encoder = ConvolutionalEncoder((1, 8, 8), 4).double()
    decoder = ConvolutionalDecoder(2, (1, 8, 8)).double()
    x = torch.randn(3, 2, 64, dtype=torch.float64)
    z = torch.randn(3, 2, 2, dtype=torch.float64)
    for network, batch in ((encoder, x), (decoder, z)):
        loop = torch.stack([torch.stack([network(row) for row in rows]) for rows in batch])
        assert torch.allclose(network(batch), loop)


def test_convolution_sees_neighbouring_pixels():
    """The flattened image is read row by row: moving a pixel moves its response."""
    encoder = ConvolutionalEncoder((1, 8, 8), 4, channels=(2,)).double()
    image = torch.zeros(8, 8, dtype=torch.float64)
    image[2, 2] = 1.0
    moved = image.roll(2, dims=1)
    response = encoder.convolutions(image.reshape(1, 1, 8, 8))
    expected = response.roll(1, dims=-1)[..., 1:-1]
    found = encoder.convolutions(moved.reshape(1, 1, 8, 8))[..., 1:-1]
    assert torch.allclose(found[..., 1:, :], expected[..., 1:, :])


@pytest.mark.parametrize("image_shape", [(28, 28), (1, 0, 4)])
def test_bad_image_shapes_are_refused(image_shape):
    with pytest.raises(InvalidParameterError, match="`image_shape`"):
        ConvolutionalEncoder(image_shape, 4)


def test_smooth_networks_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlp([2, 4, 3])


@pytest.mark.parametrize("dense_units", [None, 7])
def test_a_dense_layer_lets_images_change_in_more_directions(dense_units):
    """Images of 50 codes span 2 directions before the first activation without it, 7 with it."""
    decoder = ConvolutionalDecoder(2, (1, 8, 8), channels=(4, 3), dense_units=dense_units).double()
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        features = decoder.stem(z)
    rank = torch.linalg.matrix_rank(features - features.mean(0), rtol=1e-9)
    assert int(rank) == (2 if dense_units is None else 7)
    encoder = ConvolutionalEncoder((1, 8, 8), 4, dense_units=dense_units).double()
    assert encoder(decoder(z)).shape == (50, 4)
