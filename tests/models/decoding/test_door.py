"""What a decoder must be, and that every kind of layer is differentiated as it should."""

import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
)

from pullback import Manifold
from pullback.autodiff import jvp, second_order
from pullback.errors import InvalidDataError, InvalidParameterError, SmoothnessWarning
from pullback.models import Decoder
from pullback.models.decoding.door import check_map
from pullback.models.decoding.output import flatten_output, map_output
from pullback.models.decoding.preparation import prepare_decoder
from pullback.models.likelihoods.readings import READINGS

from .door_models import MODELS


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(1)
    model = MODELS[request.param]()
    for module in model.modules():  # so that nothing is at rest
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def test_second_derivatives_are_those_of_finite_differences(model):
    decoder = prepare_decoder(model, dim=2)

    def image(z):
        return flatten_output(decoder(z))

    z, v = torch.randn(2, 5, 2, dtype=torch.float64)
    with torch.no_grad():
        r = torch.randn_like(image(z))
        step = 1e-4
        ends = [jvp(image, z + s * step * v, v)[1] for s in (1, -1)]
        bend = (ends[0] - ends[1]) / (2 * step)
        tolerance = 1e-5 * bend.abs().max() + 1e-7
        assert (jvp(lambda z: jvp(image, z, v)[1], z, v)[1] - bend).abs().max() < tolerance
        hessian = second_order(image, z, r).hessian
        along = torch.einsum("bi,bij,bj->b", v, hessian, v)
        assert (along - (r * bend).sum(-1)).abs().max() < tolerance * r.abs().sum(-1).max()


@pytest.mark.slow
def test_every_kind_of_model_has_geodesics(model):
    decoder = Decoder(model, latent_dim=2)
    M = Manifold(decoder)
    a, b = torch.tensor([[-0.5, 0.2], [0.6, -0.3]], dtype=torch.float64)
    result = M.geodesic(a, b)
    assert bool(result.converged)
    assert result.lower_bound <= result.length <= result.straight_length * (1 + 1e-6)
    twin = prepare_decoder(model, dim=2)
    jacobian = torch.autograd.functional.jacobian(lambda z: flatten_output(twin(z[None]))[0], a)
    torch.testing.assert_close(M.metric_matrix(a), jacobian.T @ jacobian)


@pytest.mark.thorough
def test_a_formula_takes_the_place_of_silu_from_the_first_call_on():
    """In a process of its own: PyTorch warns of something else on its first forward derivative."""
    script = (
        "import torch, pullback as pb; from torch import nn; "
        "M = pb.Manifold(nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 5)), dim=2); "
        "print(bool(M.geodesic([0.0, 0.0], [1.0, 0.5]).converged))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout.strip() == "True", ended.stderr


@pytest.mark.slow
def test_a_method_of_a_model_decodes():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(5, 2), nn.Linear(2, 5)

        def decode(self, z):
            return {"reconstruction": torch.tanh(self.decoder(z)), "z": z}

    model = Model()
    decoder = Decoder(model.decode, output="reconstruction", latent_dim=2)
    assert decoder.data_dim == 5
    M = Manifold(decoder)
    J = torch.autograd.functional.jacobian(
        lambda z: torch.tanh(model.double().decoder(z)), torch.zeros(2, dtype=torch.float64)
    )
    torch.testing.assert_close(M.metric_matrix(torch.zeros(2)), J.T @ J)
    torch.testing.assert_close(
        Manifold(model.decode, dim=2).metric_matrix(torch.zeros(2)),
        J.T @ J + torch.eye(2, dtype=torch.float64),
    )
    with pytest.raises(InvalidParameterError, match="`latent_dim` must be given"):
        Decoder(model.decode)


class Conditional(nn.Module):
    """A decoder with a batch label and a library size, which answers with two tensors."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 4)
        self.network = nn.Linear(6, 7)

    def forward(self, z, label, *, size):
        h = torch.tanh(self.network(torch.cat([z, self.embedding(label)], -1)))
        return size * torch.softmax(h, -1), h.exp()


@pytest.mark.slow
def test_other_inputs_are_fixed_once():
    torch.manual_seed(0)
    model = Conditional()
    label, size = torch.tensor([2]), torch.tensor([[100.0]])

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, z):
            return self.model(z, label.expand(len(z)), size=size.to(z))

    z = torch.randn(4, 2)
    for inputs in ({"label": label, "size": size}, {"label": label.numpy(), "size": size.numpy()}):
        decoder = Decoder(model, inputs=inputs, latent_dim=2, likelihood="normal")
        torch.testing.assert_close(decoder(z).mean, Fixed()(z)[0])
        torch.testing.assert_close(decoder(z).stddev, Fixed()(z)[1])
        expected = Manifold(Decoder(Fixed(), "normal", latent_dim=2)).metric_matrix(z)
        torch.testing.assert_close(Manifold(decoder).metric_matrix(z), expected)
    listed = Decoder(model.forward, inputs={"label": label.numpy(), "size": size}, latent_dim=2)
    torch.testing.assert_close(listed(z)[0], Fixed()(z)[0])
    with pytest.raises(InvalidParameterError, match="`latent_dim` must be given"):
        Decoder(model, inputs={"label": label, "size": size})


@pytest.mark.parametrize(
    ("likelihood", "shape"),
    [("bernoulli", (3, 4, 4)), ("normal", (5,)), ("categorical", (6, 4)), ("poisson", (2, 2))],
)
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_events_and_batches_of_any_shape(likelihood, shape, batch):
    size = int(torch.tensor(shape).prod())
    network = nn.Sequential(nn.Linear(2, size), nn.Softplus(), nn.Unflatten(1, shape))
    decoder = Decoder(network, likelihood)
    assert decoder.data_dim == size
    p = decoder(torch.randn(*batch, 2))
    assert p.batch_shape == batch
    assert p.event_shape == shape


@pytest.mark.slow
def test_a_function_may_read_the_output():
    network = nn.Linear(2, 6)

    def likelihood(output):
        mean, log_std = output.chunk(2, -1)
        return Independent(Normal(mean, log_std.exp()), 1)

    M = Manifold(Decoder(network, likelihood))
    by_name = Decoder(
        network,
        "normal",
        output=lambda x: (x[..., :3], x[..., 3:].exp()),
    )
    z = torch.randn(3, 2)
    torch.testing.assert_close(M.metric_matrix(z), Manifold(by_name).metric_matrix(z))


@pytest.mark.parametrize("make", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Hardtanh])
def test_kinks_are_warned_of(make):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 64), make(), nn.Linear(64, 5))
    if make is nn.ELU:
        network[1] = nn.ELU(alpha=3.0)  # whose slope jumps; with 1 its second derivative does
    with pytest.warns(SmoothnessWarning, match="slope jumps"):
        Decoder(network)


@pytest.mark.parametrize("seed", range(10))
def test_a_few_kinks_are_found_too(seed):
    torch.manual_seed(seed)
    with pytest.warns(SmoothnessWarning, match="slope jumps"):
        Decoder(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 5)))


@pytest.mark.parametrize("kinked", [torch.abs, lambda z: z.norm(dim=-1, keepdim=True)])
def test_a_kink_at_the_origin_alone_is_found(kinked):
    with pytest.warns(SmoothnessWarning, match="norm at 0"):
        Decoder(lambda z: torch.cat([z, kinked(z)], -1), latent_dim=2)


@pytest.mark.slow
def test_smooth_walls_are_not_taken_for_kinks():
    from pullback.models import NormalLikelihood, RBFPrecision, mlp

    torch.manual_seed(0)
    rbf = RBFPrecision(torch.randn(40, 2), torch.full((40,), 60.0), torch.rand(5, 40) * 100, 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="`torch.jit.script")
        Decoder(mlp([2, 8, 5]), NormalLikelihood(rbf))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, z):
        h = self.layer(z)
        if h.sum().item() > 0:  # the line to be named
            return h
        return 2 * h


class ByNumpy(Branching):
    def forward(self, z):
        h = self.layer(z)
        return h * torch.as_tensor(h.detach().numpy())


def test_what_cannot_be_followed_is_named():
    with pytest.raises(InvalidDataError, match=r"detach\(\)\.numpy\(\).*torch\.where"):
        Decoder(ByNumpy())
    with pytest.raises(InvalidDataError, match=r"each point on its own.*torch\.where"):
        Decoder(Branching())


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(3)])
def test_training_mode_is_refused_where_it_matters(layer):
    model = nn.Sequential(nn.Linear(2, 3), layer)
    with pytest.raises(InvalidParameterError, match=r"evaluation mode.*eval\(\)"):
        Decoder(model)
    assert Decoder(model.eval()).data_dim == 3
    assert model.training is False


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"likelihood": "gauss"}, InvalidParameterError, "`likelihood` must be one of"),
        ({"likelihood": "gamma"}, InvalidDataError, r"needs a model that returns \(concentration"),
        ({"output": 1}, InvalidDataError, r"`output=1` must name a part.*Tensor"),
        ({"latent_dim": 3}, InvalidDataError, "cannot be evaluated.*right dimension"),
        ({"likelihood": lambda output: "no"}, InvalidDataError, "returned a str"),
    ],
)
def test_what_does_not_fit_is_said(kwargs, error, message):
    with pytest.raises(error, match=message):
        Decoder(nn.Linear(2, 3), **kwargs)


def test_an_output_that_is_not_there_is_named():
    class Two(nn.Linear):
        def forward(self, z):
            return {"mean": super().forward(z)}

    with pytest.raises(InvalidDataError, match=r"output='recon'.*keys \['mean'\]"):
        Decoder(Two(2, 3), output="recon")


def test_a_function_over_single_precision_is_told_what_to_do():
    layer = nn.Linear(2, 3)
    with pytest.raises(InvalidDataError, match=r"float64.*Give the module itself"):
        Manifold(lambda z: layer(z), dim=2)
    assert Manifold(lambda z: layer(z), dim=2, dtype=torch.float32).dim == 2


def test_outputs_are_built_again_of_their_parts():
    p = Independent(Bernoulli(logits=torch.randn(6, 4)), 1)
    _ = p.base_dist.probs  # what was asked for once lies beside what was given
    output = {"p": p, "rest": [torch.randn(6, 2)]}
    again = map_output(lambda x: x.reshape(2, 3, *x.shape[1:]), output)
    assert again["p"].batch_shape == (2, 3)
    torch.testing.assert_close(again["p"].base_dist.logits.flatten(0, 1), p.base_dist.logits)
    assert flatten_output(output).shape == (6, 6)


def test_the_check_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    check_map(torch.tanh, torch.zeros(2, dtype=torch.float64))
    assert torch.equal(before, torch.get_rng_state())


class Reading(nn.Module):
    """A smooth model that returns what a reading takes: n tensors, all positive or in (0, 1)."""

    def __init__(self, name):
        super().__init__()
        self.tensors = READINGS[name].tensors.split(" (")[0].count(",") + 1
        if "the classes last" in READINGS[name].tensors:
            self.tensors = 1
        self.layer = nn.Linear(2, 6 * self.tensors)
        self.triangular = "tril" in READINGS[name].tensors
        self.direction = "direction" in READINGS[name].tensors
        self.trials = "trials" in READINGS[name].tensors
        self.heavy_tailed = "freedom" in READINGS[name].tensors

    def forward(self, z):
        parts = torch.sigmoid(self.layer(z)).chunk(self.tensors, -1)
        if self.triangular:
            mean, diagonal = parts
            return mean, torch.diag_embed(diagonal)
        if self.direction:
            direction, concentration = parts
            return nn.functional.normalize(direction, dim=-1), concentration[:, 0]
        if self.trials:
            return 0 * parts[0].detach() + 5, *parts[1:]
        if self.heavy_tailed:
            return 2 + parts[0], *parts[1:]  # else there is no mean
        return parts[0] if self.tensors == 1 else parts


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if "negative" in name else name
        for name in READINGS
    ],
)
def test_every_reading_has_a_metric_and_geodesics(name):
    torch.manual_seed(2)
    decoder = Decoder(Reading(name), name)
    M = Manifold(decoder)
    z = torch.randn(2, 5, 2, dtype=torch.float64)
    matrix = M.metric_matrix(z)
    assert bool((torch.linalg.eigvalsh(matrix) > 0).all())
    assert bool(M.geodesic(z[0], z[1]).converged.all())
    expected = M.decode(z)
    assert expected.shape == (2, 5, decoder.data_dim)
    assert bool(expected.isfinite().all())
    torch.testing.assert_close(M.decode(z[1, 3]), expected[1, 3])


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_refused():
    traced = torch.jit.trace(nn.Linear(2, 3), torch.zeros(1, 2))
    for make, name in ((Manifold, "dim"), (Decoder, "latent_dim")):
        with pytest.raises(InvalidParameterError, match=r"TorchScript.*from_exported"):
            make(traced, **{name: 2})


@pytest.mark.parametrize(
    ("likelihood", "words"),
    [
        ("bernoulli_probabilities", "Bernoulli whose `probs`.*'bernoulli' reads logits"),
        ("poisson", "Poisson whose `rate`.*`exp` or `softplus`"),
        (lambda x: Normal(x, x - 1, validate_args=False), "Normal whose `scale`.*log variances"),
    ],
)
def test_parameters_out_of_range_are_named(likelihood, words):
    torch.manual_seed(0)
    with pytest.raises(InvalidDataError, match=words):
        Decoder(nn.Linear(2, 5), likelihood)


def test_parts_of_a_dict_are_never_taken_by_their_order():
    class Two(nn.Linear):
        def forward(self, z):
            x = super().forward(z)
            return {"std": x.exp(), "mean": x}

    with pytest.raises(InvalidDataError, match=r"keys \['std', 'mean'\].*in that order"):
        Decoder(Two(2, 3), "normal")
    p = Decoder(Two(2, 3), "normal", output=("mean", "std"))(torch.zeros(1, 2))
    torch.testing.assert_close(p.stddev, p.mean.exp())


def test_a_function_in_double_precision_is_looked_at_in_double_precision():
    weight = torch.randn(2, 3, dtype=torch.float64)
    assert Decoder(lambda z: torch.tanh(z @ weight), latent_dim=2).data_dim == 3


@pytest.mark.slow
def test_mixtures_and_transformed_distributions_pass_the_door():
    def mixture(x):
        parts = Normal(x[..., 3:], 1.0, validate_args=False)
        weights = Categorical(logits=x[..., :3], validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False)

    def transformed(x):
        base = Normal(x, 1.0, validate_args=False)
        return Independent(
            TransformedDistribution(base, [SigmoidTransform()], validate_args=False), 1
        )

    network = nn.Linear(2, 6)
    assert Decoder(network, mixture)(torch.zeros(4, 5, 2)).batch_shape == (4, 5)
    assert Decoder(network, transformed)(torch.zeros(4, 5, 2)).event_shape == (6,)


@pytest.mark.slow
def test_classes_count_as_data():
    decoder = Decoder(nn.Linear(2, 30), lambda x: Categorical(logits=x.unflatten(-1, (6, 5))))
    assert decoder.data_dim == 30
    assert Manifold(decoder).decode(torch.zeros(3, 2)).shape == (3, 30)


def test_the_owner_of_a_method_may_say_the_latent_dimension():
    class Model(nn.Module):
        latent_dim = 3

        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(7, 3), nn.Linear(3, 7)

        def decode(self, z):
            return self.decoder(z)

    assert Decoder(Model().decode).latent_dim == 3


def turned(z):
    return torch.stack([z, torch.stack([-z[:, 1], z[:, 0]], -1)], -2)  # its determinant is |z|^2


@pytest.mark.slow
def test_a_determinant_bends_the_space_as_the_paraboloid_that_it_is():
    by_det = Manifold(lambda z: torch.cat([z, torch.linalg.det(turned(z))[:, None]], -1), dim=2)
    plain = Manifold(lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1), dim=2)
    z = torch.tensor([0.6, -0.4], dtype=torch.float64)
    torch.testing.assert_close(by_det.scalar_curvature(z), plain.scalar_curvature(z))
    torch.testing.assert_close(by_det.christoffels(z), plain.christoffels(z))


def solved(z):
    A = turned(z) + 2 * torch.eye(2, dtype=z.dtype)
    return torch.stack([torch.linalg.tensorsolve(a, torch.ones_like(a[0])) for a in A])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (lambda z: Normal(z, (1 + z.square()).detach()), "'J v is the slope'.*detach"),
        (lambda z: z + ((3 * z).round() - 3 * z).detach(), "'J v is the slope'.*round"),
        (solved, "'the second derivative, forward over forward.*tensorsolve"),
    ],
)
def test_wrong_derivatives_are_refused_by_law_and_operation(decoder, words):
    for make, name in ((Manifold, "dim"), (Decoder, "latent_dim")):
        with pytest.raises(InvalidDataError, match=words):
            make(decoder, **{name: 2})


class Autoencoder(nn.Module):
    """The blocks of a decoder of latent diffusion: residual, attention after a transpose."""

    latent_dim = 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(2, 8 * 4)
        self.norms = nn.ModuleList(nn.GroupNorm(2, 8, eps=1e-6) for _ in range(3))
        self.convolutions = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, z):
        x = self.stem(z).view(-1, 2, 2, 8).permute(0, 3, 1, 2)
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            h = convolution(torch.nn.functional.silu(norm(h)))
        x = x + h
        tokens = self.norms[2](x.flatten(2)).transpose(1, 2)
        parts = (layer(tokens).unsqueeze(1) for layer in (self.query, self.key, self.value))
        seen = torch.nn.functional.scaled_dot_product_attention(*parts).squeeze(1)
        x = x + seen.transpose(1, 2).reshape(x.shape)
        x = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.last(x)


class Sequence(nn.Module):
    latent_dim = 2

    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.cell = kind(2, 4, batch_first=True, **options)

    def forward(self, z):
        return self.cell(z.unsqueeze(1).expand(-1, 3, -1))[0].flatten(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        Autoencoder,
        lambda: Sequence(nn.LSTM),
        lambda: Sequence(nn.LSTM, bidirectional=True, num_layers=2),
        lambda: Sequence(nn.GRU),
        lambda: Sequence(nn.RNN),
    ],
)
def test_stock_models_are_measured_in_both_precisions(make):
    onednn = torch.backends.mkldnn.enabled
    model = make()
    M = Manifold(model)
    z, v = torch.tensor([[0.4, -0.3], [0.2, 0.5]], dtype=torch.float64)
    twin = prepare_decoder(model)
    h = 1e-4
    ends = [jvp(lambda z: flatten_output(twin(z[None]))[0], p, v) for p in (z + h * v, z - h * v)]
    slope, bend = ((a - b) / (2 * h) for a, b in zip(*ends, strict=True))
    torch.testing.assert_close(M.norm(z, v), slope.norm(), rtol=1e-6, atol=0)
    _, found = jvp(lambda z: jvp(M.metric.immersion, z, v)[1], z, v)
    torch.testing.assert_close(found, bend, rtol=1e-5, atol=1e-6)
    single = M.metric.single
    torch.testing.assert_close(
        single.norm(z.float(), v.float()).double(), M.norm(z, v), rtol=1e-4, atol=0
    )
    assert torch.backends.mkldnn.enabled == onednn


@pytest.mark.parametrize(
    "move", [lambda m, z: m.to(z), lambda m, z: m.double(), lambda m, z: m.cpu()]
)
def test_a_module_is_not_moved_inside_a_decoder(move):
    layer, before = nn.Linear(2, 3), nn.Module._apply
    for make, name in ((Manifold, "dim"), (Decoder, "latent_dim")):
        with pytest.raises(InvalidDataError, match=r"must not move or cast.*Linear.*module itself"):
            make(lambda z: move(layer, z)(z), **{name: 2})
    assert layer.weight.dtype == torch.float32
    assert nn.Module._apply is before


class Answer:
    def __init__(self, mean):
        self.mean = mean


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (Answer, r"returned a Answer.*output\.mean"),
        (lambda z: {"x": z, "extra": z.detach().numpy()}, r"part `\['extra'\]` is a ndarray"),
        (lambda z: {"x": z, "loss": z.sum()}, r"part `\['loss'\]` is a tensor of shape \(\)"),
        (lambda z: (z, torch.ones(2)), r"part `\[1\]` is a tensor of shape \(2,\)"),
        (lambda z: torch.complex(z, z), "real numbers.*complex128.*view_as_real"),
        (lambda z: z[:, :0], r"at least one number.*, 0\)"),
        (lambda z: torch.cat([z, z], -1).T, "Keep the batch first"),
        (lambda z: z @ z.T, "each point on its own"),
        (lambda z: z.sum(), r"shape \(\)"),
        (lambda z: None, "returned a NoneType"),
    ],
)
def test_what_is_no_output_is_said(decoder, words):
    for make, name in ((Manifold, "dim"), (Decoder, "latent_dim")):
        with pytest.raises(InvalidDataError, match=words):
            make(decoder, **{name: 2})


@pytest.mark.parametrize("dtype", ["half", int, None, torch.float16, torch.complex128])
def test_a_type_that_is_no_precision_is_refused(dtype):
    for metric in ("expected", "kl"):
        with pytest.raises(InvalidParameterError, match=r"`dtype` must be torch\.float64 or"):
            Manifold(lambda z: Normal(z, 1.0), dim=2, metric=metric, dtype=dtype)


@pytest.mark.slow
def test_another_default_device_does_not_matter():
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5))
    expected = Manifold(network, dim=2).metric_matrix(torch.zeros(2))
    z = torch.zeros(2, dtype=torch.float64)
    torch.set_default_device("meta")
    try:
        M = Manifold(Decoder(network))
    finally:
        torch.set_default_device(None)
    assert torch.equal(M.metric_matrix(z), expected)
