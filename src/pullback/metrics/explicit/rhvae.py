"""The metric of a Riemannian Hamiltonian VAE: a sum of kernels that makes the inverse metric."""

from typing import Any

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import gradient, jvp, second_order
from pullback.errors import InvalidParameterError, check_data, check_number, check_points
from pullback.metrics.base import Metric
from pullback.metrics.chords import EndExpansion
from pullback.metrics.explicit.midpoint import from_middle
from pullback.shapes import Latent, MetricMatrix, Scalars, Tangent

__all__ = ["RHVAEMetric"]


class RHVAEMetric(Metric):
    r"""The metric whose inverse is a sum of kernels around centres.

    M(z)^-1 = sum_i L_i L_i^T exp(-|z - c_i|^2 / T^2) + lambda I. The inverse metric is what is
    differentiated; it is factorised and solved with, and no derivative passes a factorisation.

    Args:
        centers: c_i, the encoded data, shape `(n, d)`.
        factors: L_i, shape `(n, d, d)`.
        temperature: T > 0, in the unit of the codes.
        regularization: lambda > 0; far off the centres M = I / lambda.

    Raises:
        InvalidDataError: centres or factors are not finite, or no numbers.
        InvalidParameterError: the factors do not fit the centres, or a number is out of range.

    Source:
        Chadebec, Thibeau-Sutre, Burgos, Allassonnière, Data augmentation in high dimensional low
        sample size setting using a geometry-based variational autoencoder (2022).

    Example:
        >>> M = RHVAEMetric([[0.0, 0.0]], [[[1.0, 0.0], [1.0, 1.0]]], regularization=1.0)
        >>> M.inverse_matrix(torch.zeros(2)).tolist()
        [[2.0, 1.0], [1.0, 3.0]]
    """

    def __init__(
        self, centers: Any, factors: Any, temperature: float = 1.5, regularization: float = 1e-2
    ) -> None:
        self.centers = check_data("centers", centers, min_samples=1).detach()
        n, d = self.centers.shape
        L = check_points("factors", factors, d).detach().to(self.centers)
        if L.shape != (n, d, d):
            got = f"shape {tuple(L.shape)}"
            raise InvalidParameterError("factors", f"of shape {(n, d, d)}, as the centers", got)
        super().__init__(d)
        self.factors = L
        self.temperature = check_number("temperature", temperature, 0, open_low=True)
        self.regularization = check_number("regularization", regularization, 0, open_low=True)
        self._products = (L @ L.mT).reshape(n, d * d)

    def inverse_matrix(self, z: Latent) -> MetricMatrix:
        """Compute the inverse of the metric, shape `(*batch, d, d)`.

        Args:
            z: points, shape `(*batch, d)`.
        """
        d = z.shape[-1]
        gap = (z.unsqueeze(-2) - self.centers.to(z)).square().sum(-1)
        kernel = torch.exp(-gap / self.temperature**2)
        eye = torch.eye(d, dtype=z.dtype, device=z.device)
        products: Tensor = (kernel @ self._products.to(z)).unflatten(-1, (d, d))
        return products + self.regularization * eye

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Solve for M(z), shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        return _solve(
            self.inverse_matrix(z), torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        )

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Solve for M v, see `Metric.inner_product`."""
        return (u * linalg.solve(self.inverse_matrix(z), v)[0]).sum(-1)

    def log_volume(self, z: Latent) -> Scalars:
        """Turn the sign of that of the inverse, see `Metric.log_volume`."""
        return -linalg.half_log_det(self.inverse_matrix(z))

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        r"""Multiply by the inverse metric, see `Metric.acceleration`.

        With W = M^-1 and p = M v it is (D_v W) p - 1/2 W grad_z (p^T W p), p held constant.
        """
        p, positive = linalg.solve(self.inverse_matrix(z), v)

        def quadratic(z: Tensor) -> Tensor:
            return torch.einsum("...i,...ij,...j->...", p, self.inverse_matrix(z), p)[..., None]

        pull = gradient(quadratic, z)[1]
        _, change = jvp(lambda z: (self.inverse_matrix(z) @ p.unsqueeze(-1)).squeeze(-1), z, v)
        turned = (self.inverse_matrix(z) @ pull.unsqueeze(-1)).squeeze(-1)
        return torch.where(positive.unsqueeze(-1), change - turned / 2, torch.nan)

    def expand_ends(self, ends: Latent) -> EndExpansion:
        r"""Differentiate the inverse in the middle of the chords, see `Metric.expand_ends`.

        With W = M^-1 and p = M s, of S = s^T M s the gradient in the middle is -p^T (dW) p, the
        Hessian -p^T (d^2 W) p + 2 p^T (dW) M (dW) p, and the mixed derivative -2 M (dW) p.
        """
        a, b = ends.chunk(2, -1)
        middle, step = (a + b) / 2, b - a
        d = step.shape[-1]
        p, _ = linalg.solve(self.inverse_matrix(middle), step)
        covector = (p.unsqueeze(-1) * p.unsqueeze(-2)).flatten(-2)
        at = second_order(lambda z: self.inverse_matrix(z).flatten(-2), middle, covector)
        W = at.value.unflatten(-1, (d, d))
        change = torch.einsum("...ikj,...k->...ij", at.jacobian.unflatten(-2, (d, d)), p)
        solved = _solve(W, change)  # M (dW) p, a column for each direction
        return from_middle(
            (step * p).sum(-1),
            _solve(W, torch.eye(d, dtype=W.dtype, device=W.device)),
            step=step,
            gradient=-at.gradient,
            hessian=2 * change.mT @ solved - at.hessian,
            mixed=-2 * solved.mT,
        )

    def _squared_chords(self, points: Tensor) -> Tensor:
        middle, step = (points[..., 1:, :] + points[..., :-1, :]) / 2, points.diff(dim=-2)
        return self.inner_product(middle, step, step)


def _solve(W: Tensor, columns: Tensor) -> Tensor:
    """Solve for many columns at once: positive definite thanks to the regularisation, or NaN."""
    L, positive = linalg.cholesky(W)
    solved = torch.cholesky_solve(columns.expand_as(W), L)
    return torch.where(positive[..., None, None], solved, torch.nan)
