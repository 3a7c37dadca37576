"""Frechet means against symmetry, closed forms, a scan and another optimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

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
    great_circle_exp,
    stereographic,
)
from pullback.metrics import Metric
from pullback.statistics import FrechetMean, frechet_means

A = torch.tensor([[2.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
FLAT = Manifold(lambda z: z @ A.to(z), dim=2)
SPHERE = Manifold(stereographic, dim=2)


class Wall(Metric):
    """Flat, and not finite where |x| < 1."""

    def metric_matrix(self, z):
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return torch.where(z[..., :1, None].abs() < 1, torch.nan, eye)


class NotFinite(Metric):
    def metric_matrix(self, z):
        return torch.full((*z.shape, z.shape[-1]), torch.nan, dtype=z.dtype, device=z.device)


@pytest.mark.slow
def test_in_a_flat_space_it_is_the_weighted_mean():
    Z, w = torch.randn(9, 2, dtype=torch.float64), torch.rand(9, dtype=torch.float64)
    w[0] = 0
    mean = FrechetMean(FLAT, tol=1e-8).fit(Z, sample_weight=w)
    truth = (w / w.sum()) @ Z
    torch.testing.assert_close(mean.estimate_, truth)
    variance = (w / w.sum()) @ ((Z - truth) @ A).square().sum(-1)
    assert mean.variance_ == pytest.approx(variance.item(), rel=1e-6)
    assert mean.converged_
    assert mean.n_failed_ == 0


@pytest.mark.slow
def test_of_points_round_the_pole_it_is_the_pole():
    angle = torch.arange(5, dtype=torch.float64) * 2 * torch.pi / 5
    Z = 0.7 * torch.stack([angle.cos(), angle.sin()], -1)
    mean = FrechetMean(SPHERE, tol=1e-6).fit(Z)
    torch.testing.assert_close(mean.estimate_, torch.zeros(2).double(), rtol=0, atol=1e-4)
    distance = great_circle_dist(Z, torch.zeros_like(Z))[0].item()
    assert mean.variance_ == pytest.approx(distance**2, rel=1e-4)


@pytest.mark.slow
def test_of_two_points_it_is_half_way():
    plane = HalfPlane()
    Z = torch.tensor([[0.0, 0.5], [0.0, 8.0]], dtype=torch.float64)
    mean = FrechetMean(Manifold(plane), tol=1e-5).fit(Z)
    torch.testing.assert_close(mean.estimate_, torch.tensor([0.0, 2.0]).double(), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_no_other_point_has_a_smaller_variance():
    Z = torch.randn(6, 2, dtype=torch.float64) * 0.6 + 0.5
    mean = FrechetMean(SPHERE, tol=1e-5).fit(Z)
    near = mean.estimate_ + 0.3 * torch.randn(4000, 2, dtype=torch.float64)
    distances = great_circle_dist(*torch.broadcast_tensors(near[:, None], Z[None]))
    assert mean.variance_ <= distances.square().mean(-1).min().item() * (1 + 1e-5)


@pytest.mark.thorough
def test_weights_count_as_copies_and_one_point_is_its_own_mean():
    Z = 0.7 * torch.randn(3, 2, dtype=torch.float64)
    weighted = FrechetMean(SPHERE).fit(Z, sample_weight=[2, 1, 1])
    copies = FrechetMean(SPHERE).fit(Z[[0, 0, 1, 2]], start=[0.1, 0.1])
    torch.testing.assert_close(weighted.estimate_, copies.estimate_, rtol=0, atol=2e-4)
    one = FrechetMean(SPHERE).fit(Z[:1])
    torch.testing.assert_close(one.estimate_, Z[0])
    assert one.variance_ == 0
    assert one.n_iter_ == 0


@pytest.mark.slow
def test_an_end_without_convergence_warns():
    Z = torch.randn(5, 2, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="`max_iter` = 1"):
        mean = FrechetMean(SPHERE, max_iter=1, tol=1e-12).fit(Z, start=[3.0, 3.0])
    assert not mean.converged_


def test_it_is_an_estimator():
    mean = FrechetMean(FLAT, max_iter=7)
    assert clone(mean).get_params()["max_iter"] == 7


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"sample_weight": [1.0, -1.0]}, "`sample_weight` must be 2 numbers >= 0"),
        ({"sample_weight": [0.0, 0.0]}, "non-zero number"),
        ({"sample_weight": [1.0]}, "`sample_weight` must be 2 numbers"),
        ({"start": [0.0, 0.0, 0.0]}, "`start` must have shape"),
    ],
)
def test_bad_weights_and_starts_are_refused(fit, message):
    with pytest.raises(InvalidDataError, match=message):
        FrechetMean(FLAT).fit([[0.0, 0.0], [1.0, 1.0]], **fit)


@pytest.mark.parametrize("options", [{"max_iter": 0}, {"tol": 0.0}, {"n_init": 0}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        FrechetMean(FLAT, **options).fit([[0.0, 0.0]])


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2])
def test_the_mean_in_bent_coordinates_of_flat_space_is_the_mean_of_the_images(dim):
    Z = torch.tensor([[0.0], [2.0]], dtype=torch.float64).expand(2, dim)
    mean = FrechetMean(Manifold(torch.exp, dim=dim), tol=1e-6).fit(Z)
    truth = Z.exp().mean(0).log()
    torch.testing.assert_close(mean.estimate_, truth, rtol=1e-3, atol=0.0)


def on_half_plane(n, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(np.stack([rng.normal(size=n) * 2, rng.uniform(0.3, 4.3, n)], -1))


def on_sphere(n, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(0.4, 0.5, size=(n, 2)))


SPACES = {
    "sphere": (SPHERE, great_circle_dist, on_sphere),
    "half-plane": (Manifold(HalfPlane()), HalfPlane().dist, on_half_plane),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SPACES)
def test_another_optimiser_ends_at_the_same_point(name, seed):
    manifold, dist, draw = SPACES[name]
    Z, w = draw(9, seed), torch.rand(9, dtype=torch.float64)
    mean = FrechetMean(manifold).fit(Z, sample_weight=w)

    def variance(c):
        return float(w @ dist(torch.as_tensor(c).expand_as(Z), Z).square() / w.sum())

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000}
    starts = [mean.estimate_.numpy(), *Z[:3].numpy()]
    ends = [minimize(variance, z, method="Nelder-Mead", options=options) for z in starts]
    truth = min(ends, key=lambda end: end.fun)
    error = dist(mean.estimate_, torch.as_tensor(truth.x)).item()
    assert error < 1e-4 * mean.spread_
    assert mean.variance_ == pytest.approx(truth.fun, rel=1e-5)
    assert mean.spread_ == pytest.approx(truth.fun**0.5, rel=1e-5)
    assert mean.converged_
    assert mean.unique_


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_groups_as_one_batch_are_the_groups_one_by_one(name):
    manifold, _, draw = SPACES[name]
    Z, labels = draw(14), torch.tensor([0, 1, 2, 1, 0, 0, 1, 1, 2, 0, 1, 0, 1, 0])
    w = torch.rand(14, dtype=torch.float64) + 0.1
    means = frechet_means(manifold, Z, labels, sample_weight=w)
    for k in range(3):
        own = labels == k
        one = FrechetMean(manifold).fit(Z[own], sample_weight=w[own])
        torch.testing.assert_close(means.points[k], one.estimate_, rtol=0, atol=1e-4)
        assert means.values[k].item() == pytest.approx(one.variance_, rel=1e-4)
    assert bool(means.converged.all())
    assert means.n_failed.tolist() == [0, 0, 0]


@pytest.mark.thorough
def test_points_with_their_antipodes_have_no_unique_mean():
    turn = torch.arange(8, dtype=torch.float64) * 2 * torch.pi / 8 + 0.1
    ring = torch.stack([turn.cos(), turn.sin()], -1)
    pole = torch.tensor([0.5, 0.0]).double().expand(8, 2)
    size = (1.1 + 0.05 * torch.arange(8)).unsqueeze(-1) * (1 + 0.25) / 2
    Z = great_circle_exp(pole, ring * size)
    Z = torch.cat([Z, -Z / Z.square().sum(-1, keepdim=True)])
    mean = FrechetMean(SPHERE, n_init=6, max_iter=200).fit(Z)
    assert not mean.unique_
    assert FrechetMean(SPHERE, n_init=6).fit(0.3 * ring).unique_


@pytest.mark.slow
def test_logs_and_score_are_distances_to_the_mean():
    Z = on_half_plane(8)
    mean = FrechetMean(SPACES["half-plane"][0]).fit(Z)
    logs = mean.transform(Z)
    distances = HalfPlane().dist(mean.estimate_.expand_as(Z), Z).numpy()
    np.testing.assert_allclose(np.linalg.norm(logs, axis=1), distances, rtol=1e-4)
    np.testing.assert_allclose(logs.mean(0), 0, atol=1e-4 * mean.spread_)
    assert mean.score(Z) == pytest.approx(-mean.variance_, rel=1e-6)
    weights = np.arange(8.0)
    expected = -np.average(distances**2, weights=weights)
    assert mean.score(Z, sample_weight=weights) == pytest.approx(expected, rel=1e-4)
    line = make_pipeline(FrechetMean(SPACES["half-plane"][0]), LinearRegression())
    assert line.fit(Z.numpy(), logs[:, 0]).score(Z.numpy(), logs[:, 0]) > 0.999


@pytest.mark.slow
def test_what_cannot_be_reached_is_left_out_and_counted():
    M = Manifold(Wall())
    Z = torch.tensor([[2.0, 0.0], [3.0, 1.0], [4.0, 0.0], [-3.0, 0.0]]).double()
    with pytest.warns(ConvergenceWarning, match="1 of 4 geodesics"):
        mean = FrechetMean(M, n_init=1).fit(Z)
    assert mean.n_failed_ == 1
    torch.testing.assert_close(mean.estimate_, Z[:3].mean(0), rtol=0, atol=1e-4)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        assert np.isnan(mean.transform(Z)[3]).all()
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        assert mean.score(Z) == -np.inf


@pytest.mark.slow
@pytest.mark.cpu_seconds(20)
def test_hostile_data_are_refused_or_averaged_in_time():
    for bad in ([[0.0, np.nan]], [[0.0]], np.zeros((0, 2)), [["a", "b"]]):
        with pytest.raises(ValueError, match="`X`|sample|numeric|convert"):
            FrechetMean(SPHERE).fit(bad)
    for labels, message in (([0, 2], "have none"), ([0], "numbers"), ([0.5, 1.0], "integers")):
        with pytest.raises(InvalidDataError, match=message):
            frechet_means(SPHERE, [[0.0, 1.0], [1.0, 0.0]], labels)
    equal = FrechetMean(SPHERE).fit(np.ones((9, 2)))
    assert equal.variance_ == 0
    assert equal.unique_
    with pytest.raises(InvalidDataError, match="every edge"):
        FrechetMean(Manifold(NotFinite())).fit([[0.0, 1.0], [1.0, 1.0]])
    deep = Manifold(NotFinite(), dim=3)
    with pytest.raises(ConvergenceError, match="centre of group 0 to its 2 points"):
        FrechetMean(deep).fit([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])


@pytest.mark.slow
def test_the_manifold_may_compute_in_single_precision():
    Z = on_sphere(7)
    mean = FrechetMean(Manifold(stereographic, dim=2, dtype=torch.float32), tol=1e-3).fit(Z)
    truth = FrechetMean(SPHERE).fit(Z)
    assert mean.estimate_.dtype == torch.float32
    torch.testing.assert_close(mean.estimate_.double(), truth.estimate_, rtol=0, atol=3e-3)


@pytest.mark.slow
def test_the_same_data_give_the_same_mean():
    one, two = (FrechetMean(SPHERE).fit(on_sphere(6)) for _ in range(2))
    assert torch.equal(one.estimate_, two.estimate_)
