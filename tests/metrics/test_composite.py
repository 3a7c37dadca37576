"""Sums, scalings and restrictions, against the immersions that they amount to."""

import math

import pytest
import torch
from torch import nn

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.metrics import (
    LocalVarianceMetric,
    Metric,
    PullbackMetric,
    RestrictedMetric,
    ScaledMetric,
    SumMetric,
    TabulatedMetric,
)

SPHERE, PARABOLOID = PullbackMetric(stereographic, 2), PullbackMetric(paraboloid, 2)
SUM = SumMetric([SPHERE, PARABOLOID], weights=[1.0, 4.0])
BESIDE = PullbackMetric(lambda z: torch.cat([stereographic(z), 2 * paraboloid(z)], -1), 2)
BASIS = torch.tensor([[1.0, 0.5], [0.0, 1.0], [0.3, -1.0]], dtype=torch.float64)
ORIGIN = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64)
SLICE = RestrictedMetric(PullbackMetric(paraboloid, 3), BASIS, ORIGIN)
SLICED = PullbackMetric(lambda w: paraboloid(ORIGIN.to(w) + w @ BASIS.to(w).T), 2)
TWINS = {
    "sum": (SUM, BESIDE),
    "scaled": (ScaledMetric(PARABOLOID, 9.0), PullbackMetric(lambda z: 3 * paraboloid(z), 2)),
    "restricted": (SLICE, SLICED),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_they_are_the_pull_back_of_one_immersion(name):
    metric, twin = TWINS[name]
    generator = torch.Generator().manual_seed(0)
    nodes = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    a, b = nodes.unbind(0)[:2]
    pairs = torch.tensor([[0, 1], [3, 2]])
    answers = [
        (
            m.metric_matrix(a),
            m.inner_product(a, a, b),
            m.norm(a, b),
            m.log_volume(a),
            m.acceleration(a, b),
            m.chords(nodes),
            m.chords_between(a, pairs),
            *m.chords_by_step(nodes),
            m.chord_floor(a, b),
            m.squared_chord_sum(nodes),
            *m.chord_gradient(nodes),
            *m.energy_gradient(nodes),
            *m.expand_chords(nodes),
            *m.expand_ends(torch.cat([a, b], -1)),
        )
        for m in (metric, twin)
    ]
    for found, expected in zip(*answers, strict=True):
        torch.testing.assert_close(found, expected)
    assert bool((metric.chord_rounding(a) > 0).all())
    assert bool((metric.chord_rounding(a) < 1e-12).all())


def test_a_restricted_sphere_is_a_great_circle():
    circle = RestrictedMetric(SPHERE, [[1.0], [2.0]])
    a, b = torch.tensor([[[-0.4]], [[0.2]]], dtype=torch.float64)
    path = Manifold(circle).geodesic(a, b)
    assert bool(path.converged.all())
    truth = great_circle_dist(circle.embed(a), circle.embed(b))
    torch.testing.assert_close(path.length, truth, rtol=1e-3, atol=0)


@pytest.mark.slow
def test_all_columns_are_a_change_of_coordinates():
    turned = RestrictedMetric(HalfPlane(), [[0.0, -1.0], [1.0, 0.0]], [0.0, 2.0])
    w = torch.tensor([[-1.0, 0.5], [0.5, -1.0]], dtype=torch.float64)
    truth = HalfPlane().dist(turned.embed(w[0]), turned.embed(w[1]))
    torch.testing.assert_close(Manifold(turned).dist(w[0], w[1]), truth, rtol=1e-3, atol=0)
    assert turned.contains(torch.tensor([[0.0, 0.0], [-3.0, 0.0]]).double()).tolist() == [
        True,
        False,
    ]


def test_geodesics_of_a_scaled_metric_are_longer_by_the_root():
    a, b = torch.tensor([[[-0.4, 1.0]], [[0.7, 2.0]]], dtype=torch.float64)
    M = Manifold(ScaledMetric(HalfPlane(), 4.0))
    torch.testing.assert_close(M.dist(a, b), 2 * HalfPlane().dist(a, b), rtol=1e-3, atol=0)


@pytest.mark.slow
def test_geodesics_of_a_sum_of_unlike_metrics_converge():
    data = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
    metric = SumMetric([LocalVarianceMetric(data, 1.0, 0.1), PARABOLOID])
    path = Manifold(metric, data=data).geodesic(data[:4], data[4:8])
    assert bool(path.converged.all())


def test_what_the_parts_know_is_carried_over():
    half, anywhere = HalfPlane(), PullbackMetric(lambda z: z)
    both = SumMetric([half, anywhere])
    assert both.dim == 2
    assert both.contains(torch.tensor([[0.0, 1.0], [0.0, -1.0]])).tolist() == [True, False]
    assert both.exact is both
    assert both.single is None
    network = PullbackMetric.from_decoder(nn.Linear(2, 3), dim=2, trainable=True)
    assert SumMetric([network, half]).requires_grad
    assert ScaledMetric(network, 2.0).requires_grad
    assert RestrictedMetric(network, [[1.0], [0.0]]).requires_grad
    assert not both.requires_grad


def test_rough_and_exact_twins_are_composed_alike():
    network = PullbackMetric.from_decoder(nn.Linear(2, 3), dim=2)
    z = torch.zeros(1, dtype=torch.float32)
    rough = RestrictedMetric(ScaledMetric(network, 2.0), [[1.0], [1.0]]).single
    assert rough.metric_matrix(z).dtype == torch.float32
    codes = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    table = TabulatedMetric.build(PARABOLOID, codes, rtol=1e-2)
    for metric in (ScaledMetric(table, 2.0), RestrictedMetric(table, torch.eye(2))):
        exact = metric.exact.metric_matrix(codes)
        factor = 2.0 if isinstance(metric, ScaledMetric) else 1.0
        torch.testing.assert_close(exact, factor * PARABOLOID.metric_matrix(codes))


def test_paths_of_a_scaled_or_restricted_decoder_are_decoded():
    network = nn.Linear(2, 3)
    metric = PullbackMetric.from_decoder(network, dim=2)
    z = torch.tensor([[0.5, -0.5]], dtype=torch.float64)
    truth = network(z.float()).double()
    torch.testing.assert_close(Manifold(ScaledMetric(metric, 2.0)).decode(z), truth)
    line = Manifold(RestrictedMetric(metric, [[1.0], [-1.0]]))
    torch.testing.assert_close(line.decode(z[:, :1]), truth)
    assert RestrictedMetric(HalfPlane(), [[1.0], [0.0]]).decoder is None
    assert ScaledMetric(HalfPlane(), 2.0).decoder is None


def test_a_scaled_unit():
    metric = ScaledMetric(PARABOLOID, math.pi)
    z = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert isinstance(metric, Metric)
    torch.testing.assert_close(metric.norm(z, z), torch.tensor(math.sqrt(5 * math.pi)).double())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SumMetric([]), "`metrics` must be one or more"),
        (lambda: SumMetric([SPHERE, PullbackMetric(paraboloid, 3)]), "same dimension.*2, 3"),
        (lambda: SumMetric([SPHERE], weights=[1.0, 1.0]), "one number for each of 1 metrics"),
        (lambda: SumMetric([SPHERE], weights=[0.0]), "`weights` must be a finite number"),
        (lambda: ScaledMetric(SPHERE, -1.0), "`factor` must be a finite number"),
        (lambda: RestrictedMetric(SPHERE, [[1.0, 2.0], [2.0, 4.0]]), "independent columns"),
        (lambda: RestrictedMetric(SPHERE, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), "independent"),
        (lambda: RestrictedMetric(SPHERE, [[1.0]]), "`basis` must be a matrix with 2 rows"),
        (lambda: RestrictedMetric(SPHERE, [[1.0], [0.0]], [1.0]), "`origin` must have shape"),
        (lambda: RestrictedMetric(SPHERE, [[float("nan")], [0.0]]), "`basis` must be finite"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((InvalidParameterError, InvalidDataError), match=message):
        make()
