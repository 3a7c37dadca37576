"""The metric that keeps to data: small where they are, large where there are none."""

from typing import Any

import torch
from torch import Tensor

from pullback.errors import check_data, check_number
from pullback.metrics.explicit.diagonal import DiagonalMetric
from pullback.shapes import Latent

__all__ = ["LocalVarianceMetric"]

# Memory, in bytes, for the differences between points and all data that are held at once: 32 MiB,
# which stays near the cache of a CPU.
_BYTES = 2**25


class LocalVarianceMetric(DiagonalMetric):
    r"""The inverse of the local variance of data, coordinate by coordinate.

    M_kk(z) = 1 / (sum_n w_n(z) (x_nk - z_k)^2 + rho) with w_n(z) = exp(-|x_n - z|^2 / (2 s^2)).
    Where there are no data the metric is I / rho.

    Args:
        data: x_1, ..., x_N, shape `(N, d)`.
        bandwidth: s > 0, in the unit of the data: how far a point looks around.
        rho: > 0, in the unit of the data squared: the variance that is added everywhere.

    Raises:
        InvalidDataError: the data are no finite matrix.
        InvalidParameterError: `bandwidth` or `rho` is out of range.

    Source:
        Arvanitidis, Hansen, Hauberg, A locally adaptive normal distribution (2016), section 2.

    Example:
        >>> M = LocalVarianceMetric([[0.0, 0.0], [1.0, 0.0]], bandwidth=1.0, rho=0.1)
        >>> far = torch.tensor([100.0, 0.0], dtype=torch.float64)
        >>> M.diagonal(far).tolist()
        [10.0, 10.0]
    """

    def __init__(self, data: Any, bandwidth: float, rho: float = 1e-2) -> None:
        self.data = check_data("data", data, min_samples=1).detach()
        super().__init__(self.data.shape[1])
        self.bandwidth = check_number("bandwidth", bandwidth, 0, open_low=True)
        self.rho = check_number("rho", rho, 0, open_low=True)

    def diagonal(self, z: Latent) -> Latent:
        """Compute the inverse of the local variances, see `DiagonalMetric.diagonal`."""
        flat = z.reshape(-1, z.shape[-1])
        parts = torch.split(flat, self._n_at_once(z.shape[-1])) if len(flat) else (flat,)
        return torch.cat([self._inverse_variance(part) for part in parts]).reshape(z.shape)

    def _inverse_variance(self, z: Tensor) -> Tensor:
        # The data come last, where memory is contiguous: several times faster.
        squared = (self.data.to(z).T.unsqueeze(-2) - z.T.unsqueeze(-1)).square()
        weight = torch.exp(squared.sum(0) / (-2 * self.bandwidth**2))
        return (1 / ((weight * squared).sum(-1) + self.rho)).T

    def _n_at_once(self, d: int) -> int:
        return max(1, _BYTES // (self.data.element_size() * max(1, self.data.numel())))
