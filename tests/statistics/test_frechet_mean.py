"""Frechet means against symmetry, closed forms and a scan."""

import pytest
import torch
from sklearn.base import clone

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, stereographic
from pullback.statistics import FrechetMean

A = torch.tensor([[2.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
FLAT = Manifold(lambda z: z @ A.to(z), dim=2)
SPHERE = Manifold(stereographic, dim=2)


def test_in_a_flat_space_it_is_the_weighted_mean():
    Z, w = torch.randn(9, 2, dtype=torch.float64), torch.rand(9, dtype=torch.float64)
    w[0] = 0
    mean = FrechetMean(FLAT, tol=1e-8).fit(Z, weights=w)
    truth = (w / w.sum()) @ Z
    torch.testing.assert_close(mean.estimate_, truth)
    variance = (w / w.sum()) @ ((Z - truth) @ A).square().sum(-1)
    assert mean.variance_ == pytest.approx(variance.item(), rel=1e-6)
    assert mean.converged_
    assert mean.n_failed_ == 0


def test_of_points_round_the_pole_it_is_the_pole():
    angle = torch.arange(5, dtype=torch.float64) * 2 * torch.pi / 5
    Z = 0.7 * torch.stack([angle.cos(), angle.sin()], -1)
    mean = FrechetMean(SPHERE, tol=1e-6).fit(Z)
    torch.testing.assert_close(mean.estimate_, torch.zeros(2).double(), rtol=0, atol=1e-4)
    distance = great_circle_dist(Z, torch.zeros_like(Z))[0].item()
    assert mean.variance_ == pytest.approx(distance**2, rel=1e-4)


def test_of_two_points_it_is_half_way():
    plane = HalfPlane()
    Z = torch.tensor([[0.0, 0.5], [0.0, 8.0]], dtype=torch.float64)
    mean = FrechetMean(Manifold(plane), tol=1e-5).fit(Z)
    torch.testing.assert_close(mean.estimate_, torch.tensor([0.0, 2.0]).double(), atol=1e-3, rtol=0)


def test_no_other_point_has_a_smaller_variance():
    Z = torch.randn(6, 2, dtype=torch.float64) * 0.6 + 0.5
    mean = FrechetMean(SPHERE, tol=1e-5).fit(Z)
    near = mean.estimate_ + 0.3 * torch.randn(4000, 2, dtype=torch.float64)
    distances = great_circle_dist(*torch.broadcast_tensors(near[:, None], Z[None]))
    assert mean.variance_ <= distances.square().mean(-1).min().item() * (1 + 1e-5)


def test_weights_count_as_copies_and_one_point_is_its_own_mean():
    Z = 0.7 * torch.randn(3, 2, dtype=torch.float64)
    weighted = FrechetMean(SPHERE, tol=1e-4).fit(Z, weights=[2, 1, 1])
    copies = FrechetMean(SPHERE, tol=1e-4).fit(Z[[0, 0, 1, 2]], start=[0.1, 0.1])
    torch.testing.assert_close(weighted.estimate_, copies.estimate_, rtol=0, atol=1e-3)
    one = FrechetMean(SPHERE).fit(Z[:1])
    torch.testing.assert_close(one.estimate_, Z[0])
    assert one.variance_ == 0
    assert one.n_iter_ == 0


def test_an_end_without_convergence_warns():
    Z = torch.randn(5, 2, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="`max_iter` = 1"):
        mean = FrechetMean(SPHERE, max_iter=1, tol=1e-12).fit(Z, start=[3.0, 3.0])
    assert not mean.converged_


def test_it_is_an_estimator():
    mean = FrechetMean(FLAT, max_iter=7)
    assert clone(mean).get_params()["max_iter"] == 7


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        ({"weights": [1.0, -1.0]}, InvalidDataError, "`weights` must be 2 numbers >= 0"),
        ({"weights": [0.0, 0.0]}, InvalidDataError, "not all 0"),
        ({"weights": [1.0]}, InvalidDataError, "`weights` must have shape"),
        ({"start": [0.0, 0.0, 0.0]}, InvalidDataError, "`start` must have shape"),
    ],
)
def test_bad_weights_and_starts_are_refused(fit, error, message):
    with pytest.raises(error, match=message):
        FrechetMean(FLAT).fit([[0.0, 0.0], [1.0, 1.0]], **fit)


@pytest.mark.parametrize("options", [{"max_iter": 0}, {"tol": 0.0}])
def test_bad_settings_are_refused(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        FrechetMean(FLAT, **options).fit([[0.0, 0.0]])


@pytest.mark.parametrize("dim", [1, 2])
def test_the_mean_in_bent_coordinates_of_flat_space_is_the_mean_of_the_images(dim):
    Z = torch.tensor([[0.0], [2.0]], dtype=torch.float64).expand(2, dim)
    mean = FrechetMean(Manifold(torch.exp, dim=dim), tol=1e-6).fit(Z)
    truth = Z.exp().mean(0).log()
    torch.testing.assert_close(mean.estimate_, truth, rtol=1e-3, atol=0.0)
