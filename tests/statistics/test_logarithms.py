"""Logs of data at moving base points, against closed forms."""

import pytest
import torch

from pullback.geodesics import distances
from pullback.geodesics.fields import rows
from pullback.geodesics.search import short
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    great_circle_dist,
    great_circle_log,
    stereographic,
)
from pullback.statistics import Logarithms, logarithms

SPHERE = Manifold(stereographic, dim=2)
Z = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.5
BASES = torch.tensor([[0.1, 0.2], [-0.3, 0.4], [0.0, -0.5]], dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(("exact", "rtol"), [(False, 3e-2), (True, 2e-4)])
def test_they_are_those_of_the_sphere_also_when_the_bases_move(exact, rtol):
    logarithms = Logarithms(SPHERE, Z, exact=exact)
    for bases in (BASES, BASES + 0.05):
        logs = logarithms.at(bases)
        at = bases[:, None].expand(3, 40, 2)
        truth = great_circle_log(at, Z.expand(3, 40, 2))
        gap = (logs.vectors - truth).norm(dim=-1) / truth.norm(dim=-1)
        assert float(gap.max()) < rtol
        lengths = great_circle_dist(at, Z.expand(3, 40, 2))
        assert torch.allclose(logs.lengths, lengths, rtol=rtol / 20)
        norms = SPHERE.norm(at, logs.vectors)
        assert torch.allclose(norms, logs.lengths)
        assert bool(logs.converged.all())


@pytest.mark.slow
def test_owners_choose_one_base_for_each_point():
    owner = torch.arange(40) % 3
    every = Logarithms(SPHERE, Z).at(BASES)
    own = Logarithms(SPHERE, Z).at(BASES, owner=owner)
    rows = torch.arange(40)
    assert torch.allclose(own.vectors, every.vectors[owner, rows], atol=1e-9)
    assert torch.allclose(own.lengths, every.lengths[owner, rows], atol=1e-9)


@pytest.mark.slow
def test_another_number_of_bases_starts_anew():
    logarithms = Logarithms(SPHERE, Z)
    logarithms.at(BASES)
    assert logarithms.at(BASES[:1]).vectors.shape == (1, 40, 2)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
def test_a_point_that_cannot_be_reached_is_infinitely_far(exact):
    M = Manifold(HalfPlane(), dim=2)
    data = torch.tensor([[0.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    logs = Logarithms(M, data, exact=exact).at(torch.tensor([[0.0, 1.0]]).double())
    assert logs.converged.tolist() == [[True, False]]
    assert logs.lengths[0, 1].item() == float("inf")
    assert logs.vectors[0, 1].tolist() == [0.0, 0.0]


def test_the_log_of_the_base_itself_is_zero():
    logs = Logarithms(SPHERE, BASES).at(BASES[:1])
    assert logs.vectors[0, 0].tolist() == [0.0, 0.0]
    assert bool(logs.converged[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("with_numba", [True, False])
def test_on_a_table_fields_begin_and_kernels_follow(with_numba, monkeypatch):
    if with_numba:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(rows, "table_search", lambda _: None)
        monkeypatch.setattr(short, "table_search", lambda _: None)
        monkeypatch.setattr(distances, "table_search", lambda _: None)
    asked = []
    monkeypatch.setattr(
        logarithms, "ways_between", lambda *a: asked.append(a) or rows.ways_between(*a)
    )
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(120, 2, generator=generator, dtype=torch.float64) * 0.5
    table = Manifold(stereographic, dim=2, data=data[:7]).tabulated(Z)
    data[7] = torch.tensor([2.0, 2.5])
    assert not bool(table.metric.covers(data[7]))
    for owner in (None, torch.arange(120) % 2 * 2):
        logs = Logarithms(table, data)
        for bases in (BASES, BASES + 0.05):
            found = logs.at(bases, owner=owner)
            at = bases[:, None].expand(3, 120, 2) if owner is None else bases[owner]
            to = data.expand(at.shape)
            truth = great_circle_log(at, to)
            gap = (found.vectors - truth).norm(dim=-1) / truth.norm(dim=-1)
            assert float(gap.max()) < 3e-2
            torch.testing.assert_close(found.lengths, great_circle_dist(at, to), rtol=2e-3, atol=0)
            assert bool(found.converged.all())
    assert len(asked) == (2 if with_numba else 0)  # once for each set of logs
