"""What goes wrong in practice: each pair gets an honest status, and no other suffers for it."""

import pytest
import torch
from torch import nn

from pullback.curves import length, straight_line
from pullback.errors import ConvergenceError, InvalidDataError, InvalidParameterError
from pullback.geodesics import LatentGraph, Newton, Status, connect
from pullback.manifolds.reference import HalfPlane, paraboloid
from pullback.metrics import PullbackMetric
from pullback.models import ConstantStd, Decoder, NormalLikelihood, RBFPrecision, mlp

PARABOLOID = PullbackMetric(paraboloid, dim=2)


@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_no_distance_apart(metric):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    result = connect(metric, a, a)
    assert result.converged.all()
    for name in ("length", "energy", "residual", "speed_variation", "straight_length"):
        assert bool((getattr(result, name) == 0).all()), name
    assert torch.equal(result.points(3), a.unsqueeze(1).expand(3, 3, 2))


@pytest.mark.parametrize("gap", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_near_ends_are_as_far_apart_as_the_metric_says(metric, gap):
    a = torch.tensor([1.0, 0.5], dtype=torch.float64)
    b = a + gap * torch.tensor([0.6, -0.8], dtype=torch.float64)
    result = connect(metric, a, b)
    assert result.converged
    truth = metric.norm((a + b) / 2, b - a)
    torch.testing.assert_close(result.length, truth, rtol=max(1e-6, 1e-15 / gap), atol=0)


def test_a_dead_latent_axis_is_degenerate():
    metric = PullbackMetric(lambda z: torch.tanh(z[..., :1] * torch.arange(1.0, 4.0)))
    a = torch.zeros(4, 2, dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    result = connect(metric, a, b)
    assert result.status.tolist() == [Status.DEGENERATE] * 3 + [Status.CONVERGED]
    assert result.length.isfinite().all()
    assert "a latent axis may have collapsed (pair 0, 1, 2)" in str(result)


def test_nan_off_the_data_ends_one_pair_only():
    def decoder(z):
        return torch.where(z[..., :1] > 2, torch.nan, paraboloid(z))

    a = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0], [3.0, 0.0], [1.5, 1.0]], dtype=torch.float64)
    metric = PullbackMetric(decoder)
    graph = LatentGraph.build(metric, torch.cat([a, b]), resolution=20)
    for result in (connect(metric, a, b), connect(metric, a, b, graph=graph)):
        assert result.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
        truth = connect(PARABOLOID, a, b).length[[0, 2]]
        torch.testing.assert_close(result.length[[0, 2]], truth, rtol=1e-5, atol=0)
        assert result.length[1].isnan()


def test_a_relu_decoder_is_measured_truly_whatever_its_status():
    torch.manual_seed(0)
    layers = [nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)]
    metric = PullbackMetric.from_decoder(nn.Sequential(*layers), dim=2)
    a, b = 2 * torch.randn(2, 20, 2, dtype=torch.float64)
    result = connect(metric, a, b)
    assert result.length.isfinite().all()
    dense = length(metric, result.points(20001))
    torch.testing.assert_close(result.length, dense, rtol=1e-2, atol=0)
    straight = length(metric, straight_line(a, b, 20000))
    assert bool((result.length <= straight * (1 + 2e-3)).all())
    assert bool((result.lower_bound <= result.length * (1 + 1e-12)).all())
    settled = result.converged & (result.refinement > 0)
    assert bool((result.refinement[settled] <= 1e-4).all())


def test_points_far_off_the_data():
    torch.manual_seed(0)
    std = RBFPrecision(torch.randn(8, 2), torch.ones(8), torch.full((6, 8), 50.0), 1e-4)
    decoder = Decoder(mlp([2, 16, 6]), NormalLikelihood(std))
    metric = PullbackMetric.from_decoder(decoder)
    a = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1e3, 1e3], [1e6, -1e6]], dtype=torch.float64)
    b = torch.tensor([[5.0, 5.0], [1e3, 0.0], [1e3, 1e3 + 1], [1e6, 1e6]], dtype=torch.float64)
    result = connect(metric, a, b, levels=(16, 32), solver=Newton(max_steps=30))
    assert result.length.isfinite().all()
    assert Status.RUNNING not in result.status.tolist()
    assert result.status[3] == Status.DEGENERATE  # nothing changes any more out there


def wall(z):
    """A plane with a high wall along x = 0 that ends at y = 1.5."""
    x, y = z.unbind(-1)
    height = 30 * torch.exp(-((x / 0.15) ** 2)) * torch.sigmoid(8 * (1.5 - y))
    return torch.stack([x, y, height], -1)


@pytest.mark.slow
def test_a_graph_sees_the_way_round_a_wall():
    metric = PullbackMetric(wall)
    a, b = torch.tensor([[-1.0, -0.5], [1.0, -0.5]], dtype=torch.float64)
    codes = 3 * torch.rand(200, 2, dtype=torch.float64) - torch.tensor([1.5, 0.5]).double()
    graph = LatentGraph.build(
        metric, torch.cat([codes, codes.new_tensor([[0.0, 3.0]])]), resolution=32
    )
    over = connect(metric, a, b, levels=(16, 32))
    round_it = connect(metric, a, b, graph=graph, levels=(16, 32, 64, 128, 256))
    assert round_it.starts[round_it.start] == "graph"
    assert round_it.length < over.length / 1.5
    assert round_it.length < 6.5
    assert round_it.converged
    assert round_it.points(101)[:, 1].max() > 1.5


def test_too_few_nodes_are_said_to_be_too_few():
    metric = PullbackMetric(lambda z: torch.cat([z, torch.sin(6 * z)], -1))
    a, b = torch.tensor([[-1.0, 0.3], [1.0, -0.4]], dtype=torch.float64)
    result = connect(metric, a, b, levels=(2, 3), rtol=1e-6)
    assert result.status == Status.UNRESOLVED
    assert result.refinement > 1e-6
    assert "add a level to `levels`" in str(result)


def test_throw_names_the_pairs():
    a = torch.tensor([[0.0, 0.0], [-1.0, 0.2], [-1.0, 0.2]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0.0], [1.0, 0.2], [1.0, 0.1]], dtype=torch.float64)
    with pytest.raises(ConvergenceError, match=r"2 of 3 geodesics.*max_steps` \(pair 1, 2\)\.$"):
        connect(PARABOLOID, a, b, solver=Newton(max_steps=1), throw=True)
    assert connect(PARABOLOID, a, b, throw=True).converged.all()


@pytest.mark.parametrize("levels", [(), (16,), (16, 16), (32, 16), (1, 2), (0, 4)])
def test_levels_must_rise(levels):
    with pytest.raises(InvalidParameterError, match="`levels` must be"):
        connect(PARABOLOID, [0.0, 0.0], [1.0, 1.0], levels=levels)


@pytest.mark.parametrize("rtol", [0.0, -1.0, float("nan"), float("inf")])
def test_rtol_must_be_positive(rtol):
    with pytest.raises(InvalidParameterError, match="`rtol` must be"):
        connect(PARABOLOID, [0.0, 0.0], [1.0, 1.0], rtol=rtol)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            [[0.0, 0.0]],
            [[0.0, 0.0, 0.0]],
            r"`point_b` must have shape \(..., 2\), but got \(1, 3\)",
        ),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], r"`point_a` must have shape \(..., 2\)"),
        (torch.zeros(3, 2), torch.zeros(4, 2), "Give one b for each a"),
        (torch.zeros(0, 2), torch.zeros(0, 2), "`point_a` must hold at least one point"),
        ([float("nan"), 0.0], [0.0, 0.0], "`point_a` must be finite"),
        ([0.0, 0.0], [[0.0, 0.0], [0.0, float("inf")]], r"`point_b` must be finite.*\(1, 1\)"),
        (["x", "y"], [0.0, 0.0], "`point_a` must hold real numbers"),
        (1.0, 2.0, "Points lie along the last axis"),
    ],
)
def test_bad_ends_are_refused(a, b, message):
    with pytest.raises(InvalidDataError, match=message):
        connect(PARABOLOID, a, b)


def test_weights_of_nan_do_not_pass_the_door():
    decoder = Decoder(mlp([2, 8, 5]), NormalLikelihood(ConstantStd(5)))
    with torch.no_grad():
        decoder.mean[0].weight.fill_(torch.nan)
    with pytest.raises(InvalidDataError, match="NaN or infinity"):
        PullbackMetric.from_decoder(decoder)
