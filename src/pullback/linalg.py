"""Factorisations of metrics and of chains of them: nobody else in the package factorises a matrix.

Nothing is ever inverted explicitly, and a matrix that is not positive definite is reported as such.
"""

import torch
from torch import Tensor

from pullback.shapes import Mask, MetricMatrix, Scalars, Tangent

__all__ = [
    "BlockTridiagonal",
    "block_tridiagonal_solve",
    "cholesky",
    "h1_inner_product",
    "half_log_det",
    "solve",
]


def cholesky(A: MetricMatrix) -> tuple[MetricMatrix, Mask]:
    """Factorise A = L L^T, and say of each matrix of the batch whether it is positive definite.

    A pivot below `eps * d * max diag A` counts as zero: such a matrix is singular to working
    precision. Where a matrix is not positive definite, its factor is that of the identity.

    Args:
        A: symmetric matrices, shape `(*batch, d, d)`.

    Returns:
        The lower factors L, shape `(*batch, d, d)`, and the mask of positive definite matrices,
        shape `(*batch,)`.

    Example:
        >>> L, positive = cholesky(torch.tensor([[[4.0]], [[-1.0]]]))
        >>> L.flatten().tolist(), positive.tolist()
        ([2.0, 1.0], [True, False])
    """
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    finite = A.isfinite().all(-1).all(-1)
    L, info = torch.linalg.cholesky_ex(torch.where(finite[..., None, None], A, identity))
    floor = torch.finfo(A.dtype).eps * A.shape[-1] * A.diagonal(dim1=-2, dim2=-1).amax(-1)
    smallest = L.diagonal(dim1=-2, dim2=-1).square().amin(-1)
    positive = finite & (info == 0) & (smallest > floor)
    return torch.where(positive[..., None, None], L, identity), positive


def half_log_det(A: MetricMatrix) -> Scalars:
    """Compute log sqrt det A, which is -inf where A is singular to working precision.

    Args:
        A: symmetric positive semi-definite matrices, shape `(*batch, d, d)`.

    Returns:
        log sqrt det A, shape `(*batch,)`.

    Example:
        >>> half_log_det(torch.tensor([[1.0, 0.0], [0.0, 0.0]])).item()
        -inf
    """
    L, positive = cholesky(A)
    value = L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    finite = A.isfinite().all(-1).all(-1)
    value = torch.where(positive, value, torch.full_like(value, -torch.inf))
    return torch.where(finite, value, torch.full_like(value, torch.nan))


def solve(A: MetricMatrix, b: Tangent) -> tuple[Tangent, Mask]:
    """Solve A x = b for symmetric positive definite A, and say where A was one.

    Args:
        A: symmetric matrices, shape `(*batch, d, d)`.
        b: right-hand sides, shape `(*batch, d)`.

    Returns:
        x, shape `(*batch, d)`, and the mask of positive definite A, shape `(*batch,)`.

    Example:
        >>> x, positive = solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
        >>> x.tolist()
        [1.0, 0.5]
    """
    L, positive = cholesky(A)
    return torch.cholesky_solve(b.unsqueeze(-1), L).squeeze(-1), positive


def block_tridiagonal_solve(
    diagonal: Tensor, off_diagonal: Tensor, rhs: Tensor
) -> tuple[Tensor, Mask]:
    """Solve H x = b for symmetric block-tridiagonal H by cyclic reduction.

    For a few short chains the whole matrix is factorised, which takes fewer operations. Else every
    second block is eliminated at once, which leaves a chain of half the length: log2 n batched
    steps in place of n. The eliminations are those of the Cholesky factorisation of a
    permuted H, so all pivots are positive definite if and only if H is.

    Args:
        diagonal: blocks H_ii, shape `(batch, n, d, d)`.
        off_diagonal: blocks H_i,i+1, shape `(batch, n - 1, d, d)`; H_i+1,i are their transposes.
        rhs: b, shape `(batch, n, d)`, or several side by side, shape `(batch, n, d, columns)`.

    Returns:
        x, of the shape of b, and the mask of positive definite H, shape `(batch,)`; where H is not
        positive definite, x is meaningless.

    Source:
        Golub and Van Loan, Matrix Computations, 4th edition (2013), section 4.5.

    Example:
        >>> diagonal = torch.full((1, 3, 1, 1), 2.0)
        >>> off_diagonal = torch.full((1, 2, 1, 1), -1.0)
        >>> x, positive = block_tridiagonal_solve(diagonal, off_diagonal, torch.ones(1, 3, 1))
        >>> x.flatten()
        tensor([1.5000, 2.0000, 1.5000])
    """
    is_short = diagonal[0, ..., 0].numel() <= _SHORT if len(diagonal) > 0 else True
    if is_short and diagonal[..., 0].numel() <= _FEW:
        return _dense_solve(diagonal, off_diagonal, rhs)
    D, U = (part.movedim((-2, -1), (0, 1)).contiguous() for part in (diagonal, off_diagonal))
    columns = rhs if rhs.ndim > 3 else rhs.unsqueeze(-1)
    x, positive = _cyclic_reduction(D, U, columns.movedim((-2, -1), (0, 1)))
    return x.movedim((0, 1), (-2, -1)).reshape(rhs.shape).contiguous(), positive


# Up to this many unknowns, over all chains of a batch, one dense factorisation is faster than many
# small ones in sequence.
_FEW = 512
# The same of one chain, whose factorisation grows with the third power. Measured on one core with
# one chain and d = 1 to 8: dense took 1.2, 1.7, 2.5 and 3.8 ms with 256, 320, 384 and 510 unknowns
# in double precision, and 1.0, 1.2, 1.9 and 2.6 in single, reduction 1.5 to 2.8 with any of them.
_SHORT = 384


def h1_inner_product(metric: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the blocks of the H1 norm of how a chain changes, \sum_i |delta_i+1 - delta_i|^2_M.

    Args:
        metric: M at the n inner nodes of chains whose ends are held, shape `(batch, n, d, d)`.

    Returns:
        Diagonal blocks, `(batch, n, d, d)`, and those above them, `(batch, n - 1, d, d)`: the
        Hessian of the sum of squared chords, were M constant along each of them.

    Example:
        >>> diagonal, off_diagonal = h1_inner_product(torch.ones(1, 2, 1, 1))
        >>> diagonal.flatten().tolist(), off_diagonal.flatten().tolist()
        ([4.0, 4.0], [-2.0])
    """
    eye = torch.eye(metric.shape[-1], dtype=metric.dtype, device=metric.device)
    trace = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    metric = metric + 1e-9 * trace * eye  # a singular metric still limits the step
    inner = metric[:, 1:] + metric[:, :-1]
    left = torch.cat([2 * metric[:, :1], inner], 1)
    right = torch.cat([inner, 2 * metric[:, -1:]], 1)
    return left + right, -inner


def _dense_solve(D: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    batch, n, d = b.shape[:3]
    H = D.new_zeros(batch, n, d, n, d)
    i = torch.arange(n, device=D.device)
    H[:, i, :, i] = D.movedim(1, 0)
    H[:, i[1:], :, i[:-1]] = U.mT.movedim(1, 0)  # only the lower half is read
    L, positive = cholesky(H.reshape(batch, n * d, n * d))
    x = torch.cholesky_solve(b.reshape(batch, n * d, -1), L).reshape(b.shape)
    return x, positive


def _cyclic_reduction(D: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Reduce blocks `(d, d, batch, n)`: with the chain last, small blocks are unrolled over it."""
    if D.shape[-1] == 1:
        factor, positive = _factorise(D)
        return _solve_factorised(factor, b), positive.all(-1)
    d, n_kept = len(D), D.shape[-1] // 2
    left, right = U[..., 0::2], U[..., 1::2]  # eliminated -> kept, kept -> eliminated
    factor, positive = _factorise(D[..., 0::2])
    coupled = torch.cat([left.new_zeros(d, 2 * d, *b[0, :, :, 0::2].shape[1:]), b[..., 0::2]], 1)
    coupled[:, :d, :, :n_kept] = left
    coupled[:, d : 2 * d, :, 1:] = right.transpose(0, 1)
    solved = _solve_factorised(factor, coupled)  # in columns: left, right, right-hand sides

    via_left = _product(left.transpose(0, 1), solved[..., :n_kept])
    via_right = _product(right, solved[..., 1:])
    n_right = right.shape[-1]
    kept_D, kept_b = D[..., 1::2] - via_left[:, :d], b[..., 1::2] - via_left[:, 2 * d :]
    kept_D[..., :n_right] -= via_right[:, d : 2 * d]
    kept_b[..., :n_right] -= via_right[:, 2 * d :]
    kept_U = -via_right[:, :d, :, : n_kept - 1]
    kept_x, kept_positive = _cyclic_reduction(kept_D, kept_U, kept_b)

    x = torch.empty_like(b)
    x[..., 1::2] = kept_x
    x[..., 0::2] = solved[:, 2 * d :]
    x[..., 0 : 2 * n_kept : 2] -= _product(solved[:, :d, :, :n_kept], kept_x)
    x[..., 2::2] -= _product(solved[:, d : 2 * d, :, 1:], kept_x[..., :n_right])
    return x, positive.all(-1) & kept_positive


# Blocks of up to this size are factorised entry by entry, each entry as one operation over all
# blocks at once: much faster than LAPACK's call for each block. Larger ones go to LAPACK.
_UNROLLED = 3


def _factorise(A: Tensor) -> tuple[list[list[Tensor]], Tensor]:
    """Factorise A `(d, d, ...)` as `cholesky` does: the rows of L, and where A is positive."""
    d = len(A)
    if d > _UNROLLED:
        whole, positive = cholesky(A.movedim((0, 1), (-2, -1)))
        return [[whole]], positive
    floor = torch.finfo(A.dtype).eps * d * torch.stack([A[i, i] for i in range(d)]).amax(0)
    L: list[list[Tensor]] = []
    positive = A[0, 0].isfinite()
    for i in range(d):
        row: list[Tensor] = []
        for j in range(i):
            rest = A[i, j] - sum(row[k] * L[j][k] for k in range(j))
            row.append(rest / L[j][j])
        pivot = A[i, i] - sum(entry.square() for entry in row)
        usable = pivot > floor
        positive = positive & usable
        row.append(torch.where(usable, pivot, torch.ones_like(pivot)).sqrt())
        L.append(row)
    return L, positive


def _solve_factorised(L: list[list[Tensor]], b: Tensor) -> Tensor:
    """Solve L L^T x = b for right-hand sides `(d, columns, ...)`."""
    d = len(b)
    if d > _UNROLLED:
        columns = b.movedim((0, 1), (-2, -1))
        return torch.cholesky_solve(columns, L[0][0]).movedim((-2, -1), (0, 1))
    y: list[Tensor] = []
    for i in range(d):
        rest = b[i] - sum(L[i][k] * y[k] for k in range(i)) if i else b[i]
        y.append(rest / L[i][i])
    for i in reversed(range(d)):
        rest = y[i] - sum(L[k][i] * y[k] for k in range(i + 1, d)) if i < d - 1 else y[i]
        y[i] = rest / L[i][i]
    return torch.stack(y)


def _product(A: Tensor, B: Tensor) -> Tensor:
    """Multiply matrices whose rows and columns come first: `(i, k, ...)` by `(k, j, ...)`."""
    if len(A) > _UNROLLED:
        return torch.einsum("ik...,kj...->ij...", A, B)
    total = A[:, 0, None] * B[None, 0]
    for k in range(1, A.shape[1]):
        total.addcmul_(A[:, k, None], B[None, k])
    return total


class BlockTridiagonal:
    """A symmetric positive definite block-tridiagonal matrix, factorised once and solved often.

    It is factorised by cyclic reduction, see `block_tridiagonal_solve`. Matrices of a batch are
    taken out by a mask or by indices, `factor[chosen]`, as rows of a tensor are.

    Args:
        diagonal: blocks H_ii, shape `(batch, n, d, d)`.
        off_diagonal: blocks H_i,i+1, shape `(batch, n - 1, d, d)`; H_i+1,i are their transposes.

    Attributes:
        positive: which matrices are positive definite, shape `(batch,)`: the solutions of others
            are meaningless.

    Source:
        Golub and Van Loan, Matrix Computations, 4th edition (2013), section 4.5.

    Example:
        >>> diagonal = torch.full((1, 3, 1, 1), 2.0)
        >>> factor = BlockTridiagonal(diagonal, torch.full((1, 2, 1, 1), -1.0))
        >>> factor.solve(torch.ones(1, 3, 1)).flatten()
        tensor([1.5000, 2.0000, 1.5000])
    """

    def __init__(self, diagonal: Tensor, off_diagonal: Tensor) -> None:
        n_kept = diagonal.shape[1] // 2
        pivots, positive = cholesky(diagonal[:, 0::2])
        self.positive: Tensor = positive.all(-1)
        self._parts = [pivots]
        self._kept: BlockTridiagonal | None = None
        if n_kept == 0:
            return
        # Every second block is eliminated: those left of a kept one, and those right of it.
        left = _lower(pivots[:, :n_kept], off_diagonal[:, 0::2])
        right = _lower(pivots[:, 1:], off_diagonal[:, 1::2].mT)
        n_right = right.shape[1]
        kept = diagonal[:, 1::2] - left.mT @ left
        kept[:, :n_right] -= right.mT @ right
        beside = -right[:, : n_kept - 1].mT @ left[:, 1:]
        self._parts += [left, right]
        self._kept = BlockTridiagonal(kept, beside)
        self.positive = self.positive & self._kept.positive

    def __getitem__(self, chosen: Tensor) -> "BlockTridiagonal":
        part = object.__new__(type(self))
        part.positive = self.positive[chosen]
        part._parts = [matrix[chosen] for matrix in self._parts]
        part._kept = None if self._kept is None else self._kept[chosen]
        return part

    def put(self, rows: Tensor, others: "BlockTridiagonal") -> "BlockTridiagonal":
        """Return the batch with some matrices, by indices `(k,)`, replaced by k others."""
        part = object.__new__(type(self))
        part.positive = self.positive.index_put((rows,), others.positive)
        pairs = zip(self._parts, others._parts, strict=True)
        part._parts = [matrix.index_put((rows,), new) for matrix, new in pairs]
        part._kept = self._kept
        if self._kept is not None and others._kept is not None:
            part._kept = self._kept.put(rows, others._kept)
        return part

    def solve(self, rhs: Tensor) -> Tensor:
        """Solve H x = b for b of shape `(batch, n, d)`."""
        y = _lower(self._parts[0], rhs[:, 0::2].unsqueeze(-1))
        x = torch.empty_like(rhs)
        if self._kept is not None:
            left, right = self._parts[1:]
            n_kept, n_right = left.shape[1], right.shape[1]
            kept = rhs[:, 1::2].unsqueeze(-1) - left.mT @ y[:, :n_kept]
            kept[:, :n_right] -= right.mT @ y[:, 1 : 1 + n_right]
            kept = self._kept.solve(kept.squeeze(-1))
            y[:, :n_kept] -= left @ kept.unsqueeze(-1)
            y[:, 1 : 1 + n_right] -= right @ kept[:, :n_right].unsqueeze(-1)
            x[:, 1::2] = kept
        x[:, 0::2] = torch.linalg.solve_triangular(self._parts[0].mT, y, upper=True).squeeze(-1)
        return x


def _lower(L: Tensor, b: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(L, b, upper=False)
    return solved
