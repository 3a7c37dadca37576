"""What stands in for the Hessian of a chain: positive definite, factorised once, solved often."""

import torch
from torch import Tensor

from pullback import linalg
from pullback.metrics import Metric
from pullback.shapes import Points, Scalars

__all__ = ["MeanMetric", "gauss_newton_factor", "mean_metric_factor"]

_ISOTROPIC = 0.2  # weight of the identity in the mean metric, for it need not hold elsewhere
_STIFFER = 64.0  # by which damping grows where a matrix is not positive definite for rounding
_ATTEMPTS = 6  # with so many, the damping outweighs any metric that is finite


def gauss_newton_factor(
    metric: Metric, nodes: Points, weights: Tensor, value: Scalars, damping: Scalars
) -> linalg.BlockTridiagonal:
    r"""Factorise the Gauss-Newton matrix of chains, damped as by Levenberg.

    It is `Metric.gauss_newton` plus the Hessian of lambda S / sum_i |z_(i+1) - z_i|^2 times
    sum_i |delta_(i+1) - delta_i|^2, by which a change as large as the chain itself costs lambda S:
    it holds back moves along latent directions on which the decoder hardly depends.

    Args:
        metric: the metric.
        nodes: chains with fixed ends, shape `(batch, n + 2, d)`.
        weights: of the squared chords, shape `(n + 1,)`.
        value: S = sum_i w_i |chord_i|^2, shape `(batch,)`.
        damping: lambda >= 0, shape `(batch,)`.

    Returns:
        The factor; it is not positive where the metric is not finite.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes, one = torch.tensor([[[0.0], [1.0], [4.0]]]).double(), torch.ones(1).double()
        >>> flat = PullbackMetric(lambda z: z)
        >>> factor = gauss_newton_factor(flat, nodes, torch.ones(2).double(), 10 * one, 0 * one)
        >>> factor.solve(torch.tensor([[[-4.0]]]).double()).item()  # half of the gradient
        -1.0
    """
    diagonal, off_diagonal = _gauss_newton(metric, nodes, weights)
    extent = nodes.diff(dim=1).square().sum((1, 2))
    unit = torch.where(extent > 0, 2 * value / extent, 1.0)
    identity = torch.eye(nodes.shape[-1], dtype=nodes.dtype, device=nodes.device)
    factor = _damped(diagonal, off_diagonal, (damping * unit)[:, None, None, None] * identity)
    for _ in range(_ATTEMPTS):
        rows = (~factor.positive).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        damping = damping.index_put((rows,), _STIFFER * damping[rows].clamp(min=1e-12))
        stiff = (damping * unit)[rows, None, None, None] * identity
        factor = factor.put(rows, _damped(diagonal[rows], off_diagonal[rows], stiff))
    return factor


def _gauss_newton(metric: Metric, nodes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Compute it in single precision where there is one, for it only has to be near."""
    if metric.single is None:
        return metric.gauss_newton(nodes, weights)
    blocks = metric.single.gauss_newton(nodes.float(), weights.float())
    diagonal, off_diagonal = (block.to(nodes) for block in blocks)
    return diagonal, off_diagonal


def _damped(diagonal: Tensor, off_diagonal: Tensor, stiff: Tensor) -> linalg.BlockTridiagonal:
    return linalg.BlockTridiagonal(diagonal + 2 * stiff, off_diagonal - stiff)


class MeanMetric:
    """The H1 inner product of chains in one metric each: a tridiagonal matrix times that of d x d.

    Args:
        chain: the factor of the tridiagonal matrix, shape `(n, n)`.
        metric: the factors of the metrics, shape `(batch, d, d)`.

    Attributes:
        positive: all true, shape `(batch,)`.

    Example:
        >>> MeanMetric(torch.eye(2), 2 * torch.eye(3)[None]).solve(torch.ones(1, 2, 3))[0, 0]
        tensor([0.2500, 0.2500, 0.2500])
    """

    def __init__(self, chain: Tensor, metric: Tensor) -> None:
        self.chain, self.metric = chain, metric
        self.positive = torch.ones(len(metric), dtype=torch.bool, device=metric.device)

    def __getitem__(self, chosen: Tensor) -> "MeanMetric":
        return MeanMetric(self.chain, self.metric[chosen])

    def put(self, rows: Tensor, others: "MeanMetric") -> "MeanMetric":
        """Return the batch with some metrics, by indices `(k,)`, replaced by k others."""
        return MeanMetric(self.chain, self.metric.index_put((rows,), others.metric))

    def solve(self, rhs: Tensor) -> Tensor:
        """Solve for right-hand sides `(batch, n, d)`."""
        half = torch.cholesky_solve(rhs, self.chain)
        return torch.cholesky_solve(half.mT, self.metric).mT.contiguous()


def mean_metric_factor(metric: Metric, nodes: Points, weights: Tensor) -> MeanMetric:
    """Factorise the H1 inner product in the mean metric at a quarter, a half and three quarters.

    The mean is shrunk towards a multiple of the identity. The d x d work is that of three nodes.

    Args:
        metric: the metric.
        nodes: chains with fixed ends, shape `(batch, n + 2, d)`.
        weights: of the squared chords, shape `(n + 1,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.tensor([[[0.0], [1.0], [4.0]]]).double()
        >>> factor = mean_metric_factor(PullbackMetric(lambda z: z), nodes, torch.ones(2).double())
        >>> factor.solve(torch.tensor([[[-4.0]]]).double()).item()
        -1.0
    """
    n = nodes.shape[1]
    mean = metric.metric_matrix(nodes[:, [n // 4, n // 2, 3 * n // 4]]).mean(1)
    identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
    scale = mean.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    factor, _ = linalg.cholesky(torch.lerp(mean, scale * identity, _ISOTROPIC))
    beside = torch.diag(weights[1:-1], -1)
    chain, _ = linalg.cholesky(2 * (torch.diag(weights[1:] + weights[:-1]) - beside - beside.mT))
    return MeanMetric(chain, factor)
