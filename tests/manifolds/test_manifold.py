"""The manifold: what it is made of, what it refuses, and that its parts agree."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import FisherSnedecor, Independent, Normal

from pullback.curves import CubicSpline, Polyline
from pullback.errors import (
    ConvergenceWarning,
    DeviceError,
    InvalidDataError,
    InvalidParameterError,
)
from pullback.geodesics import LatentGraph, Newton
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.metrics import PullbackMetric
from pullback.models import VAE, mlp


@pytest.fixture(scope="module")
def sphere():
    return Manifold(stereographic, dim=2)


@pytest.mark.slow
def test_a_vae_brings_decoder_and_dimension():
    vae = VAE(data_dim=6, latent_dim=2, random_state=0)
    M = Manifold(vae)
    z = torch.randn(3, 2, dtype=torch.float64)
    assert M.dim == 2
    torch.testing.assert_close(M.decode(z), vae.decode(z).double())
    torch.testing.assert_close(M.metric_matrix(z), Manifold(vae.decoder).metric_matrix(z))
    assert M.decode(z).shape == (3, 6)
    assert "dim=2" in repr(M)


@pytest.mark.slow
def test_a_module_and_its_function_are_one_manifold():
    model = mlp([3, 8, 5])
    double = mlp([3, 8, 5]).double()
    double.load_state_dict(model.state_dict())
    z = torch.randn(4, 3, dtype=torch.float64)
    M = Manifold(model, dim=3)
    torch.testing.assert_close(M.metric_matrix(z), Manifold(double, dim=3).metric_matrix(z))
    with torch.no_grad():
        torch.testing.assert_close(M.decode(z), double(z))
    of_metric = Manifold(PullbackMetric.from_decoder(model, dim=3))
    torch.testing.assert_close(of_metric.metric_matrix(z), M.metric_matrix(z))
    torch.testing.assert_close(of_metric.decode(z), M.decode(z))


def test_a_metric_without_a_decoder_decodes_nothing():
    with pytest.raises(InvalidParameterError, match="a manifold made from a metric"):
        Manifold(HalfPlane()).decode([0.0, 1.0])


def test_training_on_leaves_a_manifold_as_it_was():
    model = mlp([2, 8, 5])
    M, z = Manifold(model, dim=2), torch.randn(4, 2, dtype=torch.float64)
    before = M.decode(z), M.metric_matrix(z)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    torch.testing.assert_close((M.decode(z), M.metric_matrix(z)), before)


@pytest.mark.parametrize(
    ("decoder", "dim", "message"),
    [
        (mlp([2, 8, 5]), None, "give `dim`, the dimension of z"),
        (VAE(5, 2), 3, "`dim` must be 2, the decoder's own"),
        (HalfPlane(), 5, "`dim` must be 2, the metric's own"),
    ],
)
def test_a_decoder_or_dimension_that_does_not_fit_is_refused(decoder, dim, message):
    with pytest.raises(InvalidParameterError, match=message):
        Manifold(decoder, dim=dim)


@pytest.mark.thorough
def test_what_is_no_decoder_is_refused():
    """In a process of its own, where no run-time type check comes first."""
    script = "import pullback as pb; pb.Manifold(None, dim=2)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "`decoder` must be a module, a method of one, or a function" in ended.stderr


def test_a_decoder_that_mixes_its_batch_is_refused():
    with pytest.raises(InvalidDataError, match="must map each point on its own"):
        Manifold(lambda z: z + 0.5 * z.mean(0, keepdim=True) * z, dim=2)


@pytest.mark.slow
def test_a_single_precision_function_is_measured():
    M = Manifold(lambda z: z.float().sin(), dim=2)
    assert bool(M.dist([0.0, 0.0], [0.5, 0.5]).isfinite())


@pytest.mark.slow
def test_a_metric_without_immersion():
    plane = HalfPlane()
    M = Manifold(plane)
    a, b = torch.rand(2, 4, 2, dtype=torch.float64) + 0.2  # the graph's margin leaves the space
    torch.testing.assert_close(M.dist(a, b), plane.dist(a, b), rtol=1e-4, atol=0)
    assert M.dim == 2


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_computes_in_its_own_type(dtype):
    M = Manifold(mlp([2, 8, 5]), dim=2, dtype=dtype)
    a = np.random.default_rng(0).normal(size=(2, 5, 2))
    results = [M.metric_matrix(a[0]), M.dist(*a), M.norm(*a), M.log_volume(a[0]), M.length(a)]
    results += [M.pairwise_dist(a[0], a[1], method="graph"), M.energy(a)]
    assert M.dtype == dtype
    assert all(result.dtype == dtype for result in results)


@pytest.mark.parametrize(
    ("decoder", "options", "error", "message"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.Dropout()), {"dim": 2}, InvalidParameterError, "eval"),
        (lambda z: z + torch.randn_like(z), {"dim": 2}, InvalidDataError, "deterministic"),
        (lambda z: 0 * z, {"dim": 2}, InvalidDataError, "collapsed"),
        (
            lambda z: FisherSnedecor(z.exp(), z.exp()),
            {"dim": 2},
            InvalidParameterError,
            "FisherSnedecor",
        ),
        (lambda z: z, {}, InvalidParameterError, "`dim` must be an integer"),
        (paraboloid, {"dim": 2, "data": [[0.0]]}, InvalidDataError, "`data` must have 2 features"),
        (paraboloid, {"dim": 2, "data": [[np.nan] * 2] * 2}, InvalidDataError, "must be finite"),
    ],
)
def test_what_is_no_manifold_is_refused(decoder, options, error, message):
    with pytest.raises(error, match=message):
        Manifold(decoder, **options)


def test_inner_products_norms_and_volumes(sphere):
    z, u, v = torch.randn(3, 4, 5, 2, dtype=torch.float64)
    factor = 4 / (1 + z.square().sum(-1)) ** 2
    torch.testing.assert_close(sphere.inner_product(z, u, v), factor * (u * v).sum(-1))
    torch.testing.assert_close(sphere.norm(z, v), factor.sqrt() * v.norm(dim=-1))
    torch.testing.assert_close(sphere.log_volume(z), factor.log())
    torch.testing.assert_close(sphere.norm(z[0, 0], v), sphere.norm(z[:1, :1].expand_as(v), v))
    with pytest.raises(InvalidParameterError, match="broadcasts with the others"):
        sphere.norm(z[0], v[0, :3])


@pytest.mark.thorough
def test_distances_and_matrices_of_distances(sphere):
    Z = 0.7 * torch.randn(6, 2, dtype=torch.float64)
    truth = great_circle_dist(Z[:, None].expand(6, 6, 2), Z.expand(6, 6, 2))
    D = sphere.pairwise_dist(Z)
    torch.testing.assert_close(D, truth, rtol=1e-5, atol=1e-12)
    assert torch.equal(D, D.T)
    assert bool((D.diagonal() == 0).all())
    torch.testing.assert_close(sphere.pairwise_dist(Z[:2], Z), truth[:2], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(sphere.dist(Z[:, None], Z), truth, rtol=1e-5, atol=1e-7)
    assert sphere.pairwise_dist(Z[:1]).tolist() == [[0.0]]
    by_graph = sphere.pairwise_dist(Z, method="graph")
    assert torch.equal(by_graph, by_graph.T)
    assert bool((by_graph.diagonal() == 0).all())
    assert bool((by_graph >= truth * (1 - 1e-3)).all())
    assert bool((by_graph <= truth * 1.3 + 1e-3).all())  # the shortest may leave the grid
    with pytest.raises(
        InvalidParameterError, match="`method` must be one of 'auto', 'graph', 'newton', 'table'"
    ):
        sphere.pairwise_dist(Z, method="exact")
    with pytest.raises(InvalidDataError, match="points_a"):
        sphere.pairwise_dist(torch.zeros(3, 4))


@pytest.mark.slow
def test_lengths_of_curves_and_of_points(sphere):
    result = sphere.geodesic([[0.0, 0.0]], [[1.0, 0.0]])
    half_pi = torch.tensor([np.pi / 2], dtype=torch.float64)
    torch.testing.assert_close(sphere.length(result.curve), half_pi, rtol=1e-5, atol=0)
    torch.testing.assert_close(sphere.length(result.points(99)), half_pi, rtol=1e-4, atol=0)
    torch.testing.assert_close(sphere.energy(result.curve), half_pi**2 / 2, rtol=1e-4, atol=0)
    flat = Manifold(lambda z: z, dim=2)
    corners = torch.randn(3, 8, 2, dtype=torch.float64)
    truth = corners.diff(dim=1).norm(dim=-1).sum(-1)
    torch.testing.assert_close(flat.length(Polyline(corners)), truth)
    torch.testing.assert_close(flat.length(corners), truth)
    assert bool((flat.length(CubicSpline(corners)) > truth).all())
    with pytest.raises(InvalidDataError, match="at least its two end points"):
        flat.length([[0.0, 1.0]])


def test_a_distance_that_did_not_converge_warns(sphere, monkeypatch):
    def connect(*args, **options):
        return original(*args, **(options | {"solver": Newton(max_steps=1), "levels": (4, 8)}))

    import pullback.manifolds.manifold as module

    original = module.connect
    monkeypatch.setattr(module, "connect", connect)
    monkeypatch.setattr(sphere, "graph_over", lambda points: None)
    with pytest.warns(ConvergenceWarning, match="1 of 2 geodesics did not converge"):
        sphere.dist([[0.0, 0.0], [0.1, 2.0]], [[0.0, 0.0], [3.0, 0.2]])


def test_means_are_decoded_whatever_comes_out():
    def decoder(z):
        return Independent(Normal(torch.stack([z, -z], -1), 1.0), 2)

    M = Manifold(decoder, dim=2)
    assert M.decode([[1.0, 2.0]]).tolist() == [[1.0, -1.0, 2.0, -2.0]]
    assert M.decode(torch.zeros(4, 5, 2)).shape == (4, 5, 4)


@pytest.mark.slow
def test_the_graph_over_the_data_is_built_once():
    data = torch.randn(30, 2)
    M = Manifold(paraboloid, dim=2, data=data)
    assert M.data.dtype == torch.float64
    graph = M.graph_over(data)
    assert graph is M.graph_over(10 * data)
    torch.testing.assert_close(graph.nodes[:30], data.double())
    free = Manifold(paraboloid, dim=2)
    ends = torch.tensor([[0.1, 0.2], [1.0, 0.9]]).double()
    small = free.graph_over(ends)
    assert free.graph_over(ends.flip(0) * 0.95 + 0.01) is small  # in the same box of the lattice
    assert free.graph_over(100 * ends) is not small
    assert free.graph_over(ends) is small
    assert Manifold(paraboloid, dim=3).graph_over(torch.zeros(1, 3)) is None


def test_a_graph_belongs_to_its_question_not_to_those_before():
    """A wide question first left a coarse graph to all that followed, and they another answer."""
    ends = torch.tensor([[-0.5, 0.1], [0.4, 0.2]]).double()
    M, asked_before = Manifold(paraboloid, dim=2), Manifold(paraboloid, dim=2)
    asked_before.graph_over(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]).double())
    one, other = M.graph_over(ends), asked_before.graph_over(ends)
    assert torch.equal(one.nodes, other.nodes)
    assert one.dist(*ends.split(1)).equal(other.dist(*ends.split(1)))
    assert one.covers(ends)


@pytest.mark.slow
def test_an_answer_does_not_depend_on_the_questions_before():
    """Bells in the plane, so that starts differ: the same to the last bit, whatever was asked."""
    centers = torch.tensor([[0.0, 0.2], [0.6, -0.5], [-0.7, 0.5]]).double()

    def bells(z):
        squared = (z.unsqueeze(-2) - centers).square().sum(-1)
        return torch.cat([z, 2 * (-squared / 0.1).exp().sum(-1, keepdim=True)], -1)

    a = torch.tensor([[-1.0, 0.2], [-1.1, -0.4], [-0.6, 1.0]]).double()
    b = torch.tensor([[1.0, 0.1], [1.2, 0.3], [0.5, -1.0]]).double()
    M = Manifold(bells, dim=2)
    M.geodesic(4 * a, 4 * b, confirm=False)
    for k in range(3):
        alone = Manifold(bells, dim=2).geodesic(a[k], b[k], confirm=False)
        asked = M.geodesic(a[k], b[k], confirm=False)
        assert torch.equal(asked.curve.nodes, alone.curve.nodes)
        assert torch.equal(asked.start_lengths, alone.start_lengths)
        assert asked.start == alone.start


@pytest.mark.slow
def test_the_callers_graph_is_the_only_one(monkeypatch):
    M = Manifold(paraboloid, dim=2)
    monkeypatch.setattr(LatentGraph, "build", None)
    result = M.geodesic([0.0, 1.0], [1.0, 0.0], graph=None)
    assert result.starts[result.start] == "straight"
    assert result.converged


@pytest.mark.slow
def test_nan_off_the_data_ends_one_pair_only():
    M = Manifold(lambda z: torch.where(z[..., :1] > 6, torch.nan, paraboloid(z)), dim=2)
    result = M.geodesic([[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [7.0, 0.0]])
    assert result.converged.tolist() == [True, False]
    assert result.length.isfinite().tolist() == [True, False]
    with pytest.warns(ConvergenceWarning, match="1 of 2"):
        M.dist([[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [7.0, 0.0]])


@pytest.mark.gpu
def test_a_gpu_gives_the_same_distances():
    model = mlp([2, 8, 5])
    Z = torch.randn(5, 2, dtype=torch.float64)
    expected = Manifold(model, dim=2).pairwise_dist(Z)
    on_gpu = Manifold(model.cuda(), dim=2)
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.pairwise_dist(Z).cpu(), expected, rtol=1e-6, atol=1e-9)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match="is not on this machine"):
        Manifold(torch.nn.Linear(2, 3), dim=2, device="cuda:99")


@pytest.mark.gpu
def test_a_function_computes_on_the_device_that_is_asked_for():
    M = Manifold(lambda z: torch.cat([z, z**2], -1), dim=2, device="cuda")
    assert M.dist([0.0, 0.0], [1.0, 1.0]).device.type == "cuda"


def test_every_method_shows_how_it_is_used():
    methods = {
        name: value
        for cls in Manifold.__mro__[:2]
        for name, value in vars(cls).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }
    assert len(methods) > 30
    assert [name for name, value in methods.items() if ">>> " not in value.__doc__] == []
    assert [cls.__name__ for cls in Manifold.__mro__] == ["Manifold", "LatentSpace", "object"]


def test_a_decoder_without_more_outputs_is_called_flat():
    flow, bent = Manifold(torch.sinh, dim=3), Manifold(paraboloid, dim=3)
    assert flow.is_flat
    assert not bent.is_flat
    assert "flat" in repr(flow)
    assert "flat" not in repr(bent)
    assert "Euclidean in disguise" in flow._repr_html_()
    assert "disguise" not in bent._repr_html_()


def test_distances_of_many_pairs_are_measured_block_by_block(monkeypatch):
    monkeypatch.setattr("pullback.manifolds.manifold._BLOCK", 3)
    M = Manifold(lambda z: 2 * z, dim=2)
    a = torch.arange(16, dtype=torch.float64).reshape(4, 2, 2)
    assert torch.equal(M.dist(a, a + 3), M.geodesic(a, a + 3).length)
