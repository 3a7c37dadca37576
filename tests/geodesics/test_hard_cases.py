"""What goes wrong in practice: each pair gets an honest status, and no other suffers for it."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import nn

from pullback.curves import length, straight_line
from pullback.errors import ConvergenceError, InvalidDataError, InvalidParameterError
from pullback.geodesics import LatentGraph, Newton, Status, connect
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic
from pullback.metrics import Metric, PullbackMetric, TabulatedMetric
from pullback.models import ConstantStd, Decoder, NormalLikelihood, RBFPrecision, mlp

PARABOLOID = PullbackMetric(paraboloid, dim=2)
SPHERE = PullbackMetric(stereographic, dim=2)
CODES = torch.tensor([[-0.2, 0.6], [1.6, 1.6]], dtype=torch.float64)

exact_and_tabulated = pytest.mark.parametrize("tabulated", [False, True], ids=["exact", "table"])


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def perhaps_tabulated(metric, codes, tabulated, rtol=1e-3):
    return TabulatedMetric.build(metric, codes, rtol=rtol) if tabulated else metric


@exact_and_tabulated
@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane()])
def test_equal_ends_are_no_distance_apart(metric, tabulated):
    a = torch.rand(3, 2, dtype=torch.float64) + 0.5
    result = connect(perhaps_tabulated(metric, CODES, tabulated), a, a)
    assert result.converged.all()
    for name in ("length", "energy", "residual", "speed_variation", "straight_length"):
        assert bool((getattr(result, name) == 0).all()), name
    assert torch.equal(result.points(3), a.unsqueeze(1).expand(3, 3, 2))


@exact_and_tabulated
@pytest.mark.parametrize("gap", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("metric", [PARABOLOID, HalfPlane(), SPHERE])
def test_near_ends_are_as_far_apart_as_the_metric_says(metric, gap, tabulated):
    a = tensor([1.0, 0.5])
    b = a + gap * tensor([0.6, -0.8])
    result = connect(perhaps_tabulated(metric, CODES, tabulated), a, b)
    assert result.converged
    truth = metric.norm((a + b) / 2, b - a)
    torch.testing.assert_close(result.length, truth, rtol=max(1e-6, 1e-15 / gap), atol=0)


@pytest.mark.slow
def test_near_ends_on_the_table_of_a_decoder():
    """There the lengths that the table reads off are smooth, and those of the images are not."""
    metric = PullbackMetric.from_decoder(mlp([2, 16, 6]), dim=2)
    a = tensor([1.0, 0.5])
    b = a + 1e-9 * tensor([0.6, -0.8])
    result = connect(TabulatedMetric.build(metric, CODES), a, b)
    torch.testing.assert_close(result.length, metric.norm(a, b - a), rtol=1e-6, atol=0)
    assert result.converged


@pytest.mark.slow
@exact_and_tabulated
def test_antipodes_are_joined_by_many_geodesics(tabulated):
    a = tensor([[0.5, 0.0], [0.8, 0.3], [-0.3, 1.1]])
    b = -a / a.square().sum(-1, keepdim=True)
    metric = perhaps_tabulated(SPHERE, torch.cat([a, b]), tabulated)
    result = connect(metric, a, b)
    assert result.converged.all()
    torch.testing.assert_close(result.length, torch.full_like(result.length, math.pi))
    assert result.conjugate.all()
    assert "another geodesic may be as short: conjugate ends (pair 0, 1, 2)" in str(result)
    # A start to the one side ends on this side, as long as the others.
    for side in (-1.0, 1.0):
        line = straight_line(a, b, 16)
        line[:, 1:-1] += side * 0.3 * (b - a).flip(-1).unsqueeze(1) * tensor([1.0, -1.0])
        other = connect(metric, a, b, initial=line)
        assert other.converged.all()
        torch.testing.assert_close(other.length, result.length, rtol=1e-6, atol=0)


def test_a_decoder_of_rank_one_is_degenerate():
    def decoder(z):
        s = z.sum(-1)
        return torch.stack([s, s**2, s.sin()], -1)

    metric = PullbackMetric(decoder, dim=2)
    a, b = tensor([[0.0, 0.0], [1.0, 2.0]]), tensor([[1.0, 1.0], [1.0, 2.0]])
    result = connect(metric, a, b)
    assert result.status.tolist() == [Status.DEGENERATE, Status.CONVERGED]
    along, _ = quad(lambda s: math.sqrt(1 + 4 * s**2 + math.cos(s) ** 2), 0, 2)
    assert result.length.tolist() == pytest.approx([along, 0.0], rel=1e-4)
    with pytest.raises(InvalidDataError, match="singular or not finite"):
        TabulatedMetric.build(metric, torch.cat([a, b]))


def dead_axis(z):
    return torch.tanh(z[..., :1] * torch.arange(1.0, 4.0))


def test_a_dead_latent_axis_is_degenerate():
    metric = PullbackMetric(dead_axis, dim=2)
    a, b = torch.zeros(3, 2).double(), tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    result = connect(metric, a, b)
    assert result.status.tolist() == [Status.DEGENERATE] * 2 + [Status.CONVERGED]
    assert result.length.isfinite().all()
    assert "a latent axis may have collapsed (pair 0, 1)" in str(result)
    with pytest.raises(InvalidDataError, match="A latent axis may have collapsed"):
        TabulatedMetric.build(metric, torch.cat([a, b]))


@pytest.mark.parametrize("decoder", [dead_axis, lambda z: z[..., :1].exp()])
def test_different_points_at_no_distance_are_degenerate(decoder):
    result = connect(PullbackMetric(decoder, dim=2), [0.5, 0.0], [0.5, 1.0])
    assert result.length == 0
    assert result.status == Status.DEGENERATE


@pytest.mark.slow
@exact_and_tabulated
@pytest.mark.parametrize("left", [1e-2, 1e-4])
def test_what_little_is_left_of_an_axis_is_enough(left, tabulated):
    metric = PullbackMetric(lambda z: torch.cat([dead_axis(z), left * z[..., 1:]], -1), dim=2)
    a, b = tensor([-0.5, -1.0]), tensor([0.8, 1.0])
    result = connect(perhaps_tabulated(metric, torch.stack([a, b]), tabulated), a, b)
    living = connect(PullbackMetric(dead_axis, dim=1), a[:1], b[:1]).length
    assert result.converged
    assert not result.conjugate
    assert living * (1 - 1e-4) < result.length < living + 2 * left


@pytest.mark.slow
@exact_and_tabulated
def test_nan_off_the_data_ends_one_pair_only(tabulated):
    def decoder(z):
        return paraboloid(z) * torch.where(z[..., :1] > 2, torch.nan, 1.0)

    a = tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    b = tensor([[1.0, 1.0], [3.0, 0.0], [1.5, 1.0]])
    codes = torch.cat([a, b])
    bare = PullbackMetric(decoder, dim=2)
    metric = perhaps_tabulated(bare, codes[codes[:, 0] < 2], tabulated)
    graph = LatentGraph.build(metric, codes, resolution=20)
    for result in (connect(metric, a, b), connect(metric, a, b, graph=graph)):
        assert result.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
        truth = connect(PARABOLOID, a, b).length[[0, 2]]
        torch.testing.assert_close(result.length[[0, 2]], truth, rtol=1e-5, atol=0)
        assert result.length[1].isnan()
    with pytest.raises(InvalidDataError, match="singular or not finite"):
        TabulatedMetric.build(bare, codes)


@pytest.mark.slow
def test_weights_of_nan_do_not_pass_the_door():
    decoder = Decoder(mlp([2, 8, 5]), NormalLikelihood(ConstantStd(5)))
    with torch.no_grad():
        decoder.mean[0].weight.fill_(torch.nan)
    with pytest.raises(InvalidDataError, match="NaN or infinity"):
        PullbackMetric.from_decoder(decoder)
    behind_it = PullbackMetric(lambda z: decoder.mean(z.float()).double(), dim=2)
    result = connect(behind_it, tensor([0.0, 0.0]), tensor([[1.0, 1.0], [0.0, 2.0]]))
    assert result.status.tolist() == [Status.NOT_FINITE] * 2
    assert result.length.isnan().all()


@pytest.mark.slow
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
    torch.testing.assert_close(result.length[settled], dense[settled], rtol=1e-3, atol=0)


@pytest.mark.slow
@exact_and_tabulated
@pytest.mark.parametrize("compute_in", [torch.float32, torch.float64])
def test_a_decoder_in_single_precision_is_near_one_in_double(compute_in, tabulated):
    model = mlp([2, 16, 6])
    twin = mlp([2, 16, 6]).double()
    twin.load_state_dict(model.state_dict())
    a, b = torch.randn(2, 20, 2, dtype=torch.float64)
    if compute_in == torch.float32:
        M = Manifold(model, dim=2, dtype=torch.float32)
    else:
        M = Manifold(lambda z: model(z.float()), dim=2)  # its images are rounded to single
    result = (M.tabulated(torch.cat([a, b])) if tabulated else M).geodesic(a, b)
    assert result.length.dtype == compute_in
    assert result.converged.all()
    truth = Manifold(twin, dim=2).dist(a, b)
    torch.testing.assert_close(result.length.double(), truth, rtol=1e-5, atol=0)


@exact_and_tabulated
def test_on_a_line_the_distance_is_an_integral(tabulated):
    metric = PullbackMetric(lambda z: torch.cat([z, z.exp(), (3 * z).sin()], -1), dim=1)
    a, b = tensor([[0.0], [1.0], [2.0]]), tensor([[1.0], [1.0], [-3.0]])
    result = connect(perhaps_tabulated(metric, torch.cat([a, b]), tabulated), a, b)

    def speed(s):
        return math.sqrt(1 + math.exp(2 * s) + 9 * math.cos(3 * s) ** 2)

    truth = [abs(quad(speed, *ends, limit=200)[0]) for ends in torch.cat([a, b], 1).tolist()]
    assert result.converged.all()
    assert result.length.tolist() == pytest.approx(truth, rel=1e-4)


def test_on_a_line_there_is_no_other_way():
    metric = PullbackMetric(lambda z: torch.cat([z, z.exp(), (3 * z).sin()], -1), dim=1)
    assert not connect(metric, [2.0], [-3.0]).conjugate


def ring(zeta=1e-4, n_codes=24):
    """Data on a circle: the decoder is sure of itself near them, and not in the hole."""
    angle = torch.linspace(0, 2 * math.pi, n_codes + 1)[:-1]
    codes = torch.stack([angle.cos(), angle.sin()], -1)
    weights = torch.full((3, n_codes), 100.0)
    std = RBFPrecision(codes, torch.full((n_codes,), 25.0), weights, zeta)

    class Saddle(nn.Module):
        def forward(self, z):
            return torch.cat([z, 0.3 * z[..., :1] * z[..., 1:]], -1)

    decoder = Decoder(Saddle(), NormalLikelihood(std), latent_dim=2)
    return Manifold(decoder, data=codes)


ACROSS = tensor([[1.0, 0.0], [0.0, -1.0]]), tensor([[-1.0, 0.1], [0.1, 1.0]])


@pytest.mark.slow
@exact_and_tabulated
@pytest.mark.parametrize("zeta", [1e-2, 1e-4, 1e-6, 1e-8])
def test_the_way_leads_round_a_hole_in_the_data(zeta, tabulated):
    M = ring(zeta).tabulated() if tabulated else ring(zeta)
    result = M.geodesic(*ACROSS)
    assert result.converged.all()
    assert bool((result.points(201).norm(dim=-1) > 0.65).all())
    assert bool((result.straight_length > 8 * result.length).all())
    # What is not known of the hole does not matter to who goes round it.
    known = tensor([2.5607, 2.5607])
    torch.testing.assert_close(result.length, known, rtol=1e-3, atol=0)
    dense = length(M.metric.exact, result.points(20001))
    torch.testing.assert_close(result.length, dense, rtol=1e-4, atol=0)


@pytest.mark.slow
def test_no_path_of_a_graph_round_the_hole_is_shorter():
    M = ring()
    graph = LatentGraph.build(M.metric, M.data, resolution=80)
    result, along = M.geodesic(*ACROSS), graph.dist(*ACROSS).diagonal()
    assert bool((result.length <= along * (1 + 1e-6)).all())
    assert bool((result.length >= along * 0.95).all())


@pytest.mark.slow
@pytest.mark.parametrize("tabulated", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_points_far_off_the_data(tabulated):
    torch.manual_seed(0)
    codes = torch.randn(8, 2)
    std = RBFPrecision(codes, torch.ones(8), torch.full((6, 8), 50.0), 1e-4)
    decoder = Decoder(mlp([2, 16, 6]), NormalLikelihood(std))
    metric = PullbackMetric.from_decoder(decoder)
    a = tensor([[0.0, 0.0], [0.0, 0.0], [1e3, 1e3], [1e6, -1e6]])
    b = tensor([[5.0, 5.0], [1e3, 0.0], [1e3, 1e3 + 1], [1e6, 1e6]])
    on = perhaps_tabulated(metric, codes.double(), tabulated, rtol=1e-2)
    result = connect(on, a, b, levels=(16, 32), solver=Newton(max_steps=30))
    assert result.length.isfinite().all()
    assert Status.RUNNING not in result.status.tolist()
    straight = length(metric, straight_line(a[:1], b[:1], 20000))
    assert bool((result.length[:1] <= straight * 1.01).all())
    assert bool((result.lower_bound <= result.length * (1 + 1e-12)).all())
    assert result.status[3] == Status.DEGENERATE  # nothing changes any more out there


@pytest.mark.slow
@exact_and_tabulated
def test_a_point_outside_the_space_has_left_it(tabulated):
    plane = HalfPlane()
    a = tensor([[0.0, 1.0], [0.0, 1.0], [0.5, 1.0], [-1.0, -2.0]])
    b = tensor([[1.0, -1.0], [1.0, 2.0], [0.5, 0.0], [1.0, -2.0]])
    codes = tensor([[0.0, 1.0], [1.0, 2.0]])
    result = connect(perhaps_tabulated(plane, codes, tabulated, rtol=1e-4), a, b)
    left, found = Status.LEFT_DOMAIN, Status.CONVERGED
    assert result.status.tolist() == [left, found, left, left]
    torch.testing.assert_close(result.length[1], plane.dist(a[1], b[1]), rtol=1e-5, atol=0)
    assert "left the region where the metric is defined (pair 0, 2, 3)" in str(result)


class Pierced(Metric):
    """The plane without the unit disc."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape, 2)

    def contains(self, z):
        return z.norm(dim=-1) > 1


def test_a_curve_between_points_of_the_space_may_leave_it():
    a, b = tensor([[-2.0, 0.0], [-2.0, 2.0]]), tensor([[2.0, 0.1], [2.0, 2.0]])
    result = connect(Pierced(dim=2), a, b)
    assert result.status.tolist() == [Status.LEFT_DOMAIN, Status.CONVERGED]
    assert result.length[1] == pytest.approx(4.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric",
    [
        HalfPlane(),
        PullbackMetric(lambda z: paraboloid(z) * torch.where(z[..., :1] < 0, torch.nan, 1)),
    ],
)
def test_nothing_is_said_of_a_curve_that_is_not_known(metric):
    result = connect(metric, [1.0, 1.0], [-1.0, -1.0])
    assert result.status in (Status.LEFT_DOMAIN, Status.NOT_FINITE)
    for name in ("length", "energy", "residual", "speed_variation", "second_variation"):
        assert getattr(result, name).isnan(), name
    assert not result.conjugate


def wall(z):
    """A plane with a high wall along x = 0 that ends at y = 1.5."""
    x, y = z.unbind(-1)
    height = 30 * torch.exp(-((x / 0.15) ** 2)) * torch.sigmoid(8 * (1.5 - y))
    return torch.stack([x, y, height], -1)


@pytest.mark.slow
def test_a_graph_sees_the_way_round_a_wall():
    metric = PullbackMetric(wall)
    a, b = tensor([[-1.0, -0.5], [1.0, -0.5]])
    codes = 3 * torch.rand(200, 2, dtype=torch.float64) - tensor([1.5, 0.5])
    graph = LatentGraph.build(
        metric, torch.cat([codes, codes.new_tensor([[0.0, 3.0]])]), resolution=32
    )
    over = connect(metric, a, b, levels=(16, 32))
    round_it = connect(metric, a, b, graph=graph, levels=(16, 32, 64, 128, 256, 512))
    assert round_it.starts[round_it.start] == "graph"
    assert round_it.length < over.length / 1.5
    assert round_it.length < 6.5
    assert round_it.converged
    assert round_it.points(101)[:, 1].max() > 1.5


def test_too_few_nodes_are_said_to_be_too_few():
    metric = PullbackMetric(lambda z: torch.cat([z, torch.sin(6 * z)], -1))
    a, b = tensor([[-1.0, 0.3], [1.0, -0.4]])
    result = connect(metric, a, b, levels=(2, 3), rtol=1e-6)
    assert result.status == Status.UNRESOLVED
    assert result.refinement > 1e-6
    assert "add a level to `levels`" in str(result)


@pytest.mark.slow
def test_throw_names_the_pairs():
    a = tensor([[0.0, 0.0], [-1.0, 0.2], [-1.0, 0.2]])
    b = tensor([[0.0, 0.0], [1.0, 0.2], [1.0, 0.1]])
    with pytest.raises(ConvergenceError, match=r"2 of 3 geodesics.*max_steps` \(pair 1, 2\)\.$"):
        connect(PARABOLOID, a, b, solver=Newton(max_steps=1), throw=True)
    assert connect(PARABOLOID, a, b, throw=True).converged.all()


@pytest.mark.parametrize("levels", [(), (16, 16), (32, 16), (1, 2), (0, 4)])
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


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_points_nearer_than_rounding_tells_are_as_far_apart_as_the_norm_says(scale):
    metric = PullbackMetric(lambda z: scale * (1 + torch.tanh(z @ torch.ones(2, 2).to(z) + z)))
    a = torch.zeros(3, 2, dtype=torch.float64)
    b = torch.tensor([[0.0, 1e-30], [1e-17, 0.0], [0.0, 1e-219]], dtype=torch.float64)
    found = connect(metric, a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length, metric.norm(a, b - a), rtol=1e-9, atol=0)


def angles(z):
    """Two angles in [-pi, pi), that turn as z moves: the first jumps by 2 pi where z1 + z2 is 0."""
    turned = torch.cat([z.sum(-1, keepdim=True) + math.pi, 0.5 * z[..., 1:]], -1)
    return torch.remainder(turned + math.pi, 2 * math.pi) - math.pi


@pytest.mark.slow
def test_no_geodesic_leads_over_a_jump_of_the_decoder():
    a = tensor([[0.3, 0.2], [-0.3, -0.4], [0.5, -0.2], [-0.4, 0.1]])
    b = tensor([[0.8, 0.1], [-0.9, -0.1], [-0.6, -0.3], [0.2, 0.9]])
    over = a.sum(-1).sign() != b.sum(-1).sign()
    assert over.tolist() == [False, False, True, True]
    jumps = Manifold(angles, dim=2).geodesic(a, b)
    assert jumps.converged.tolist() == (~over).tolist()
    flat = (angles(a) - angles(b)).norm(dim=-1)
    torch.testing.assert_close(jumps.length[~over], flat[~over], rtol=1e-9, atol=0)

    def on_circles(z):
        return torch.cat([angles(z).cos(), angles(z).sin()], -1)

    whole = Manifold(on_circles, dim=2).geodesic(a, b)  # what a decoder of angles is to give
    assert whole.converged.all()
    turn = torch.remainder(angles(a) - angles(b) + math.pi, 2 * math.pi) - math.pi
    torch.testing.assert_close(whole.length, turn.norm(dim=-1), rtol=1e-5, atol=0)
