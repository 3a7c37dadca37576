"""Distance fields: against closed forms, exact norms, and geodesics searched one by one."""

import importlib.util
import math

import pytest
import torch

from pullback import Manifold
from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
    MissingExtraError,
)
from pullback.geodesics import DistanceField
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric, TabulatedMetric

needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="needs numba")

CORNERS = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
SOURCE = torch.tensor([-0.31, 1.234], dtype=torch.float64)


def drawn(low, high, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(n, len(low), generator=generator, dtype=torch.float64)
    return low + (high - low) * share


@pytest.fixture(scope="module")
def half_plane():
    return TabulatedMetric.build(HalfPlane(), CORNERS, rtol=1e-5)


def flat(A):
    """The table of a constant metric A^T A, and the distance in it."""
    d = len(A)
    metric = PullbackMetric(lambda z: z @ A.T.to(z), dim=d)
    box = torch.tensor([[-1.0] * d, [1.0] * d], dtype=torch.float64)
    return TabulatedMetric.build(metric, box), lambda a, b: ((b - a) @ A.T).norm(dim=-1)


def stretched(d, condition):
    """A linear map of which the squared stretches span a condition number, along odd axes."""
    generator = torch.Generator().manual_seed(3)
    Q, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return torch.logspace(0, math.log10(condition) / 2, d, dtype=torch.float64).diag() @ Q.T


def ring(n):
    """Codes around a bump that no short way goes over, and the immersion that makes it."""

    def bump(z):
        height = 6 * torch.exp(-4 * z.square().sum(-1, keepdim=True))
        return torch.cat([z, height], -1)

    codes = drawn(torch.full((2,), -1.0), torch.full((2,), 1.0), n).double()
    return PullbackMetric(bump, dim=2), codes


@needs_numba
@pytest.mark.slow
def test_errors_fall_by_the_square_of_the_step_on_the_half_plane(half_plane):
    z = drawn(*CORNERS, 300)
    truth = HalfPlane().dist(SOURCE.expand_as(z), z)
    errors = []
    for n in (32, 64, 128):
        field = DistanceField.build(half_plane, SOURCE, resolution=n)
        error = (field.at(z) - truth).abs()
        errors.append(float(error.mean()))
        assert float((error <= field.error_at(z)).double().mean()) > 0.9
    order = math.log2(errors[0] / errors[2]) / 2
    assert order > 1.7
    assert float((error / truth.clamp(min=0.1)).max()) < 2e-3


@needs_numba
@pytest.mark.slow
def test_gradients_are_logarithms_and_ways_down_are_geodesics_on_the_half_plane(half_plane):
    z, H = drawn(*CORNERS, 300, seed=1), HalfPlane()
    field = DistanceField.build(half_plane, SOURCE, resolution=128)
    truth = H.log(z, SOURCE.expand_as(z))
    found = field.log(z)
    off = (found - truth).norm(dim=-1) / truth.norm(dim=-1)
    assert float(off.median()) < 3e-3
    assert float(off.quantile(0.95)) < 2e-2
    torch.testing.assert_close(H.norm(z, found), field.at(z), rtol=1e-3, atol=0)

    ways, distance = field.path(z), H.dist(SOURCE.expand_as(z), z)
    torch.testing.assert_close(ways[:, 0], SOURCE.expand_as(z))
    torch.testing.assert_close(ways[:, -1], z)
    lengths = half_plane.chords(ways).sum(-1)
    assert bool((lengths > distance * (1 - 1e-4)).all())
    assert float((lengths / distance - 1).max()) < 5e-3


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize(("condition", "median"), [(1.0, 1e-4), (15000.0, 5e-3)])
def test_constant_metrics_have_their_norm_as_distance(condition, median):
    table, dist = flat(stretched(2, condition))
    source = torch.tensor([0.1, -0.2], dtype=torch.float64)
    field = DistanceField.build(table, source, resolution=128)
    z = drawn(torch.full((2,), -1.0), torch.full((2,), 1.0), 300).double()
    error = (field.at(z) / dist(source, z) - 1).abs()
    assert float(error.median()) < median
    # The neighbours of nodes at the edge lie beyond it, and yet they have a distance.
    assert bool(field.distances.isfinite().all())
    assert bool((field.distances >= 0.98 * dist(source, field.nodes)).all())


@needs_numba
@pytest.mark.thorough
def test_constant_metrics_of_space_have_their_norm_as_distance():
    source = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    z = drawn(torch.full((3,), -1.0), torch.full((3,), 1.0), 300).double()
    for condition, median in ((1.0, 5e-4), (15000.0, 2e-2)):
        table, dist = flat(stretched(3, condition))
        field = DistanceField.build(table, source, resolution=32)
        assert float((field.at(z) / dist(source, z) - 1).abs().median()) < median
        ways = field.path(z)
        lengths = ways.diff(dim=1) @ stretched(3, condition).T
        assert float((lengths.norm(dim=-1).sum(-1) / dist(source, z) - 1).median()) < median


@needs_numba
@pytest.mark.thorough
def test_fields_agree_with_geodesics_of_a_random_decoder():
    generator = torch.Generator().manual_seed(1)
    A, B = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((2, 8), (8, 6)))

    def decoder(z):
        return torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1)

    codes = torch.randn(40, 2, generator=generator, dtype=torch.float64) / 2
    M = Manifold(decoder, dim=2)
    field = M.tabulated(codes).dist_field(codes[0], resolution=128)
    truth = M.dist(codes[0], codes[1:4])
    error = (field.at(codes[1:4]) - truth).abs()
    assert float((error / truth).median()) < 5e-3
    assert float((error / truth).max()) < 2e-2


@needs_numba
@pytest.mark.slow
def test_the_way_round_a_bump_is_found_on_the_shorter_side():
    metric, codes = ring(50)
    table = TabulatedMetric.build(metric, codes, rtol=1e-2)
    a = torch.tensor([-0.9, 0.02], dtype=torch.float64)
    field = DistanceField.build(table, a, resolution=128)
    b = torch.tensor([[0.9, 0.1], [0.9, -0.1]], dtype=torch.float64)
    ways = field.path(b)
    assert bool((ways[0, 10:-10, 1] > 0).all())
    assert bool((ways[1, 10:-10, 1] < 0).all())


@needs_numba
@pytest.mark.thorough  # compiles the search once more
def test_refined_distances_are_those_of_the_half_plane(half_plane):
    z = drawn(*CORNERS, 50, seed=2)
    field = DistanceField.build(half_plane, SOURCE, resolution=32)
    found = field.to(z, refined=True)
    assert bool(found.refined.all())
    truth = HalfPlane().dist(SOURCE.expand_as(z), z)
    torch.testing.assert_close(found.distance, truth, rtol=2e-5, atol=0)
    assert float((found.error / truth).max()) < 1e-4


def test_on_a_line_distances_are_sums():
    cubic = PullbackMetric(lambda z: torch.cat([z, z**3], -1), dim=1)
    table = TabulatedMetric.build(cubic, torch.tensor([[-1.0], [1.0]]).double(), rtol=1e-7)
    z = torch.linspace(-1, 1, 7, dtype=torch.float64).unsqueeze(-1)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)
    source = torch.tensor([0.3], dtype=torch.float64)
    steps = source + t * (z - source)
    speed = (1 + 9 * steps**4).sqrt() * (z - source).abs()
    truth = torch.trapezoid(speed, t)
    field = DistanceField.build(table, source)
    torch.testing.assert_close(field.at(z), truth, rtol=1e-6, atol=1e-6)
    sign = (source - z).sign()
    expected = sign * (truth / (1 + 9 * z.squeeze(-1) ** 4).sqrt()).unsqueeze(-1)
    torch.testing.assert_close(field.log(z), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def line():
    box = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    return DistanceField.build(TabulatedMetric.build(PullbackMetric(lambda z: 2 * z), box), [0.5])


def test_points_beyond_the_table_are_unknown_and_said_to_be(line):
    with pytest.warns(ConvergenceWarning, match="1 of 2 points of `z` lie beyond the field"):
        found = line.at([[5.0], [1.0]])
    assert found.isnan().tolist() == [True, False]
    with pytest.warns(ConvergenceWarning, match="of `points`"):
        measured = line.to([[5.0], [1.0]])
    assert measured.error.isnan().tolist() == [True, False]
    with pytest.warns(ConvergenceWarning, match="beyond"):
        assert bool(line.path([5.0]).isnan().all())


def test_a_batch_is_a_loop_over_its_points(line):
    z = torch.linspace(0, 1, 6, dtype=torch.float64).reshape(3, 2, 1)
    for ask in (line.at, line.error_at, line.log, line.path):
        whole = ask(z)
        assert whole.shape[:2] == (3, 2)
        torch.testing.assert_close(whole[2, 1], ask(z[2, 1]))


def test_answers_have_the_type_of_the_table():
    M = Manifold(lambda z: 2 * z, dim=1, dtype=torch.float32).tabulated([[0.0], [1.0]])
    field = M.dist_field([0.25])
    assert {field.at([0.5]).dtype, field.distances.dtype, field.log([0.5]).dtype} == {torch.float32}
    assert field.at([0.5]).item() == pytest.approx(0.5, rel=1e-5)


def test_what_cannot_be_measured_is_refused(half_plane, monkeypatch):
    with pytest.raises(InvalidParameterError, match=r"`metric` must be a table.*tabulated"):
        Manifold(HalfPlane()).dist_field([0.0, 1.0])
    with pytest.raises(InvalidParameterError, match="`resolution` must be"):
        DistanceField.build(half_plane, SOURCE, resolution=4)
    with pytest.raises(InvalidDataError, match=r"`point` must lie where the table answers"):
        DistanceField.build(half_plane, [9.0, 1.0], resolution=8)
    with pytest.raises(InvalidDataError, match=r"`point` must be one point"):
        DistanceField.build(half_plane, CORNERS, resolution=8)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"numba.*pullback\[fast\]"):
        DistanceField.build(half_plane, SOURCE)
