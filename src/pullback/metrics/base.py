"""What a Riemannian metric on the latent space is, and what follows from it."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import second_order
from pullback.shapes import Latent, MetricMatrix, Points, Scalars, Tangent

__all__ = ["ChordExpansion", "Metric"]


class ChordExpansion(NamedTuple):
    """The sum S of squared chords of a chain of nodes, to second order in its interior nodes.

    Attributes:
        value: S = sum_i |chord_i|^2, shape `(batch,)`.
        gradient: dS/dz_i, shape `(batch, n, d)` for n interior nodes.
        diagonal: d^2 S / dz_i^2, shape `(batch, n, d, d)`.
        off_diagonal: d^2 S / dz_i dz_i+1, shape `(batch, n - 1, d, d)`.
        metric: M(z_i), shape `(batch, n, d, d)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> nodes = torch.tensor([[[0.0], [1.0], [4.0]]])
        >>> at = PullbackMetric(lambda z: z).expand_chords(nodes)  # S = (z - 0)^2 + (4 - z)^2
        >>> at.value.item(), at.gradient.item(), at.diagonal.item()
        (10.0, -4.0, 4.0)
    """

    value: Tensor
    gradient: Tensor
    diagonal: Tensor
    off_diagonal: Tensor
    metric: Tensor


class Metric(ABC):
    """A Riemannian metric: a positive definite matrix M(z) that changes smoothly with z.

    A new metric implements `metric_matrix`; everything else has a default that follows from it,
    which a metric with more structure may override for speed or accuracy.

    Args:
        dim: the dimension d of the latent space, or None where any will do.

    Example:
        >>> class Flat(Metric):
        ...     def metric_matrix(self, z):
        ...         return torch.eye(z.shape[-1]).expand(*z.shape, -1)
        >>> Flat().norm(torch.zeros(2), torch.tensor([3.0, 4.0])).item()
        5.0
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    @abstractmethod
    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute M(z).

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            Symmetric positive semi-definite matrices, shape `(*batch, d, d)`.
        """

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute <u, v>_z = u^T M(z) v.

        Args:
            z: points, shape `(*batch, d)`.
            u: tangent vectors at z, shape `(*batch, d)`.
            v: tangent vectors at z, shape `(*batch, d)`.

        Returns:
            Inner products, shape `(*batch,)`.
        """
        return torch.einsum("...i,...ij,...j->...", u, self.metric_matrix(z), v)

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute |v|_z = sqrt(v^T M(z) v), shape `(*batch,)`; see `inner_product`."""
        return self.inner_product(z, v, v).clamp(min=0).sqrt()

    def log_volume(self, z: Latent) -> Scalars:
        """Compute log sqrt det M(z), the logarithm of the magnification factor.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            The log-volume, shape `(*batch,)`: -inf where M(z) is singular.
        """
        return linalg.half_log_det(self.metric_matrix(z))

    def chords(self, points: Points) -> Tensor:
        """Measure the chord between each two neighbours on a curve, M taken half-way.

        Args:
            points: points along curves, shape `(*batch, n, d)`.

        Returns:
            Chord lengths, shape `(*batch, n - 1)`.
        """
        return self._squared_chords(points).clamp(min=0).sqrt()

    def chord_floor(self, point_a: Latent, point_b: Latent) -> tuple[Scalars, Scalars]:
        """Bound the length of every curve from a to b from below, and the rounding error of that.

        For a pull-back it is the straight line between the images; without an immersion it is 0.

        Args:
            point_a: start points, shape `(*batch, d)`.
            point_b: end points, shape `(*batch, d)`.

        Returns:
            The lower bound and the rounding error of one measured chord, both `(*batch,)`.
        """
        zero = torch.zeros_like(point_a[..., 0] + point_b[..., 0])
        return zero, zero

    def squared_chord_sum(self, nodes: Points) -> Scalars:
        """Compute S = sum_i |chord_i|^2 of chains of nodes `(*batch, n, d)`: shape `(*batch,)`."""
        return self._squared_chords(nodes).sum(-1)

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Expand the sum of squared chords to second order in the interior nodes.

        Args:
            nodes: chains of nodes with fixed ends, shape `(batch, n + 2, d)`.

        Returns:
            The value, the gradient, the blocks of the Hessian and the metric at the nodes.
        """
        d = nodes.shape[-1]
        ends = torch.cat([nodes[:, :-1], nodes[:, 1:]], -1)
        one = ends.new_ones(*ends.shape[:-1], 1)
        chord = second_order(self._squared_chord_of_ends, ends, one)
        gradient, hessian = chord.gradient, chord.hessian
        return ChordExpansion(
            value=chord.value.sum((-1, -2)),
            gradient=gradient[:, :-1, d:] + gradient[:, 1:, :d],
            diagonal=hessian[:, :-1, d:, d:] + hessian[:, 1:, :d, :d],
            off_diagonal=hessian[:, 1:-1, :d, d:],
            metric=self.metric_matrix(nodes[:, 1:-1]),
        )

    def _squared_chords(self, points: Tensor) -> Tensor:
        middle = (points[..., 1:, :] + points[..., :-1, :]) / 2
        step = points.diff(dim=-2)
        return torch.einsum("...i,...ij,...j->...", step, self.metric_matrix(middle), step)

    def _squared_chord_of_ends(self, ends: Tensor) -> Tensor:
        a, b = ends.chunk(2, -1)
        return self._squared_chords(torch.stack([a, b], -2))
