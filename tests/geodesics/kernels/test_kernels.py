"""Compiled kernels: to the last digits what PyTorch computes on the same chains and tables."""

import math
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from pullback.geodesics.distances import measure_pairs
from pullback.geodesics.search import certificate
from pullback.geodesics.search.certificate import excess_on
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric, TabulatedMetric

numba = pytest.importorskip("numba")

from pullback.geodesics.kernels import table_search as room  # noqa: E402
from pullback.geodesics.kernels.table_search import table_search  # noqa: E402


def table_of(d, rtol=1e-2):
    """A table of a bumpy metric over forty codes."""
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(d, 8, generator=generator, dtype=torch.float64)
    B = torch.randn(8, 6, generator=generator, dtype=torch.float64)
    metric = PullbackMetric(lambda z: torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1), dim=d)
    codes = torch.randn(40, d, generator=generator, dtype=torch.float64) / 2
    return TabulatedMetric.build(metric, codes, rtol=rtol), codes


def half_plane_table():
    corners = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    return TabulatedMetric.build(HalfPlane(), corners, rtol=1e-5)


def bent_chains(a, b, n=32):
    """Lines between points at constant coordinate speed, bent a little aside."""
    t = torch.linspace(0, 1, n + 1, dtype=torch.float64)[:, None]
    return a[:, None] + (b - a)[:, None] * t + 0.05 * torch.sin(torch.pi * t)


def great_circle(angle):
    """A table of the sphere by longitude and latitude, and a piece of the equator on it."""

    def sphere(z):
        longitude, latitude = z.unbind(-1)
        x, y = latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin()
        return torch.stack([x, y, latitude.sin()], -1)

    corners = torch.tensor([[-0.2, -0.6], [angle + 0.2, 0.6]], dtype=torch.float64)
    table = TabulatedMetric.build(PullbackMetric(sphere, dim=2), corners, rtol=1e-4)
    t = angle * torch.linspace(0, 1, 65, dtype=torch.float64)
    return table, torch.stack([t, torch.zeros_like(t)], -1)[None]


def arguments(table):
    search = room.TableSearch(table)
    from pullback.geodesics.kernels.splines import Table

    return search._coefficients, Table(*search._table)


def close(found, truth):
    return np.abs(np.asarray(found) - truth.numpy()).max() <= 1e-10 * float(truth.abs().max())


@pytest.mark.parametrize(
    "d", [pytest.param(d, marks=pytest.mark.thorough) for d in (1, 3)] + [2], ids=str
)
@pytest.mark.slow
def test_chains_are_expanded_and_solved_as_by_pytorch_and_numpy(d):
    from pullback.geodesics.kernels.chains import energy_and_length, expand, force
    from pullback.geodesics.kernels.compiled import FAST_MATH
    from pullback.geodesics.kernels.forms import new_form
    from pullback.geodesics.kernels.newton import new_work, solve

    n, damping = 16, 3.0

    @numba.njit(fastmath=FAST_MATH, error_model="numpy")
    def everything(C, table, z):
        f, work, g = new_form(table), new_work(n, z.shape[1]), np.zeros((n, z.shape[1]))
        value, e = expand(C, table, z, n, f, work.here), work.here
        energy = force(C, table, z, n, f, g)
        positive = solve(e, e.gradient, n - 1, damping, work.solution)
        sums = np.array([value, energy, *energy_and_length(C, table, z, n, f)])
        parts = (e.gradient, e.diagonal, e.off_diagonal, e.matrix)
        return sums, parts, g, positive, work.solution.x

    table, _ = table_of(d)
    bend = torch.rand(n + 1, d, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    nodes = torch.linspace(-0.5, 0.5, n + 1, dtype=torch.float64)[:, None] + 0.1 * bend
    sums, (gradient, H, U, M), g, positive, x = everything(*arguments(table), nodes.numpy())
    truth, (energy, slope) = table.expand_chords(nodes[None]), table.energy_gradient(nodes[None])
    chords = table.chords(nodes[None])
    expected = [truth.value, energy, chords.square().sum(-1), chords.sum(-1)]
    np.testing.assert_allclose(sums, torch.cat(expected).numpy(), rtol=1e-10)
    assert close(gradient[: n - 1], truth.gradient[0])
    assert close(H[: n - 1], truth.diagonal[0])
    assert close(U[: n - 2], truth.off_diagonal[0])
    assert close((M[: n - 1] + M[1:n]) / 2, truth.metric[0])
    assert close(g[: n - 1], slope[0])

    whole = np.zeros((n - 1, d, n - 1, d))
    for i in range(n - 1):
        whole[i, :, i] = H[i] + 2 * damping * (M[i] + M[i + 1])
        if i < n - 2:
            whole[i, :, i + 1] = U[i] - 2 * damping * M[i + 1]
            whole[i + 1, :, i] = whole[i, :, i + 1].T
    whole = whole.reshape((n - 1) * d, -1)
    assert positive
    assert np.linalg.eigvalsh(whole)[0] > 0
    exact = np.linalg.solve(whole, -gradient[: n - 1].ravel())
    np.testing.assert_allclose(x[: n - 1].ravel(), exact, atol=1e-9 * np.abs(exact).max())


@pytest.mark.slow
def test_paths_on_the_coarse_grid_are_those_of_scipy():
    search = table_search(half_plane_table())
    a = torch.tensor([[-0.8, 0.9], [0.3, 2.0]], dtype=torch.float64)
    b = -a + torch.tensor([0.0, 3.0]).double()
    search.find(a, b)
    (_, _, _, stride, offset, length), known = search._grid, search._known
    u, o = np.isfinite(length).nonzero()
    graph = csr_array((length[u, o], (u, u + (offset * stride).sum(-1)[o])), [len(length)] * 2)
    rows = known.nonzero()[0]
    # Around the first points and nearest to the second ones, and no others.
    low, step = (np.array(part) for part in search._grid[:2])
    near = np.rint((b.numpy() - low) / step).astype(int) @ np.array(stride)
    around = np.concatenate([search._places.around(a.numpy()).ravel(), near])
    assert rows.tolist() == np.unique(around).tolist()
    np.testing.assert_allclose(search._paths[0][rows], dijkstra(graph, indices=rows), rtol=1e-6)


@pytest.mark.slow
def test_distances_are_those_of_the_half_plane():
    search, generator = table_search(half_plane_table()), torch.Generator().manual_seed(0)
    low, high = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    a, b = low + (high - low) * torch.rand(2, 50, 2, generator=generator, dtype=torch.float64)
    found = search.find(a, b)
    truth = torch.acosh(1 + (a - b).square().sum(-1) / (2 * a[:, 1] * b[:, 1]))
    assert bool(found.resolved.all())
    assert bool(found.minimal.all())
    assert float((found.length / truth - 1).abs().max()) < 2e-5
    assert float(found.residual.max()) < 1e-2
    assert bool((found.straight_length >= (1 - 1e-5) * truth).all())
    last = found.nodes[torch.arange(50), found.n_segments]
    assert bool((found.nodes[:, 0] == a).all())
    assert bool((last == b).all())


@pytest.mark.thorough
@pytest.mark.parametrize("d", [1, 3])
def test_lengths_in_other_dimensions_are_measured_as_by_pytorch(d):
    table, codes = table_of(d)
    found = table_search(table).find(codes[:20], codes[20:])
    assert bool(found.resolved.all())
    for length, n, nodes in zip(found.length, found.n_segments, found.nodes, strict=True):
        chords = table.chords_by_step(nodes[None, : int(n) + 1])
        measured = (4 * chords[0].sum() - chords[1].sum()) / 3
        assert abs(float(length / measured) - 1) < 1e-4


@pytest.mark.parametrize(
    "d", [pytest.param(d, marks=pytest.mark.thorough) for d in (1, 3)] + [2], ids=str
)
@pytest.mark.slow
def test_what_a_force_promises_is_what_the_table_says_to_pytorch(d, monkeypatch):
    table, codes = table_of(d)
    nodes = bent_chains(codes[:12], codes[12:24])
    by_kernels = excess_on(table.exact, table, nodes)
    monkeypatch.setattr(certificate, "table_search", lambda metric: None)
    by_pytorch = excess_on(table.exact, table, nodes)
    assert bool((by_pytorch > 0).all())
    assert bool(((by_kernels / by_pytorch - 1).abs() < 1e-2).all())


@pytest.mark.slow
def test_what_a_force_promises_beyond_the_table_or_on_a_saddle_is_left_to_pytorch():
    table, codes = table_of(2)
    inside, beyond = codes[:2], codes[:2] + 40.0
    chains = torch.cat([bent_chains(codes[2:4], end) for end in (inside, beyond)])
    energy, force = table.exact.energy_gradient(chains)
    found = table_search(table).excess(chains, energy, force)
    assert found.isnan().tolist() == [False, False, True, True]
    assert bool(excess_on(table.exact, table, chains).isfinite().all())
    # Beyond half of a great circle there are shorter ways near by.
    cap, arc = great_circle(1.2 * math.pi)
    energy, force = cap.energy_gradient(arc)
    assert table_search(cap).excess(arc, energy, force).isnan().tolist() == [True]


@pytest.mark.slow
def test_what_leaves_the_table_is_not_resolved():
    search = table_search(half_plane_table())
    inside, beyond = torch.tensor([0.0, 1.0]).double(), torch.tensor([0.0, 9.0]).double()
    # The geodesic between low points far apart rises above the table, whose top is low here.
    flat = torch.tensor([[-40.0, 1.0], [40.0, 1.2]], dtype=torch.float64)
    low = TabulatedMetric.build(HalfPlane(), flat, rtol=1e-2, margin=1e-3)
    found = search.find(
        torch.stack([inside, beyond, inside]), torch.stack([beyond, inside, inside])
    )
    assert found.resolved.tolist() == [False, False, False]  # nor is a way of no length
    assert table_search(low).find(flat[:1], flat[1:]).resolved.tolist() == [False]


@pytest.mark.thorough  # single precision is compiled by itself
def test_a_table_in_single_precision_is_read_as_one():
    table = half_plane_table()
    single = TabulatedMetric(
        HalfPlane(), table._spline.float(), table._margin.float(), table.errors
    )
    a, b = torch.tensor([[[-0.8, 0.9]], [[0.9, 2.0]]], dtype=torch.float64)
    rough, fine = table_search(single).find(a.float(), b.float()), table_search(table).find(a, b)
    assert bool(rough.resolved.all())
    assert abs(float(rough.length / fine.length) - 1) < 1e-5


@pytest.mark.slow
def test_threads_get_what_one_gets(monkeypatch):
    monkeypatch.setattr(room, "_BLOCK", 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    table, generator = half_plane_table(), torch.Generator().manual_seed(0)
    ends = 0.8 + torch.rand(2, 60, 2, generator=generator, dtype=torch.float64) / 5
    alone = table_search(table).find(*ends)
    fresh = room.TableSearch(table)  # whose grid both threads want to make
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: fresh.find(*ends), range(2)))
    for found in both:
        assert bool((found.length == alone.length).all())


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def work(block):
        if block.start == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        room._in_threads(work, 8, 2)


def test_without_numba_there_is_no_compiled_search(monkeypatch):
    table = half_plane_table()
    assert table_search(table) is not None
    monkeypatch.setitem(sys.modules, "numba", None)
    room._has_numba.cache_clear()
    assert table_search(table) is None
    room._has_numba.cache_clear()


def test_other_metrics_have_none():
    assert table_search(HalfPlane()) is None


@pytest.mark.slow
def test_numba_is_not_imported_before_it_is_needed():
    program = (
        "import sys, torch, pullback.geodesics.kernels.table_search as room\n"
        "from pullback import Manifold\n"
        "M = Manifold(lambda z: 2 * z, dim=2, data=torch.eye(2).double()).tabulated()\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.thorough
def test_memory_stays_flat_however_many_pairs_are_measured():
    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    ends = low + (high - low) * torch.rand(2, 100_000, 2, generator=generator, dtype=torch.float64)
    a, b = ends
    table = half_plane_table()
    measure_pairs(table, a[:10], b[:10], short=True)  # makes the grid, and loads what was compiled
    tracemalloc.start()
    try:
        lengths = measure_pairs(table, a, b, short=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    truth = torch.acosh(1 + (a - b).square().sum(-1) / (2 * a[:, 1] * b[:, 1]))
    assert float((lengths.length / truth - 1).abs().max()) < 1e-4
    assert peak < 1e8  # a block of 2048 chains with room for 257 nodes is 8 MB
