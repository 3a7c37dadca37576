"""Geodesics are counted by pairs, each once, whichever way the search took."""

import pytest
import torch

from pullback import Manifold
from pullback.geodesics import DistanceField, Ruler, connect, search_shortly, shoot
from pullback.geodesics.tally import Tally, counted
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric, TabulatedMetric
from pullback.statistics import KMeans


def paraboloid(z):
    return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)


METRIC = PullbackMetric(paraboloid, dim=2)
Z = torch.randn(130, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def counts(act):
    with counted() as tally:
        act()
    return tally


@pytest.mark.parametrize("n", [1, 5])
def test_pairs_of_a_batch_are_counted_and_not_candidates(n):
    def act():
        connect(METRIC, Z[:n], Z[n : 2 * n])  # with its second looks, by L-BFGS and others

    assert counts(act) == Tally(n_geodesics=n)


def test_short_searches_and_flights_are_counted():
    assert counts(lambda: search_shortly(METRIC, Z[:3], Z[3:6])) == Tally(n_geodesics=3)
    assert counts(lambda: shoot(METRIC, Z[:4], Z[4:8])) == Tally(n_shot=4)


@pytest.mark.slow
def test_a_table_counts_each_pair_once_by_fields_and_by_searches():
    table = TabulatedMetric.build(METRIC, Z)
    beyond = torch.cat([Z, torch.full((1, 2), 40.0).double()])  # which no field reaches
    for codes in (Z[:9], beyond):
        n = len(codes)
        tally = counts(lambda codes=codes: Ruler(table, codes, "table").among())
        assert tally == Tally(n_geodesics=n * (n - 1) // 2)


@pytest.mark.slow
def test_a_refined_field_counts_its_points():
    table = TabulatedMetric.build(HalfPlane(), Z[:9].abs() + 0.5)
    field = DistanceField.build(table, Z[0].abs() + 0.5)
    ends = Z[1:5].abs() + 0.5
    assert counts(lambda: field.to(ends, refined=True)) == Tally(n_geodesics=4)
    assert counts(lambda: field.to(ends)) == Tally()


def test_distances_along_a_graph_are_no_geodesics():
    manifold = Manifold(METRIC)
    tally = counts(lambda: manifold.pairwise_dist(Z[:7], method="graph"))
    assert tally == Tally(n_graph=7)
    assert str(tally) == "graph"
    tally = counts(lambda: KMeans(manifold, 2, method="graph", random_state=0).fit(Z[:20]))
    assert tally.n_geodesics == 0
    assert tally.n_graph >= 20


def test_contexts_may_be_nested_and_end():
    with counted() as outer:
        connect(METRIC, Z[:2], Z[2:4])
        with counted() as inner:
            connect(METRIC, Z[:3], Z[3:6])
        connect(METRIC, Z[:1], Z[1:2])
    connect(METRIC, Z[:1], Z[1:2])
    assert (outer.n_geodesics, inner.n_geodesics) == (6, 3)
