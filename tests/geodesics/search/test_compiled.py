"""Compiled searches among others: the same answers, and none where the table is not to trust."""

import sys

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.geodesics import GeodesicResult, Status, connect
from pullback.geodesics.kernels import table_search as room
from pullback.geodesics.search import compiled
from pullback.geodesics.search.compiled import find_compiled, may_vouch, vouch
from pullback.geodesics.search.search import Search
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric, TabulatedMetric

pytest.importorskip("numba")

LEVELS = (32, 64, 128, 256)


def half_plane(rtol=1e-4):
    """A manifold over a table of the half-plane, and forty pairs."""
    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    ends = low + (high - low) * torch.rand(2, 40, 2, generator=generator, dtype=torch.float64)
    M = Manifold(HalfPlane(), dim=2, data=torch.stack([low, high]))
    return M.tabulated(rtol=rtol), *ends


def truth(a, b):
    return torch.acosh(1 + (a - b).square().sum(-1) / (2 * a[:, 1] * b[:, 1]))


def wall(share):
    """Scale the metric up by a wall across the way, which the table was made without."""

    class Wall(HalfPlane):
        def metric_matrix(self, z):
            high = 1 + share * torch.exp(-((z[..., 0] / 0.02) ** 2))
            return super().metric_matrix(z) * high[..., None, None]

    return Wall()


@pytest.fixture
def without_numba(monkeypatch):
    def forget():
        monkeypatch.setitem(sys.modules, "numba", None)
        room._has_numba.cache_clear()

    yield forget
    monkeypatch.undo()
    room._has_numba.cache_clear()


@pytest.mark.slow
def test_both_routes_find_the_same_geodesics(without_numba):
    M, a, b = half_plane()
    compiled = M.geodesic(a, b)
    without_numba()
    reference = M.geodesic(a, b)
    for result in (compiled, reference):
        assert bool(result.converged.all())
        np.testing.assert_allclose(result.length, truth(a, b), rtol=2e-5)
    assert compiled.starts == ("straight", "graph", "detour", "bent")
    assert reference.starts == ("straight", "graph")
    for name in ("energy", "straight_length", "lower_bound"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(reference, name), rtol=1e-3)
    assert bool((compiled.second_variation == 1).all())
    assert float(compiled.residual.max()) < 0.05
    assert float(compiled.refinement.max()) <= 1e-4
    gap = (compiled.points(33) - reference.points(33)).abs().amax()
    assert float(gap) < 1e-2
    # The lengths of starts are those of the coarsest level, as far as starts were followed.
    best = compiled.start_lengths.nan_to_num(nan=torch.inf).amin(-1)
    np.testing.assert_allclose(best, compiled.length, rtol=1e-3)


@pytest.mark.slow
def test_batches_orders_and_dtypes_change_nothing():
    M, a, b = half_plane()
    whole = M.geodesic(a, b)
    assert bool((M.geodesic(a.flip(0), b.flip(0)).length.flip(0) == whole.length).all())
    one = M.geodesic(a[3], b[3])
    assert one.status.shape == ()
    assert float(one.length) == pytest.approx(float(whole.length[3]), rel=1e-9)
    single = TabulatedMetric.build(HalfPlane(), torch.stack([a, b]).reshape(-1, 2).float())
    rough = connect(single, a.float(), b.float())
    assert rough.length.dtype == torch.float32
    assert bool(rough.converged.all())
    np.testing.assert_allclose(rough.length, whole.length, rtol=1e-3)


@pytest.mark.slow
def test_pairs_that_leave_the_table_take_the_other_route():
    M, a, b = half_plane()
    beyond = b.clone()
    beyond[::4, 1] = 20.0
    result = M.geodesic(a, beyond)
    assert bool(result.converged.all())
    np.testing.assert_allclose(result.length, truth(a, beyond), rtol=1e-4)
    coincident = M.geodesic(a[:2], torch.stack([a[0], b[1]]))
    assert coincident.length[0] == 0
    assert bool(coincident.converged.all())


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 3.0], ids=["low", "high"])
def test_nobody_vouches_where_the_table_does_not_know_a_wall(share):
    codes = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-3)
    blind = TabulatedMetric(wall(share), table._spline, table._margin, table.errors)
    a = torch.tensor([[-0.5, 1.0], [0.3, 1.0]], dtype=torch.float64)
    b = torch.tensor([[0.5, 1.2], [0.8, 1.2]], dtype=torch.float64)
    search = Search(blind, None, LEVELS, 1e-4)
    found, rows = find_compiled(search, a, b)
    assert rows.tolist() == [0, 1]
    assert vouch(search, found)[1].tolist() == [False, True]  # the second pair meets no wall
    result = connect(blind, a, b)
    exact = connect(wall(share), a, b)
    assert bool(result.converged.all())
    np.testing.assert_allclose(result.length, exact.length, rtol=1e-3)


@pytest.mark.parametrize(("excess", "is_sure"), [(1.5e-4, True), (3.5e-4, False)])
def test_what_the_equation_promises_decides_where_a_table_is_a_little_off(
    monkeypatch, excess, is_sure
):
    """In a flat valley ten times as much may be gained as is promised."""
    codes = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-3)
    nearly = TabulatedMetric(wall(0.05), table._spline, table._margin, table.errors)
    a, b = torch.tensor([[[-0.5, 1.0]], [[0.5, 1.2]]], dtype=torch.float64)
    search = Search(nearly, None, LEVELS, 1e-4)
    found, _ = find_compiled(search, a, b)
    asked = []

    def promised(metric, table, nodes, *, rough):
        asked.append(len(nodes))
        return torch.full((len(nodes),), excess, dtype=torch.float64)

    monkeypatch.setattr(compiled, "excess_on", promised)
    result, sure = vouch(search, found)
    off = float((result.length / found.parts[0].length - 1).abs())
    assert search.thresholds.wrong < off < search.thresholds.inexact
    assert asked == [1]
    assert sure.tolist() == [is_sure]


def test_it_vouches_for_good_tables_of_the_plane_only():
    codes = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-3)
    assert may_vouch(Search(table, None, LEVELS, 1e-4), 2)
    assert not may_vouch(Search(table, None, LEVELS, 1e-4), 3)
    off = TabulatedMetric(HalfPlane(), table._spline, table._margin, 10 + table.errors)
    assert not may_vouch(Search(off, None, LEVELS, 1e-4), 2)
    assert not may_vouch(Search(HalfPlane(), None, LEVELS, 1e-4), 2)


def test_levels_and_solvers_of_ones_own_are_not_compiled():
    M, a, b = half_plane(rtol=1e-2)
    assert find_compiled(Search(M.metric, None, (32, 64), 1e-4), a, b) is None
    assert find_compiled(Search(HalfPlane(), None, LEVELS, 1e-4), a, b) is None


def test_results_with_other_starts_are_joined_by_name():
    flat = PullbackMetric(lambda z: 2 * z)
    a, b = torch.zeros(1, 3).double(), torch.ones(1, 3).double()
    first = connect(flat, a, b).replace(
        starts=("straight", "graph"), start_lengths=torch.tensor([[2.0, 1.0]]).double()
    )
    first = first.replace(start=torch.tensor([1]))
    second = first.replace(
        starts=("straight", "bent 0"), start_lengths=torch.tensor([[4.0, 3.0]]).double()
    )
    joined = GeodesicResult.cat([first, second])
    assert joined.starts == ("straight", "graph", "bent 0")
    assert joined.start.tolist() == [1, 2]
    assert joined.start_lengths.nan_to_num(nan=0.0).tolist() == [[2, 1, 0], [4, 0, 3]]
    assert joined.status.tolist() == [Status.CONVERGED] * 2
