"""What every metric inherits, against dense derivatives of the sum of squared chords."""

import pytest
import torch

from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic, torus
from pullback.metrics import (
    Metric,
    PullbackMetric,
    RestrictedMetric,
    ScaledMetric,
    TabulatedMetric,
)
from pullback.models import mlp


class Gram(Metric):
    """A pull-back that hides its immersion, so that only the defaults are left."""

    def __init__(self, metric):
        super().__init__(metric.dim)
        self.metric = metric

    def metric_matrix(self, z):
        return self.metric.metric_matrix(z)


def network(d):
    return PullbackMetric.from_decoder(mlp([d, 8, 6]), dim=d)


METRICS = {
    "half-plane": (HalfPlane(), 2),
    "sphere": (PullbackMetric(stereographic), 3),
    "torus": (PullbackMetric(torus), 2),
    "network, d = 1": (network(1), 1),
    "network, d = 3": (network(3), 3),
    "hidden paraboloid": (Gram(PullbackMetric(paraboloid)), 2),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_expansion_is_gradient_and_hessian_of_the_chord_sum(name, n):
    metric, d = METRICS[name]
    nodes = torch.rand(2, n + 2, d, dtype=torch.float64) + 0.5
    expansion = metric.expand_chords(nodes)
    for i in range(2):

        def chord_sum(interior, i=i):
            return metric.squared_chord_sum(torch.cat([nodes[i, :1], interior, nodes[i, -1:]]))

        interior = nodes[i, 1:-1].clone().requires_grad_()
        value = chord_sum(interior)
        (gradient,) = torch.autograd.grad(value, interior)
        hessian = torch.autograd.functional.hessian(chord_sum, interior.detach())
        built = torch.zeros_like(hessian)
        for k in range(n):
            built[k, :, k, :] = expansion.diagonal[i, k]
        for k in range(n - 1):
            built[k, :, k + 1, :] = expansion.off_diagonal[i, k]
            built[k + 1, :, k, :] = expansion.off_diagonal[i, k].mT
        torch.testing.assert_close(expansion.value[i], value)
        torch.testing.assert_close(expansion.gradient[i], gradient)
        torch.testing.assert_close(built, hessian)
        at_nodes = metric.metric_matrix(nodes[i, 1:-1])
        half_way = metric.metric_matrix((nodes[i, 1:] + nodes[i, :-1]) / 2)
        if not isinstance(metric, PullbackMetric):
            at_nodes = (half_way[1:] + half_way[:-1]) / 2
        torch.testing.assert_close(expansion.metric[i], at_nodes)
        measured, pulled = metric.chord_gradient(nodes)
        torch.testing.assert_close(measured[i], value)
        torch.testing.assert_close(pulled[i], gradient)


def test_a_hidden_immersion_measures_the_same_in_the_limit():
    metric = PullbackMetric(paraboloid)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64).unsqueeze(-1)
    points = torch.cat([t, t * (1 - t)], -1)
    torch.testing.assert_close(
        Gram(metric).chords(points).sum(), metric.chords(points).sum(), rtol=1e-7, atol=0
    )


def test_the_floor_is_the_chord_of_the_images():
    a, b = torch.randn(2, 4, 2, dtype=torch.float64)
    metric = PullbackMetric(paraboloid)
    floor, rounding = metric.chord_floor(a, b), metric.chord_rounding(a)
    torch.testing.assert_close(floor, (paraboloid(a) - paraboloid(b)).norm(dim=-1))
    assert bool(((rounding > 0) & (rounding < 1e-13)).all())
    assert bool((HalfPlane().chord_floor(a, b) == 0).all())
    assert bool((HalfPlane().chord_rounding(a) == 0).all())


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_lower_bounds_of_all_pairs_are_tight_on_the_images(factor):
    a, b = torch.randn(2, 6, 2, dtype=torch.float64)
    chords = factor**0.5 * torch.cdist(stereographic(a), stereographic(b))
    metric = ScaledMetric(PullbackMetric(stereographic), factor)
    bounds = metric.lower_bounds(a, b)
    assert bool((bounds <= chords).all())
    torch.testing.assert_close(bounds, chords, rtol=1e-5, atol=1e-6)
    assert not metric.lower_bounds(a, a).diagonal().any()
    table = TabulatedMetric.build(metric, torch.cat([a, b]), rtol=1e-2)
    assert torch.equal(table.lower_bounds(a, b), bounds)
    line = RestrictedMetric(metric, [[1.0], [0.0]])
    flat = a[:, :1], b[:, :1]
    torch.testing.assert_close(
        line.lower_bounds(*flat), metric.lower_bounds(*(line.embed(z) for z in flat))
    )


def test_where_nothing_bounds_lengths_the_bound_is_zero():
    a, b = torch.rand(2, 6, 2, dtype=torch.float64) + 0.5
    assert HalfPlane().lower_bounds(a, b).tolist() == [[0.0] * 6] * 6
    broken = PullbackMetric(lambda z: torch.where(z > 1, torch.nan, z))
    bounds = broken.lower_bounds(a, b)
    assert bool((bounds[(a > 1).any(-1)] == 0).all())
