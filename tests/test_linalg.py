"""Factorisations against dense algebra."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback import linalg
from pullback.linalg import block_tridiagonal_solve, cholesky, half_log_det, solve


def chain(n, d, shift, seed):
    """Blocks of a random symmetric block-tridiagonal matrix whose smallest eigenvalue is shift."""
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(2, n, d, d, generator=generator, dtype=torch.float64)
    diagonal, off_diagonal = A[:1] + A[:1].mT, A[1:, : n - 1]
    smallest = torch.linalg.eigvalsh(dense(diagonal, off_diagonal))[:, 0]
    eye = torch.eye(d, dtype=torch.float64)
    return diagonal + (shift - smallest)[:, None, None, None] * eye, off_diagonal


def dense(diagonal, off_diagonal):
    n, d = diagonal.shape[1:3]
    H = diagonal.new_zeros(1, n * d, n * d)
    for i in range(n):
        rows = slice(i * d, (i + 1) * d)
        H[:, rows, rows] = diagonal[:, i]
        if i + 1 < n:
            following = slice((i + 1) * d, (i + 2) * d)
            H[:, rows, following] = off_diagonal[:, i]
            H[:, following, rows] = off_diagonal[:, i].mT
    return H


@pytest.mark.slow
@settings(max_examples=60)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 3),
    shift=st.sampled_from([-3.0, -0.3, -1e-6, 1e-6, 0.5, 5.0]),
    seed=st.integers(0, 10**6),
)
def test_block_tridiagonal_solve_is_the_dense_one(n, d, shift, seed):
    diagonal, off_diagonal = chain(n, d, shift, seed)
    rhs = torch.linspace(-1, 2, n * d, dtype=torch.float64).reshape(1, n, d)
    before = [part.clone() for part in (diagonal, off_diagonal, rhs)]
    x, positive = block_tridiagonal_solve(diagonal, off_diagonal, rhs)
    assert positive.item() == (shift > 0)
    assert all(map(torch.equal, before, (diagonal, off_diagonal, rhs)))  # inputs are left alone
    if shift >= 0.5:
        truth = torch.linalg.solve(dense(diagonal, off_diagonal), rhs.reshape(1, -1))
        torch.testing.assert_close(x.reshape(1, -1), truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "batch"), [(5, 1), (40, 9)])
def test_several_right_hand_sides_are_solved_like_single_ones(n, batch):
    diagonal, off_diagonal = (part.expand(batch, -1, -1, -1) for part in chain(n, 2, 0.5, 3))
    rhs = torch.randn(batch, n, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    x, positive = block_tridiagonal_solve(diagonal, off_diagonal, rhs)
    assert bool(positive.all())
    H = dense(diagonal[:1], off_diagonal[:1])[0]
    torch.testing.assert_close(H @ x.reshape(batch, 2 * n, 3), rhs.reshape(batch, 2 * n, 3))


def test_one_bad_chain_does_not_touch_the_others():
    chains = [chain(7, 2, shift, 0) for shift in (1.0, -1.0, 2.0)]
    diagonal, off_diagonal = (torch.cat(parts) for parts in zip(*chains, strict=True))
    diagonal[1, 3] = torch.nan
    rhs = torch.ones(3, 7, 2, dtype=torch.float64)
    x, positive = block_tridiagonal_solve(diagonal, off_diagonal, rhs)
    assert positive.tolist() == [True, False, True]
    for i in (0, 2):
        truth = torch.linalg.solve(dense(*chains[i]), rhs[:1].reshape(1, -1))
        torch.testing.assert_close(x[i : i + 1].reshape(1, -1), truth)


def test_cholesky_and_what_follows_from_it():
    generator = torch.Generator().manual_seed(0)
    B = torch.randn(4, 5, 3, 3, generator=generator, dtype=torch.float64)
    A, b = B @ B.mT, torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    L, positive = cholesky(A)
    torch.testing.assert_close(L @ L.mT, A)
    assert positive.all()
    torch.testing.assert_close(half_log_det(A), torch.logdet(A) / 2)
    torch.testing.assert_close(solve(A, b)[0], torch.linalg.solve(A, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_and_broken_matrices_are_told_apart(dtype):
    v = torch.tensor([1.0, 2.0, -1.0], dtype=dtype)
    eye = torch.eye(3, dtype=dtype)
    A = torch.stack([v[:, None] * v, eye, -eye, eye * torch.nan, 1e-30 * eye, 1e30 * eye])
    assert cholesky(A)[1].tolist() == [False, True, False, False, True, True]
    value = half_log_det(A)
    assert value[0] == -torch.inf
    assert value[2] == -torch.inf
    assert value[3].isnan()
    torch.testing.assert_close(value[4].item(), -45 * 2.302585092994046, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pivot_below_rounding_is_no_pivot(dtype):
    # Both have a factor with a positive diagonal, so that only its size tells them apart.
    eps = torch.finfo(dtype).eps
    A = torch.stack([torch.diag(torch.tensor([1.0, s], dtype=dtype)) for s in (eps, 8 * eps)])
    assert (torch.linalg.cholesky_ex(A)[1] == 0).all()
    assert cholesky(A)[1].tolist() == [False, True]
    assert half_log_det(A)[0] == -torch.inf


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8])
def test_a_factor_solves_as_the_whole_matrix_does(n):
    generator = torch.Generator().manual_seed(n)
    d, batch = 3, 4
    root = torch.randn(batch, n * d, n * d, generator=generator, dtype=torch.float64)
    near = (torch.arange(n * d)[:, None] // d - torch.arange(n * d) // d).abs() <= 1
    whole = (root @ root.mT) * near + 9 * n * torch.eye(n * d, dtype=torch.float64)
    blocks = whole.reshape(batch, n, d, n, d)
    i = torch.arange(n)
    diagonal = blocks[:, i, :, i].movedim(0, 1)
    off_diagonal = blocks[:, i[:-1], :, i[1:]].movedim(0, 1)
    rhs = torch.randn(batch, n, d, generator=generator, dtype=torch.float64)
    factor = linalg.BlockTridiagonal(diagonal, off_diagonal)
    truth = torch.linalg.solve(whole, rhs.reshape(batch, -1, 1)).reshape(rhs.shape)
    assert factor.positive.all()
    torch.testing.assert_close(factor.solve(rhs), truth)
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(factor[rows].solve(rhs[rows]), truth[rows])
    doubled = factor.put(rows, linalg.BlockTridiagonal(2 * diagonal[rows], 2 * off_diagonal[rows]))
    torch.testing.assert_close(doubled.solve(rhs)[rows], truth[rows] / 2)
    torch.testing.assert_close(doubled.solve(rhs)[1], truth[1])
    assert not linalg.BlockTridiagonal(-diagonal, off_diagonal).positive.any()
