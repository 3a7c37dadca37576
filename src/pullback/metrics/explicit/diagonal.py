"""Metrics whose matrix is diagonal everywhere: no entry off the diagonal is ever formed in vain."""

from abc import abstractmethod

import torch
from torch import Tensor

from pullback.autodiff import gradient, jvp, second_order
from pullback.metrics.base import Metric
from pullback.metrics.chords import EndExpansion
from pullback.metrics.explicit.midpoint import from_middle
from pullback.shapes import Latent, MetricMatrix, Points, Scalars, Tangent

__all__ = ["DiagonalMetric"]

# Points that are measured at once, unless a subclass says otherwise: it bounds memory, a few
# numbers for each.
_POINTS = 2**16


class DiagonalMetric(Metric):
    """A Riemannian metric M(z) = diag(m_1(z), ..., m_d(z)).

    A new one implements `diagonal`.

    Args:
        dim: the dimension d of the latent space, or None where any will do.

    Example:
        >>> class Stretched(DiagonalMetric):
        ...     def diagonal(self, z):
        ...         return 1 + z.square()
        >>> Stretched().metric_matrix(torch.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 5.0]]
    """

    @abstractmethod
    def diagonal(self, z: Latent) -> Latent:
        """Compute the diagonal of M(z), row by row and under `torch.func`.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            Positive numbers, shape `(*batch, d)`.
        """

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute M(z), shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        return torch.diag_embed(self.diagonal(z))

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute sum_k m_k u_k v_k, see `Metric.inner_product`."""
        return (self.diagonal(z) * u * v).sum(-1)

    def log_volume(self, z: Latent) -> Scalars:
        """Compute 1/2 sum_k log m_k, see `Metric.log_volume`."""
        return self.diagonal(z).log().sum(-1) / 2

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Divide by the diagonal, see `Metric.acceleration`."""
        parts = [self._acceleration(*part.unbind(1)) for part in self._chunks(z, v)]
        return torch.cat(parts).reshape(z.shape)

    def _acceleration(self, z: Tensor, v: Tensor) -> Tensor:
        _, pull = gradient(self.diagonal, z, v.square())
        diagonal, change = jvp(self.diagonal, z, v)
        usable = (diagonal > 0) & diagonal.isfinite()
        return (pull / 2 - change * v) / torch.where(usable, diagonal, torch.nan)

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Differentiate chord by chord, see `Metric.chord_gradient`."""
        middle, step = (nodes[:, 1:] + nodes[:, :-1]) / 2, nodes.diff(dim=1)
        shape, values, pulls = step.shape, [], []
        for part in self._chunks(middle, step):
            z, s = part.unbind(1)
            diagonal, pull = gradient(self.diagonal, z, s.square())
            values.append((diagonal * s.square()).sum(-1))
            pulls.append(torch.stack([pull / 2, 2 * diagonal * s]))
        by_middle, by_step = torch.cat(pulls, 1).reshape(2, *shape)
        interior = (by_middle + by_step)[:, :-1] + (by_middle - by_step)[:, 1:]
        return torch.cat(values).reshape(shape[:-1]).sum(-1), interior

    def expand_ends(self, ends: Latent) -> EndExpansion:
        """Differentiate in the middle of the chords, see `Metric.expand_ends`."""
        a, b = ends.chunk(2, -1)
        parts = [_expand(self, *part.unbind(1)) for part in self._chunks((a + b) / 2, b - a)]
        shape = ends.shape[:-1]
        joined = (torch.cat(part) for part in zip(*parts, strict=True))
        return EndExpansion(*(part.reshape(*shape, *part.shape[1:]) for part in joined))

    def _squared_chords(self, points: Tensor) -> Tensor:
        middle = (points[..., 1:, :] + points[..., :-1, :]) / 2
        return (self.diagonal(middle) * points.diff(dim=-2).square()).sum(-1)

    def _n_at_once(self, d: int) -> int:
        """How many points are measured at once."""
        return _POINTS

    def _chunks(self, z: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """Split points and vectors `(*batch, d)` into stacks `(n, 2, d)` of them."""
        d = z.shape[-1]
        flat = torch.stack([z.reshape(-1, d), v.reshape(-1, d)], 1)
        return torch.split(flat, self._n_at_once(d)) if len(flat) else (flat,)


def _expand(metric: DiagonalMetric, middle: Tensor, step: Tensor) -> EndExpansion:
    """Expand S = sum_k m_k(middle) step_k^2."""
    at = second_order(metric.diagonal, middle, step.square())
    return from_middle(
        (at.value * step.square()).sum(-1),
        torch.diag_embed(at.value),
        step=step,
        gradient=at.gradient,
        hessian=at.hessian,
        mixed=2 * at.jacobian.mT * step.unsqueeze(-2),
    )
