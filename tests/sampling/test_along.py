"""Points along geodesics and around them."""

import pytest
import torch
from scipy import stats

from pullback.curves import Polyline
from pullback.errors import InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import Metric, PullbackMetric
from pullback.sampling import ChainStatus, GeodesicTube


@pytest.fixture(scope="module")
def plane():
    return Manifold(HalfPlane())


@pytest.fixture(scope="module")
def paths(plane):
    a = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).double()
    return plane.geodesic(a, torch.tensor([[0.0, 8.0], [2.0, 1.0]]).double())


def test_equal_arc_lengths(plane, paths):
    samples = GeodesicTube(plane, paths).sample(9)
    assert samples.points.shape == (2, 9, 2)
    assert bool(samples.converged.all())
    gaps = HalfPlane().dist(samples.points[:, :-1], samples.points[:, 1:])
    assert torch.allclose(gaps, (paths.length / 8).unsqueeze(-1).expand(2, 8), rtol=1e-5)
    assert torch.allclose(samples.points[:, 0], paths.curve.start)
    assert torch.allclose(samples.points[:, -1], paths.curve.end)


def test_equal_arc_lengths_on_a_curve_of_uneven_speed(plane):
    uneven = Polyline(torch.tensor([[0.0, 1.0], [0.0, 1.1], [0.0, 16.0]]).double())
    z = GeodesicTube(plane, uneven).sample(5).points
    assert torch.allclose(z[:, 1], torch.tensor([1.0, 2, 4, 8, 16]).double(), rtol=1e-4)


def test_random_arc_lengths_are_uniform(plane, paths):
    tube = GeodesicTube(plane, paths)
    samples = tube.sample(3000, spacing="random", random_state=0)
    # The level 1e-5: one false alarm in 100,000 seeds.
    up = samples.points[0, :, 1].log() / torch.tensor(8.0).log()
    assert stats.kstest(up, stats.uniform.cdf).pvalue > 1e-5
    again = tube.sample(3000, spacing="random", random_state=0)
    assert torch.equal(samples.points, again.points)


@pytest.mark.slow
def test_draws_around_are_normal_across(plane, paths):
    samples = GeodesicTube(plane, paths.take(torch.tensor([0])), spread=0.3).sample(
        2000, spacing="random", random_state=0
    )
    assert bool(samples.converged.all())
    x, y = samples.points[0].T
    # The line x = 0: a geodesic square to it at (0, r) is the circle of radius r about the origin,
    # on which x / y = sinh(distance). One false alarm in 100,000 seeds.
    away = torch.asinh(x / y)
    assert stats.kstest(away, stats.norm(scale=0.3).cdf).pvalue > 1e-5
    share = torch.hypot(x, y).log() / torch.tensor(8.0).log()
    assert stats.kstest(share, stats.uniform.cdf).pvalue > 1e-5


@pytest.mark.slow
def test_a_curve_of_one_point_and_one_draw(plane):
    still = Polyline(torch.tensor([[0.5, 2.0], [0.5, 2.0]]).double())
    assert bool((GeodesicTube(plane, still).sample(4).points == still.nodes[0]).all())
    around = GeodesicTube(plane, still, spread=0.1).sample(1, random_state=0)
    assert around.points.shape == (1, 2)
    assert bool(around.points.isfinite().all())


class Slit(Metric):
    """The flat half-plane y > 0, whose edge is near."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape, -1)

    def contains(self, z):
        return z[..., 1] > 0


@pytest.mark.slow
def test_draws_that_exp_cannot_reach_stay_and_say_so():
    line = Polyline(torch.tensor([[0.0, 0.1], [1.0, 0.1]], dtype=torch.float64))
    samples = GeodesicTube(Manifold(Slit(dim=2)), line, spread=1.0).sample(50, random_state=0)
    failed = ~samples.converged
    assert 0 < int(failed.sum()) < 50
    assert set(samples.status[failed].tolist()) <= {
        int(ChainStatus.LEFT_DOMAIN),
        int(ChainStatus.NO_GEODESIC),
    }
    assert float((samples.points[failed][:, 1] - 0.1).abs().max()) < 1e-12
    assert bool((samples.points[~failed][:, 1] > 0).all())


def test_hostile_paths(plane, paths):
    with pytest.raises(InvalidParameterError, match="`path` must be a GeodesicResult or a Curve"):
        GeodesicTube(plane, torch.zeros(5, 2))
    with pytest.raises(InvalidParameterError, match="`spread`"):
        GeodesicTube(plane, paths, spread=-1.0)
    with pytest.raises(InvalidParameterError, match="`n` must be an integer >= 1"):
        GeodesicTube(plane, paths).sample(0)
    with pytest.raises(InvalidParameterError, match="`spacing` must be one of"):
        GeodesicTube(plane, paths).sample(5, spacing="even")


@pytest.mark.slow
def test_across_in_more_dimensions():
    flat = Manifold(PullbackMetric(lambda z: z, dim=4))
    ends = torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]]).double()
    z = GeodesicTube(flat, Polyline(ends), spread=0.5).sample(1000, random_state=0).points
    assert torch.allclose(z[:, 0], torch.linspace(0, 1, 1000).double(), atol=1e-8)
    # One false alarm in 100,000 seeds.
    assert stats.kstest(z[:, 1:].flatten(), stats.norm(scale=0.5).cdf).pvalue > 1e-5
