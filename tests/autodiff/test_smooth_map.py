"""Derivatives by jets are those of PyTorch's nested transforms, or PyTorch's serve."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

import pullback as pb
from pullback.autodiff import SmoothMap, second_order, transforms
from pullback.autodiff.jet import Jet, UnknownOperationError, expand
from pullback.autodiff.smooth_map import _second_order as by_jets
from pullback.metrics import PullbackMetric

D, N = 3, 7


def points(n: int = N, d: int = D, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.8 * torch.randn(n, d, dtype=torch.float64, generator=generator)


def matrix(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


W = matrix(D, 6)
IMAGES = matrix(6, 2 * 5 * 5, seed=2)
KERNEL, KERNEL_1D = matrix(4, 2, 3, 3, seed=3), matrix(4, 2, 3, seed=4)
BIAS, CENTERS, ROWS, TWO = matrix(4), matrix(8, D), matrix(N, 6), matrix(N, 2)
LAYER_NORM, GROUP_NORM = nn.LayerNorm(6).double(), nn.GroupNorm(2, 4).double()
BATCH_NORM, BY_BATCH = nn.BatchNorm1d(6).double().eval(), nn.BatchNorm1d(6).double()
for module in (LAYER_NORM, GROUP_NORM, BATCH_NORM, BY_BATCH):
    module.requires_grad_(False)
BATCH_NORM.running_mean, BATCH_NORM.running_var = matrix(6), matrix(6).exp()


def image_of(z: torch.Tensor) -> torch.Tensor:
    return (torch.tanh(z @ W) @ IMAGES).reshape(-1, 2, 5, 5)


def positive(z: torch.Tensor) -> torch.Tensor:
    return torch.exp(z @ W) + 0.1


HELD = {
    "tanh": lambda z: torch.tanh(z @ W),
    "sigmoid": lambda z: (z @ W).sigmoid(),
    "exp, expm1": lambda z: torch.exp(z @ W) + torch.expm1(z @ W),
    "log, log1p": lambda z: positive(z).log() + torch.log1p(positive(z)),
    "sqrt, rsqrt, reciprocal": lambda z: positive(z).sqrt() + positive(z).rsqrt() + 1 / positive(z),
    "square, powers": lambda z: (z @ W).square() + positive(z) ** 2.5 + torch.pow(z @ W, 3),
    "sin, cos": lambda z: torch.sin(z @ W) * torch.cos(z @ W),
    "erf, atan, asin": lambda z: torch.erf(z @ W)[:, :D] + z.atan() + torch.asin(z.tanh() / 2),
    "softplus": lambda z: F.softplus(z @ W) + F.softplus(z @ W, beta=3.0, threshold=2.0),
    "log-sigmoid": lambda z: F.logsigmoid(z @ W),
    "silu, mish": lambda z: F.silu(z @ W) - F.mish(z @ W),
    "gelu": lambda z: F.gelu(z @ W) + F.gelu(2 * z @ W, approximate="tanh"),
    "relu, leaky, elu": lambda z: F.relu(z @ W) + F.leaky_relu(z @ W, 0.2) + F.elu(z @ W, 1.5),
    "quotients": lambda z: (z @ W) / positive(z) + W[0] / positive(z) + 1 / (2 + z @ W).square(),
    "broadcast quotients": lambda z: (z @ W) / (1 + z[:, :1].square()) - z[:, 1:2] / positive(z),
    "negative, differences": lambda z: -(z @ W) - (1 - z @ W) - torch.sub(z @ W, z @ W, alpha=2),
    "constants first": lambda z: torch.add(W[0], z @ W, alpha=3) + W[1] / positive(z),
    "products": lambda z: (z @ W) * positive(z) * W[0] * ROWS / (1 + positive(z)),
    "broadcast columns": lambda z: (z @ W) * z[:, :1].exp() + z[:, 1:2] * W[0],
    "linear": lambda z: F.linear(torch.tanh(F.linear(z, W.T, W[0])), IMAGES.T),
    "convolution": lambda z: F.conv2d(image_of(z), KERNEL, BIAS, padding=1).flatten(1),
    "upward convolution": lambda z: (
        F.conv_transpose2d(image_of(z).tanh(), KERNEL.transpose(0, 1), BIAS, stride=2).flatten(1)
    ),
    "convolution of a line": lambda z: (
        F.conv1d(image_of(z).flatten(2), KERNEL_1D).tanh().flatten(1)
    ),
    "kernels": lambda z: torch.exp(-(z.unsqueeze(-2) - CENTERS).square().sum(-1)),
    "means": lambda z: image_of(z).square().mean((2, 3)),
    "columns and slices": lambda z: torch.stack([z[..., 0], z[:, 1] * z[..., 2]], 1)[:, ::2].exp(),
    "join and part": lambda z: torch.cat([p.exp() for p in (z @ W).chunk(2, -1)] + [z], -1),
    "join constants": lambda z: torch.cat([z.sin(), TWO], 1),
    "order of axes": lambda z: image_of(z).permute(0, 2, 3, 1).transpose(1, 3).tanh().flatten(1),
    "new axes": lambda z: image_of(z).unsqueeze(2).tanh().squeeze(2).reshape(N, -1),
    "where": lambda z: torch.where(z @ W < 0.3, torch.exp(z @ W), 0.0),
    "clamp": lambda z: torch.clamp(z @ W, min=-0.5, max=0.7).sin(),
    "softmax": lambda z: torch.softmax(z @ W, -1) + F.log_softmax(z @ W, dim=-1),
    "layer norm": lambda z: LAYER_NORM(torch.tanh(z @ W)),
    "group norm": lambda z: GROUP_NORM(F.conv2d(image_of(z), KERNEL)).flatten(1),
    "batch norm": lambda z: BATCH_NORM(z @ W).tanh(),
    "dropout": lambda z: nn.Dropout(0.5).eval()(z @ W).tanh(),
    "a gaussian": lambda z: pb.metrics.immersion(Independent(Normal(z @ W, positive(z)), 1)),
    "a bernoulli": lambda z: pb.metrics.immersion(
        Independent(Bernoulli(logits=z @ W, validate_args=False), 1)
    ),
}  # fmt: skip

REFUSED = {
    "rows that are moved": lambda z: (z @ W).flip(0).exp(),
    "rows that are mixed": lambda z: W.T @ z.T @ z,
    "rows that are summed": lambda z: z @ W + (z @ W).sum(0),
    "rows that are chosen": lambda z: (z @ W)[torch.arange(N - 1, -1, -1)],
    "rows as columns": lambda z: z.reshape(D, -1).exp().reshape(N, D),
    "turned over": lambda z: (z @ matrix(D, N)).transpose(0, 1).exp(),
    "normed by the batch": lambda z: BY_BATCH(z @ W),
    "in place": lambda z: F.silu(z @ W, inplace=True),
    "another precision": lambda z: (z @ W).float().double(),
    "without a rule": lambda z: torch.digamma(positive(z)),
    "NumPy": lambda z: torch.from_numpy((z @ W).detach().numpy()),
    "a constant": lambda z: matrix(N, 2),
}


def by_formulas(f):
    """PyTorch's own second derivatives of some operations are wrong, or missing."""

    def smooth(z: torch.Tensor) -> torch.Tensor:
        with pb.autodiff.decomposed():
            return f(z)

    return smooth


@pytest.mark.parametrize("name", HELD)
def test_an_operation_goes_by_its_rule(name):
    f, z = HELD[name], points()
    r = matrix(*f(z).shape, seed=9)
    with torch.no_grad():
        found = by_jets(f, z, r)
    truth = second_order(by_formulas(f), z, r)
    for part, of_jets, of_torch in zip(truth._fields, found, truth, strict=True):
        assert of_jets.shape == of_torch.shape, part
        scale = float(of_torch.abs().max())
        assert float((of_jets - of_torch).abs().max()) <= 1e-12 * scale, part


def test_a_quotient_that_hardly_changes_is_not_rounded():
    """(|z|^2 - 1) / (|z|^2 + 1) far out, where both are one number: the derivative is none."""
    z = torch.tensor([[2e24, 1e24, -1e24]]).double()
    with torch.no_grad():
        jet = expand(height, z, torch.eye(D).double().expand(1, D, D))
    assert not jet.tangents.any()


def height(z):
    squared = z.square().sum(-1, keepdim=True)
    return (squared - 1) / (squared + 1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_left_to_pytorch(name):
    z = points()
    with torch.no_grad(), pytest.raises(UnknownOperationError):
        expand(REFUSED[name], z, torch.eye(D).double().expand(N, D, D))


LAYERS = [nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.SiLU(), nn.GELU(), nn.ELU(), nn.LayerNorm(8)]


@settings(max_examples=15, deadline=None)
@given(
    chosen=st.lists(st.integers(0, len(LAYERS) - 1), min_size=1, max_size=4),
    d=st.integers(1, 5),
    n=st.integers(1, 4),
    seed=st.integers(0, 2**20),
)
def test_networks_of_any_layers(chosen, d, n, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Linear(d, 8)]
        for k in chosen:
            layers += [LAYERS[k], nn.Linear(8, 8)]
    network = nn.Sequential(*layers).double().eval().requires_grad_(False)
    z, r = points(n, d, seed), matrix(n, 8, seed=seed)
    with torch.no_grad():
        found = by_jets(network, z, r)
    for of_jets, of_torch in zip(found, second_order(by_formulas(network), z, r), strict=True):
        torch.testing.assert_close(of_jets, of_torch, rtol=1e-9, atol=1e-9)


def test_points_in_any_shape():
    f, z = SmoothMap(HELD["kernels"]), points(12).reshape(2, 6, D)
    with torch.no_grad():
        at, flat = (
            f.second_order(z, torch.ones(2, 6, 8).double()),
            second_order(f.f, z.reshape(-1, D), torch.ones(12, 8).double()),
        )
        v = torch.tensor([1.0, 0.0, -1.0]).double()
        pushed = f.jvp(z, v.expand(2, 6, 3))[1]
    torch.testing.assert_close(at.hessian, flat.hessian.reshape(2, 6, D, D))
    torch.testing.assert_close(at.jacobian, flat.jacobian.reshape(2, 6, 8, D))
    torch.testing.assert_close(pushed, at.jacobian[..., 0] - at.jacobian[..., 2])


@pytest.mark.parametrize("name", ["kernels", "tanh", "upward convolution", "softmax", "quotients"])
def test_the_bend_is_that_of_nested_differences(name):
    f, z, v = SmoothMap(HELD[name]), points(), matrix(N, D, seed=5)
    with torch.no_grad():
        J, bend = f.bend(z, v)
        assert f._has_rules is not None
        h = 1e-4
        second = (f(z + h * v) - 2 * f(z) + f(z - h * v)) / h**2
    truth = (J.mT @ second.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(bend, truth, rtol=1e-5, atol=1e-5 * float(truth.abs().max()))


def test_a_map_that_lies_about_its_slope_is_left_to_pytorch():
    class Lie(torch.autograd.Function):
        """A function whose derivative is another's: whoever registers it means that one."""

        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x.clone()

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return 2 * g

        @staticmethod
        def jvp(ctx, t):
            return 2 * t

    f, z = SmoothMap(lambda z: Lie.apply(z)), points()
    with torch.no_grad():
        _, J = f.jacobian(z)
    assert f._has_rules is False
    torch.testing.assert_close(J, 2 * torch.eye(D).double().expand(N, D, D))


def test_a_wrong_rule_is_found_at_the_first_question(monkeypatch):
    good = Jet.rules[torch.tanh]
    monkeypatch.setitem(
        Jet.rules,
        torch.tanh,
        lambda f, a, k: (jet := good(f, a, k)).then(jet.value, 2 * jet.tangents),
    )
    f, z = SmoothMap(torch.tanh), points()
    with torch.no_grad():
        _, J = f.jacobian(z)
    assert f._has_rules is False
    torch.testing.assert_close(J.diagonal(dim1=-2, dim2=-1), 1 - z.tanh().square())


def test_where_the_map_has_no_values_nothing_is_decided():
    f = SmoothMap(lambda z: z.log())
    with torch.no_grad():
        assert bool(f.jacobian(-points().abs())[0].isnan().all())
        assert f._has_rules is None
        f.jacobian(points().abs() + 0.1)
        assert f._has_rules is True
        at = f.second_order(-points().abs(), points())
    assert bool(at.value.isnan().all())


def test_derivatives_of_derivatives_reach_through():
    f, z = SmoothMap(HELD["tanh"]), points()
    with torch.no_grad():
        f.jacobian(z)
        assert f._has_rules
        _, bend = transforms.jvp(
            lambda z: f.jvp(z, z.new_ones(D).expand_as(z))[1], z, torch.ones_like(z)
        )
    of_torch = second_order(f.f, z, torch.ones(N, 6).double()).hessian.sum((-1, -2))
    torch.testing.assert_close(bend.sum(-1), of_torch)
    leaf = z.clone().requires_grad_()
    f.jacobian(leaf)[1].sum().backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.abs().sum() > 0)


def test_to_ask_changes_nothing_that_is_kept():
    f = SmoothMap(torch.sin)
    before = pickle.dumps(f)
    with torch.no_grad():
        _, J = f.jacobian(points())
    assert f._has_rules
    assert pickle.dumps(f) == before
    with torch.no_grad():
        assert torch.equal(pickle.loads(before).jacobian(points())[1], J)


def test_the_metric_of_a_vae_goes_by_jets_with_a_third_of_the_work():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 40), nn.Sigmoid())
    metric = PullbackMetric.from_decoder(network, dim=2)
    rows = []
    metric.decoder[-1].register_forward_hook(lambda module, args, out: rows.append(type(out)))
    z = points(5, 2)
    with torch.no_grad():
        M = metric.metric_matrix(z)
        rows.clear()
        metric.metric_matrix(z)
    assert len(rows) == 1, "one evaluation gives values and all tangents"
    _, J = transforms.jacobian(metric.immersion, z)
    torch.testing.assert_close(M, J.mT @ J)
