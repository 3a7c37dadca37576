"""Lengths alone: a sweep is a step of Newton's method, and lengths keep to the closed form."""

import numpy as np
import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics.fields import refinement
from pullback.geodesics.kernels.table_search import TableSearch
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric, TabulatedMetric

numba = pytest.importorskip("numba")


def bumpy_table():
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    B = torch.randn(8, 6, generator=generator, dtype=torch.float64)
    metric = PullbackMetric(lambda z: torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1), dim=2)
    codes = torch.randn(40, 2, generator=generator, dtype=torch.float64) / 2
    return TabulatedMetric.build(metric, codes, rtol=1e-2), codes


@pytest.mark.slow
def test_a_sweep_is_a_step_of_newtons_method_and_the_last_ends_where_the_slope_is_nil():
    from pullback.geodesics.kernels.compiled import FAST_MATH
    from pullback.geodesics.kernels.fields.sweeps import MOVES, relax_plainly
    from pullback.geodesics.kernels.forms import new_form
    from pullback.geodesics.kernels.splines import Table

    table, _ = bumpy_table()
    n, damping = 16, 3.0
    bend = torch.rand(n + 1, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    start = torch.linspace(-0.5, 0.5, n + 1, dtype=torch.float64)[:, None] + 0.1 * bend

    @numba.njit(fastmath=FAST_MATH, error_model="numpy")
    def relaxed(C, grid, z, tol, sweeps, damping):
        kept, moves = np.empty((n + 1, 2)), np.empty((n, MOVES))
        return relax_plainly(C, grid, z, n, tol, sweeps, damping, kept, moves, new_form(grid))

    coefficients, grid = refinement._as_read(table)
    grid = Table(*grid)
    # With much damping no small promise is trusted: then one sweep is a step, and no end.
    moved = start.numpy().copy()
    assert np.isnan(relaxed(coefficients, grid, moved, np.inf, 1, damping))
    e = table.expand_chords(start[None])
    H, U, M = e.diagonal[0].numpy(), e.off_diagonal[0].numpy(), table.metric_matrix
    halves = M((start[1:] + start[:-1]) / 2).numpy()
    whole = np.zeros((n - 1, 2, n - 1, 2))
    for i in range(n - 1):
        whole[i, :, i] = H[i] + 2 * damping * (halves[i] + halves[i + 1])
        if i < n - 2:
            whole[i, :, i + 1] = U[i] - 2 * damping * halves[i + 1]
            whole[i + 1, :, i] = whole[i, :, i + 1].T
    exact = np.linalg.solve(whole.reshape(2 * n - 2, -1), -e.gradient[0].numpy().ravel())
    step = (moved - start.numpy())[1:-1].ravel()
    np.testing.assert_allclose(step, exact, atol=1e-9 * np.abs(exact).max())

    moved = start.numpy().copy()
    value = relaxed(coefficients, grid, moved, 1e-14, 30, 0.05)
    end = table.expand_chords(torch.from_numpy(moved)[None])
    assert value == pytest.approx(end.value.item(), rel=1e-12)
    assert end.gradient.abs().max() < 1e-6 * e.gradient.abs().max()


@pytest.mark.slow
def test_lengths_keep_to_the_closed_form_and_are_nan_beyond_the_table():
    corners = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
    table = TabulatedMetric.build(HalfPlane(), corners, rtol=1e-5)
    generator = torch.Generator().manual_seed(0)
    ends = torch.rand(2, 60, 2, generator=generator, dtype=torch.float64)
    a, b = corners[0] + (corners[1] - corners[0]) * ends
    lengths = refinement.lengths_of(table, straight_line(a, b, 64))
    torch.testing.assert_close(lengths, HalfPlane().dist(a, b), rtol=3e-6, atol=0.0)
    out = torch.tensor([[0.0, 5.0]], dtype=torch.float64)
    assert refinement.lengths_of(table, straight_line(a[:1], out, 64)).isnan().all()


@pytest.mark.slow
def test_lengths_are_those_of_careful_solutions_also_where_chains_are_searched_anew(monkeypatch):
    table, codes = bumpy_table()
    a, b = codes[:20], codes[20:]
    careful = TableSearch(table).find(a, b, rtol=1e-6, only_straight=True)
    curves = straight_line(a, b, 64)
    lengths = refinement.lengths_of(table, curves)
    error = (lengths / careful.length - 1).abs()
    assert careful.resolved.all()
    assert (error <= 1e-4).double().mean() >= 0.95
    monkeypatch.setattr(refinement, "_EVEN", -1.0)  # to the finest chain, and no further
    finest = refinement.lengths_of(table, curves)
    assert ((finest / careful.length - 1).abs() <= 1e-5).double().mean() >= 0.95
    monkeypatch.setattr(refinement, "_TRUSTED", -1.0)  # whose speed is trusted nowhere
    again = refinement.Refined.search(table, curves)
    torch.testing.assert_close(refinement.lengths_of(table, curves), again.length, rtol=0, atol=0)
