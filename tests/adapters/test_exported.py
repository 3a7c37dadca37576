import io

import pytest
import torch
from torch import nn

from pullback.adapters import from_exported
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold

ANY = ({0: torch.export.Dim("n")},)
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning"),
]


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))


def export(network, **options):
    return torch.export.export(network, (torch.zeros(4, 2),), **options)


class MeanAndStd(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 8), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)])

    def forward(self, z):
        mean, log_std = (head(self.body(z)) for head in self.heads)
        return {"mean": mean, "std": log_std.exp()}


@pytest.mark.slow
def test_a_sequential_needs_no_adapter(network):
    M = Manifold(network, dim=2)
    z, h = torch.randn(4, 2).double(), 1e-5
    twin = nn.Sequential(*network).double()
    with torch.no_grad():
        J = torch.stack([(twin(z + h * e) - twin(z - h * e)) / (2 * h) for e in torch.eye(2)], -1)
    torch.testing.assert_close(M.metric_matrix(z), J.mT @ J, rtol=1e-7, atol=1e-9)
    assert M.geodesic(z[:2], z[2:]).converged.all()


@pytest.mark.slow
def test_a_program_that_was_saved_and_loaded_measures_as_its_module(network):
    expected = Manifold(network, dim=2)
    file = io.BytesIO()
    torch.export.save(export(network, dynamic_shapes=ANY), file)
    file.seek(0)
    M = Manifold(from_exported(torch.export.load(file), latent_dim=2))
    a, b = torch.randn(2, 6, 2).double()
    for _ in range(3):  # as often as PyTorch's executors take to settle
        torch.testing.assert_close(M.metric_matrix(a), expected.metric_matrix(a))
    found, wanted = M.geodesic(a, b), expected.geodesic(a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length, wanted.length)


@pytest.mark.slow
def test_the_program_stays_as_it_was(network):
    program = export(network, dynamic_shapes=ANY)
    decoder = from_exported(program, latent_dim=2)
    Manifold(decoder)
    assert {value.dtype for value in program.state_dict.values()} == {torch.float32}
    assert decoder(torch.zeros(2, 3, 2)).dtype == torch.float32


@pytest.mark.slow
def test_outputs_are_read_as_a_decoder_reads_them():
    model = MeanAndStd()
    program = export(model, dynamic_shapes=ANY)
    parts = ("mean", "std")
    p = from_exported(program, "normal", latent_dim=2, output=parts)(torch.ones(4, 2))
    assert torch.equal(p.mean, model(torch.ones(4, 2))["mean"])
    assert torch.equal(p.stddev, model(torch.ones(4, 2))["std"])
    mean = from_exported(program, latent_dim=2, output="mean")(torch.ones(4, 2))
    assert torch.equal(mean, p.mean)


def test_a_program_for_one_size_of_batch_is_refused(network):
    with pytest.raises(InvalidDataError, match=r"failed for n = 1: .*Export the model again with"):
        from_exported(export(network), latent_dim=2)


def test_a_wrong_dimension_is_refused(network):
    with pytest.raises(InvalidDataError, match=r"must take points \(n, 3\) for every n"):
        from_exported(export(network, dynamic_shapes=ANY), latent_dim=3)


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(4, 2))])
def test_torchscript_is_refused_with_a_cure(network, make):
    with pytest.raises(InvalidParameterError, match=r"but got a TorchScript program.*nn\.Module"):
        from_exported(make(network), latent_dim=2)


def test_pytorch_still_differentiates_torchscript_wrongly(network):
    """Why it is refused. Once this fails, PyTorch is mended, and TorchScript may be let in."""
    program = torch.jit.script(network.double())
    z, v = torch.randn(4, 2).double(), torch.ones(4, 2).double()
    for _ in range(3):
        push = torch.func.vmap(lambda v: torch.func.jvp(program, (z,), (v,))[1])(v.expand(2, 4, 2))
    expected = torch.func.jvp(network, (z,), (v,))[1]
    assert not torch.allclose(push[0], expected)


@pytest.mark.parametrize("program", [nn.Linear(2, 3), None, "decoder.pt2"])
def test_what_is_no_program_is_refused(program):
    with pytest.raises(InvalidParameterError, match=r"`program` must be a `torch.export` program"):
        from_exported(program, latent_dim=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        nn.LayerNorm(8),
        nn.SiLU(),
        nn.Mish(),
        nn.Sequential(nn.GLU(), nn.Linear(4, 8)),
        nn.Sequential(nn.Unflatten(1, (4, 2)), nn.GroupNorm(2, 4), nn.Flatten()),
        nn.Sequential(nn.Unflatten(1, (2, 4)), nn.InstanceNorm1d(2), nn.Flatten()),
    ],
)
def test_a_program_bends_as_its_module(layer):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), layer, nn.Tanh(), nn.Linear(8, 4)).eval()
    M = Manifold(from_exported(export(network, dynamic_shapes=ANY), latent_dim=2))
    expected = Manifold(network, dim=2)
    z = torch.tensor([0.4, -0.7], dtype=torch.float64)
    torch.testing.assert_close(M.christoffels(z), expected.christoffels(z), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(
        M.scalar_curvature(z), expected.scalar_curvature(z), rtol=1e-7, atol=1e-9
    )
