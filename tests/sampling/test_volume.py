"""Independent draws by powers of the volume: exact laws at the level 1e-5 (one false alarm in
100,000 seeds, and the seed is fixed), the normaliser, and hostile boxes."""

import math

import pytest
import torch
from scipy import stats

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
)
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, stereographic
from pullback.metrics import Metric, PullbackMetric
from pullback.sampling import Support, VolumeSampler

LEVEL = 1e-5
STRIP = [[0.0, 1.0], [1.0, 4.0]]


class Powers(Metric):
    """sqrt det M = exp(sum z)."""

    def metric_matrix(self, z):
        eye = torch.eye(z.shape[-1], dtype=z.dtype)
        return (2 * z.sum(-1) / z.shape[-1]).exp()[..., None, None] * eye


def test_uniform_by_the_volume_of_the_half_plane():
    samples = VolumeSampler(Manifold(HalfPlane()), STRIP).sample(5000, random_state=0)
    x, y = samples.points.T
    assert stats.kstest(1 / y, stats.uniform(0.25, 0.75).cdf).pvalue > LEVEL
    assert stats.kstest(x, stats.uniform.cdf).pvalue > LEVEL
    assert float(samples.acceptance) > 0.8
    # Uniform: one over the volume, 3 / 4; its error is that of the share of accepted proposals.
    p = float(samples.acceptance)
    error = 4.5 * math.sqrt((1 - p) / (p * 5000))
    assert torch.allclose(samples.log_density, -torch.tensor(0.75).double().log(), atol=error)


@pytest.mark.parametrize("power", [-2.0, -1.0, 0.0, 0.5])
def test_a_power_of_the_volume(power):
    samples = VolumeSampler(Manifold(HalfPlane()), STRIP, power=power).sample(5000, random_state=0)
    k = 1 - 2 * power  # y^(-2 power) dy
    cdf = lambda y: (y**k - 1) / (4**k - 1) if k else math.log(y) / math.log(4)  # noqa: E731
    y = samples.points[:, 1]
    assert stats.kstest(cdf(y) if k else y.log() / math.log(4), stats.uniform.cdf).pvalue > LEVEL
    slope = samples.log_density - 2 * (1 - power) * y.log()
    assert torch.allclose(slope, slope[:1])


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions(d):
    box = torch.stack([torch.zeros(d), torch.ones(d)]).double()
    samples = VolumeSampler(Manifold(Powers(dim=d)), box).sample(3000, random_state=0)
    for axis in samples.points.T:
        assert stats.kstest(axis.expm1() / math.expm1(1), stats.uniform.cdf).pvalue > LEVEL
    assert float(samples.log_density[0]) == pytest.approx(-d * math.log(math.expm1(1)), abs=0.05)


@pytest.mark.slow
def test_uniform_on_a_cap_and_on_a_table_of_it():
    box = [[-1.0, -1.0], [1.0, 1.0]]
    sphere = Manifold(stereographic, dim=2)
    for manifold in (sphere, sphere.tabulated(torch.tensor([[-1.2, -1.2], [1.2, 1.2]]))):
        cap = VolumeSampler(manifold, box, region=lambda z: z.square().sum(-1) < 1 / 3, n_cells=32)
        height = stereographic(cap.sample(3000, random_state=1).points)[:, 2]
        assert stats.kstest(height, stats.uniform(-1, 0.5).cdf).pvalue > LEVEL


def test_a_wall_of_seven_decades_is_drawn_from_its_floor():
    # sqrt det M = exp(16 tanh(4 x)): nearly all of the volume lies at x > 0, none is drawn there.
    wall = PullbackMetric(lambda z: torch.exp(8 * torch.tanh(4 * z)), dim=1)
    manifold = Manifold(wall)
    support = lambda z: z[:, 0] < -1  # noqa: E731
    chain = VolumeSampler(manifold, [[-2.0], [2.0]], region=support)
    samples = chain.sample(500, random_state=0)
    assert float(samples.points.max()) < -1
    assert float(samples.acceptance) > 0.8


@pytest.mark.slow
def test_the_box_of_a_support():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    flat = Manifold(PullbackMetric(lambda z: z, dim=2))
    support = Support(flat, codes)
    samples = VolumeSampler(flat, region=support).sample(300, random_state=0)
    assert support.share(samples.points) == 1
    assert torch.equal(
        samples.points, VolumeSampler(flat, region=support).sample(300, random_state=0).points
    )


def test_a_coarse_grid_says_so():
    spike = PullbackMetric(lambda z: z + torch.tanh(300 * (z - 0.013)), dim=1)
    with pytest.warns(ConvergenceWarning, match="above its bound at .*raise `n_cells`"):
        VolumeSampler(Manifold(spike), [[-1.0], [1.0]], n_cells=8).sample(2000, random_state=0)


def test_hostile_boxes():
    plane = Manifold(HalfPlane())
    for box in ([[1.0, 1.0], [0.0, 2.0]], [[0.0, 1.0]]):
        with pytest.raises(InvalidParameterError, match="`box` must be the lowest and the highest"):
            VolumeSampler(plane, box)
    with pytest.raises(InvalidDataError, match="`box`"):
        VolumeSampler(plane, [[0.0, math.nan], [1.0, 1.0]])
    with pytest.raises(InvalidParameterError, match="`box` must be given"):
        VolumeSampler(plane)
    with pytest.raises(InvalidDataError, match="The density is 0 at every node"):
        VolumeSampler(plane, STRIP, region=lambda z: z[:, 0] > 2)
    with pytest.raises(InvalidDataError, match="The density is 0 at every node"):
        VolumeSampler(plane, [[0.0, -2.0], [1.0, -1.0]])
    flat = Manifold(PullbackMetric(lambda z: z, dim=4))
    with pytest.raises(InvalidParameterError, match="at most 3 dimensions.*Hamiltonian"):
        VolumeSampler(flat, torch.stack([torch.zeros(4), torch.ones(4)]))
    collapsed = Manifold(PullbackMetric(lambda z: z * torch.tensor([1.0, 0.0]).to(z), dim=2))
    with pytest.raises(InvalidDataError, match="negative `power`"):
        VolumeSampler(collapsed, STRIP, power=-1.0)


@pytest.mark.slow
def test_a_region_that_is_never_hit_ends():
    # Only the nodes themselves lie inside.
    nodes = lambda z: z[:, 0] * 4 == (z[:, 0] * 4).round()  # noqa: E731
    grid = VolumeSampler(Manifold(Powers(dim=1)), [[0.0], [1.0]], region=nodes, n_cells=4)
    with pytest.raises(ConvergenceError, match="Only 0 of .* proposals were accepted"):
        grid.sample(10, random_state=0)
