"""Rows of distances by fields: the closed form, and what is left to others."""

import subprocess
import sys

import pytest
import torch

pytest.importorskip("numba")

from pullback.geodesics import Ruler, ruler
from pullback.geodesics.fields import rows
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import TabulatedMetric


def half_plane(n):
    low, high = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    Z = low + (high - low) * torch.rand(n, 2, generator=generator, dtype=torch.float64)
    return TabulatedMetric.build(HalfPlane(), Z, rtol=1e-4), Z


@pytest.mark.slow
def test_fields_are_asked_for_many_targets_in_the_plane_only():
    table, _ = half_plane(20)
    assert rows.table_to_march(table, 99) is None
    assert rows.table_to_march(table, 100) is table


@pytest.mark.thorough
def test_rulers_measure_by_fields_to_the_closed_form_and_leave_the_rest_to_searches(monkeypatch):
    monkeypatch.setattr(rows, "_TARGETS", 9)
    asked = []
    measure = rows._row
    monkeypatch.setattr(rows, "_row", lambda *a: asked.append(len(a[2])) or measure(*a))
    table, Z = half_plane(12)
    truth = HalfPlane().dist(Z[:, None].expand(12, 12, 2), Z.expand(12, 12, 2))
    ruler = Ruler(table, Z)
    found = ruler.among()
    assert sorted(asked) == [9, 10, 11]  # of eleven, and the other pairs one by one
    torch.testing.assert_close(found.length, truth, rtol=1e-4, atol=1e-9)
    assert found.n_failed == 0
    # Beyond the table no field is asked, and a point has no way to itself.
    points = torch.cat([Z[:2], torch.tensor([[0.0, 5.0]], dtype=torch.float64)])
    truth = HalfPlane().dist(points[:, None].expand(3, 12, 2), Z.expand(3, 12, 2))
    torch.testing.assert_close(ruler.to(points).length, truth, rtol=1e-3, atol=1e-9)


@pytest.mark.slow
def test_pairs_from_the_same_points_are_measured_from_there_in_the_order_asked(monkeypatch):
    table, Z = half_plane(12)
    ruler = Ruler(table, Z)
    generator = torch.Generator().manual_seed(1)
    i, j = torch.randint(0, 12, (2, 90), generator=generator)
    a, b = Z[i], Z[j]
    # Points from which little is asked, one beyond the table, and a way from a point to itself.
    a = torch.cat([a, Z[:1] + 0.01, torch.tensor([[0.0, 5.0]], dtype=torch.float64), Z[:1]])
    b = torch.cat([b, Z[1:3], Z[:1]])
    monkeypatch.setattr(rows, "_TARGETS", 5)
    asked = []
    measure = rows._row
    monkeypatch.setattr(rows, "_row", lambda *x: asked.append(len(x[2])) or measure(*x))
    found = ruler.pairs(a, b)
    _, counts = a.unique(dim=0, return_counts=True)
    assert sorted(asked) == sorted(n for n in counts.tolist() if n >= 5)
    torch.testing.assert_close(found.length, HalfPlane().dist(a, b), rtol=1e-3, atol=1e-9)
    assert found.n_failed == 0
    curves = ruler.pairs(a[:9], b[:9], curves=True)  # which fields have none of
    assert curves.nodes is not None
    torch.testing.assert_close(curves.length, found.length[:9], rtol=1e-4, atol=1e-9)


@pytest.mark.slow
def test_blocks_of_pairs_and_of_rows_measure_as_all_at_once(monkeypatch):
    table, Z = half_plane(12)
    a, b = Z.repeat_interleave(12, 0), Z.repeat(12, 1)
    monkeypatch.setattr(rows, "_TARGETS", 5)
    one = Ruler(table, Z)
    whole, between, to = one.pairs(a, b), one.among(), one.to(b[:5] + 0.01)
    asked = []
    measure = rows._row
    monkeypatch.setattr(rows, "_row", lambda *x: asked.append(len(x[2])) or measure(*x))
    monkeypatch.setattr(ruler, "_TOGETHER", 40)
    # Four blocks of 36 pairs, each of which holds three sources of twelve targets.
    blocks = one.pairs(a, b)
    assert asked == [12] * 12
    torch.testing.assert_close(blocks.length, whole.length, rtol=0, atol=0)
    assert bool((blocks.converged == whole.converged).all())
    torch.testing.assert_close(one.among().length, between.length, rtol=0, atol=0)
    torch.testing.assert_close(one.to(b[:5] + 0.01).length, to.length, rtol=0, atol=0)
    assert one.pairs(a[:0], b[:0]).length.shape == (0,)


# What is not to grow is what stands around the fields, so that a norm takes the place of these.
_GROWTH = """
import resource, sys, torch
from pullback.geodesics import Ruler, ruler
from pullback.geodesics.fields import rows
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import TabulatedMetric

rows._row = lambda table, source, targets: (targets - source).norm(dim=-1)
ruler._TOGETHER = 2**16
Z = torch.tensor([0.0, 1.0], dtype=torch.float64) + torch.rand(256, 2, dtype=torch.float64)
measure = Ruler(TabulatedMetric.build(HalfPlane(), Z, rtol=1e-2), Z).pairs
a, b = Z.repeat(2**12, 1), Z.repeat_interleave(2**12, 0)
unit = 2**20 if sys.platform == "darwin" else 2**10
few = measure(a[: 2**18], b[: 2**18])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
many = measure(a, b)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit)
assert torch.equal(many.length, (a - b).norm(dim=-1))
"""


@pytest.mark.slow
def test_four_times_as_many_pairs_take_no_more_memory_than_their_lengths():
    pytest.importorskip("resource")
    run = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lengths = 9  # MiB: a million lengths, and whether they converged
    # By 215 MiB where all pairs were put into order together, by a tensor for each.
    assert float(run.stdout) < lengths + 24
