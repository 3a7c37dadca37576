"""The laws of decoders find what breaks them, by name."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from pullback.errors import InvalidDataError
from pullback.models import VAE, Decoder
from pullback.testing import check_decoder


@pytest.mark.parametrize(
    "layer",
    [
        nn.Tanh(),
        nn.SiLU(),
        nn.Mish(),
        nn.GELU(),
        nn.LayerNorm(8),
        nn.BatchNorm1d(8).eval(),
        nn.Softmax(-1),
    ],
)
def test_smooth_decoders_obey(layer):
    torch.manual_seed(0)
    check_decoder(nn.Sequential(nn.Linear(2, 8), layer, nn.Linear(8, 5)), dim=2)


@pytest.mark.slow
def test_a_trained_kind_of_decoder_obeys():
    check_decoder(VAE(6, 2, std="network").decoder)
    check_decoder(Decoder(nn.Linear(3, 4), "bernoulli"))
    check_decoder(lambda z: Independent(Normal(z.sin(), 1 + z.square()), 1), dim=3)


class WrongDerivative(torch.autograd.Function):
    """sin, whose derivative is said to be 0.9 cos."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, gradient):
        return 0.9 * gradient * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx, tangent):
        return 0.9 * tangent * ctx.saved_tensors[0].cos()


@pytest.mark.parametrize(
    ("decoder", "law"),
    [
        (WrongDerivative.apply, "J v is the slope"),
        (lambda z: z.abs() * z.detach().abs(), "J v is the slope"),
        (lambda z: torch.nn.functional.layer_norm(torch.cat([z, z**2], -1), (4,)), None),
        (
            lambda z: z + (z - z.detach()).square() * z.detach(),
            "second derivative, forward over forward",
        ),
    ],
)
def test_a_law_that_is_broken_is_named(decoder, law):
    if law is None:  # the wrong derivative of PyTorch is mended at the door
        check_decoder(decoder, dim=2)
        return
    with pytest.raises(AssertionError, match=law):
        check_decoder(decoder, dim=2)


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo):
        return self  # so that the package works on the caller's own


def test_a_module_that_changes_is_found():
    with pytest.raises(AssertionError, match="stays as it was"):
        check_decoder(Uncopied(2, 3), dim=2)


def test_what_does_not_pass_the_door_says_why():
    with pytest.raises(InvalidDataError, match="each point on its own"):
        check_decoder(lambda z: z - z.mean(0), dim=2)
