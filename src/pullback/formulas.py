"""Operations by their formulas, where PyTorch's derivatives of derivatives are wrong or missing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["FORMULAS", "decomposed"]


def decomposed() -> AbstractContextManager[Any]:
    """Compute operations by their formulas where PyTorch's derivatives of derivatives fail.

    Those are SiLU, Mish, gated linear units, group normalisation and distances between all pairs,
    which lack some in forward mode; and layer and instance normalisation, determinants, linear
    systems, inverses by a Cholesky factor, products of Householder reflections, cumulative products
    and cumulative sums of exponentials, of which some are wrong (in PyTorch 2.13). A formula holds
    by whichever name the operation is called, as a method or in an exported program.

    Example:
        >>> from pullback.autodiff import second_order
        >>> def f(z):
        ...     with decomposed():
        ...         return torch.nn.functional.silu(z)
        >>> round(second_order(f, torch.zeros(1), torch.ones(1)).hessian.item(), 4)
        0.5
    """
    return _Decomposition()


class _Decomposition(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # Programs of torch.export call an overload of an operation, such as `aten.det.default`:
        # what it is an overload of is looked up.
        operation = getattr(func, "overloadpacket", func)
        return FORMULAS.get(operation, func)(*args, **(kwargs or {}))


def _silu(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.sigmoid(x)


def _mish(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.tanh(F.softplus(x))


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _normalize(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normal of x over some dimensions, its mean and one over its deviation."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    rate = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    return centred * rate, mean, rate


def _scale(normal: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def _of_channels(parameter: Tensor | None, x: Tensor) -> Tensor | None:
    return None if parameter is None else parameter.reshape(1, -1, *[1] * (x.ndim - 2))


def _group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    grouped = x.unflatten(1, (num_groups, -1))
    normal, _, _ = _normalize(grouped, tuple(range(2, grouped.ndim)), eps)
    return _scale(normal.flatten(1, 2), _of_channels(weight, x), _of_channels(bias, x))


def _native_group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    grouped = x.reshape(N, group, -1)
    normal, mean, rate = _normalize(grouped, (2,), eps)
    scaled = _scale(normal.reshape(x.shape), _of_channels(weight, x), _of_channels(bias, x))
    return scaled, mean.squeeze(-1), rate.squeeze(-1)


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if use_input_stats:
        return _group_norm(x, x.shape[1], weight, bias, eps)
    return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)


def _instance_norm_by_position(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    statistics = (running_mean, running_var)
    return _instance_norm(x, *statistics, weight, bias, use_input_stats, momentum, eps)


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    return _native_layer_norm(x, normalized_shape, weight, bias, eps)[0]


def _native_layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    normal, mean, rate = _normalize(x, tuple(range(-len(normalized_shape), 0)), eps)
    return _scale(normal, weight, bias), mean, rate


def _det(A: Tensor) -> Tensor:
    if A.shape[-1] <= _BY_COFACTORS:
        return _cofactors(A)
    P, _, U = torch.linalg.lu(A)
    det: Tensor = torch.linalg.det(P) * U.diagonal(dim1=-2, dim2=-1).prod(-1)
    return det


# Up to this size a determinant is computed as the polynomial of its entries, which is short and has
# the right derivatives where A is singular too. Larger ones are factorised.
_BY_COFACTORS = 3


def _cofactors(A: Tensor) -> Tensor:
    if A.shape[-1] == 0:
        return A.new_ones(A.shape[:-2])
    if A.shape[-1] == 1:
        return A[..., 0, 0]
    if A.shape[-1] == 2:
        return A[..., 0, 0] * A[..., 1, 1] - A[..., 0, 1] * A[..., 1, 0]
    triple: Tensor = (A[..., 0, :] * torch.linalg.cross(A[..., 1, :], A[..., 2, :])).sum(-1)
    return triple


def _slogdet(A: Tensor) -> Any:
    P, _, U = torch.linalg.lu(A)
    pivots = U.diagonal(dim1=-2, dim2=-1)
    sign = torch.linalg.det(P) * pivots.sign().prod(-1)
    named: Any = torch.return_types
    return named.linalg_slogdet((sign, pivots.abs().log().sum(-1)))


def _logdet(A: Tensor) -> Tensor:
    sign, logarithm = _slogdet(A)
    return torch.where(sign > 0, logarithm, torch.nan)


def _solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    if not left:
        return _solve(A.mT, B.mT).mT
    # As in PyTorch, B is one vector for each matrix if it has the shape of a batch of vectors.
    is_vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and A.shape[:-1] == B.shape)
    B = B.unsqueeze(-1) if is_vector else B
    inverse: Tensor = torch.linalg.inv(A)
    X = inverse @ B
    X = X + inverse @ (B - A @ X)  # to the accuracy of elimination
    return X.squeeze(-1) if is_vector else X


def _solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor]:
    info = torch.linalg.inv_ex(A, check_errors=check_errors).info
    return _solve(A, B, left=left), info


def _cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    eye = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    inverse: Tensor = torch.linalg.solve_triangular(L.mT if upper else L, eye, upper=False)
    return inverse.mT @ inverse


def _householder_product(A: Tensor, tau: Tensor) -> Tensor:
    m, n = A.shape[-2:]
    eye = torch.eye(m, dtype=A.dtype, device=A.device)
    Q = eye[:, :n].expand(*A.shape[:-2], m, n)
    for k in reversed(range(tau.shape[-1])):
        v = torch.where(torch.arange(m, device=A.device) > k, A[..., k], eye[k])
        Q = Q - tau[..., k, None, None] * v[..., :, None] * (v[..., None, :] @ Q)
    return Q


def _scan(join: Callable[[Tensor, Tensor], Tensor], x: Tensor, dim: int) -> Tensor:
    """Join each entry with all before it along a dimension, in log2(n) steps."""
    if x.ndim == 0:
        return x
    x, k = x.movedim(dim, 0), 1
    while k < len(x):
        x = torch.cat([x[:k], join(x[k:], x[:-k])])
        k *= 2
    return x.movedim(0, dim)


def _cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    return _scan(torch.mul, x if dtype is None else x.to(dtype), dim)


def _logcumsumexp(x: Tensor, dim: int) -> Tensor:
    return _scan(_logaddexp, x, dim)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    return a - F.logsigmoid(a - b)  # where PyTorch's second derivative overflows


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    distances: Tensor = torch.linalg.vector_norm(apart, p, -1)
    return distances


_aten = torch.ops.aten
_BY_FORMULA: dict[Callable[..., Any], tuple[Any, ...]] = {
    _silu: (F.silu, torch._C._nn.silu, _aten.silu),
    _mish: (F.mish, torch._C._nn.mish, _aten.mish),
    _glu: (F.glu, torch._C._nn.glu, _aten.glu),
    _group_norm: (F.group_norm, torch.group_norm, _aten.group_norm),
    _native_group_norm: (torch.native_group_norm, _aten.native_group_norm),
    _instance_norm: (F.instance_norm,),
    _instance_norm_by_position: (torch.instance_norm, _aten.instance_norm),
    _layer_norm: (F.layer_norm, torch.layer_norm, _aten.layer_norm),
    _native_layer_norm: (torch.native_layer_norm, _aten.native_layer_norm),
    _det: (torch.det, torch.linalg.det, Tensor.det, _aten.det, _aten.linalg_det),
    _slogdet: (
        *(torch.slogdet, torch.linalg.slogdet, Tensor.slogdet),
        *(_aten.slogdet, _aten.linalg_slogdet),
    ),
    _logdet: (torch.logdet, Tensor.logdet, _aten.logdet),
    _solve: (torch.linalg.solve, _aten.linalg_solve),
    _solve_ex: (torch.linalg.solve_ex, _aten.linalg_solve_ex),
    _cholesky_inverse: (
        torch.cholesky_inverse,
        Tensor.cholesky_inverse,
        _aten.cholesky_inverse,
    ),
    _householder_product: (
        *(torch.linalg.householder_product, _aten.linalg_householder_product),
        *(torch.orgqr, Tensor.orgqr, _aten.orgqr),
    ),
    _cumprod: (torch.cumprod, Tensor.cumprod, _aten.cumprod),
    _logcumsumexp: (torch.logcumsumexp, Tensor.logcumsumexp, _aten.logcumsumexp),
    _logaddexp: (torch.logaddexp, Tensor.logaddexp, _aten.logaddexp),
    _cdist: (torch.cdist, _aten.cdist),
}
FORMULAS = {
    operation: formula for formula, operations in _BY_FORMULA.items() for operation in operations
}
