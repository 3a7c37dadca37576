"""Laws of distances on tables, for d = 1, 2 and 3, by kernels and by PyTorch alike."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback import Manifold
from pullback.geodesics.kernels import table_search as room

pytest.importorskip("numba")

MANIFOLDS = {}
FEW = settings(max_examples=5)


def manifold(d):
    """A bumpy immersion over forty codes, and its table: made once for all laws."""
    if d not in MANIFOLDS:
        generator = torch.Generator().manual_seed(1)
        A = torch.randn(d, 8, generator=generator, dtype=torch.float64)
        B = torch.randn(8, 6, generator=generator, dtype=torch.float64)
        codes = torch.randn(40, d, generator=generator, dtype=torch.float64) / 2

        def bumpy(z):
            return torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1)

        MANIFOLDS[d] = Manifold(bumpy, dim=d, data=codes).tabulated()
    return MANIFOLDS[d]


@pytest.fixture(params=["kernels", "PyTorch"], scope="module")
def engine(request):
    """Searches on tables by one of the two routes."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "PyTorch":
            patch.setitem(sys.modules, "numba", None)
        room._has_numba.cache_clear()
        M = manifold(2)
        assert (room.table_search(M.metric) is not None) == (request.param == "kernels")
        yield request.param
    room._has_numba.cache_clear()


# Each dimension is compiled by itself, which takes longer than its laws.
marks = {1: pytest.mark.thorough, 2: pytest.mark.slow, 3: pytest.mark.thorough}
laws = pytest.mark.parametrize("d", [pytest.param(d, marks=marks[d]) for d in marks])
seeds = st.integers(0, 2**31 - 1)


def points(d, seed, n):
    """Points among the codes, where the table reaches."""
    weights = torch.rand(n, 40, generator=torch.Generator().manual_seed(seed)).double()
    near = manifold(d).data[torch.arange(n) * 7 % 40]
    return 0.7 * near + 0.3 * (weights / weights.sum(-1, keepdim=True)) @ manifold(d).data


@laws
@FEW
@given(seed=seeds)
def test_distances_are_those_of_a_metric_space(engine, d, seed):
    a, b, c = points(d, seed, 12).split(4)
    M = manifold(d)
    path = M.geodesic(torch.cat([a, b, b, a]), torch.cat([b, a, c, c]))
    assert path.converged.all()
    forth, back, on, whole = path.length.split(4)
    torch.testing.assert_close(forth, back, rtol=1e-4, atol=0)
    assert (whole <= (forth + on) * (1 + 1e-4)).all()
    assert (M.geodesic(a, a).length == 0).all()


@laws
@FEW
@given(seed=seeds)
def test_lengths_lie_between_their_bounds_and_speeds_are_constant(engine, d, seed):
    a, b = points(d, seed, 16).split(8)
    path = manifold(d).geodesic(a, b)
    assert (path.lower_bound <= path.length * (1 + 1e-9)).all()
    assert (path.length <= path.straight_length * (1 + 1e-4)).all()
    assert (path.speed_variation <= 0.02).all()
    torch.testing.assert_close(path.energy, path.length.square() / 2, rtol=1e-3, atol=0)
    ends = path.points(2)
    assert torch.equal(ends[:, 0], a)
    assert torch.equal(ends[:, 1], b)


@laws
@FEW
@given(seed=seeds)
def test_a_batch_is_a_loop_in_any_order(engine, d, seed):
    a, b = points(d, seed, 10).split(5)
    M = manifold(d)
    whole = M.geodesic(a, b)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    turned = M.geodesic(a[order], b[order])
    torch.testing.assert_close(turned.length, whole.length[order], rtol=1e-9, atol=0)
    one = M.geodesic(a[3], b[3])
    torch.testing.assert_close(one.length, whole.length[3], rtol=1e-9, atol=0)
    torch.testing.assert_close(one.points(9), whole.points(9)[3], rtol=1e-5, atol=1e-6)


@laws
@FEW
@given(seed=seeds)
def test_the_exponential_of_the_logarithm_is_the_point(engine, d, seed):
    a, b = points(d, seed, 8).split(4)
    M = manifold(d)
    v = M.log(a, b)
    torch.testing.assert_close(M.norm(a, v), M.dist(a, b), rtol=1e-3, atol=0)
    torch.testing.assert_close(M.exp(a, v), b, rtol=1e-3, atol=1e-3)


@laws
def test_both_routes_give_the_same_lengths(d, monkeypatch):
    a, b = points(d, 3, 24).split(12)
    compiled = manifold(d).geodesic(a, b)
    monkeypatch.setitem(sys.modules, "numba", None)
    room._has_numba.cache_clear()
    reference = manifold(d).geodesic(a, b)
    monkeypatch.undo()
    room._has_numba.cache_clear()
    torch.testing.assert_close(compiled.length, reference.length, rtol=1e-4, atol=0)
    torch.testing.assert_close(compiled.points(9), reference.points(9), rtol=1e-2, atol=1e-2)
