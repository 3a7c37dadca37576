"""LAND against Gaussians in flat space, and quadrature and SciPy on the sphere and half-plane."""

import json
import math
import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from sklearn.mixture import GaussianMixture

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
)
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    great_circle_log,
    stereographic,
)
from pullback.metrics import LocalVarianceMetric, Metric
from pullback.statistics import LAND
from pullback.statistics.densities.land_component import Component, matched_covariance
from pullback.statistics.densities.riemannian_normal import (
    antithetic,
    draw_normal,
    sample_normal,
    standardized,
)

PLANE = Manifold(lambda z: 2 * z, dim=2)
SPHERE = Manifold(stereographic, dim=2)
HYPERBOLIC = Manifold(HalfPlane())
MEAN = torch.tensor([0.3, 0.8], dtype=torch.float64)
SPACES = {"sphere": (SPHERE, math.sin, math.pi), "half-plane": (HYPERBOLIC, math.sinh, math.inf)}
FALSE_ALARM = 1e-4
"""The chance with which a test of a law fails though it holds."""


def scale_of(manifold, point):
    """The length of a unit vector: the metrics here are multiples of the identity."""
    return float(manifold.metric_matrix(point)[0, 0].sqrt())


def set_fitted(land, mean, covariance, log_normalizer):
    """Make a one-component mixture of given parameters."""
    land.weights_ = np.ones(1)
    land.means_, land.covariances_ = mean.unsqueeze(0), covariance.unsqueeze(0)
    land.log_normalizer_ = np.array([log_normalizer])
    land.n_features_in_ = len(mean)
    return land


def radial_truth(name, sigma):
    """C of an isotropic normal distribution: 2 pi int exp(-r^2 / 2 sigma^2) sin r dr, or sinh."""
    _, sine, top = SPACES[name]
    top = min(top, 12 * sigma)
    area = integrate.quad(lambda r: math.exp(-(r**2) / (2 * sigma**2)) * sine(r), 0, top)[0]
    return 2 * math.pi * area


def quadrature_truth(name, covariance):
    """C by a grid in the tangent space, Sigma in an orthonormal frame: J = sin r / r, or sinh."""
    top = math.pi if name == "sphere" else 8 * float(np.linalg.eigvalsh(covariance)[-1] ** 0.5)
    x, weight = np.polynomial.legendre.leggauss(200)
    angle = 2 * np.pi * np.arange(200) / 200
    r = top * (x + 1) / 2
    u = np.stack([np.cos(angle), np.sin(angle)])
    form = np.einsum("ia,ij,ja->a", u, np.linalg.inv(covariance), u)
    sine = np.sin(r) if name == "sphere" else np.sinh(r)
    values = np.exp(-0.5 * r[:, None] ** 2 * form) * sine[:, None]
    return float(top / 2 * weight @ values.mean(1) * 2 * np.pi)


# ---- The normaliser.


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("sigma", [0.3, 0.9])
def test_the_normaliser_is_the_integral_by_the_riemannian_volume(name, sigma):
    manifold = SPACES[name][0]
    covariance = (sigma / scale_of(manifold, MEAN)) ** 2 * torch.eye(2, dtype=torch.float64)
    draws = draw_normal(manifold, MEAN, covariance, antithetic(200, 2))
    C, truth = draws.normalizer(), radial_truth(name, sigma)
    assert abs(C.value - truth) < -stats.norm.ppf(FALSE_ALARM / 2) * C.standard_error
    assert C.relative_error < 0.05
    assert C.log_value == pytest.approx(math.log(C.value))
    # The volume of the tangent space in its place is off, far beyond any error of the draws.
    paper = draw_normal(manifold, MEAN, covariance, antithetic(200, 2), exact=False).normalizer()
    if sigma > 0.5:
        assert abs(paper.value - truth) > 5 * C.standard_error


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_an_anisotropic_normaliser_is_that_of_quadrature(name):
    manifold = SPACES[name][0]
    frame = np.array([[0.8, 0.3], [0.3, 0.35]])
    covariance = torch.as_tensor(frame) / scale_of(manifold, MEAN) ** 2
    C = draw_normal(manifold, MEAN, covariance, antithetic(200, 2)).normalizer()
    truth = quadrature_truth(name, frame)
    assert abs(C.value - truth) < -stats.norm.ppf(FALSE_ALARM / 2) * C.standard_error
    assert C.relative_error < 0.05


@pytest.mark.slow
def test_the_standard_error_is_that_of_the_normaliser():
    n_sets, n = 80, 24
    sigma = 0.8
    covariance = (sigma / scale_of(HYPERBOLIC, MEAN)) ** 2 * torch.eye(2, dtype=torch.float64)
    eps = torch.cat([antithetic(n, 2, np.random.RandomState(k)) for k in range(n_sets)])
    draws = draw_normal(HYPERBOLIC, MEAN, covariance, eps)
    sets = draws.log_weights.reshape(n_sets, n)
    found = [draws._replace(log_weights=part).normalizer() for part in sets]
    truth = radial_truth("half-plane", sigma)
    z = np.array([(C.value - truth) / C.standard_error for C in found])
    true_error = np.std([C.value for C in found])
    mean_error = np.mean([C.standard_error for C in found])
    assert 0.6 < mean_error / true_error < 1.5
    assert abs(z.mean()) < 0.8
    assert (abs(z) < 2.5).mean() > 0.8


@pytest.mark.thorough
def test_draws_past_the_cut_locus_do_not_count():
    covariance = (2.0 / scale_of(SPHERE, MEAN)) ** 2 * torch.eye(2, dtype=torch.float64)
    draws = draw_normal(SPHERE, MEAN, covariance, antithetic(60, 2))
    counted = draws.log_weights.isfinite()
    beyond = SPHERE.norm(MEAN, draws.vectors) > math.pi
    assert draws.n_beyond + draws.n_lost == int((~counted).sum()) > 8
    assert (counted == ~beyond).double().mean() > 0.96


def test_behind_a_hill_draws_past_the_cut_locus_do_not_count_whatever_their_sign():
    # Geodesics that pass the hill beside its top cross those of the other side before they meet
    # their own neighbours: it is lengths that tell, not the sign of the determinant.
    def hill(z):
        return torch.cat([z, 1.5 * (-(z / 0.4).square().sum(-1, keepdim=True)).exp()], -1)

    manifold, mean = Manifold(hill, dim=2), torch.tensor([-1.0, 0.0]).double()
    eps = torch.tensor([[0.97, 0.25], [0.92, 0.39], [2.9, 0.74], [2.76, 1.17]]).double()
    draws = draw_normal(manifold, mean, torch.eye(2).double(), eps)
    shorter = manifold.dist(mean, draws.points) < 0.9 * manifold.norm(mean, draws.vectors)
    assert shorter.tolist() == [False, False, True, True]
    assert torch.equal(draws.log_weights.isfinite(), ~shorter)
    assert draws.n_beyond == 2


def test_standardised_draws_have_the_second_moment_of_the_law():
    eps = standardized(antithetic(11, 3))
    assert eps.shape == (12, 3)
    torch.testing.assert_close(eps.T @ eps / 12, torch.eye(3).double())
    torch.testing.assert_close(eps.sum(0), torch.zeros(3).double())
    few = antithetic(2, 3)
    torch.testing.assert_close(standardized(few), few)


def test_a_matched_covariance_has_the_moment_that_was_asked_for():
    logs = torch.randn(4000, 2, dtype=torch.float64) * 2
    weights = -logs.square().sum(-1) * 0.3 + logs[:, 0].abs()
    S = torch.tensor([[1.0, 0.2], [0.2, 0.5]], dtype=torch.float64)
    found = matched_covariance(torch.eye(2).double(), S, logs, weights)
    p = torch.softmax(weights - torch.einsum("ni,ij,nj->n", logs, found.inverse(), logs) / 2, 0)
    torch.testing.assert_close(torch.einsum("n,ni,nj->ij", p, logs, logs), S, atol=1e-3, rtol=0)


# ---- Maximum likelihood.


@pytest.mark.thorough
def test_in_a_flat_space_one_component_is_the_gaussian():
    Z = torch.randn(60, 2, dtype=torch.float64) @ torch.tensor([[2.0, 0.4], [0.0, 0.5]]).double()
    land = LAND(PLANE, n_samples=40, tol=1e-7, random_state=0).fit(Z)
    torch.testing.assert_close(land.means_[0], Z.mean(0), rtol=0, atol=1e-4)
    covariance = torch.as_tensor(np.cov(Z.T.numpy(), bias=True))
    torch.testing.assert_close(land.covariances_[0], covariance, rtol=1e-3, atol=1e-3)
    gaussian = GaussianMixture(1).fit(Z.numpy())
    np.testing.assert_allclose(
        land.log_density(Z, measure="lebesgue"), gaussian.score_samples(Z.numpy()), atol=1e-3
    )
    assert land.converged_
    assert land.normalizer_standard_error_[0] < 1e-6 * land.normalizer_[0]
    # A unit of the coordinates is a volume of 4.
    np.testing.assert_allclose(land.score(Z) + math.log(4), gaussian.score(Z.numpy()), atol=1e-4)
    assert land.bic(Z) - land.aic(Z) == pytest.approx(5 * (math.log(60) - 2))


@pytest.mark.thorough
def test_in_a_flat_space_a_mixture_is_that_of_gaussians():
    rng = np.random.RandomState(0)
    Z = np.concatenate([rng.randn(60, 2), rng.randn(40, 2) * [0.5, 1.5] + [4, 1]])
    land = LAND(PLANE, 2, n_samples=60, tol=1e-5, random_state=0).fit(Z)
    gaussian = GaussianMixture(2, tol=1e-7, max_iter=500, random_state=0).fit(Z)
    own = land.log_density(Z, measure="lebesgue").mean()
    assert own == pytest.approx(gaussian.score(Z), abs=2e-3)
    assert sorted(land.weights_) == pytest.approx(sorted(gaussian.weights_), abs=0.01)
    agree = (land.predict(Z) == gaussian.predict(Z)).mean()
    assert max(agree, 1 - agree) > 0.98
    np.testing.assert_allclose(land.predict_proba(Z).sum(1), 1)


def sphere_log_likelihood(parameters, Z):
    """The mean log-likelihood on the sphere, by closed forms and quadrature."""
    mean = torch.as_tensor(parameters[:2])
    L = np.array([[np.exp(parameters[2]), 0], [parameters[3], np.exp(parameters[4])]])
    scale = 2 / (1 + float(mean.square().sum()))
    logs = scale * great_circle_log(mean.expand_as(Z), Z).numpy()  # in an orthonormal frame
    squared = np.square(np.linalg.solve(L, logs.T)).sum(0).mean()
    return -squared / 2 - math.log(quadrature_truth("sphere", L @ L.T))


@pytest.mark.thorough
def test_the_estimate_on_the_sphere_is_that_of_scipy_and_quadrature():
    Z = torch.randn(80, 2, dtype=torch.float64) * torch.tensor([0.6, 0.25]).double() + 0.4
    land = LAND(SPHERE, n_samples=300, tol=1e-4, random_state=0).fit(Z)
    mean = land.means_[0]
    scale = 2 / (1 + float(mean.square().sum()))
    L = np.linalg.cholesky(scale**2 * land.covariances_[0].numpy())
    own = np.array([*mean.tolist(), np.log(L[0, 0]), L[1, 0], np.log(L[1, 1])])
    best = optimize.minimize(
        lambda p: -sphere_log_likelihood(p, Z), own, method="Nelder-Mead", options={"maxiter": 600}
    )
    # What is short of the best is second order in the error of the estimate, that of the draws.
    assert -best.fun - sphere_log_likelihood(own, Z) < 5e-3
    np.testing.assert_allclose(own, best.x, atol=0.1)
    truth = sphere_log_likelihood(own, Z)
    assert abs(land.score(Z) - truth) < 4 * land.log_likelihood_standard_error_ + 1e-3


@pytest.mark.thorough
def test_the_likelihood_never_falls_but_where_draws_are_renewed():
    Z = torch.randn(50, 2, dtype=torch.float64) * 0.3
    Z = torch.cat([Z, Z * 0.5 + 1.2]) + torch.tensor([0.0, 2.0]).double()
    land = LAND(HYPERBOLIC, 2, n_samples=100, tol=1e-4, random_state=0).fit(Z)
    history, renewed = land.log_likelihood_history_, land.renewed_
    assert len(history) == land.n_iter_ + 1 > 2
    assert land.lower_bound_ == history[-1]
    steps = [b - a for a, b in pairwise(history)]
    gains = [step for k, step in enumerate(steps) if k not in renewed]
    assert min(gains) > -1e-9
    falls = [step for k, step in enumerate(steps) if k in renewed]
    assert min(falls, default=0) > -5 * land.log_likelihood_standard_error_
    assert land.converged_
    again = LAND(HYPERBOLIC, 2, n_samples=100, tol=1e-4, random_state=0).fit(Z)
    assert again.log_likelihood_history_ == history


@pytest.mark.thorough
def test_weights_count_as_copies():
    Z = torch.randn(12, 2, dtype=torch.float64)
    weighted = LAND(PLANE, n_samples=16, random_state=0)
    weighted.fit(Z, sample_weight=[2.0, 0.0] + [1.0] * 10)
    copies = LAND(PLANE, n_samples=16, random_state=0).fit(torch.cat([Z[:1], Z[:1], Z[2:]]))
    torch.testing.assert_close(weighted.means_, copies.means_, atol=1e-3, rtol=0)
    torch.testing.assert_close(weighted.covariances_, copies.covariances_, atol=1e-2, rtol=0)


# ---- The density, and samples of it.


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", ["exact", "paper"])
def test_the_density_integrates_to_one_but_that_of_the_paper_does_not(normalizer):
    land = LAND(HYPERBOLIC, normalizer=normalizer, random_state=0)
    mean, sigma = torch.tensor([0.0, 1.0]).double(), 0.7
    covariance = sigma**2 * torch.eye(2).double()
    C = draw_normal(
        HYPERBOLIC, mean, covariance, antithetic(1000, 2), exact=normalizer == "exact"
    ).normalizer()
    set_fitted(land, mean, covariance, C.log_value)
    # In (x / y, log y) coordinates the grid is even where the density is.
    s = torch.linspace(-3.2, 3.2, 45).double()
    t = torch.linspace(-4.5, 4.5, 45).double()
    x, y = (part.flatten() for part in torch.meshgrid(t, s.exp(), indexing="ij"))
    log_p = land.log_density(torch.stack([x * y, y], -1), measure="lebesgue")
    cell = float((s[1] - s[0]) * (t[1] - t[0]))
    total = float((np.exp(log_p) * y.numpy() ** 2).sum() * cell)
    if normalizer == "exact":
        assert total == pytest.approx(1, abs=0.02 + 4 * C.relative_error)
    else:
        assert total < 0.6


@pytest.mark.thorough
@pytest.mark.parametrize("name", SPACES)
def test_samples_have_the_law(name):
    manifold, sine, top = SPACES[name]
    sigma = 0.9
    covariance = (sigma / scale_of(manifold, MEAN)) ** 2 * torch.eye(2, dtype=torch.float64)
    points = sample_normal(manifold, MEAN, covariance, 150, np.random.RandomState(1))
    dist = great_circle_dist if name == "sphere" else HalfPlane().dist
    radii = dist(points, MEAN.expand_as(points)).numpy()
    r = np.linspace(0, min(top, 8 * sigma), 2000)
    density = np.exp(-(r**2) / (2 * sigma**2)) * np.vectorize(sine)(r)
    share = integrate.cumulative_trapezoid(density, r, initial=0)
    law = stats.kstest(radii, lambda x: np.interp(x, r, share / share[-1]))
    assert law.pvalue > FALSE_ALARM
    # The draws that they are chosen among have another law: the test can tell.
    wrong = stats.kstest(stats.rayleigh(scale=sigma).rvs(4000, random_state=0),
                         lambda x: np.interp(x, r, share / share[-1]))  # fmt: skip
    assert wrong.pvalue < 1e-6


@pytest.mark.exhaustive
def test_samples_of_a_mixture_come_in_order_of_components():
    Z = np.concatenate([np.zeros((20, 2)), np.full((20, 2), 9.0)]) + np.random.RandomState(0).randn(
        40, 2
    )
    land = LAND(PLANE, 2, n_samples=16, random_state=0).fit(Z)
    X, labels = land.sample(30)
    assert X.shape == (30, 2)
    assert (np.diff(labels) >= 0).all()
    assert (land.predict(X) == labels).all()
    np.testing.assert_array_equal(land.sample(30)[0], X)
    assert not np.array_equal(land.sample(30, random_state=5)[0], X)


@pytest.mark.exhaustive
def test_on_a_semicircle_it_beats_gaussians():
    rng = np.random.RandomState(0)
    angle = np.pi * rng.rand(600)
    X = np.stack([np.cos(angle), np.sin(angle)], -1) + 0.1 * rng.randn(600, 2)
    train, test = X[:200], X[200:]
    manifold = Manifold(LocalVarianceMetric(train, 0.15, 1e-2)).tabulated(train, margin=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        land = LAND(manifold, 2, random_state=0, n_samples=400).fit(train)
        own = land.log_density(test, measure="lebesgue").mean()
    gaussian = GaussianMixture(2, n_init=5, random_state=0).fit(train).score(test)
    assert own > gaussian + 3 * land.log_likelihood_standard_error_


# ---- Contracts.


SCRIPT = """
import json, sys
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.statistics import LAND
land = LAND.load(sys.argv[1], Manifold(HalfPlane()))
print(json.dumps([land.score_samples([[0, 1], [1, 2]]).tolist(), land.sample(3)[0].tolist()]))
"""


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::pullback.errors.ConvergenceWarning")
def test_a_saved_one_answers_alike_in_a_new_process(tmp_path):
    Z = torch.randn(20, 2, dtype=torch.float64) * 0.1 + torch.tensor([0.0, 1.0]).double()
    land = LAND(HYPERBOLIC, 2, n_samples=16, max_iter=2, random_state=0, init="random").fit(Z)
    path = tmp_path / "land"
    land.save(path)
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True
    ).stdout
    log_p, points = json.loads(answer)
    np.testing.assert_allclose(log_p, land.score_samples([[0, 1], [1, 2]]), rtol=1e-3)
    np.testing.assert_allclose(points, land.sample(3)[0], rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 0},
        {"max_iter": 0},
        {"tol": -1.0},
        {"n_samples": 3},
        {"n_init": 0},
        {"reg_covar": -1.0},
        {"init": "best"},
        {"normalizer": "none"},
    ],
)
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        LAND(PLANE, **options).fit([[0.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("Z", "n_components", "message"),
    [
        ([[0.0, 1.0]], 1, "1 sample"),
        ([[0.0, 1.0], [np.nan, 0.0]], 1, "must be finite"),
        ([[0.0, 1.0], [1.0, 0.0]], 3, "`n_components` must be at most the number of points"),
        (torch.zeros(3, 3), 1, "must have 2 features"),
        ([[0.0, 0.0], [1.0, 1.0]], 1, "at least 3 points .* but has 2"),
    ],
)
def test_bad_data_are_refused(Z, n_components, message):
    with pytest.raises((InvalidDataError, ValueError), match=message):
        LAND(PLANE, n_components).fit(Z)


@pytest.mark.thorough
def test_an_unknown_measure_is_refused():
    land = LAND(PLANE, n_samples=8).fit([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InvalidParameterError, match="`measure` must be one of"):
        land.log_density([[0.0, 0.0]], measure="counting")


@pytest.mark.exhaustive
@pytest.mark.cpu_seconds(60)
def test_duplicates_collapse_to_the_ridge():
    land = LAND(PLANE, 2, n_samples=16, reg_covar=1e-4, random_state=0)
    Z = torch.zeros(10, 2, dtype=torch.float64)
    Z[5:] = 1
    land.fit(Z)
    ridge = 1e-4 * torch.eye(2).double().expand(2, 2, 2)
    torch.testing.assert_close(land.covariances_, ridge, rtol=1e-2, atol=1e-7)
    assert np.isfinite(land.score(Z))


class Torn(Metric):
    """A flat plane without the strip 1 < x < 2, which no geodesic crosses."""

    def metric_matrix(self, z):
        hole = (z[..., 0] > 1) & (z[..., 0] < 2)
        scale = torch.where(hole, torch.nan, torch.ones_like(z[..., 0]))
        return scale[..., None, None] * torch.eye(z.shape[-1]).to(z)

    def contains(self, z):
        return ~((z[..., 0] > 1) & (z[..., 0] < 2))


@pytest.mark.slow
@pytest.mark.cpu_seconds(60)
def test_points_that_no_geodesic_reaches_are_counted_and_warned_of():
    Z = torch.randn(30, 2, dtype=torch.float64) * 0.2
    Z[25:, 0] += 3
    torn = Manifold(Torn(2))
    land = LAND(torn, n_samples=32, random_state=0)
    with pytest.warns(ConvergenceWarning, match="reached by no geodesic"):
        land.fit(Z)
    assert land.n_failed_ in (5, 25)
    with pytest.warns(ConvergenceWarning, match="reached by no geodesic"):
        log_p = land.score_samples(Z)
    assert int(np.isneginf(log_p).sum()) == land.n_failed_


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:LAND did not converge")
@pytest.mark.cpu_seconds(60)
def test_draws_past_an_edge_are_counted_and_warned_of():
    Z = torch.randn(30, 2, dtype=torch.float64) * 0.7
    Z = Z[Z[:, 0] < 0.9]
    torn = Manifold(Torn(2))
    with pytest.warns(ConvergenceWarning, match="could not be followed"):
        land = LAND(torn, n_samples=64, max_iter=3, random_state=0, reg_covar=0.3).fit(Z)
    assert land.n_lost_[0] > 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        X, _ = land.sample(20)
    assert (X[:, 0] < 1.01).all()


def test_without_any_draw_it_says_so():
    edge, covariance = torch.tensor([1.5, 0.0]).double(), torch.eye(2).double() * 1e-6
    with pytest.raises(ConvergenceError, match="None of 4 geodesics"):
        draw_normal(Manifold(Torn(2)), edge, covariance, antithetic(4, 2))


@pytest.mark.thorough
def test_a_step_and_its_halves_lie_on_one_geodesic():
    M = SPHERE
    Z = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 4
    component = Component(M, Z, antithetic(8, 2), Z[0], torch.ones(8).double())
    step = torch.tensor([0.6, -0.3]).double()
    way = component._on_the_way(step)
    for halving, point in enumerate(way):
        torch.testing.assert_close(point, M.exp(Z[0], step / 2**halving), rtol=1e-3, atol=1e-4)


@pytest.mark.thorough
def test_draws_past_the_cut_locus_are_not_followed_for_a_derivative(monkeypatch):
    M = SPHERE  # the cut locus lies pi away
    mean, covariance = torch.tensor([1.0, 0.0]).double(), 4 * torch.eye(2).double()
    followed = []
    shoot = Manifold.shoot

    def count(self, point, vectors, **options):
        followed.append(vectors[..., 0].numel())
        return shoot(self, point, vectors, **options)

    monkeypatch.setattr(Manifold, "shoot", count)
    draws = draw_normal(M, mean, covariance, antithetic(60, 2))
    beyond = draws.n_beyond
    assert beyond > 5
    first, second = followed
    assert first == 60
    assert 4 * (60 - beyond - draws.n_lost) <= second < 4 * 60
