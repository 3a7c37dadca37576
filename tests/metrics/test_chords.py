"""Chords by few points, and by more where that leaves a doubt: as those of all points would be."""

import pytest
import torch
from torch import nn

from pullback.curves import CubicSpline
from pullback.geodesics.search.measure import chords_of_steps, refined_chords_of_steps
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import AmbientMetric, PullbackMetric
from pullback.metrics.ambient.field import FieldMetric
from pullback.metrics.chords import RefinedChords, image_chords

STEPS = (1, 2, 4)


class Growing(AmbientMetric):
    def apply(self, x, v):
        return (1 + x.square().sum(-1, keepdim=True)) * v


def decoder(shift=0.0):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5))
    with torch.no_grad():
        network[2].bias.add_(shift)
    return PullbackMetric.from_decoder(network, dim=2)


METRICS = {
    "decoder": decoder(),
    "half-plane": HalfPlane(),
    "field": FieldMetric(lambda z: torch.cat([z, z.square()], -1), Growing(), dim=2),
}


def curves(n=5):
    generator = torch.Generator().manual_seed(1)
    nodes = torch.rand(n, 9, 2, generator=generator, dtype=torch.float64)
    return CubicSpline(nodes + torch.tensor([0.0, 2.0]))


def asking(curve, chosen, asked=None):
    """Refine the chosen curves, and note which were asked for."""

    def refine(chords, at):
        places = torch.arange(len(curve.nodes))[at]
        if asked is not None:
            asked.append(places.tolist())
        assert [len(chord) for chord in chords] == [len(places)] * len(chords)
        rows = torch.tensor([k for k, place in enumerate(places) if place in chosen]).long()
        return rows, curve.points(33)[at][rows][:, 1::2]

    return refine


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("chosen", [(), (1, 3), range(5)])
def test_they_are_those_of_all_points(metric, chosen):
    curve = curves()
    few, many = curve.points(17), curve.points(33)
    found = metric.refined_chords(few, 3, asking(curve, chosen))
    assert found.rows.tolist() == list(chosen)
    assert len(found.fine) == (3 if chosen else 0)
    for chords, truth in zip(found.coarse, metric.chords_by_step(few, STEPS), strict=True):
        torch.testing.assert_close(chords, truth)
    truths = metric.chords_by_step(many[found.rows], STEPS) if chosen else ()
    for chords, truth in zip(found.fine, truths, strict=True):
        torch.testing.assert_close(chords, truth)
    torch.testing.assert_close(found.floor, metric.chord_floor(few[:, 0], few[:, -1]))
    assert bool((found.rounding == metric.chord_rounding(few[:, [0, -1]]).amax(-1)).all())


def test_parts_of_a_batch_are_joined_in_their_places(monkeypatch):
    metric, curve = decoder(), curves()
    whole = metric.refined_chords(curve.points(17), 3, asking(curve, (0, 3, 4)))
    asked = []
    monkeypatch.setattr(metric, "_n_rows", lambda *_, **__: 2)
    parts = metric.refined_chords(curve.points(17), 3, asking(curve, (0, 3, 4), asked))
    assert asked == [[0, 1], [2, 3], [4]]
    for one, other in zip(whole, parts, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("lost", [(), (2,), (1, 2)])
def test_what_single_precision_rounds_is_measured_exactly(lost):
    metric, nodes = decoder(shift=30.0), curves().nodes.clone()
    rows = list(lost)
    nodes[rows] = nodes[rows, :1] + 1e-5 * (nodes[rows] - nodes[rows, :1])
    curve, asked = CubicSpline(nodes), []
    refine = asking(curve, (0, 1), asked)
    found = refined_chords_of_steps(metric, curve.points(17), 0.005, refine)
    assert asked == [list(range(5)), *([rows] if rows else [])]
    assert sorted(found.rows.tolist()) == [0, 1]
    few, many = curve.points(17), curve.points(33)[found.rows]
    pairs = [(found.coarse, few), (found.fine, many)]
    for chords, points in pairs:
        truth = metric.chords_by_step(points, STEPS)
        for one, other in zip(chords, truth, strict=True):
            torch.testing.assert_close(one, other, rtol=5e-3, atol=0)
    exact = metric.chords_by_step(few[rows], STEPS)
    for one, other in zip(found.coarse, exact, strict=True):
        torch.testing.assert_close(one[rows], other, rtol=1e-12, atol=0)
    assert found.coarse[0].dtype == torch.float64


@pytest.mark.parametrize("rounding", [0.005, 0.0])
def test_they_are_those_of_one_measurement(rounding):
    metric, curve = decoder(), curves()
    found = refined_chords_of_steps(metric, curve.points(17), rounding, asking(curve, ()))
    truth = chords_of_steps(metric, curve.points(17), rounding)
    for one, other in zip(found.coarse, truth, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


def test_a_floor_of_rounded_images_is_lower_than_the_true_one():
    metric, curve = decoder(shift=30.0), curves(50)
    found = refined_chords_of_steps(metric, curve.points(17), 0.005, asking(curve, ()))
    truth = metric.chord_floor(curve.start, curve.end)
    assert bool((found.floor <= truth).all())
    torch.testing.assert_close(found.floor, truth, rtol=0, atol=1e-4)


def test_wide_chords_are_sums_of_narrow_ones():
    image = torch.randn(3, 25, 4, dtype=torch.float64)
    for steps in [(1, 2, 4), (1, 2, 1, 2), (1, 2, 6, 12), (3, 1)]:
        for chords, step in zip(image_chords(image, steps), steps, strict=True):
            torch.testing.assert_close(chords, image[:, ::step].diff(dim=1).norm(dim=-1))


def test_one_part_is_itself():
    empty = torch.zeros(0)
    part = RefinedChords((empty,), empty, empty, empty.long(), ())
    assert RefinedChords.joined([part]) is part
