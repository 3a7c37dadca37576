"""Other ways than the one that was found: along arches, and on a finer grid of the plane."""

import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics import connect
from pullback.geodesics.search.exploration import other_ways
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.search import Search
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
