"""Draws from heat kernels and their short-time densities, against exact ones.

False alarms as in `test_brownian`: 4.5 standard errors, once in 150 000 times.
"""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import eval_legendre

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import HalfPlane, curved_plane, great_circle_dist, stereographic
from pullback.metrics import PullbackMetric
from pullback.sampling import HeatKernel

ALARM = 4.5
RATE = 2 * scipy.stats.norm.sf(ALARM)
SPHERE = Manifold(stereographic, dim=2)
START = torch.tensor([0.1, -0.2], dtype=torch.float64)


def density_on_the_sphere(time, r):
    """p_t on S^2 by its Legendre series, which is exact while p_t is no smaller than rounding."""
    k = np.arange(200)[:, None]
    terms = (2 * k + 1) / (4 * math.pi) * np.exp(-k * (k + 1) * time / 2)
    return (terms * eval_legendre(k, np.cos(r))).sum(0)


@pytest.mark.slow
def test_the_density_on_the_sphere_is_right_to_first_order():
    z = torch.tensor([[0.1, -0.2], [0.3, 0.1], [0.5, -0.4]], dtype=torch.float64)
    r = great_circle_dist(START.expand_as(z), z)
    time = 0.1
    found = HeatKernel(SPHERE, time=time).log_density(z, START, graph=None)
    truth = torch.as_tensor(np.log(density_on_the_sphere(time, r.numpy())))
    # What is left out is R t / 12 = t / 6 at the start, and near that around it.
    off = (truth - found) / time
    assert off[0].item() == pytest.approx(1 / 6, rel=2e-3)
    torch.testing.assert_close(off, torch.full_like(off, 1 / 6), rtol=0.02, atol=0)
    # Without theta it would be off by far more than that.
    stretch = 0.5 * (r / r.sin())[1:].log()
    assert (stretch > 0.1 * r[1:].square() / 2).all()


@pytest.mark.thorough
def test_the_density_in_the_half_plane_is_that_of_its_closed_form():
    # p = (2 pi t)^{-1} e^{-r^2 / 2t} sqrt(r / sinh r) (1 + O(t)), with R t / 12 = -t / 6 at r = 0.
    z = torch.tensor([[0.5, 1.5], [0.0, 1.0]], dtype=torch.float64)
    start = torch.tensor([0.0, 1.0], dtype=torch.float64)
    r = HalfPlane().dist(start.expand_as(z), z)
    ratio = torch.where(r > 0, r / r.sinh(), 1)
    expected = -math.log(2 * math.pi * 0.05) - r.square() / 0.1 + ratio.log() / 2
    found = HeatKernel(Manifold(HalfPlane()), time=0.05).log_density(z, start, graph=None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.thorough
def test_the_density_is_exact_in_a_flat_space():
    M = Manifold(PullbackMetric(curved_plane, dim=2))
    a, b = torch.tensor([[0.1, 0.2], [0.5, 0.1]], dtype=torch.float64)
    gap = curved_plane(b) - curved_plane(a)
    expected = -math.log(2 * math.pi * 0.3) - gap.square().sum() / 0.6
    found = HeatKernel(M, time=0.3).log_density(b, a, graph=None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_draws_on_the_sphere_are_as_far_as_the_density_says():
    time, n = 0.3, 4000
    samples = HeatKernel(SPHERE, time=time, n_substeps=60).sample(START, n, random_state=1)
    assert samples.points.shape == (n, 2)
    assert samples.converged.shape == (n,)
    assert samples.converged.all()
    r = great_circle_dist(START.expand_as(samples.points), samples.points)
    cosine = r.cos()
    error = (cosine.mean() - math.exp(-time)) / (cosine.std() / math.sqrt(n))
    assert abs(error.item()) < ALARM
    grid = np.linspace(0, math.pi, 2001)
    mass = density_on_the_sphere(time, grid) * 2 * math.pi * np.sin(grid)
    cdf = np.concatenate([[0], np.cumsum((mass[1:] + mass[:-1]) / 2 * np.diff(grid))])
    assert cdf[-1] == pytest.approx(1, abs=1e-5)
    found = scipy.stats.kstest(r.numpy(), lambda x: np.interp(x, grid, cdf))
    assert found.pvalue > RATE


def test_starts_have_draws_of_their_own():
    starts = torch.tensor([[0.0, 1.0], [0.0, 5.0], [3.0, 1.0]])
    kernel = HeatKernel(Manifold(HalfPlane()), time=0.01, n_substeps=4)
    samples = kernel.sample(starts, 200, random_state=0)
    assert samples.points.shape == (3, 200, 2)
    assert samples.status.shape == (3, 200)
    mean = samples.points.mean(1)
    spread = 0.1 * starts[:, 1] / math.sqrt(200)
    assert ((mean - starts).abs() < ALARM * spread.unsqueeze(-1)).all()
    assert samples.points.equal(kernel.sample(starts, 200, random_state=0).points)
    assert samples.diagnostics().n_draws == 200


def test_a_draw_that_leaves_the_space_says_so():
    kernel = HeatKernel(Manifold(HalfPlane()), time=2.0, n_substeps=2)
    samples = kernel.sample([0.0, 1.0], 100, random_state=0)
    assert 0 < samples.converged.sum() < 100
    assert (samples.points[:, 1] > 0).all()


@pytest.mark.slow
def test_what_no_geodesic_reaches_is_nan(monkeypatch):
    M = Manifold(PullbackMetric(lambda z: z, dim=2))
    lost = torch.tensor([[0.3, 0.4], [torch.nan, torch.nan]], dtype=torch.float64)
    monkeypatch.setattr(M, "log", lambda a, b, **options: lost)
    found = HeatKernel(M, time=0.1).log_density(torch.ones(2, 2), [0.0, 0.0])
    expected = -math.log(0.2 * math.pi) - 0.25 / 0.2
    assert found.tolist() == pytest.approx([expected, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": 0}, "`time`"),
        ({"time": math.inf}, "`time`"),
        ({"time": 1, "n_substeps": 0}, "`n_substeps`"),
        ({"time": 1, "method": "exact"}, "`method`"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(InvalidParameterError, match=message):
        HeatKernel(SPHERE, **options)


def test_wrong_points_are_refused():
    kernel = HeatKernel(SPHERE, time=0.1)
    with pytest.raises(InvalidDataError, match="`start` and `point` must have shapes"):
        kernel.log_density(torch.zeros(2, 2), torch.zeros(3, 2))
    with pytest.raises(InvalidDataError, match="`point` must be finite"):
        kernel.log_density([torch.nan, 0.0], [0.0, 0.0])
    with pytest.raises(InvalidDataError, match="`start` must have shape"):
        kernel.sample([0.0, 0.0, 0.0], 3)
    with pytest.raises(InvalidParameterError, match="`n_draws`"):
        kernel.sample([0.0, 0.0], 0)
