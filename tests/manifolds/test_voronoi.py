"""Voronoi cells against the distances of closed form."""

import math
from functools import partial

import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.manifolds.voronoi import voronoi_cells

PLANE = HalfPlane()
CENTERS = torch.tensor([[0.0, 0.5], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)


def hyperbolic(points, centers):
    shape = (len(points), len(centers), 2)
    return PLANE.dist(points.unsqueeze(1).expand(shape), centers.expand(shape))


def test_labels_are_the_nearest_and_the_margin_how_clear_that_is():
    z = torch.rand(50, 2, dtype=torch.float64) + 0.2
    cells = voronoi_cells(hyperbolic, CENTERS, z)
    assert torch.equal(cells.labels, hyperbolic(z, CENTERS).argmin(1))
    two = hyperbolic(z, CENTERS).sort(1).values
    torch.testing.assert_close(cells.margin, two[:, 1] - two[:, 0])


def test_the_edge_between_two_heights_is_the_geometric_mean():
    z = torch.tensor([[0.0, 0.99], [0.0, 1.01]], dtype=torch.float64)
    assert voronoi_cells(hyperbolic, CENTERS[:2], z).labels.tolist() == [0, 1]


def test_out_of_reach_is_minus_one_and_nan_is_no_distance():
    def dist(z, c):
        return torch.tensor([[math.nan, 1.0], [math.inf, math.nan]])

    cells = voronoi_cells(dist, [[0.0], [1.0]], [[0.0], [1.0]])
    assert cells.labels.tolist() == [1, -1]
    assert cells.margin.isinf().all()


@pytest.mark.slow
def test_the_manifold_s_cells_by_graph_and_by_exact_distances():
    M = Manifold(PLANE)
    cells = M.voronoi(CENTERS[:, [1, 0]] + 1, resolution=8)
    assert cells.points.shape == (64, 2)
    assert set(cells.labels.tolist()) == {0, 1, 2}
    z = torch.rand(6, 2, dtype=torch.float64) + 0.5
    graph = M.voronoi(CENTERS, z)
    clear = graph.margin > 0.2  # more than the graph errs by
    assert clear.any()
    assert torch.equal(graph.labels[clear], hyperbolic(z, CENTERS).argmin(1)[clear])
    dist = partial(M.pairwise_dist, method="newton", progress=False)
    exact = voronoi_cells(dist, CENTERS, z[:2])
    torch.testing.assert_close(exact.distances, hyperbolic(z[:2], CENTERS), rtol=1e-4, atol=0)


def test_bad_input_is_refused():
    with pytest.raises(InvalidDataError, match="`dist` must return distances of shape"):
        voronoi_cells(lambda z, c: torch.zeros(1), CENTERS, CENTERS)
    with pytest.raises(InvalidDataError, match="`points` must have"):
        voronoi_cells(hyperbolic, CENTERS, [[1.0, 2.0, 3.0]])
    with pytest.raises(InvalidDataError, match="`centers` must be finite"):
        voronoi_cells(hyperbolic, CENTERS * math.nan, CENTERS)
