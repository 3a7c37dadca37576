"""Metrics that stretch all directions alike: the cost of being somewhere."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pullback.errors import check_number
from pullback.metrics.ambient.base import check_function, checked
from pullback.metrics.explicit.diagonal import DiagonalMetric
from pullback.shapes import Latent, Mask

__all__ = ["ConformalMetric"]


class ConformalMetric(DiagonalMetric):
    r"""The metric M(z) = c(z) I of a cost c: a curve is as long as int sqrt(c) |c'| dt.

    Args:
        cost: c, from points `(*batch, d)` to `(*batch,)`: positive and twice differentiable, row by
            row and under `torch.func`. Where it is not finite or not positive, the space ends.
        dim: the dimension d of the latent space, or None where any will do.

    Raises:
        InvalidParameterError: the cost is not a function.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 8.

    Example:
        >>> half_plane = ConformalMetric(lambda z: z[..., 1] ** -2, dim=2)
        >>> half_plane.metric_matrix(torch.tensor([5.0, 2.0])).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
    """

    def __init__(self, cost: Callable[[Tensor], Tensor], dim: int | None = None) -> None:
        super().__init__(dim)
        self.cost = check_function("cost", cost)

    @classmethod
    def from_density(
        cls,
        density: Callable[[Tensor], Tensor],
        *,
        alpha: float = 1.0,
        beta: float = 1e-2,
        dim: int | None = None,
    ) -> "ConformalMetric":
        r"""Make it dear to be where there are no data: c(z) = 1 / (alpha p(z) + beta).

        Args:
            density: p >= 0, from points `(*batch, d)` to `(*batch,)`, twice differentiable.
            alpha: how much the density counts, > 0.
            beta: > 0; far off the data the cost is 1 / beta.
            dim: the dimension d of the latent space, or None where any will do.

        Returns:
            The metric.

        Raises:
            InvalidParameterError: `alpha` or `beta` is out of range, or the density no function.

        Source:
            Béthune et al., Follow the Energy, Find the Path: Riemannian Metrics from Energy-Based
            Models (2025).

        Example:
            >>> p = lambda z: torch.exp(-z.square().sum(-1))
            >>> M = ConformalMetric.from_density(p, beta=0.5)
            >>> M.metric_matrix(torch.tensor([[0.0], [9.0]]).double()).flatten().round(decimals=4)
            tensor([0.6667, 2.0000], dtype=torch.float64)
        """
        alpha = check_number("alpha", alpha, 0, open_low=True)
        beta = check_number("beta", beta, 0, open_low=True)
        check_function("density", density)
        return cls(partial(_inverse_density, density, alpha, beta), dim)

    def diagonal(self, z: Latent) -> Latent:
        """Repeat c(z) d times, see `DiagonalMetric.diagonal`."""
        return self._cost(z).unsqueeze(-1).expand(z.shape)

    def contains(self, z: Latent) -> Mask:
        """Say where the cost is positive and finite, see `Metric.contains`."""
        with torch.no_grad():
            cost = self._cost(z)
        return (cost > 0) & cost.isfinite()

    def _cost(self, z: Tensor) -> Tensor:
        return checked("cost", self.cost(z), z.shape[:-1])


def _inverse_density(
    density: Callable[[Tensor], Tensor], alpha: float, beta: float, z: Tensor
) -> Tensor:
    return 1 / (alpha * density(z) + beta)
