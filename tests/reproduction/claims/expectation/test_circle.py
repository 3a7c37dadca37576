"""The arcs and the distance of the claim of the circle are those of the formulas."""

import math

import pytest
import torch

from pullback.reproduction.claims.expectation.circle import Circle, hausdorff, sample


def test_arcs_take_the_shorter_way_round_and_have_their_length():
    start = torch.tensor([0.1, 6.0, 1.0]).double()
    end = torch.tensor([1.1, 0.5, 1.0 + 4.0]).double()
    arcs = Circle(10, scale=0.0).arcs(start, end, 500)
    lengths = arcs.diff(dim=1).norm(dim=-1).sum(-1)
    turns = [1.0, 0.5 + 2 * math.pi - 6.0, 2 * math.pi - 4.0]
    assert lengths.tolist() == pytest.approx(turns, rel=1e-4)


def test_hausdorff_is_that_of_a_chord_and_its_arc():
    quarter = torch.tensor([0.0]).double(), torch.tensor([math.pi / 2]).double()
    arc = Circle(2, scale=0.0).arcs(*quarter, 401)
    t = torch.linspace(0, 1, 401, dtype=torch.float64).reshape(1, -1, 1)
    chord = torch.lerp(arc[:, :1], arc[:, -1:], t)
    assert float(hausdorff(chord, arc)) == pytest.approx(1 - 0.5**0.5, rel=1e-4)
    assert float(hausdorff(arc, arc)) == pytest.approx(0, abs=1e-6)


def test_samples_scatter_around_the_circle_by_the_noise():
    circle = Circle(500, seed=3)
    data = sample(circle, 0, n=200, noise=0.1)
    assert float((data.X - circle(data.angles)).std()) == pytest.approx(0.1, rel=0.01)
    assert torch.equal(data.codes, data.X[:, :2])
