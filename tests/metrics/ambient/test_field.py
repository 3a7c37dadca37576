"""A metric field on the ambient space: its fast methods against the defaults that follow from M."""

import subprocess
import sys

import pytest
import torch

from pullback.autodiff import jacobian
from pullback.metrics import FieldMetric, MatrixField, Metric

GENERATOR = torch.Generator().manual_seed(5)
A = torch.randn(3, 6, generator=GENERATOR, dtype=torch.float64)


def field(x):
    eye = torch.eye(6, dtype=x.dtype)
    return (1 + x.square().sum(-1))[..., None, None] * eye + x.unsqueeze(-1) * x.unsqueeze(-2)


@pytest.fixture(params=[1, 2, 3], ids="d = {}".format)
def case(request):
    d = request.param
    metric = FieldMetric(lambda z: torch.tanh(z @ A[:d]), MatrixField(field), d)
    nodes = torch.randn(3, 6, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)
    return metric, nodes


def test_the_matrix_is_that_of_the_field_pulled_back(case):
    metric, nodes = case
    image, J = jacobian(metric.immersion, nodes)
    torch.testing.assert_close(metric.metric_matrix(nodes), J.mT @ field(image) @ J)


def test_the_expansion_is_that_of_the_default(case):
    metric, nodes = case
    ours, default = metric.expand_chords(nodes), Metric.expand_chords(metric, nodes)
    for name in ("value", "gradient", "diagonal", "off_diagonal"):
        torch.testing.assert_close(getattr(ours, name), getattr(default, name))
    torch.testing.assert_close(ours.metric, metric.metric_matrix(nodes[:, 1:-1]))


def test_a_chain_with_one_free_node_and_one_with_none(case):
    metric, nodes = case
    one = metric.expand_chords(nodes[:, :3])
    assert one.off_diagonal.shape[1] == 0
    torch.testing.assert_close(one.diagonal, Metric.expand_chords(metric, nodes[:, :3]).diagonal)
    assert metric.expand_chords(nodes[:, :2]).gradient.shape[1] == 0


def test_acceleration_is_that_of_the_default(case):
    metric, nodes = case
    v = nodes.roll(1, 0)
    torch.testing.assert_close(metric.acceleration(nodes, v), Metric.acceleration(metric, nodes, v))


def test_chords_between_pairs(case):
    metric, nodes = case
    points = nodes.flatten(0, 1)
    pairs = torch.tensor([[0, 1], [5, 0], [3, 3], [0, 1]])
    torch.testing.assert_close(
        metric.chords_between(points, pairs), Metric.chords_between(metric, points, pairs)
    )
    assert metric.chords_between(points, pairs[:0]).shape == (0,)


@pytest.mark.slow
def test_chunks_change_nothing(case, monkeypatch):
    metric, nodes = case
    whole = metric.expand_chords(nodes), metric.chord_gradient(nodes), metric.chords(nodes)
    monkeypatch.setattr(FieldMetric, "_n_rows", lambda *_, **__: 1)
    parts = metric.expand_chords(nodes), metric.chord_gradient(nodes), metric.chords(nodes)
    for a, b in zip(
        [*whole[0], *whole[1], whole[2]], [*parts[0], *parts[1], parts[2]], strict=True
    ):
        torch.testing.assert_close(a, b)


def test_memory_is_planned_for_the_matrices():
    metric = FieldMetric(lambda z: z @ torch.ones(2, 1000), MatrixField(lambda x: x), 2)
    vector = FieldMetric(metric.immersion, MatrixField(lambda x: x), 2)
    vector.field.n_entries = lambda m: m
    points = torch.zeros(10**5, 2)
    assert metric._n_rows(points, sweeps=1) * 500 < vector._n_rows(points, sweeps=1)


@pytest.mark.thorough
def test_a_field_that_is_none_is_refused():
    """In a process of its own, where no run-time type check comes first."""
    script = (
        "import torch; from pullback.metrics import FieldMetric; "
        "FieldMetric.from_decoder(torch.nn.Linear(2, 3), dim=2)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "`field` must be an `AmbientMetric`, but got int" in ended.stderr
    assert "Manifold(decoder, ambient=...)" in ended.stderr
