"""Laws that hold for every sampler: what becomes of hostile input, of chains, seeds and precision.

Each call ends within a time bound, with an error that says what to do, or with finite draws and a
status for those that could not be made.
"""

import math

import pytest
import torch

from pullback import sampling
from pullback.errors import InvalidDataError, InvalidParameterError, PullbackError
from pullback.manifolds import Manifold
from pullback.metrics import Metric, PullbackMetric
from pullback.sampling import (
    BrownianMotion,
    ChainStatus,
    GeodesicTube,
    Hamiltonian,
    HeatKernel,
    IndependentSampler,
    Langevin,
    MetropolisSampler,
    Samples,
    Support,
    SupportSampler,
    VolumeSampler,
)
from pullback.sampling.base import check_manifold

pytestmark = pytest.mark.cpu_seconds(20)  # for what takes less than two


class Half(Metric):
    """The plane, but right of 1 the metric is not defined, singular or not finite."""

    def __init__(self, beyond, defined=True):
        super().__init__(dim=2)
        self.beyond, self.defined = beyond, defined

    def metric_matrix(self, z):
        eye = torch.eye(2, dtype=z.dtype, device=z.device).expand(*z.shape, 2)
        return torch.where((z[..., 0] > 1)[..., None, None], self.beyond * eye, eye)

    def contains(self, z):
        return (z[..., 0] <= 1) | self.defined


def plane(dtype=torch.float64):
    return Manifold(PullbackMetric(lambda z: z, dim=2), dtype=dtype)


def normal(z):
    return -z.square().sum(-1) / 2


def turns_back(name):
    """Whether a chain refuses what lies beyond a wall, and stays where it is."""
    return isinstance(CHAINS[name](plane()), MetropolisSampler)


BAD_HALVES = {
    "NaN": (Half(torch.nan), ChainStatus.NOT_FINITE),
    "infinite": (Half(torch.inf), ChainStatus.NOT_FINITE),
    "singular": (Half(0.0), ChainStatus.DEGENERATE),
    "not defined": (Half(1.0, defined=False), ChainStatus.LEFT_DOMAIN),
}
CHAINS = {
    "ito": lambda M: BrownianMotion(M, step_size=0.5),
    "geodesic": lambda M: BrownianMotion(M, step_size=0.5, method="geodesic"),
    "driftless": lambda M: BrownianMotion(M, step_size=0.5, method="driftless"),
    "langevin": lambda M: Langevin(M, normal, n_burn_in=0, step_size=0.5),
    "hamiltonian": lambda M: Hamiltonian(M, normal, n_burn_in=0, n_leapfrog=3, step_size=0.5),
    "heat": lambda M: HeatKernel(M, time=1.5, n_substeps=6),
}
CODES = 0.4 * torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
BOX = [[-3.0, -3.0], [3.0, 3.0]]
DRAWS = {
    "support": lambda M: SupportSampler(Support(M, CODES)),
    "volume": lambda M: VolumeSampler(M, BOX, n_cells=16),
    "inverse volume": lambda M: VolumeSampler(M, BOX, n_cells=16, power=-1),
    "heat from a point": lambda M: HeatKernel(M, time=1.5, n_substeps=6).at([0.0, 0.0]),
    "tube": lambda M: GeodesicTube(M, M.geodesic([-1.0, 0.0], [0.8, 0.5]), spread=0.1),
}
EVERY_CHAIN = pytest.mark.parametrize("name", CHAINS)
WALLED_CHAIN = pytest.mark.parametrize(  # a geodesic that runs into a wall takes all its steps
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "geodesic" else n for n in CHAINS]
)
EVERY_DRAW = pytest.mark.parametrize("name", DRAWS)
EVERY_HALF = pytest.mark.parametrize("half", BAD_HALVES)


def test_every_public_sampler_is_here():
    public = {n for n in sampling.__all__ if hasattr(getattr(sampling, n), "sample")}
    makers = [make(plane()) for make in (CHAINS | DRAWS).values()]
    here = {type(made).__name__ for made in makers} - {"HeatKernelDraws"}
    assert here == public - {"Sampler", "MetropolisSampler", "IndependentSampler"}
    assert all(isinstance(DRAWS[name](plane()), IndependentSampler) for name in DRAWS)


@pytest.mark.slow
@EVERY_CHAIN
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0,)])
def test_any_number_of_chains(name, shape):
    samples = CHAINS[name](plane()).sample(torch.zeros(*shape, 2), 8, random_state=0)
    n = samples.points.shape[-2]
    assert n == (9 if name in ("ito", "geodesic", "driftless") else 8)
    assert samples.points.shape == (*shape, n, 2)
    assert samples.status.shape == ((*shape, n) if name == "heat" else shape)
    assert bool(samples.converged.all())
    assert bool(samples.points.isfinite().all())


@EVERY_CHAIN
@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([math.nan, 0.0], "`start` must be finite"),
        ([math.inf, 0.0], "`start` must be finite"),
        ([0.0, 0.0, 0.0], r"`start` must have shape \(..., 2\)"),
        (1.0, r"`start` must have shape \(..., 2\)"),
        ("here", "`start` must hold real numbers"),
    ],
)
def test_starts_that_are_no_points(name, start, message):
    with pytest.raises(InvalidDataError, match=message):
        CHAINS[name](plane()).sample(start, 4)


@EVERY_CHAIN
@EVERY_HALF
def test_starts_where_there_is_no_metric(name, half):
    sampler = CHAINS[name](Manifold(BAD_HALVES[half][0]))
    with pytest.raises(InvalidDataError, match="`start` must lie where.*the first is number"):
        sampler.sample([[0.0, 0.0], [2.0, 0.0]], 1)


@pytest.mark.slow
@WALLED_CHAIN
@EVERY_HALF
def test_chains_that_meet_a_wall(name, half):
    metric, why = BAD_HALVES[half]
    starts = torch.zeros(40, 2) if name != "heat" else torch.zeros(2)
    n = {"heat": 40, "geodesic": 3}.get(name, 12)
    samples = CHAINS[name](Manifold(metric)).sample(starts, n, random_state=1)
    assert bool(samples.points.isfinite().all())
    assert bool((samples.points[..., 0] <= 1).all())
    if turns_back(name):
        assert bool(samples.converged.all())
        return
    stopped = samples.status != ChainStatus.COMPLETED
    assert 0 < int(stopped.sum()) < 40
    if name != "geodesic":  # whose flight itself breaks off at the wall
        assert set(samples.status[stopped].tolist()) == {why}
    if name != "heat":
        assert bool((samples.points[stopped, -1] == samples.points[stopped, -2]).any())
    assert str(samples).count("\n") >= 2  # says so


@pytest.mark.slow
@WALLED_CHAIN
def test_a_chain_that_stops_does_not_change_the_others(name):
    starts = torch.zeros(40, 2) if name != "heat" else torch.zeros(2)
    n = {"heat": 40, "geodesic": 3}.get(name, 12)
    free = CHAINS[name](Manifold(Half(1.0))).sample(starts, n, random_state=1)
    walled = CHAINS[name](Manifold(Half(torch.nan))).sample(starts, n, random_state=1)
    if turns_back(name):  # none of them stops
        return
    same = walled.converged if name == "heat" else walled.converged[:, None].expand(-1, n + 1)
    assert bool(same.any())
    assert torch.equal(free.points[same], walled.points[same])


@EVERY_CHAIN
@pytest.mark.parametrize("n", [0, -1, True])
def test_numbers_of_steps_that_are_none(name, n):
    with pytest.raises(InvalidParameterError, match="`n_(steps|draws)` must be an integer >= 1"):
        CHAINS[name](plane()).sample([0.0, 0.0], n)


@EVERY_DRAW
@pytest.mark.parametrize("n", [0, -1, True])
def test_numbers_of_draws_that_are_none(name, n):
    with pytest.raises(InvalidParameterError, match="`n` must be an integer >= 1"):
        DRAWS[name](plane()).sample(n)


@EVERY_DRAW
@pytest.mark.parametrize("n", [1, 7])
def test_any_number_of_draws_of_one_kind(name, n):
    M = plane()
    before = torch.get_rng_state()
    samples = DRAWS[name](M).sample(n, random_state=0)
    assert torch.equal(before, torch.get_rng_state())
    assert isinstance(samples, Samples)
    assert samples.points.shape == (n, 2)
    assert samples.points.dtype == M.dtype
    assert not samples.points.requires_grad
    assert samples.status.shape in ((), (n,))
    assert samples.log_density is None or samples.log_density.shape == (n,)
    assert str(samples).startswith(f"1 chains of {n} draws in 2 dimensions")
    assert len(samples.to_frame()) == n


@pytest.mark.slow
@EVERY_DRAW
def test_draws_know_nothing_of_each_other(name):
    options = {"spacing": "random"} if name == "tube" else {}
    z = DRAWS[name](plane()).sample(2000, random_state=0, **options).points
    z = (z - z.mean(0)) / z.std(0)
    assert float((z[1:] * z[:-1]).mean(0).abs().max()) < 4 / 2000**0.5


def drawn(name, random_state, dtype=torch.float64):
    if name in CHAINS:
        sampler = CHAINS[name](plane(dtype))
        return sampler.sample(torch.zeros(2, 2), 6, random_state=random_state)
    return DRAWS[name](plane(dtype)).sample(6, random_state=random_state)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS | DRAWS)
def test_a_seed_and_a_generator_fix_the_draws(name):
    first = drawn(name, 3).points
    torch.rand(1)
    assert torch.equal(first, drawn(name, 3).points)
    assert torch.equal(first, drawn(name, torch.Generator().manual_seed(3)).points)
    assert not torch.equal(first, drawn(name, 4).points)
    assert not torch.equal(first, drawn(name, None).points)
    generator = torch.Generator().manual_seed(3)
    drawn(name, generator)
    assert not torch.equal(first, drawn(name, generator).points)  # it goes on


@pytest.mark.parametrize("name", CHAINS | DRAWS)
@pytest.mark.parametrize("random_state", [-1, True, 2**64])
def test_seeds_that_are_none(name, random_state):
    with pytest.raises(InvalidParameterError, match="`random_state` must be"):
        drawn(name, random_state)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS | DRAWS)
def test_single_precision(name):
    samples = drawn(name, 3, torch.float32)
    assert samples.points.dtype == torch.float32
    assert bool(samples.points.isfinite().all())
    assert bool(samples.converged.all())
    for values in (samples.log_density, samples.acceptance):
        assert values is None or values.dtype == torch.float32


@EVERY_DRAW
@EVERY_HALF
def test_draws_beside_a_wall(name, half):
    manifold = Manifold(BAD_HALVES[half][0])
    if (name, half) == ("inverse volume", "singular"):
        with pytest.raises(InvalidDataError, match="singular in the box"):
            DRAWS[name](manifold)
        return
    samples = DRAWS[name](manifold).sample(200, random_state=0)
    assert samples.points.shape[-2:] == (200, 2)
    assert bool(samples.points.isfinite().all())
    assert bool((samples.points[:, 0] <= 1).all())
    if "volume" in name:  # uniform in [-3, 1] x [-3, 3], whose area is 24
        assert float(samples.acceptance) > 0.5
        error = (samples.log_density + math.log(24)).abs().max()
        assert float(error) < 0.2  # 1000 proposals accepted with probability 0.9 or so: 10 sigma


@pytest.mark.slow
def test_a_tube_around_no_curve():
    manifold = Manifold(Half(torch.nan))
    paths = manifold.geodesic([[-1.0, 0.0], [-1.0, 0.0]], [[0.5, 0.0], [2.0, 0.0]])
    for spread in (0.0, 0.1):
        samples = GeodesicTube(manifold, paths, spread=spread).sample(5, random_state=0)
        assert bool(samples.points.isfinite().all())
        assert samples.status[0].tolist() == [ChainStatus.COMPLETED] * 5
        assert samples.status[1].tolist() == [ChainStatus.NO_GEODESIC] * 5
        assert "no finite curve leads to the draw" in str(samples)


def test_codes_where_there_is_no_metric():
    manifold = Manifold(Half(torch.nan))
    lost = torch.cat([CODES, CODES[:3] + 9])
    with pytest.raises(InvalidDataError, match="around 3 of 33 it is not.*or lower `level`"):
        Support(manifold, lost)
    support = Support(manifold, lost, level=0.9)
    assert math.isfinite(support.threshold)
    assert not bool(support.contains(lost[-3:]).any())
    assert support.share(CODES) > 0.95
    points = SupportSampler(support).sample(50, random_state=0).points
    assert bool((points[:, 0] <= 1).all())


def test_what_is_no_manifold():
    with pytest.raises(InvalidParameterError, match="`manifold` must be a Manifold, but got"):
        check_manifold(torch.exp)


def test_boxes_and_regions_with_nothing_in_them():
    for make in (
        lambda: VolumeSampler(plane(), BOX, region=lambda z: z[:, 0] > 9, n_cells=16),
        lambda: VolumeSampler(Manifold(Half(torch.nan)), [[2.0, 2.0], [3.0, 3.0]], n_cells=16),
        lambda: VolumeSampler(plane(), [[0.0, math.nan], [1.0, 1.0]]),
        lambda: VolumeSampler(plane(), [[0.0, 1.0], [1.0, 1.0]]),
    ):
        with pytest.raises(PullbackError, match="`box`"):
            make()
