"""Rows of distances by fields: the closed form, and what is left to others."""

import pytest
import torch

pytest.importorskip("numba")

from pullback.geodesics import Ruler
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
    assert rows.table_to_march(table, 439) is None
    assert rows.table_to_march(table, 440) is table


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
