"""LAND's local variance, against a loop in NumPy."""

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import LocalVarianceMetric, Metric
from pullback.metrics.explicit import local_variance as module

S, RHO = 0.4, 1e-2


@pytest.fixture
def half_circle():
    generator = torch.Generator().manual_seed(0)
    angle = torch.pi * torch.rand(150, generator=generator, dtype=torch.float64)
    noise = 0.05 * torch.randn(150, 2, generator=generator, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], -1) + noise


def test_it_is_the_formula(half_circle):
    X, z = half_circle.numpy(), np.random.default_rng(1).normal(size=(4, 2))
    expected = np.empty((4, 2))
    for i in range(4):
        for k in range(2):
            weight = np.exp(-((X - z[i]) ** 2).sum(1) / (2 * S**2))
            expected[i, k] = 1 / ((weight * (X[:, k] - z[i, k]) ** 2).sum() + RHO)
    metric = LocalVarianceMetric(X, S, RHO)
    np.testing.assert_allclose(metric.diagonal(torch.from_numpy(z)).numpy(), expected, rtol=1e-12)


def test_it_is_finite_and_flat_far_off_the_data(half_circle):
    metric = LocalVarianceMetric(half_circle, S, RHO)
    far = torch.tensor([[1e3, -1e8]], dtype=torch.float64)
    torch.testing.assert_close(metric.metric_matrix(far)[0], torch.eye(2).double() / RHO)
    assert bool((metric.acceleration(far, torch.ones_like(far)) == 0).all())
    nodes = torch.lerp(far, -far, torch.linspace(0, 1, 5).double()[:, None])[None]
    assert all(bool(part.isfinite().all()) for part in metric.expand_chords(nodes))


@pytest.mark.parametrize("d", [1, 2, 4])
def test_derivatives_are_those_of_the_default(d):
    data, nodes = torch.randn(20, d).double(), torch.randn(2, 5, d, dtype=torch.float64)
    metric = LocalVarianceMetric(data, 1.0, 0.1)
    ours, default = metric.expand_chords(nodes), Metric.expand_chords(metric, nodes)
    ends = torch.cat([nodes[:, 1:], nodes[:, :-1]], -1)
    by_ends = metric.expand_ends(ends), Metric.expand_ends(metric, ends)
    gradients = metric.chord_gradient(nodes), Metric.chord_gradient(metric, nodes)
    for mine, theirs in ((ours, default), by_ends, gradients):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b)
    v = nodes.roll(1, 0)
    torch.testing.assert_close(metric.acceleration(nodes, v), Metric.acceleration(metric, nodes, v))
    torch.testing.assert_close(metric.log_volume(nodes), Metric.log_volume(metric, nodes))


@pytest.mark.slow
def test_chunks_change_nothing(half_circle, monkeypatch):
    metric = LocalVarianceMetric(half_circle, S, RHO)
    nodes = torch.randn(3, 7, 2, dtype=torch.float64)
    whole = metric.expand_chords(nodes)
    monkeypatch.setattr(module, "_BYTES", 1)
    assert metric._n_at_once(2) == 1
    for a, b in zip(metric.expand_chords(nodes), whole, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.slow
def test_geodesics_follow_the_data(half_circle):
    M = Manifold(LocalVarianceMetric(half_circle, 0.15, RHO), data=half_circle)
    a, b = torch.tensor([[-1.0, 0.05], [1.0, 0.05]], dtype=torch.float64)
    path = M.geodesic(a, b)
    assert bool(path.converged)
    radius = path.points(65).norm(dim=-1)
    assert float(radius.min()) > 0.7
    assert float(radius.max()) < 1.3


def test_bad_input_is_refused():
    with pytest.raises(InvalidParameterError, match="`bandwidth` must be a finite number in"):
        LocalVarianceMetric([[0.0]], 0.0)
    with pytest.raises(InvalidParameterError, match="`rho`"):
        LocalVarianceMetric([[0.0]], 1.0, -1.0)
    with pytest.raises(InvalidDataError, match="`data` must be finite"):
        LocalVarianceMetric([[float("nan")]], 1.0)
