"""Langevin and Hamiltonian chains: stationary laws against closed forms, and hostile input.

Chains start at one point and run long enough to forget it; their last draws are independent, so
that a Kolmogorov-Smirnov test of them at the level 1e-5 raises a false alarm in one of 100,000
seeds (and the seed is fixed).
"""

import math
from functools import partial

import pytest
import torch
from scipy import integrate, stats

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import Metric
from pullback.sampling import ChainStatus, Hamiltonian, Langevin

LEVEL = 1e-5
SAMPLERS = [(Langevin, {"n_burn_in": 0}, 150), (Hamiltonian, {"n_burn_in": 0, "n_leapfrog": 4}, 40)]
BOTH = pytest.mark.parametrize(("sampler", "options", "n_steps"), SAMPLERS)


class Sphere(Metric):
    """The unit sphere in stereographic coordinates about the south pole, without derivatives."""

    def metric_matrix(self, z):
        eye = torch.eye(z.shape[-1], dtype=z.dtype)
        return 4 * eye / (1 + z.square().sum(-1)[..., None, None]).square()


class Sheared(Metric):
    """The plane in the coordinates of (x + y^2 / 2, 3 y)."""

    def metric_matrix(self, z):
        y = z[..., 1]
        rows = [torch.stack([torch.ones_like(y), y], -1), torch.stack([y, y.square() + 9], -1)]
        return torch.stack(rows, -2)


def cosine(z):
    """cos(theta) from the south pole."""
    squared = z.square().sum(-1)
    return (1 - squared) / (1 + squared)


def last_draws(sampler, n_steps, n_chains=2000, start=(0.0, 0.0), seed=1):
    z = torch.tensor(start, dtype=torch.float64).expand(n_chains, -1)
    samples = sampler.sample(z, n_steps, random_state=seed)
    assert bool(samples.converged.all())
    return samples.last


@pytest.mark.slow
@BOTH
def test_uniform_on_a_cap_of_the_sphere(sampler, options, n_steps):
    # All of the sphere but a cap about the north pole, that is infinitely far in these coordinates.
    low = -0.6
    cap = sampler(
        Manifold(Sphere(dim=2)), region=lambda z: cosine(z) > low, step_size=0.5, **options
    )
    z = last_draws(cap, n_steps)
    assert stats.kstest(cosine(z), stats.uniform(low, 1 - low).cdf).pvalue > LEVEL
    angle = torch.atan2(z[:, 1], z[:, 0])
    assert stats.kstest(angle, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > LEVEL


@pytest.mark.slow
@BOTH
def test_von_mises_fisher_on_the_sphere(sampler, options, n_steps):
    kappa = 3.0
    chains = sampler(Manifold(Sphere(dim=2)), lambda z: kappa * cosine(z), step_size=0.5, **options)
    t = cosine(last_draws(chains, n_steps, start=(1.0, 1.0)))
    truth = 1 / math.tanh(kappa) - 1 / kappa
    # Mean of 2000 independent draws: 4.5 standard errors, a false alarm in 150,000 seeds.
    assert abs(float(t.mean()) - truth) < 4.5 * float(t.std()) / math.sqrt(len(t))

    def cdf(t):
        return (torch.tensor(kappa * (t + 1)).expm1() / math.expm1(2 * kappa)).numpy()

    assert stats.kstest(t, cdf).pvalue > LEVEL


@pytest.mark.slow
@BOTH
def test_riemannian_normal_on_the_half_plane_against_quadrature(sampler, options, n_steps):
    width, base = 0.7, torch.tensor([0.3, 1.5], dtype=torch.float64)
    space = HalfPlane()

    def log_density(z):
        return -space.dist(base.expand_as(z), z).square() / (2 * width**2)

    chains = sampler(Manifold(space), log_density, step_size=0.3, **options)
    radius = space.dist(base.expand(2000, 2), last_draws(chains, n_steps, start=(0.0, 1.0)))

    def weight(r):  # exp(-r^2 / 2 s^2) sinh r: the length of a circle grows as sinh
        return math.exp(-(r**2) / (2 * width**2)) * math.sinh(r)

    whole = integrate.quad(weight, 0, 12)[0]
    cdf = [integrate.quad(weight, 0, float(r))[0] / whole for r in radius.sort().values]
    assert stats.kstest(cdf, stats.uniform.cdf).pvalue > LEVEL


@pytest.mark.slow
@BOTH
def test_normal_on_the_flat_plane_in_curved_coordinates(sampler, options, n_steps):
    def log_density(z):
        u, w = z[:, 0] + z[:, 1].square() / 2, 3 * z[:, 1]
        return -(u.square() + w.square()) / 2

    chains = sampler(
        Manifold(Sheared(dim=2)), log_density, measure="lebesgue", step_size=0.5, **options
    )
    z = last_draws(chains, n_steps)
    assert stats.kstest(z[:, 0] + z[:, 1].square() / 2, stats.norm.cdf).pvalue > LEVEL
    assert stats.kstest(3 * z[:, 1], stats.norm.cdf).pvalue > LEVEL


@pytest.mark.thorough
@BOTH
def test_a_density_of_the_coordinates_does_not_depend_on_the_metric(sampler, options, n_steps):
    chains = sampler(
        Manifold(Sphere(dim=2)),
        lambda z: -z.square().sum(-1) / 2,
        measure="lebesgue",
        step_size=0.5,
        **options,
    )
    z = last_draws(chains, n_steps)
    assert stats.kstest(z[:, 0], stats.norm.cdf).pvalue > LEVEL
    assert stats.kstest(z.square().sum(-1), stats.chi2(2).cdf).pvalue > LEVEL


@pytest.mark.slow
@BOTH
def test_uniform_on_a_region(sampler, options, n_steps):
    # On the half-plane 1 / y is uniform in the strip 1 < y < 4, 0 < x < 1.
    def inside(z):
        x, y = z.unbind(-1)
        return (y > 1) & (y < 4) & (x > 0) & (x < 1)

    chains = sampler(Manifold(HalfPlane()), region=inside, step_size=0.1, **options)
    z = last_draws(chains, n_steps, start=(0.5, 2.0))
    assert stats.kstest(1 / z[:, 1], stats.uniform(0.25, 0.75).cdf).pvalue > LEVEL
    assert stats.kstest(z[:, 0], stats.uniform(0, 1).cdf).pvalue > LEVEL


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [Langevin, partial(Hamiltonian, n_leapfrog=2)])
@pytest.mark.parametrize("step_size", [1e-3, 30.0])
def test_burn_in_finds_the_step_size(sampler, step_size):
    chains = sampler(
        Manifold(Sheared(dim=2)),
        lambda z: -z.square().sum(-1) / 2,
        step_size=step_size,
        target_acceptance=0.7,
        n_burn_in=150,
    )
    samples = chains.sample(torch.zeros(100, 2), 30, random_state=0)
    assert abs(float(samples.acceptance.mean()) - 0.7) < 0.1


@pytest.mark.slow
@BOTH
def test_the_same_seed_draws_the_same_and_log_density_is_that_of_the_volume(
    sampler, options, n_steps
):
    chains = sampler(Manifold(HalfPlane()), lambda z: -z[:, 1], **options)
    start = torch.tensor([[0.0, 1.0], [0.0, 2.0]]).double()
    a, b, c = (chains.sample(start, 8, random_state=seed) for seed in (3, 3, 4))
    assert torch.equal(a.points, b.points)
    assert not torch.equal(a.points, c.points)
    assert torch.allclose(a.log_density, -a.points[..., 1])
    assert a.points.shape == (2, 8, 2)
    single = chains.sample(start[0], 8, random_state=3)
    assert single.points.shape == (8, 2)
    assert single.acceptance.shape == ()


@pytest.mark.slow
@BOTH
def test_a_density_that_is_not_finite_is_never_entered(sampler, options, n_steps):
    def half_normal(z):
        value = -z.square().sum(-1) / 2
        return torch.where(z[:, 0] > 0, value, torch.nan if z.shape[0] % 2 else torch.inf)

    flat = Manifold(Sheared(dim=2))
    chains = sampler(flat, half_normal, step_size=0.2, **options)
    samples = chains.sample(torch.ones(301, 2), n_steps, random_state=0)
    assert bool((samples.points[..., 0] > 0).all())
    assert bool(samples.log_density.isfinite().all())
    assert 0.5 < float(samples.acceptance.mean()) < 0.99


@pytest.mark.slow
@BOTH
def test_chains_that_cannot_move_say_so(sampler, options, n_steps):
    # Nothing but the start has a density: every step is refused.
    chains = sampler(Manifold(Sphere(dim=2)), region=lambda z: (z == 0).all(-1), **options)
    with pytest.warns(ConvergenceWarning, match="3 of 3 chains never moved: no step was accepted"):
        samples = chains.sample(torch.zeros(3, 2), 5, random_state=0)
    assert samples.status.tolist() == [ChainStatus.STUCK] * 3
    assert float(samples.acceptance.max()) == 0
    assert "3: no step was accepted" in str(samples)


@BOTH
def test_hostile_starts_and_functions_are_refused(sampler, options, n_steps):
    plane = Manifold(HalfPlane())
    inside = sampler(plane, region=lambda z: z[:, 1] > 1, **options)
    with pytest.raises(InvalidDataError, match=r"`start` must lie where the density .*number 1,"):
        inside.sample([[0.0, 2.0], [0.0, 0.5]], 5)
    with pytest.raises(InvalidDataError, match="`start` must lie where the metric is defined"):
        inside.sample([0.0, -1.0], 5)
    with pytest.raises(InvalidDataError, match="`start`"):
        inside.sample([0.0, math.nan], 5)
    with pytest.raises(InvalidParameterError, match="`n_steps` must be an integer >= 1"):
        inside.sample([0.0, 2.0], 0)
    with pytest.raises(InvalidDataError, match=r"`log_density` must return one number .*\(1, 1\)"):
        sampler(plane, lambda z: z[:, :1], **options).sample([0.0, 2.0], 5)
    with pytest.raises(InvalidDataError, match="`region` must say of each point"):
        sampler(plane, region=lambda z: z[:, 1], **options).sample([0.0, 2.0], 5)
    with pytest.raises(InvalidParameterError, match="`measure` must be one of"):
        sampler(plane, measure="volume", **options)
    with pytest.raises(InvalidParameterError, match="`step_size`"):
        sampler(plane, step_size=0.0, **options)
    with pytest.raises(InvalidParameterError, match="`target_acceptance`"):
        sampler(plane, target_acceptance=1.0, **options)


class Counted(Sphere):
    """A sphere that counts how often it is asked."""

    n_calls = 0

    def metric_matrix(self, z):
        self.n_calls += 1
        return super().metric_matrix(z)


@pytest.mark.slow
@BOTH
def test_a_chain_costs_no_loop(sampler, options, n_steps):
    asked = []
    for n_chains in (1, 300):
        sphere = Counted(dim=2)
        chains = sampler(Manifold(sphere), **options)
        chains.sample(torch.zeros(n_chains, 2), 5, random_state=0)
        asked.append(sphere.n_calls)
    assert asked[0] == asked[1]


@pytest.mark.slow
def test_a_wild_step_is_refused_not_followed():
    # 1e200 times too long: the proposals overflow.
    for sampler in (Langevin, Hamiltonian):
        chains = sampler(Manifold(Sphere(dim=2)), step_size=1e200, n_burn_in=0)
        with pytest.warns(ConvergenceWarning, match="never moved"):
            samples = chains.sample(torch.ones(4, 2), 3, random_state=0)
        assert bool((samples.points == 1).all())
