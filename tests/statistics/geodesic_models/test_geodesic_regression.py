"""Geodesic regression against linear regression, closed forms and SciPy's minimiser."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, great_circle_exp
from pullback.metrics import Metric, PullbackMetric
from pullback.statistics import GeodesicRegression

FLAT = Manifold(PullbackMetric(lambda z: z))
HALF_PLANE = Manifold(HalfPlane())


class Sphere(Metric):
    """The sphere in stereographic coordinates, by its closed form."""

    def metric_matrix(self, z):
        scale = 4 / (1 + z.square().sum(-1)) ** 2
        return scale[..., None, None] * torch.eye(z.shape[-1]).to(z)


SPHERE = Manifold(Sphere(2))
CASES = {
    "sphere": (SPHERE, great_circle_exp, great_circle_dist),
    "half-plane": (HALF_PLANE, HalfPlane().exp, HalfPlane().dist),
}


def centred(n, k):
    x = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, size=(n, k)))
    return x - x.mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_in_a_flat_space_it_is_linear_regression(k, weighted):
    rng = np.random.default_rng(k)
    X = rng.normal(size=(12, k)) * 10.0 ** np.arange(k) + 5
    y = rng.normal(size=(12, 2)) + X @ rng.normal(size=(k, 2))
    w = rng.uniform(size=12) if weighted else None
    ours, theirs = GeodesicRegression(FLAT).fit(X, y, w), LinearRegression().fit(X, y, w)
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, rtol=1e-7)
    np.testing.assert_allclose(ours.intercept_, theirs.predict(ours.covariate_mean_[None])[0])
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)
    # The columns of the targets count by their variance: the space has one distance.
    r2 = r2_score(y, theirs.predict(X), sample_weight=w, multioutput="variance_weighted")
    assert ours.score(X, y, w) == pytest.approx(r2, abs=1e-9)
    assert ours.r2_ == pytest.approx(r2, abs=1e-9)
    assert ours.converged_
    assert ours.n_failed_ == 0


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("k", [1, 2])
def test_without_noise_point_and_velocities_are_recovered(name, k):
    manifold, exp, _ = CASES[name]
    p = torch.tensor([0.3, 0.8]).double()
    V = torch.tensor([[0.4, 0.3], [-0.1, 0.2]]).double()[:k]
    X = centred(10, k)
    Z = exp(p.expand(10, 2), X @ V)
    model = GeodesicRegression(manifold).fit(X + 7, Z)
    torch.testing.assert_close(model.intercept_, p, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.coef_, V, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.predict(X + 7), Z, atol=1e-6)
    assert model.r2_ == pytest.approx(1, abs=1e-9)
    assert model.converged_
    assert model.n_failed_ == 0


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_with_noise_it_is_the_minimum_that_scipy_finds(name):
    manifold, exp, dist = CASES[name]
    x = centred(12, 1)
    start = torch.tensor([0.3, 0.8, 0.5, 0.3]).double()
    Z = exp(start[:2].expand(12, 2), x * start[2:])
    Z = Z * (1 + 0.2 * torch.randn(12, 2).double())

    def mean_square(theta):
        theta = torch.as_tensor(theta)
        return float(dist(exp(theta[:2].expand(12, 2), x * theta[2:]), Z).square().mean())

    model = GeodesicRegression(manifold, tol=1e-5).fit(x, Z)
    truth = minimize(mean_square, start.numpy(), method="BFGS", options={"gtol": 1e-8})
    assert model.residual_variance_ == pytest.approx(truth.fun, rel=1e-5)
    np.testing.assert_allclose(torch.cat([model.intercept_, model.coef_[0]]), truth.x, atol=1e-4)
    assert 0.1 < model.r2_ < 0.99
    assert model.score(x, Z) == pytest.approx(model.r2_, abs=1e-5)


@pytest.mark.thorough
def test_vertical_lines_of_the_half_plane():
    t = torch.tensor([0.0, 1.0, 2.0, 4.0]).double()
    height = torch.tensor([0.1, 0.3, 1.2, 1.9]).double()
    Z = torch.stack([torch.full_like(height, 3.0), height.exp()], -1)
    model = GeodesicRegression(HALF_PLANE).fit(t[:, None], Z)
    line = LinearRegression().fit(t[:, None].numpy(), height.numpy())
    truth = np.exp(line.predict([[1.5], [6.0]]))
    np.testing.assert_allclose(model.predict([[1.5], [6.0]])[:, 1], truth, rtol=1e-5)
    np.testing.assert_allclose(model.predict([[1.5], [6.0]])[:, 0], 3, atol=1e-5)


@functools.cache
def six_on_a_sphere():
    """Covariates, points about a great circle, and the regression of these."""
    x = centred(6, 1)
    p, v = torch.tensor([[0.2, 0.5]]).double(), torch.tensor([[0.5, 0.2]]).double()
    Z = great_circle_exp(p.expand(6, 2), x * v) + 0.1 * torch.sin(9 * x)
    return x, Z, GeodesicRegression(SPHERE, tol=1e-4).fit(x, Z)


@pytest.mark.thorough
@settings(max_examples=3)
@given(st.floats(-100, 100), st.floats(0.01, 100), st.floats(-3, 3))
def test_units_and_isometries_do_not_matter(shift, scale, angle):
    x, Z, one = six_on_a_sphere()
    R = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    two = GeodesicRegression(SPHERE, tol=1e-4).fit(scale * x + shift, Z @ R.T)
    assert two.r2_ == pytest.approx(one.r2_, abs=1e-5)
    torch.testing.assert_close(two.coef_ * scale @ R, one.coef_, rtol=0, atol=2e-4)
    np.testing.assert_allclose(
        two.predict(scale * x + shift) @ R.numpy(), one.predict(x), atol=2e-4
    )


@pytest.mark.thorough
def test_weights_are_repetitions_and_nothing_is_drawn():
    x = centred(6, 1)
    Z = torch.cat([x + 0.2 * x.sin(), 1.5 + 0.3 * (5 * x).cos()], -1)
    model = GeodesicRegression(HALF_PLANE)
    once, again = clone(model).fit(x, Z), clone(model).fit(x, Z)
    assert torch.equal(once.coef_, again.coef_)
    assert torch.equal(once.intercept_, again.intercept_)
    twice = clone(model).fit(torch.cat([x, x[:2]]), torch.cat([Z, Z[:2]]))
    weighed = clone(model).fit(x, Z, [2, 2, 1, 1, 1, 1])
    torch.testing.assert_close(weighed.coef_, twice.coef_, rtol=0, atol=1e-3)
    assert weighed.r2_ == pytest.approx(twice.r2_, abs=1e-4)
    none = clone(model).fit(x, Z, [1, 1, 1, 1, 1, 0])
    torch.testing.assert_close(none.coef_, clone(model).fit(x[:5], Z[:5]).coef_, rtol=0, atol=1e-3)


@pytest.mark.thorough
def test_a_space_of_one_dimension_takes_a_column():
    X = np.arange(6.0)[:, None]
    model = GeodesicRegression(FLAT).fit(X, 3 * X[:, 0] + 1)
    np.testing.assert_allclose(model.predict([[10.0]]), [31.0])
    column = GeodesicRegression(FLAT).fit(X, 3 * X + 1)
    np.testing.assert_allclose(column.predict([[10.0]]), [[31.0]])


@pytest.mark.thorough
def test_it_is_saved_and_read_in_a_new_process(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 3))
    model = GeodesicRegression(FLAT).fit(X, y)
    model.save(tmp_path / "model")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    code = (
        "import sys, numpy as np; from pullback.manifolds import Manifold;"
        "from pullback.metrics import PullbackMetric;"
        "from pullback.statistics import GeodesicRegression as G; f = sys.argv[1];"
        "m = G.load(f + '/model', Manifold(PullbackMetric(lambda z: z)));"
        "d = np.load(f + '/data.npz'); np.save(f + '/p.npy', m.predict(d['X']));"
        "print(m.score(d['X'], d['y']))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert np.array_equal(np.load(tmp_path / "p.npy"), model.predict(X))
    assert float(out.stdout) == model.score(X, y)


@pytest.mark.slow
@pytest.mark.cpu_seconds(30)
def test_hostile_input_is_refused_at_once():
    X, Z = np.arange(4.0)[:, None], np.random.default_rng(0).normal(size=(4, 2))
    model = GeodesicRegression(SPHERE)
    with pytest.raises(ValueError, match="1 sample"):
        model.fit(X[:1], Z[:1])
    with pytest.raises(InvalidDataError, match=r"columns \[1\] are constant"):
        model.fit(np.c_[X, np.full(4, 2.0)], Z)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, np.full((4, 2), np.nan))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((4, 1), np.nan), Z)
    with pytest.raises(InvalidDataError, match="2 features"):
        model.fit(X, Z[:, :1])
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X[:3], Z)
    with pytest.raises(ValueError, match="y"):
        model.fit(X, None)
    with pytest.raises(InvalidParameterError, match="`tol` must be"):
        GeodesicRegression(SPHERE, tol=0.0).fit(X, Z)
    with pytest.raises(InvalidParameterError, match="`max_iter` must be"):
        GeodesicRegression(SPHERE, max_iter=0).fit(X, Z)
    with pytest.raises(InvalidParameterError, match="a `Manifold`"):
        GeodesicRegression(SPHERE).set_params(manifold="sphere").fit(X, Z)
    with pytest.raises(NotFittedError):
        GeodesicRegression(SPHERE).predict(X)


@pytest.mark.thorough
def test_equal_targets_and_equal_covariates():
    X = np.array([[0.0], [0.0], [1.0], [1.0]])
    still = GeodesicRegression(SPHERE).fit(X, np.full((4, 2), 0.3))
    np.testing.assert_allclose(still.coef_, 0, atol=1e-12)
    assert still.r2_ == 1
    two = GeodesicRegression(HALF_PLANE).fit(X, [[0, 1], [0, np.exp(2)], [1, 1], [1, np.exp(2)]])
    assert 0 < two.r2_ < 1


@pytest.mark.thorough
@pytest.mark.cpu_seconds(120)
def test_targets_that_no_geodesic_reaches_are_left_out_and_counted():
    t = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).double()[:, None]
    Z = torch.tensor([[0.0, 1.0], [0.5, 2.0], [-0.3, 1.5], [0.1, 3.0], [0.2, -1.0]]).double()
    with pytest.warns(ConvergenceWarning):
        found = GeodesicRegression(HALF_PLANE).fit(t, Z)
    assert found.n_failed_ == 1
    # The mean of the covariates is that of all five, at which the same geodesic is elsewhere.
    without = GeodesicRegression(HALF_PLANE).fit(t[:4], Z[:4])
    np.testing.assert_allclose(found.predict(t), without.predict(t), atol=1e-3)


@pytest.mark.thorough
def test_a_geodesic_that_ends_within_the_data_predicts_nothing_beyond():
    """The decoder ends at x = 2, and the line towards it is followed no further."""
    M = Manifold(lambda z: torch.where(z[..., :1] > 2, torch.nan, z), dim=2)
    X = np.arange(4.0)[:, None]
    model = GeodesicRegression(M).fit(X, np.c_[X / 3, 0 * X])
    with pytest.warns(ConvergenceWarning, match="could not be followed"):
        assert np.isnan(model.predict([[30.0]])).all()
