"""Factorisations of metrics and of chains of them: nobody else in the package factorises a matrix.

Nothing is ever inverted explicitly, and a matrix that is not positive definite is reported as such.
"""

import torch
from torch import Tensor

from pullback.shapes import Mask, MetricMatrix, Scalars, Tangent

__all__ = ["block_tridiagonal_solve", "cholesky", "half_log_det", "solve"]


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

    Every second block is eliminated at once, which leaves a chain of half the length: log2 n
    batched steps in place of n. The eliminations are those of the Cholesky factorisation of a
    permuted H, so all pivots are positive definite if and only if H is.

    Args:
        diagonal: blocks H_ii, shape `(batch, n, d, d)`.
        off_diagonal: blocks H_i,i+1, shape `(batch, n - 1, d, d)`; H_i+1,i are their transposes.
        rhs: b, shape `(batch, n, d)`.

    Returns:
        x, shape `(batch, n, d)`, and the mask of positive definite H, shape `(batch,)`; where H is
        not positive definite, x is meaningless.

    Source:
        Golub and Van Loan, Matrix Computations, 4th edition (2013), section 4.5.

    Example:
        >>> diagonal = torch.full((1, 3, 1, 1), 2.0)
        >>> off_diagonal = torch.full((1, 2, 1, 1), -1.0)
        >>> x, positive = block_tridiagonal_solve(diagonal, off_diagonal, torch.ones(1, 3, 1))
        >>> x.flatten()
        tensor([1.5000, 2.0000, 1.5000])
    """
    x, positive = _cyclic_reduction(diagonal, off_diagonal, rhs.unsqueeze(-1))
    return x.squeeze(-1), positive


def _cyclic_reduction(D: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    factor, positive = cholesky(D[:, 0::2])
    if D.shape[1] == 1:
        return torch.cholesky_solve(b, factor), positive.all(-1)
    n_kept = D.shape[1] // 2
    has_right = U.shape[1] // 2  # kept blocks with an eliminated block on their right
    left, right = U[:, 0::2], U[:, 1::2]  # eliminated -> kept, kept -> eliminated
    eliminated_b = torch.cholesky_solve(b[:, 0::2], factor)
    from_left = torch.cholesky_solve(left, factor[:, :n_kept])
    from_right = torch.cholesky_solve(right.mT, factor[:, 1 : has_right + 1])

    kept_D = D[:, 1::2] - left.mT @ from_left
    kept_b = b[:, 1::2] - left.mT @ eliminated_b[:, :n_kept]
    kept_D[:, :has_right] -= right @ from_right
    kept_b[:, :has_right] -= right @ eliminated_b[:, 1 : has_right + 1]
    kept_U = -right[:, : n_kept - 1] @ from_left[:, 1:]
    kept_x, kept_positive = _cyclic_reduction(kept_D, kept_U, kept_b)

    x = torch.empty_like(b)
    x[:, 1::2] = kept_x
    eliminated_b[:, :n_kept] -= from_left @ kept_x
    eliminated_b[:, 1 : has_right + 1] -= from_right @ kept_x[:, :has_right]
    x[:, 0::2] = eliminated_b
    return x, positive.all(-1) & kept_positive
