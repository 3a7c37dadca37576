"""A second look at answers: lengths against SciPy, attacks, and what becomes of failures."""

import math

import pytest
import torch
from scipy.integrate import quad

from pullback.geodesics import Status, connect
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.verification import attacked, measure_densely
from pullback.manifolds.reference import stereographic
from pullback.metrics import Metric, PullbackMetric


def hills(z, centres, heights, width):
    squared = (z.unsqueeze(-2) - centres).square().sum(-1)
    hill = (heights * (-squared / (2 * width**2)).exp()).sum(-1, keepdim=True)
    return torch.cat([z, hill], -1)


def test_the_speed_on_a_line_is_told_as_many_points_see_it():
    walls = torch.tensor([-1.923, -0.0147, 1.891], dtype=torch.float64)
    heights = torch.tensor([0.645, 0.791, 0.179], dtype=torch.float64)

    def image(z):  # a peak of the speed at each wall, of a few thousandths of the line
        return torch.cat([z, heights * ((z - walls) / 0.0045).tanh()], -1)

    ends = torch.linspace(-2.1, -0.5, 60, dtype=torch.float64).unsqueeze(-1)
    found = connect(PullbackMetric(image, dim=1), ends, -ends)
    assert found.converged.all()
    chords = image(found.points(2**15 + 1)).diff(dim=-2).norm(dim=-1)
    deviation, mean = torch.std_mean(chords, -1)
    assert (deviation / mean - found.speed_variation).abs().max() < 0.015  # half of what it was


@pytest.mark.slow
def test_walls_on_a_line_are_measured_as_scipy_does():
    offsets = torch.tensor([-1.1, -0.3, 0.2, 0.9], dtype=torch.float64)
    heights = torch.tensor([2.5, 2.1, 3.9, 2.8], dtype=torch.float64)

    def image(z):
        return torch.cat([2 * z, heights * (20 * (z - offsets)).tanh()], -1)

    def speed(z):
        slopes = 20 * heights / torch.cosh(20 * (z - offsets)).square()
        return float((4 + slopes.square().sum()).sqrt())

    a = torch.linspace(-2.0, 1.0, 16, dtype=torch.float64).unsqueeze(-1)
    b = a.flip(0) + 0.35
    found = connect(PullbackMetric(image, dim=1), a, b)
    ends = torch.cat([a, b], -1).tolist()
    points = [-1.1, -0.3, 0.2, 0.9]
    truth = [abs(quad(speed, x, y, points=points, limit=500, epsrel=1e-9)[0]) for x, y in ends]
    assert found.converged.all()
    torch.testing.assert_close(found.length, torch.tensor(truth).double(), rtol=2e-4, atol=0)


def test_a_wall_between_the_points_is_found_by_more_of_them():
    width, height = 1.5e-3, 3.0

    def image(z):
        return torch.cat([z, height * (-((z - 0.503) / width).square()).exp()], -1)

    def speed(z):
        u = (z - 0.503) / width
        return math.hypot(1, 2 * height * u / width * math.exp(-u * u))

    line = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    few = measure_densely(PullbackMetric(image), line, rtol=1.0, n_segments=64)
    many = measure_densely(PullbackMetric(image), line, rtol=1e-4)
    near = [0.503 + k * width for k in (-3, -1, 0, 1, 3)]
    assert few.length.item() < 1.5  # which steps over it
    assert many.length.item() == pytest.approx(
        quad(speed, 0, 1, points=near, limit=500)[0], rel=3e-3
    )


@pytest.mark.slow
def test_a_descent_shortens_what_is_no_geodesic_and_leaves_a_great_circle_alone():
    sphere = PullbackMetric(stereographic, dim=2)
    a, b = torch.tensor([[0.3, -0.2]]).double(), torch.tensor([[-0.6, 0.5]]).double()
    found = connect(sphere, a, b)
    still = attacked(sphere, found.curve.nodes, rtol=1e-4)
    torch.testing.assert_close(still.descended, found.length, rtol=1e-4, atol=0)
    t = torch.linspace(0, torch.pi, found.curve.nodes.shape[1], dtype=torch.float64)
    bent = found.curve.nodes + 0.1 * t.sin()[:, None] * torch.tensor([0.6, 0.8]).double()
    look = attacked(sphere, bent, rtol=1e-4)
    assert (look.measured.length > 1.01 * found.length).all()
    torch.testing.assert_close(look.descended, found.length, rtol=1e-4, atol=0)


class Channel(Metric):
    """The plane, but with a channel beside the line that is a little cheaper than the truth."""

    def __init__(self, gain, at):
        super().__init__(2)
        self.gain, self.at = gain, at

    def metric_matrix(self, z):
        eye = torch.eye(2, dtype=z.dtype)
        cheap = 1 - self.gain * (-((z[..., 1] - self.at) / 0.01).square()).exp()
        return cheap[..., None, None] * eye

    @property
    def exact(self):
        return PullbackMetric(lambda z: z, dim=2)


@pytest.mark.parametrize(
    ("gain", "at"), [(0.005, 0.025), (0.0015, 0.015)], ids=["wrong", "misled but hardly longer"]
)
def test_a_geodesic_of_the_approximation_only_is_searched_again_on_the_exact_metric(gain, at):
    found = connect(Channel(gain, at), [[0.0, 0.0]], [[1.0, 0.0]])
    assert found.converged.all()
    assert found.length.item() == pytest.approx(1.0, rel=1e-6)


class Kinked(Metric):
    """A metric without second derivatives of use: its answers are attacked without them."""

    def metric_matrix(self, z):
        cost = 1 + 0.2 * z.abs().sum(-1).sub(0.5).relu()
        return cost[..., None, None].square() * torch.eye(2, dtype=z.dtype)


@pytest.mark.slow
def test_what_says_that_it_converged_is_not_shortened_by_a_descent_over_kinks():
    a = torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = connect(Kinked(2), a, a.flip(0).roll(1, -1) + 0.1)
    look = attacked(Kinked(2), found.curve.nodes, rtol=1e-5)
    kept = found.converged
    assert kept.any()
    assert (look.descended > (1 - 1e-3) * found.length)[kept].all()
    named = {Status.CONVERGED, Status.MAX_STEPS, Status.STALLED, Status.UNRESOLVED}
    assert set(found.status.tolist()) <= named


@pytest.mark.thorough
def test_bends_see_round_hills_where_there_is_no_graph():
    generator = torch.Generator().manual_seed(3)
    codes = 1.5 * torch.randn(60, 3, generator=generator, dtype=torch.float64)
    centres = codes[:20] / 2 + codes[20:40] / 2
    metric = PullbackMetric(lambda z: hills(z, centres, z.new_tensor(4.0), 0.5), dim=3)
    a, b = codes[:8], codes[20:28]
    found = connect(metric, a, b)
    assert {"straight", "bent 0", "bent 1"} == set(found.starts)
    line = a.unsqueeze(1) + torch.linspace(0, 1, 33).double()[:, None] * (b - a).unsqueeze(1)
    for start in shortest_bends(metric, line):
        other = connect(metric, a, b, initial=[start])
        assert (found.length <= other.length * 1.01)[found.converged].all()


@pytest.mark.slow
def test_ways_of_nearly_the_same_length_are_warned_of():
    centre, height = torch.zeros(1, 2).double(), torch.full((1,), 4.0).double()
    metric = PullbackMetric(lambda z: hills(z, centre, height, 0.5), dim=2)
    ends = torch.tensor([[-1.5, 0.02], [-1.5, 1.4]]), torch.tensor([[1.5, 0.02], [1.5, 1.4]])
    found = connect(
        metric,
        *(p.double() for p in ends),
        initial=[
            torch.tensor([[[-1.5, 0.02], [0, -1.2], [1.5, 0.02]]] * 2)
            .double()
            .where(
                torch.tensor([True, False])[:, None, None],
                torch.tensor([[-1.5, 1.4], [0.0, 1.5], [1.5, 1.4]]).double(),
            ),
            torch.tensor([[[-1.5, 0.02], [0, 1.2], [1.5, 0.02]]] * 2)
            .double()
            .where(
                torch.tensor([True, False])[:, None, None],
                torch.tensor([[-1.5, 1.4], [0.0, 1.5], [1.5, 1.4]]).double(),
            ),
        ],
    )
    assert found.ambiguous.tolist() == [True, False]
    assert found.rival_length[0].item() == pytest.approx(found.length[0].item(), rel=0.05)
    assert "nearly as short (pair 0)" in str(found) or "conjugate ends (pair 0)" in str(found)


def test_in_the_plane_other_ways_are_looked_for_where_starts_part():
    """Three hills: the line and the way below are followed, and the way above is the shortest."""
    centres = torch.tensor([[-1.0, 0.05], [0.0, 0.05], [1.0, 0.05]], dtype=torch.float64)
    heights = torch.full((3,), 3.0, dtype=torch.float64)
    metric = PullbackMetric(lambda z: hills(z, centres.to(z), heights.to(z), 0.3), dim=2)
    a, b = torch.tensor([[-2.0, 0.1]]).double(), torch.tensor([[2.0, 0.1]]).double()
    t = torch.linspace(0, 1, 65, dtype=torch.float64)[:, None]
    below = (a + t * (b - a) - torch.tensor([0.0, 1.2]) * (torch.pi * t).sin()).unsqueeze(0)
    first = connect(metric, a, b, initial=below, confirm=False)
    assert first.start_margin.item() > 2e-3
    found = connect(metric, a, b, initial=below)
    assert found.converged.all()
    assert found.length.item() < 0.98 * first.length.item()
    assert found.ambiguous.all()
