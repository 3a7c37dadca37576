"""Other ways than the one that was found: along arches, and on a finer grid of the plane."""

import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics import connect
from pullback.geodesics.search import verdict
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.exploration import other_ways
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.search import Search
from pullback.manifolds.reference import stereographic
from pullback.metrics import PullbackMetric

A, B = torch.tensor([[-2.0, 0.0]]).double(), torch.tensor([[2.0, 0.0]]).double()


def hills(z, centres, height, width):
    squared = (z.unsqueeze(-2) - centres).square().sum(-1)
    hill = height * (-squared / (2 * width**2)).exp().sum(-1, keepdim=True)
    return torch.cat([z, hill], -1)


def two_fences():
    """Two rows of steep hills, open at opposite ends: the short way is an S, and no arch."""
    y = torch.arange(-2.0, 2.01, 0.25, dtype=torch.float64)
    left = torch.stack([torch.full_like(y, -0.7), y], -1)[y < 1.0]
    right = torch.stack([torch.full_like(y, 0.7), y], -1)[y > -1.0]
    centres = torch.cat([left, right])
    return PullbackMetric(lambda z: hills(z, centres.to(z), 3.0, 0.15), dim=2)


@pytest.mark.slow
def test_a_finer_grid_of_the_plane_sees_a_way_that_no_arch_leads_to():
    metric = two_fences()
    search = Search(metric, None, (32, 64), 1e-4)
    line = straight_line(A, B, 64)
    arches, finer = other_ways(search, line), other_ways(search, line, finer=True)
    corners = torch.tensor([[-3.0, -3.0], [3.0, 3.0]], dtype=torch.float64)
    graph = LatentGraph.build(metric, corners, resolution=160)
    truth = connect(metric, A, B, graph=graph, confirm=False).length
    assert finer.length.item() == pytest.approx(truth.item(), rel=0.02)
    # What counts as a miss in `benchmarks/honesty.py` is one per cent.
    assert finer.length.item() < 0.99 * arches.length.item()


def test_each_turn_bends_lines_in_directions_of_its_own():
    metric = PullbackMetric(lambda z: z)
    line = straight_line(torch.zeros(1, 5).double(), torch.ones(1, 5).double(), 16)
    first, second = (
        torch.cat(shortest_bends(metric, line, kept=8, turn=turn)) - line for turn in (0, 1)
    )
    for aside in (first, second):  # perpendicular to the chord
        assert float(aside.sum(-1).abs().max()) < 1e-12
        assert float(aside[:, 8].norm(dim=-1).min()) > 0.1
    gaps = torch.cdist(first[:, 8], second[:, 8])
    assert float(gaps.min()) > 1e-3


@pytest.mark.parametrize(("angle", "turns"), [(3.1, [0, 1, 2]), (1.0, [0])])
def test_ambiguous_answers_are_looked_at_in_every_turn(monkeypatch, angle, turns):
    """Between points of a sphere that are nearly opposite all ways are about as long."""
    taken = []

    def watched(search, nodes, *, turn, finer):
        taken.append(turn)
        return other_ways(search, nodes, turn=turn, finer=finer)

    monkeypatch.setattr(verdict, "other_ways", watched)
    half = torch.tensor(angle / 4).tan() * torch.tensor([[1.0, 0.0, 0.0]])
    result = connect(PullbackMetric(stereographic, dim=3), -half.double(), half.double())
    assert result.length.item() == pytest.approx(angle, rel=1e-6)
    assert taken == turns
