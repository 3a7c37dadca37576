"""The laws find wrong derivatives, and leave right ones alone."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pullback.models.decoding.door import probes
from pullback.models.decoding.laws import broken_laws, is_rough_copy

SLOPE = "J v is the slope"
FORWARD = "the second derivative, forward over forward, is the slope of J v"
CODES = torch.sin(torch.arange(80.0, dtype=torch.float64) ** 2).reshape(40, 2)


def network(make, *, gain=1.0, n_layers=2):
    torch.manual_seed(0)
    sizes = [2, *[48] * n_layers]
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in layers:
        layer.weight.data *= gain
    hidden = [part for layer in layers for part in (layer, make())]
    return nn.Sequential(*hidden, nn.Linear(48, 6)).double()


def rows(z):
    return torch.sin(torch.cat([z, 2 * z], -1) + 1).unflatten(-1, (2, 2))


class OffByTenth(torch.autograd.Function):
    """sin, whose second derivative is said to be 0.9 of what it is."""

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
        return gradient * (0.9 * ctx.saved_tensors[0].cos() + 0.1)

    @staticmethod
    def jvp(ctx, tangent):
        return tangent * (0.9 * ctx.saved_tensors[0].cos() + 0.1)


@pytest.mark.parametrize(
    ("f", "law"),
    [
        (lambda z: torch.cat([z, z.detach() ** 2], -1), SLOPE),
        (lambda z: torch.where(z > 0, z, z * z.detach()), SLOPE),
        (lambda z: z + ((3 * z).round() - 3 * z).detach(), SLOPE),
        (OffByTenth.apply, SLOPE),
        (lambda z: 1e5 + 1e-3 * (z + 0.1 * z.detach()), SLOPE),
        (lambda z: torch.logcumsumexp(300 * torch.cat([z, z**2], -1), -1), SLOPE),
        (lambda z: z + (z - z.detach()).square() * z.detach(), FORWARD),
        (lambda z: torch.linalg.det(rows(z)).unsqueeze(-1), FORWARD),
        (lambda z: torch.linalg.solve(rows(z), torch.ones_like(z)), FORWARD),
        (lambda z: torch.layer_norm(torch.cat([z, z**2], -1), (4,)), FORWARD),
    ],
)
def test_a_wrong_derivative_is_found(f, law):
    assert broken_laws(f, probes(torch.zeros(2).double(), 8))[0].law == law


def test_a_wrong_derivative_beside_kinks_is_found():
    relu = network(nn.ReLU)
    z = probes(torch.zeros(2).double(), 8)
    (first, *_) = broken_laws(lambda z: relu(z) + 0.05 * z.detach().sum(-1, keepdim=True), z)
    assert first.law == SLOPE


def bumps(width):
    def f(z):
        near = torch.exp(-(z.unsqueeze(-2) - CODES).square().sum(-1) / (2 * width**2))
        return torch.cat([z, (near @ CODES.square() + 1e-6) ** -0.5], -1)

    return f


RIGHT = {
    **{make.__name__: network(make) for make in (nn.ReLU, nn.ELU, nn.Hardtanh, nn.GELU)},
    "deep relu": network(nn.ReLU, n_layers=5, gain=2),
    "walls": network(nn.Tanh, gain=100, n_layers=1),
    "deep walls": network(nn.Tanh, gain=10, n_layers=3),
    **{f"bumps of {width}": bumps(width) for width in (0.3, 0.02, 0.002)},
    "large": lambda z: 1e6 * torch.tanh(z @ CODES[:2]),
    "small": lambda z: 1e-6 * torch.tanh(z @ CODES[:2]),
    "far away": lambda z: 1e6 + torch.tanh(z @ CODES[:2]),
    "rounded": lambda z: torch.tanh(z @ CODES[:2]).float().double(),
    "cancelling": lambda z: (1e8 + torch.tanh(z @ CODES[:2])) - 1e8,
    "fast": lambda z: torch.sin(500 * z),
    "linear": lambda z: z @ CODES[:2],
    "saturated": lambda z: torch.softmax(300 * z @ CODES[:2], -1),
    "tail": lambda z: torch.log(1 + torch.exp(40 * z)),
    "unit": lambda z: z / z.norm(dim=-1, keepdim=True),
    "jump": lambda z: torch.where(z > 0, z**2 + 1, z.sin()),
    "largest": lambda z: (z @ CODES.T).amax(-1, keepdim=True),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_derivative_is_left_alone(name):
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(8, 2, generator=generator, dtype=torch.float64)
        assert broken_laws(RIGHT[name], z) == []


@pytest.mark.parametrize("spread", [1e-6, 1e6])
def test_the_unit_of_the_latent_space_does_not_matter(spread):
    z = spread * probes(torch.zeros(2).double(), 8)
    assert broken_laws(lambda z: torch.tanh(z / spread), z, spread=spread) == []
    (first, *_) = broken_laws(
        lambda z: torch.tanh(z.detach() / spread) + z / spread, z, spread=spread
    )
    assert first.law == SLOPE


def test_single_precision_is_judged_by_its_own_rounding():
    z = probes(torch.zeros(2), 8)
    assert broken_laws(lambda z: F.gelu(z) + 100, z) == []
    assert broken_laws(lambda z: z * z.detach(), z)[0].law == SLOPE


def test_a_rough_copy_may_round_but_not_be_wrong():
    z = probes(torch.zeros(2).double(), 4)
    assert is_rough_copy(torch.tanh, torch.tanh, z)
    assert not is_rough_copy(lambda z: torch.tanh(1.2 * z), torch.tanh, z)
    assert not is_rough_copy(lambda z: torch.tanh(z.double()), torch.tanh, z)
    assert not is_rough_copy(lambda z: torch.tanh(z) * torch.nan, torch.tanh, z)
