"""Brownian motion against closed forms.

A mean is compared with its truth within `ALARM` of its standard errors, which a right sampler
exceeds once in 150 000 times (two-sided normal); laws by a Kolmogorov-Smirnov test at the same
rate. Seeds are fixed, so a test that passes keeps passing.
"""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from pullback import Manifold
from pullback.errors import InvalidParameterError
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    paraboloid,
    stereographic,
    torus,
)
from pullback.metrics import PullbackMetric
from pullback.sampling import BrownianMotion, ChainStatus, brownian_drift

ALARM = 4.5
RATE = 2 * scipy.stats.norm.sf(ALARM)


def ends(metric, start, *, time, n_steps, n_chains, method="ito", seed=0):
    """Walk for a time, and return where the chains end, each of which must have come through."""
    walk = BrownianMotion(
        Manifold(metric), step_size=math.sqrt(time / n_steps), method=method, thinning=n_steps
    )
    start = torch.tensor(start, dtype=torch.float64).expand(n_chains, -1)
    samples = walk.sample(start, n_steps, random_state=seed)
    assert samples.converged.all()
    return samples.last


def errors(values, truth):
    """The deviation of a mean from the truth, in standard errors."""
    return ((values.mean() - truth) / (values.std() / math.sqrt(len(values)))).item()


def mean_of_steps(function, d):
    """The mean of a function of the length of a standard normal vector in d dimensions."""
    return scipy.stats.chi(d).expect(function)


class TestTheSphere:
    """E cos theta = e^{-d t / 2}, as cos theta is an eigenfunction of Delta with -d."""

    TIME = 0.5

    def cosines(self, d, **options):
        start = [0.3] + [0.0] * (d - 1)
        metric = PullbackMetric(stereographic, dim=d)
        z = ends(metric, start, time=self.TIME, **options)
        return stereographic(z) @ stereographic(torch.tensor(start, dtype=torch.float64))

    @pytest.mark.slow
    @pytest.mark.parametrize("d", [2, 3])
    def test_ito_turns_at_the_right_rate(self, d):
        cosines = self.cosines(d, n_steps=40, n_chains=4000)
        assert abs(errors(cosines, math.exp(-d * self.TIME / 2))) < ALARM

    @pytest.mark.thorough
    @pytest.mark.parametrize("d", [2, 3])
    def test_geodesic_steps_turn_as_the_law_of_cosines_says(self, d):
        n = 8
        cosines = self.cosines(d, n_steps=n, n_chains=600, method="geodesic")
        one = mean_of_steps(lambda r: np.cos(math.sqrt(self.TIME / n) * r), d)
        assert abs(errors(cosines, one**n)) < ALARM
        assert one**n == pytest.approx(math.exp(-d * self.TIME / 2), rel=0.03)

    @pytest.mark.slow
    def test_steps_without_drift_are_the_same_in_two_dimensions(self):
        options = {"n_steps": 20, "n_chains": 500}
        ito, driftless = (self.cosines(2, method=m, **options) for m in ("ito", "driftless"))
        torch.testing.assert_close(ito, driftless)

    @pytest.mark.slow
    def test_steps_without_drift_are_wrong_in_three(self):
        cosines = self.cosines(3, n_steps=50, n_chains=4000, method="driftless", seed=1)
        assert errors(cosines, math.exp(-3 * self.TIME / 2)) < -2 * ALARM


class TestTheHalfPlane:
    """E y = 1 and E (x^2 + y^2) = 2 e^t - 1 from (0, 1); E cosh dist = e^t, for Delta of it is 2 of
    it.
    """

    TIME, N = 0.5, 50

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["ito", "driftless"])
    def test_both_walks_have_the_moments_of_their_steps(self, method):
        # In the plane M = m(z) I, so that there is no drift, and moments multiply from step to
        # step: E (x^2 + y^2) = 2 (1 + s^2)^n - 1, which is 2 e^t - 1 + O(s^2).
        z = ends(
            HalfPlane(), [0.0, 1.0], time=self.TIME, n_steps=self.N, n_chains=20_000, method=method
        )
        assert abs(errors(z[:, 1], 1)) < ALARM
        truth = 2 * (1 + self.TIME / self.N) ** self.N - 1
        assert abs(errors(z.square().sum(-1), truth)) < ALARM
        assert truth == pytest.approx(2 * math.exp(self.TIME) - 1, rel=0.01)

    @pytest.mark.slow
    def test_geodesic_steps_go_as_far_as_the_law_of_cosines_says(self):
        n, start = 8, [0.0, 1.0]
        z = ends(
            HalfPlane(), start, time=self.TIME, n_steps=n, n_chains=600, method="geodesic", seed=2
        )
        far = HalfPlane().dist(z, torch.tensor(start).to(z).expand_as(z)).cosh()
        one = mean_of_steps(lambda r: np.cosh(math.sqrt(self.TIME / n) * r), 2)
        assert abs(errors(far, one**n)) < ALARM
        assert one**n == pytest.approx(math.exp(self.TIME), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ito", "driftless", "geodesic"])
def test_flat_space_gives_the_normal_law(method):
    A = torch.tensor([[2.0, 1.0], [0.0, 0.5], [1.0, 0.0]], dtype=torch.float64)
    start, time = [1.0, -1.0], 0.7
    n_chains = 500 if method == "geodesic" else 5000
    z = ends(
        PullbackMetric(lambda z: z @ A.T, dim=2),
        start,
        time=time,
        n_steps=5,
        n_chains=n_chains,
        method=method,
    )
    gap = z - torch.tensor(start)
    squared = torch.einsum("ni,ij,nj->n", gap, A.T @ A, gap) / time
    assert scipy.stats.kstest(squared.numpy(), scipy.stats.chi2(2).cdf).pvalue > RATE
    along = (gap @ torch.linalg.cholesky(A.T @ A) / math.sqrt(time)).flatten()
    assert scipy.stats.kstest(along.numpy(), scipy.stats.norm.cdf).pvalue > RATE


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ito", "geodesic"])
def test_a_flat_space_is_flat_in_curved_coordinates(method):
    # The images must be normal around that of the start, up to O(s^2).
    n_chains, n_steps = (500, 10) if method == "geodesic" else (3000, 60)
    start, time = [-0.5, 0.7], 0.5
    z = ends(
        PullbackMetric(curved_plane, dim=2),
        start,
        time=time,
        n_steps=n_steps,
        n_chains=n_chains,
        method=method,
    )
    gap = curved_plane(z) - curved_plane(torch.tensor(start).to(z))
    for part in gap.T:
        assert abs(errors(part, 0)) < ALARM
        assert abs(errors(part.square(), time)) < ALARM


@pytest.mark.slow
def test_without_drift_it_moves_in_curved_coordinates():
    start = [-0.5, 0.7]
    metric = PullbackMetric(curved_plane, dim=2)
    z = ends(metric, start, time=0.5, n_steps=100, n_chains=2000, method="driftless")
    gap = curved_plane(z) - curved_plane(torch.tensor(start).to(z))
    assert min(errors(part, 0) for part in gap.T) > 2 * ALARM


@pytest.mark.slow
def test_the_error_falls_with_the_square_of_the_step():
    # On the line with M = cosh^2 z the image sinh z is a flat Brownian motion: E sinh^2 = t.
    metric, time, n_chains = PullbackMetric(torch.sinh, dim=1), 1.0, 200_000
    bias, spread = [], []
    for n in (2, 4, 8):
        z = ends(metric, [0.0], time=time, n_steps=n, n_chains=n_chains, seed=n)
        squared = z.sinh().square().squeeze(-1)
        bias.append((squared.mean() - time).item())
        spread.append((squared.std() / math.sqrt(n_chains)).item())
    assert all(abs(b) > 2 * ALARM * s for b, s in zip(bias, spread, strict=True))
    orders = [math.log2(bias[k] / bias[k + 1]) for k in (0, 1)]
    assert orders[1] == pytest.approx(1, abs=0.3)
    assert abs(orders[1] - 1) < abs(orders[0] - 1) + 0.1


class TestTheTorus:
    """Of the angle v the volume has the density (2 + cos v) / 4 pi: long walks must have it too."""

    def angles(self, method):
        z = ends(
            PullbackMetric(torus, dim=2),
            [0.0, 0.0],
            time=20,
            n_steps=200,
            n_chains=1500,
            method=method,
            seed=5,
        )
        return torch.remainder(z[:, 1], 2 * math.pi)

    @pytest.mark.thorough
    def test_ito_is_uniform_by_volume(self):
        v = self.angles("ito")
        # e^{-t / 2} of the start is left, less than 1e-4; the steps are off by s^2 / 10 at most.
        assert abs(errors(v.cos(), 0.25)) < ALARM
        assert abs(errors(v.sin(), 0)) < ALARM

        def cdf(v):
            return (2 * v + np.sin(v)) / (4 * math.pi)

        assert scipy.stats.kstest(v.numpy(), cdf).pvalue > RATE
        flat = scipy.stats.uniform(0, 2 * math.pi).cdf
        assert scipy.stats.kstest(v.numpy(), flat).pvalue < RATE

    @pytest.mark.slow
    def test_driftless_is_uniform_by_the_coordinate(self):
        v = self.angles("driftless")
        flat = scipy.stats.uniform(0, 2 * math.pi).cdf
        assert scipy.stats.kstest(v.numpy(), flat).pvalue > RATE
        assert errors(v.cos(), 0.25) < -2 * ALARM


class TestTheDrift:
    def test_it_is_that_of_the_laplace_beltrami_operator(self):
        # b^k = 1/2 (1 / w) d_i (w M^{ik}) with w = sqrt det M, by reverse differentiation.
        metric = PullbackMetric(paraboloid, dim=3)
        z = torch.randn(5, 3, dtype=torch.float64)

        def weighted(z):
            M = metric.metric_matrix(z)
            return M.det().sqrt() * torch.linalg.inv(M)

        change = torch.func.vmap(torch.func.jacrev(weighted))(z)
        divergence = torch.einsum("niki->nk", change)
        expected = divergence / metric.metric_matrix(z).det().sqrt().unsqueeze(-1) / 2
        torch.testing.assert_close(brownian_drift(metric, z), expected)

    def test_it_vanishes_in_conformal_planes_and_is_known_on_the_torus(self):
        z = torch.rand(4, 2, dtype=torch.float64) + 0.5
        torch.testing.assert_close(brownian_drift(HalfPlane(), z), torch.zeros_like(z))
        expected = torch.stack([0 * z[:, 1], -z[:, 1].sin() / (2 + z[:, 1].cos()) / 2], -1)
        found = brownian_drift(PullbackMetric(torus, dim=2), z)
        torch.testing.assert_close(found, expected)
        batched = brownian_drift(PullbackMetric(torus, dim=2), z.reshape(2, 2, 2))
        torch.testing.assert_close(batched, expected.reshape(2, 2, 2))

    def test_it_is_nan_where_the_metric_is_singular(self):
        metric = PullbackMetric(lambda z: z.square(), dim=1)
        z = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        assert brownian_drift(metric, z).isnan().tolist() == [[True], [False]]


@pytest.mark.slow
def test_a_table_walks_as_what_it_stands_for():
    exact = Manifold(PullbackMetric(paraboloid, dim=2))
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    table = exact.tabulated(corners, rtol=1e-4)
    start = torch.zeros(50, 2)
    walks = [
        BrownianMotion(M, step_size=0.2).sample(start, 30, random_state=0) for M in (exact, table)
    ]
    a, b = (walk.points for walk in walks)
    covered = table.metric.covers(a)
    assert not covered.all()  # some walk past the edge, where the metric itself answers
    torch.testing.assert_close(a, b, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_a_step_that_is_too_long_leaves_the_half_plane():
    walk = BrownianMotion(Manifold(HalfPlane()), step_size=0.7)
    samples = walk.sample([[0.0, 1.0]] * 100, n_steps=20, random_state=0)
    left = samples.status == ChainStatus.LEFT_DOMAIN
    assert left.any()
    assert (samples.converged | left).all()
    assert (samples.points[..., 1] > 0).all()
    walk = BrownianMotion(Manifold(HalfPlane()), step_size=0.7, method="geodesic")
    assert walk.sample([[0.0, 1.0]] * 100, n_steps=5, random_state=0).converged.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0}, "`step_size` must be a finite number in .0, inf"),
        ({"step_size": math.nan}, "`step_size` must be a finite number"),
        ({"method": "euler"}, "`method` must be one of 'driftless', 'geodesic', 'ito'"),
        ({"thinning": 0}, "`thinning` must be an integer >= 1"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(InvalidParameterError, match=message):
        BrownianMotion(Manifold(HalfPlane()), **options)
