"""Shortest paths on graphs against brute force."""

import itertools

import numpy as np
import pytest
import torch

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.geodesics import LatentGraph, grid_nodes
from pullback.geodesics.search.graph import lattice_box
from pullback.geodesics.search.graph.grid import grid_edges
from pullback.manifolds import Manifold
from pullback.manifolds.reference import paraboloid
from pullback.metrics import PullbackMetric

FLAT = PullbackMetric(lambda z: z)
PARABOLOID = PullbackMetric(paraboloid)


def segment(metric, a, b):
    """The length of a straight segment, by its two halves."""
    middle = (a + b) / 2
    return (metric.immersion(middle) - metric.immersion(torch.stack([a, b]))).norm(dim=-1).sum()


def floyd_warshall(weights):
    dist = weights.copy()
    for k in range(len(dist)):
        dist = np.minimum(dist, dist[:, k, None] + dist[None, k])
    return dist


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5])
def test_distances_are_those_of_brute_force(d):
    generator = torch.Generator().manual_seed(d)
    nodes = torch.randn(14, d, generator=generator, dtype=torch.float64)
    pairs = torch.combinations(torch.arange(14))
    edges = pairs[torch.randperm(len(pairs), generator=generator)[:30]]
    graph = LatentGraph(PARABOLOID, nodes, edges)
    a, b = nodes[:3] + 0.01, nodes[-4:] * 1.01
    weights = np.full((21, 21), np.inf)
    everything = torch.cat([nodes, a, b])
    joined = edges.tolist()
    for i in range(14, 21):
        nearest = (nodes - everything[i]).norm(dim=-1).argsort()[:8]
        joined += [[i, int(j)] for j in nearest]
    for i, j in joined:
        weights[i, j] = weights[j, i] = segment(PARABOLOID, everything[i], everything[j])
    for i, j in itertools.product(range(3), range(4)):
        only = [*range(14), 14 + i, 17 + j]  # other points are no part of the graph
        way = floyd_warshall(weights[np.ix_(only, only)])[14, 15]
        direct = segment(PARABOLOID, a[i], b[j]).item()
        assert graph.dist(a, b)[i, j].item() in (pytest.approx(way), pytest.approx(direct))
        assert graph.dist(a, b)[i, j].item() <= way * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_query_does_not_depend_on_the_others(d):
    codes, points = torch.randn(2, 40, d, dtype=torch.float64)
    graph = LatentGraph.build(PARABOLOID, codes, n_neighbors=3, resolution=0)
    a, b = points[:20], points[20:]
    alone = torch.cat([graph.dist(a[i : i + 1], b) for i in range(20)])
    assert torch.equal(graph.dist(a, b), alone)
    paths = torch.cat([graph.paths(a[i : i + 1], b[i : i + 1], 12) for i in range(20)])
    torch.testing.assert_close(graph.paths(a, b, 12), paths)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_paths_have_exact_ends_and_lengths_near_the_graphs(d):
    codes = torch.randn(60, d, dtype=torch.float64)
    graph = LatentGraph.build(PARABOLOID, codes, resolution=24)
    a, b = codes[:10], torch.randn(10, d, dtype=torch.float64)
    paths = graph.paths(a, b, 32)
    assert paths.shape == (10, 33, d)
    assert torch.equal(paths[:, 0], a)
    assert torch.equal(paths[:, -1], b)
    along = PARABOLOID.chords(graph.paths(a, b, 512)).sum(-1)
    assert bool((along <= graph.dist(a, b).diagonal() * 1.05 + 1e-9).all())


def test_parts_that_nothing_joins_are_infinitely_far():
    left = torch.rand(12, 2, dtype=torch.float64)
    right = left + 100
    graph = LatentGraph.build(FLAT, torch.cat([left, right]), n_neighbors=4, resolution=0)
    distances = graph.dist(left[:2], torch.cat([left[2:4], right[:2]]))
    assert distances.isfinite().tolist() == [[True, True, False, False]] * 2
    line = graph.paths(left[:1], right[:1], 4)[0]
    truth = torch.lerp(left[0], right[0], torch.linspace(0, 1, 5, dtype=torch.float64)[:, None])
    torch.testing.assert_close(line, truth)


def test_equal_codes_do_not_hide_the_others():
    codes = torch.cat([torch.zeros(30, 3), torch.randn(30, 3)]).double()
    graph = LatentGraph.build(FLAT, codes, n_neighbors=5, resolution=0)
    assert torch.equal(graph.nodes, codes)
    assert graph.dist(codes[:1], codes).isfinite().all()
    assert graph.dist_to_nodes(codes[:1])[0, 29] < 1e-200


def test_nodes_where_the_decoder_fails_are_avoided():
    metric = PullbackMetric(lambda z: torch.where(z.norm(dim=-1, keepdim=True) < 1, torch.nan, z))
    codes = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, -2.0]], dtype=torch.float64)
    graph = LatentGraph.build(metric, codes, resolution=40)
    way = graph.dist(codes[:1], codes[1:2]).item()
    shortest = 2 * (3**0.5 + np.pi / 6)  # tangents and an arc round the unit disc
    assert shortest < way < 1.05 * shortest
    with pytest.raises(InvalidDataError, match="on every edge of the graph"):
        LatentGraph.build(metric, codes / 10, margin=0)


def test_a_grid_nears_the_truth_in_16_directions():
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    graph = LatentGraph.build(FLAT, codes, resolution=41)
    angle = torch.linspace(0, 6.28, 50, dtype=torch.float64)
    around = 0.5 + 0.45 * torch.stack([angle.cos(), angle.sin()], -1)
    ratio = graph.dist(codes.mean(0, keepdim=True), around)[0] / 0.45
    assert bool((ratio >= 1 - 1e-9).all())
    assert ratio.max() < 1.04  # 1.0275 between the directions (1, 0) and (2, 1)


def test_a_grid_has_twice_the_nodes_where_images_fold_between_them():
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    for waves, resolution in ((10.0, 64), (30.0, 128)):
        folded = PullbackMetric(lambda z, waves=waves: torch.cat([z, (waves * z).sin()], -1))
        assert len(LatentGraph.build(folded, codes).nodes) == 2 + resolution**2
        assert len(LatentGraph.build(folded, codes, resolution=9).nodes) == 2 + 9**2


@pytest.mark.parametrize(("offset", "exact"), [(0.0, False), (1e4, True)])
def test_a_grid_is_measured_in_single_precision_unless_that_rounds_it_away(offset, exact):
    codes = offset + torch.rand(9, 2, dtype=torch.float64)
    linear = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    torch.nn.init.eye_(linear.weight)
    edges, lengths = grid_edges(Manifold(linear, dim=2).metric, codes, resolution=12, margin=0.1)
    nodes = grid_nodes(codes, resolution=12, margin=0.1)
    truth = (nodes[edges[:, 1]] - nodes[edges[:, 0]]).norm(dim=-1)
    off = float((lengths / truth - 1).abs().max())
    assert off < (1e-8 if exact else 1e-5)
    assert exact or off > 1e-12  # it was not measured in double precision


@pytest.mark.parametrize("d", [1, 2, 3])
def test_grids_cover_the_codes(d):
    codes = torch.randn(20, d)
    nodes = grid_nodes(codes, resolution=4, margin=0.1)
    assert nodes.shape == (4**d, d)
    extent = (codes.amax(0) - codes.amin(0)).amax()
    torch.testing.assert_close(nodes.amin(0), codes.amin(0) - 0.1 * extent)
    torch.testing.assert_close(nodes.amax(0), codes.amax(0) + 0.1 * extent)
    graph = LatentGraph.build(FLAT, codes, resolution=0)
    assert graph.covers(codes)
    assert not graph.covers(codes + 3 * extent)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"n_neighbors": 0}, "n_neighbors"), ({"resolution": -1}, "resolution"),
     ({"margin": -0.1}, "margin")],
)  # fmt: skip
def test_bad_settings_are_refused(options, name):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        LatentGraph.build(FLAT, torch.randn(5, 2), **options)
    with pytest.raises(InvalidDataError, match="`codes` must have at least 1"):
        LatentGraph.build(FLAT, torch.zeros(0, 2))


def test_a_graph_covers_no_points_of_another_dimension():
    graph = LatentGraph.build(PullbackMetric(lambda z: z), torch.rand(30, 2).double())
    assert not graph.covers(torch.full((3, 1), 0.5).double())
    assert graph.covers(torch.full((3, 2), 0.5).double())


def test_a_box_of_the_lattice_covers_its_points_and_is_shared_by_many_others():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 2, 2, generator=generator, dtype=torch.float64)
    boxes = torch.stack([lattice_box(ends) for ends in z])
    low, high = boxes.unbind(1)
    assert bool((low <= z.amin(1)).all())
    assert bool((high >= z.amax(1)).all())
    extent = (z.amax(1) - z.amin(1)).amax(-1)
    assert bool(((high - low)[:, 0] <= 4 * extent).all())  # no larger than it has to be
    assert len(boxes.unique(dim=0)) < 50
    nearby = lattice_box(torch.tensor([[0.3, 0.3], [0.3, 0.3]]).double())
    assert bool((nearby[0] < nearby[1]).all())  # points that are one have a box too
