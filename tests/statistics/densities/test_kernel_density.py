"""Kernel density: scikit-learn's where the space is flat; integrals and samples where it is not."""

import numpy as np
import pytest
import torch
from scipy.stats import chi, kstest
from sklearn import neighbors
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
)
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist
from pullback.statistics import KernelDensity
from pullback.statistics.densities.bandwidth import held_out_bandwidth, rule_of_thumb

from ..known_spaces import BROKEN, FLAT, HALF_PLANE, SPHERE, clusters, upper_points

Z, _ = clusters(spread=0.8)
NEW = np.concatenate([clusters(3, seed=1, spread=1.5)[0], [[30.0, -20.0]]])


@pytest.mark.slow
@pytest.mark.parametrize("bandwidth", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("volume_density", [True, False])
def test_in_a_flat_space_it_is_scikit_learn_s(bandwidth, volume_density):
    ours = KernelDensity(FLAT, bandwidth=bandwidth, volume_density=volume_density).fit(Z)
    theirs = neighbors.KernelDensity(bandwidth=bandwidth).fit(Z)
    np.testing.assert_allclose(ours.score_samples(NEW), theirs.score_samples(NEW), atol=1e-5)
    assert ours.score(NEW) == pytest.approx(theirs.score(NEW), abs=1e-4)


@pytest.mark.slow
def test_in_many_dimensions_and_with_weights():
    rng = np.random.default_rng(0)
    data, new = rng.normal(size=(20, 5)), rng.normal(size=(6, 5))
    weights = rng.integers(0, 3, size=20)
    ours = KernelDensity(FLAT, bandwidth=1.0).fit(data, sample_weight=weights)
    theirs = neighbors.KernelDensity(bandwidth=1.0).fit(data, sample_weight=weights + 1e-12)
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new), atol=1e-5)
    repeated = KernelDensity(FLAT, bandwidth=1.0).fit(np.repeat(data, weights, 0))
    np.testing.assert_allclose(ours.score_samples(new), repeated.score_samples(new), atol=1e-5)


def polar(reach, n_radii=16, n_angles=24):
    """Radii, angles and weights of a rule for discs in geodesic polar coordinates."""
    x, w = np.polynomial.legendre.leggauss(n_radii)
    r, angle = np.meshgrid(reach * (x + 1) / 2, 2 * np.pi * np.arange(n_angles) / n_angles)
    weights = np.broadcast_to(w * reach / 2 * 2 * np.pi / n_angles, r.shape)
    return (torch.as_tensor(values.copy()).flatten() for values in (r, angle, weights))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["newton", "table"])
def test_on_the_sphere_it_integrates_to_one(method):
    h, data = 0.3, np.array([[0.1, 0.0], [-0.15, 0.1]])
    r, angle, weights = polar(2.3)
    grid = torch.tan(r / 2).unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)
    area = (weights * r.sin()).numpy()
    space = SPHERE.tabulated(grid) if method == "table" else SPHERE
    density = KernelDensity(space, bandwidth=h, method=method).fit(data)
    total = area @ np.exp(density.score_samples(grid))
    assert total == pytest.approx(1, abs=1e-3 if method == "newton" else 5e-3)
    without = density.set_params(volume_density=False).fit(data)
    low = area @ np.exp(without.score_samples(grid))
    assert low == pytest.approx(1 - h**2 / 3, abs=3e-3)  # 1 - S h^2 / 6 with S = 2
    # In the coordinates, the same mass in other units.
    lebesgue = without.log_density(grid[:5], measure="lebesgue")
    expected = without.score_samples(grid[:5]) + SPHERE.log_volume(grid[:5]).numpy()
    np.testing.assert_allclose(lebesgue, expected, atol=1e-4)


@pytest.mark.slow
def test_in_the_half_plane_it_integrates_to_one():
    h, data = 0.4, np.array([[0.0, 1.0], [0.2, 0.8]])
    r, angle, weights = polar(3.0)
    v = r.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)
    grid = HalfPlane().exp(torch.tensor([0.0, 1.0]).double().expand_as(v), v)
    area = (weights * r.sinh()).numpy()
    density = KernelDensity(HALF_PLANE, bandwidth=h, method="newton").fit(data)
    assert area @ np.exp(density.score_samples(grid)) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_one_kernel_in_closed_form():
    h, center = 0.5, np.array([[0.3, 0.2]])
    new = 0.5 * torch.randn(20, 2, dtype=torch.float64)
    r = great_circle_dist(new, torch.as_tensor(center).expand_as(new)).numpy()
    found = KernelDensity(SPHERE, bandwidth=h, method="newton").fit(center).score_samples(new)
    expected = -((r / h) ** 2) / 2 - np.log(2 * np.pi * h**2) - np.log(np.sin(r) / r)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.thorough
def test_samples_lie_at_the_distances_that_the_kernel_says():
    center = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    density = KernelDensity(SPHERE, bandwidth=0.4, method="newton").fit(center)
    drawn = torch.as_tensor(density.sample(400, random_state=0))
    scaled = great_circle_dist(drawn, center.expand_as(drawn)) / 0.4
    assert kstest(scaled.numpy(), chi(2).cdf).pvalue > 1e-4  # a false alarm in 10,000
    np.testing.assert_array_equal(drawn, density.sample(400, random_state=0))
    weights = [0.0, 1.0]
    two = KernelDensity(FLAT, bandwidth=1e-3).fit([[0.0], [9.0]], sample_weight=weights)
    assert bool((two.sample(20, random_state=0) > 8).all())


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["scott", "silverman"])
def test_rules_of_thumb_are_those_of_flat_space(rule):
    rng = np.random.default_rng(0)
    for n, d in ((40, 1), (60, 3)):
        data = rng.normal(size=(n, d))
        found = KernelDensity(FLAT, bandwidth=rule, method="newton").fit(data).bandwidth_
        spread = np.sqrt(data.var(0, ddof=1).mean())
        factor = n if rule == "scott" else n * (d + 2) / 4
        assert found == pytest.approx(spread * factor ** (-1 / (d + 4)), rel=1e-6)
    assert rule_of_thumb(torch.tensor([2.0, torch.inf]), 1.0, 2, "scott") == pytest.approx(1)


@pytest.mark.slow
def test_the_likelihood_left_out_is_at_its_best():
    density = KernelDensity(FLAT, bandwidth="likelihood").fit(Z)

    def left_out(h):
        return sum(
            neighbors.KernelDensity(bandwidth=h).fit(np.delete(Z, i, 0)).score(Z[i : i + 1])
            for i in range(len(Z))
        )

    best = left_out(density.bandwidth_)
    assert best > max(left_out(density.bandwidth_ * factor) for factor in (0.3, 0.9, 1.1, 3))
    thumb = KernelDensity(FLAT, bandwidth="scott").fit(Z).bandwidth_
    assert density.bandwidth_ < thumb  # of data in clusters


@pytest.mark.slow
def test_points_that_come_twice_have_no_best_bandwidth():
    with pytest.warns(ConvergenceWarning, match="smallest bandwidth that was tried"):
        KernelDensity(FLAT, bandwidth="likelihood").fit(np.repeat(Z, 2, 0))
    apart = torch.full((2, 2), torch.inf).double()
    with pytest.warns(ConvergenceWarning):
        held_out_bandwidth(apart, torch.zeros(2, 2), torch.ones(2).double(), 1, guess=1.0)


@pytest.mark.slow
def test_a_grid_search_chooses_a_bandwidth():
    grid = {"bandwidth": [0.05, 0.5, 5.0]}
    ours = GridSearchCV(KernelDensity(FLAT), grid, cv=3).fit(Z)
    theirs = GridSearchCV(neighbors.KernelDensity(), grid, cv=3).fit(Z)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, abs=1e-3)


@pytest.mark.slow
def test_a_graph_serves_where_no_volume_density_is_asked_for():
    for bandwidth in (0.7, "scott", "likelihood"):
        options = {"bandwidth": bandwidth, "volume_density": False}
        graph = KernelDensity(FLAT, method="graph", **options).fit(Z)
        exact = KernelDensity(FLAT, **options).fit(Z)
        assert graph.bandwidth_ == pytest.approx(exact.bandwidth_, rel=0.15)
        np.testing.assert_allclose(graph.score_samples(Z), exact.score_samples(Z), atol=0.4)
    with pytest.raises(InvalidParameterError, match="`method` must be .* `volume_density=False`"):
        KernelDensity(FLAT, method="graph").fit(Z)


@pytest.mark.slow
@pytest.mark.cpu_seconds(20)
def test_what_cannot_be_reached_adds_nothing_and_is_warned_of():
    density = KernelDensity(BROKEN, bandwidth=1.0, method="newton").fit([[0.0, 0.0], [5.0, 0.0]])
    with pytest.warns(ConvergenceWarning, match="2 of 4 geodesics|3 of 4 geodesics"):
        log_p = density.score_samples([[0.5, 0.0], [4.0, 0.0]])
    assert log_p[0] == pytest.approx(np.log(0.5 / (2 * np.pi)) - 0.125, abs=1e-6)
    assert log_p[1] == -np.inf


@pytest.mark.thorough
@pytest.mark.cpu_seconds(60)
def test_samples_that_leave_the_space_are_drawn_anew(monkeypatch):
    density = KernelDensity(BROKEN, bandwidth=0.5).fit([[2.8, 0.0]])
    with pytest.warns(ConvergenceWarning, match="geodesics did not converge"):
        drawn = density.sample(8, random_state=0)
    assert bool((drawn[:, 0] <= 3).all())
    with pytest.raises(InvalidDataError, match="NaN or infinity on every edge"):
        KernelDensity(BROKEN, bandwidth=0.5).fit([[4.0, 0.0]])

    def lost(self, n, rng):
        return torch.full((n, 2), torch.nan).double(), torch.zeros(n, dtype=torch.bool)

    monkeypatch.setattr(KernelDensity, "_draw", lost)
    with pytest.raises(ConvergenceError, match="5 times in a row.*smaller `bandwidth`"):
        density.sample(3)


@pytest.mark.slow
def test_bad_input_fails_at_the_door():
    for options in ({"bandwidth": 0.0}, {"bandwidth": "wide"}, {"method": "euclid"}):
        (name,) = options
        with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
            KernelDensity(FLAT, **options).fit(Z)
    with pytest.raises(InvalidDataError, match="only one sample"):
        KernelDensity(FLAT).fit(Z[:1])
    with pytest.raises(InvalidDataError, match="all of them coincide"):
        KernelDensity(FLAT).fit(Z[[0, 0, 0]])
    with pytest.raises(InvalidDataError, match="must be finite"):
        KernelDensity(FLAT).fit([[np.nan, 1.0]])
    with pytest.raises(NotFittedError):
        KernelDensity(FLAT).score_samples(Z)
    with pytest.raises(InvalidParameterError, match="`measure` must be"):
        KernelDensity(FLAT).fit(Z).log_density(Z, measure="counting")
    with pytest.raises(InvalidParameterError, match="`n_samples` must be"):
        KernelDensity(FLAT).fit(Z).sample(0)


@pytest.mark.slow
def test_one_point_and_single_precision():
    assert KernelDensity(FLAT, bandwidth=1.0).fit([[0.0]]).score_samples([[0.0]]) == pytest.approx(
        -np.log(2 * np.pi) / 2
    )
    single = Manifold(FLAT.metric, dtype=torch.float32)
    found = KernelDensity(single, bandwidth=1.0).fit(Z).score_samples(Z)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, neighbors.KernelDensity(bandwidth=1.0).fit(Z).score_samples(Z), atol=1e-3
    )


@pytest.mark.slow
def test_files(tmp_path):
    data = upper_points(12)
    fitted = KernelDensity(HALF_PLANE, method="newton").fit(data, sample_weight=np.arange(12))
    fitted.save(tmp_path / "density")
    again = KernelDensity.load(tmp_path / "density", HALF_PLANE)
    np.testing.assert_array_equal(again.score_samples(data), fitted.score_samples(data))
    np.testing.assert_array_equal(again.sample(3, random_state=1), fitted.sample(3, random_state=1))
