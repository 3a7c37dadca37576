"""What is said for a curve: its geodesic curvature, what it could gain, and if it is a minimum."""

import math

import pytest
import torch

from pullback.geodesics.result import through
from pullback.geodesics.search.certificate import certify
from pullback.geodesics.search.measure import fine_points, measure
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.metrics import PullbackMetric


def turned(z):
    """A plane in three dimensions, for every d a space that is flat but not the identity."""
    return torch.cat([z, z.sum(-1, keepdim=True)], -1)


def sphere(z):
    """The unit sphere by latitude and longitude."""
    latitude, longitude = z.unbind(-1)
    x, y = latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin()
    return torch.stack([x, y, latitude.sin()], -1)


SMALL_DIM = THRESHOLDS.small_dim
PLANE, SPHERE = PullbackMetric(lambda z: z), PullbackMetric(sphere)


def circle(angle, n=65, d=2):
    """An arc of the unit circle at constant speed, in d dimensions."""
    t = angle * torch.linspace(0, 1, n, dtype=torch.float64)
    return torch.nn.functional.pad(torch.stack([t.cos(), t.sin()], -1), [0, d - 2])[None]


def meridian(length, n=65):
    """A piece of the equator, a geodesic of the sphere."""
    t = length * torch.linspace(0, 1, n, dtype=torch.float64)
    return torch.stack([torch.zeros_like(t), t], -1)[None]


@pytest.mark.parametrize("angle", [0.5, math.pi, 5.0])
def test_the_residual_is_the_curvature_of_a_circle_in_units_of_its_length(angle):
    assert float(certify(PLANE, circle(angle)).residual) == pytest.approx(angle, rel=1e-3)


@pytest.mark.parametrize("n", [17, 65])
@pytest.mark.parametrize("d", [SMALL_DIM, SMALL_DIM + 1, 20])
def test_it_is_the_same_in_every_dimension_and_for_every_number_of_nodes(d, n):
    arc = circle(1.0, n, d)
    arc = arc @ torch.linalg.qr(torch.randn(d, d, dtype=torch.float64))[0]
    # Beyond 8 dimensions it is taken at four of the nodes, of an arc that is everywhere alike.
    assert float(certify(PLANE, arc).residual) == pytest.approx(1.0, rel=0.35 if d > 8 else 1e-3)


def test_a_parallel_bends_as_the_tangent_of_its_latitude():
    latitude, turn = 0.6, 1.2
    line = meridian(turn) + torch.tensor([latitude, 0.0])
    curvature = math.tan(latitude) * turn * math.cos(latitude)  # times the length
    assert float(certify(SPHERE, line).residual) == pytest.approx(curvature, rel=1e-4)


def test_a_geodesic_has_no_residual_and_nothing_to_gain():
    found = certify(SPHERE, meridian(2.0))
    assert float(found.residual) < 1e-9
    assert float(found.excess) < 1e-12
    assert bool(found.regular)


@pytest.mark.parametrize(("length", "minimum"), [(1.0, 1), (2.9, 1), (3.4, 0), (5.0, 0)])
def test_beyond_the_conjugate_point_a_great_circle_is_no_minimum(length, minimum):
    assert float(certify(SPHERE, meridian(length)).second_variation) == minimum


def test_the_second_variation_is_not_looked_at_in_many_dimensions():
    found = certify(PLANE, circle(1.0, d=SMALL_DIM + 1))
    assert bool(found.second_variation.isnan())
    assert bool(found.excess.isnan())


def test_the_excess_is_the_share_of_the_energy_above_the_geodesic():
    """A chord with a small sine added: its energy is larger by (pi a / L)^2 / 2."""
    t = torch.linspace(0, 1, 65, dtype=torch.float64)
    for a in (1e-2, 1e-3):
        line = torch.stack([2 * t, a * (torch.pi * t).sin()], -1)[None]
        expected = (math.pi * a / 2) ** 2 / 2
        assert float(certify(PLANE, line).excess) == pytest.approx(expected, rel=2e-2)


def test_a_correction_brings_a_chain_to_fourth_order():
    # What 17 nodes solve is not what the sphere's great circle is, to second order.
    n = 17
    line = meridian(2.0, n)
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    line[..., 0] = 0.02 * (torch.pi * t).sin()
    before, after = (certify(SPHERE, line, correct=correct) for correct in (False, True))
    assert before.nodes.equal(line)
    lengths = [
        float(measure(SPHERE, fine_points(through(part.nodes)))[0]) for part in (before, after)
    ]
    assert lengths[0] - 2 > 1e-4
    assert abs(lengths[1] - 2) < 1e-2 * (lengths[0] - 2)
    assert float(after.residual) < 0.1 * float(before.residual)
    assert after.nodes[:, [0, -1]].equal(line[:, [0, -1]])


def test_no_correction_is_taken_where_the_accuracy_is_met():
    line = meridian(2.0, 17)
    line[:, 8, 0] += 1e-4
    assert certify(SPHERE, line, correct=True, accuracy=1.0).nodes.equal(line)
    assert not certify(SPHERE, line, correct=True).nodes.equal(line)


def test_a_singular_metric_is_told():
    flat = PullbackMetric(lambda z: z[..., :1])
    line = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1) * torch.ones(2)
    assert not bool(certify(flat, line).regular)
    assert bool(certify(PullbackMetric(turned), line).regular)


def test_a_batch_is_a_loop():
    batch = torch.cat([circle(0.5), circle(2.0), circle(4.0)])
    whole = certify(PLANE, batch, correct=True)
    for i, part in enumerate(batch):
        alone = certify(PLANE, part[None], correct=True)
        for found, expected in zip(whole, alone, strict=True):
            torch.testing.assert_close(found[i : i + 1], expected, rtol=1e-9, atol=1e-12)
