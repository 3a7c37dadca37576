import pytest
import torch
from torch import nn
from torch.func import jacrev, jvp, vmap

from pullback.errors import InvalidParameterError
from pullback.models import (
    BernoulliLikelihood,
    ConstantStd,
    ConvolutionalDecoder,
    Decoder,
    GaussianEncoder,
    NetworkStd,
    NormalLikelihood,
    RBFPrecision,
    mlp,
)


def rbf(latent_dim, data_dim):
    centers = torch.randn(6, latent_dim)
    return RBFPrecision(centers, torch.full((6,), 0.3), torch.rand(data_dim, 6) + 0.1, 1e-2)


DECODERS = {
    "mlp, rbf": lambda: Decoder(mlp([2, 8, 16]), NormalLikelihood(rbf(2, 16))),
    "mlp, network": lambda: Decoder(
        mlp([3, 8, 16], activation="softplus"), NormalLikelihood(NetworkStd(mlp([3, 8, 16])))
    ),
    "convolutional": lambda: Decoder(
        ConvolutionalDecoder(2, (1, 4, 4), channels=(4, 3)), NormalLikelihood(rbf(2, 16))
    ),
    "bernoulli": lambda: Decoder(mlp([1, 8, 16], activation="silu"), BernoulliLikelihood()),
    "d = 8": lambda: Decoder(mlp([8, 8, 16], activation="gelu"), NormalLikelihood(rbf(8, 16))),
}


@pytest.fixture(params=DECODERS)
def decoder(request):
    return DECODERS[request.param]().double()


def moments(decoder):
    def both(z):
        distribution = decoder(z)
        return torch.cat([distribution.mean, distribution.stddev], -1)

    return both


@pytest.mark.slow
def test_vmap_of_jvp_is_the_jacobian(decoder):
    z = torch.randn(5, decoder.latent_dim, dtype=torch.float64)
    u = torch.randn_like(z)
    pushed = vmap(lambda p, t: jvp(moments(decoder), (p,), (t,))[1])(z, u)
    for point, tangent, image in zip(z, u, pushed, strict=True):
        assert torch.allclose(jacrev(moments(decoder))(point) @ tangent, image, rtol=1e-9)


def test_jvp_of_jvp_agrees_with_differences(decoder):
    z = torch.randn(4, decoder.latent_dim, dtype=torch.float64)
    u = torch.randn_like(z)

    def first(point):
        return jvp(moments(decoder), (point,), (u,))[1]

    second, step = jvp(first, (z,), (u,))[1], 1e-5
    differences = (first(z + step * u) - first(z - step * u)) / (2 * step)
    assert torch.allclose(second, differences, rtol=1e-5, atol=1e-8)


def test_vmap_of_jvp_of_jvp_equals_the_batched_one(decoder):
    z = torch.randn(4, decoder.latent_dim, dtype=torch.float64)
    u = torch.randn_like(z)

    def second(point, tangent):
        return jvp(lambda p: jvp(moments(decoder), (p,), (tangent,))[1], (point,), (tangent,))[1]

    assert torch.allclose(vmap(second)(z, u), second(z, u), rtol=1e-9)


def test_batch_equals_loop(decoder):
    z = torch.randn(2, 3, decoder.latent_dim, dtype=torch.float64)
    batch = decoder(z)
    assert batch.batch_shape == (2, 3)
    assert batch.event_shape == (decoder.data_dim,) == (16,)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(decoder(z[i, j]).mean, batch.mean[i, j])
            assert torch.allclose(decoder(z[i, j]).stddev, batch.stddev[i, j])


def test_a_network_without_linear_layers_needs_its_latent_dimension():
    likelihood = NormalLikelihood(ConstantStd(3, 0.1))
    with pytest.raises(InvalidParameterError, match="`latent_dim` must be given"):
        Decoder(nn.Identity(), likelihood)
    assert Decoder(nn.Identity(), likelihood, latent_dim=3).data_dim == 3


def test_looking_at_the_dimensions_moves_no_running_statistics():
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    decoder = Decoder(network, BernoulliLikelihood(), check=False)
    assert int(network[1].num_batches_tracked) == 0
    assert decoder.training


def test_encoder_scale_is_positive_and_smooth_wherever_its_network_goes():
    encoder = GaussianEncoder(mlp([1, 2]), 1).double()
    network = encoder.network[0]
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.0], [1.0]]))
        network.bias.zero_()
    x = torch.linspace(-80, 80, 1001, dtype=torch.float64)[:, None]
    scale = encoder(x).stddev
    assert (scale >= 1e-4).all()
    assert torch.allclose(scale[-1], x[-1] + 1e-4)


def test_encoder_names_a_network_of_the_wrong_size():
    with pytest.raises(InvalidParameterError, match="`network` must be a network with 2"):
        GaussianEncoder(mlp([5, 3]), 2)(torch.zeros(1, 5))
