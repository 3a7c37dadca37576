"""The metric of a subspace of the latent space, or of the whole in other linear coordinates."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.errors import InvalidParameterError, check_points
from pullback.metrics.base import Metric
from pullback.metrics.chords import ChordExpansion
from pullback.shapes import (
    Ambient,
    Codes,
    Latent,
    Mask,
    MetricMatrix,
    Nodes,
    Pairs,
    Points,
    Scalars,
    Tangent,
)

__all__ = ["RestrictedMetric"]


class RestrictedMetric(Metric):
    r"""A metric on an affine subspace, z = o + B w: B^T M(o + B w) B in the coordinates w.

    Geodesics of the subspace keep to it, so they are no shorter than those of the whole space.

    Args:
        metric: M, in d dimensions.
        basis: B, k <= d independent columns, shape `(d, k)`; also a change of coordinates if k = d.
        origin: o, shape `(d,)`; zero if None.

    Raises:
        InvalidDataError: basis or origin are not finite, or of a wrong shape.
        InvalidParameterError: the columns of the basis depend on each other.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> paraboloid = lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1)
        >>> axis = RestrictedMetric(PullbackMetric(paraboloid), [[1.0], [0.0]])
        >>> axis.metric_matrix(torch.ones(1)).tolist()  # 1 + 4 w^2
        [[5.0]]
    """

    def __init__(self, metric: Metric, basis: Any, origin: Any = None) -> None:
        self.metric = metric
        self.basis = check_points("basis", basis).detach()
        if self.basis.ndim != 2 or metric.dim not in (None, len(self.basis)):
            allowed = f"a matrix with {metric.dim or 'd'} rows, one for each dimension"
            raise InvalidParameterError("basis", allowed, f"shape {tuple(self.basis.shape)}")
        d, k = self.basis.shape
        if not 1 <= k <= d or int(torch.linalg.matrix_rank(self.basis)) < k:
            raise InvalidParameterError("basis", "of independent columns", f"shape {(d, k)}")
        self.origin = self.basis.new_zeros(d)
        if origin is not None:
            self.origin = check_points("origin", origin, d).detach().to(self.basis)
        if self.origin.ndim != 1:
            got = f"shape {tuple(self.origin.shape)}"
            raise InvalidParameterError("origin", f"one point, of shape {(d,)}", got)
        super().__init__(k)
        self.requires_grad = metric.requires_grad

    @property
    def is_cheap(self) -> bool:
        """Whether the metric of the whole is, see `Metric.is_cheap`."""
        return self.metric.is_cheap

    @property
    def exact(self) -> Metric:
        """The exact metric, restricted, see `Metric.exact`."""
        exact = self.metric.exact
        return self if exact is self.metric else self._like(exact)

    @property
    def single(self) -> Metric | None:
        """The metric in single precision, restricted, see `Metric.single`."""
        return None if self.metric.single is None else self._like(self.metric.single)

    @property
    def decoder(self) -> Callable[[Tensor], Any] | None:
        """The decoder of the metric, on the subspace; None if it has none."""
        return None if getattr(self.metric, "decoder", None) is None else self._decode

    def embed(self, w: Latent) -> Ambient:
        """Map coordinates of the subspace to the whole space: z = o + B w.

        Args:
            w: coordinates, shape `(*batch, k)`.

        Returns:
            Points z, shape `(*batch, d)`.
        """
        return self.origin.to(w) + self._along(w)

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute B^T M B, see `Metric.metric_matrix`."""
        return self._both(self.metric.metric_matrix(self.embed(z)))

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute <B u, B v>, see `Metric.inner_product`."""
        return self.metric.inner_product(self.embed(z), self._along(u), self._along(v))

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute |B v|, see `Metric.norm`."""
        return self.metric.norm(self.embed(z), self._along(v))

    def contains(self, z: Latent) -> Mask:
        """Say which points lie where the metric is defined, see `Metric.contains`."""
        return self.metric.contains(self.embed(z))

    def chords(self, points: Points) -> Tensor:
        """Measure in the whole space, see `Metric.chords`."""
        return self.metric.chords(self.embed(points))

    def chords_between(self, points: Nodes, pairs: Pairs) -> Tensor:
        """Measure in the whole space, see `Metric.chords_between`."""
        return self.metric.chords_between(self.embed(points), pairs)

    def chords_by_step(self, points: Points, steps: Sequence[int] = (1, 2)) -> tuple[Tensor, ...]:
        """Measure in the whole space, see `Metric.chords_by_step`."""
        return self.metric.chords_by_step(self.embed(points), steps)

    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Measure in the whole space, see `Metric.lower_bounds`."""
        return self.metric.lower_bounds(self.embed(point_a), self.embed(point_b))

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Measure in the whole space, see `Metric.chord_floor`."""
        return self.metric.chord_floor(self.embed(point_a), self.embed(point_b))

    def chord_rounding(self, z: Latent) -> Scalars:
        """Measure in the whole space, see `Metric.chord_rounding`."""
        return self.metric.chord_rounding(self.embed(z))

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Pull the gradient back by B, see `Metric.chord_gradient`."""
        value, gradient = self.metric.chord_gradient(self.embed(nodes))
        return value, gradient @ self.basis.to(nodes)

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Pull the gradient back by B, see `Metric.energy_gradient`."""
        value, gradient = self.metric.energy_gradient(self.embed(nodes))
        return value, gradient @ self.basis.to(nodes)

    def weighted_chord_gradient(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Pull the gradient back by B, see `Metric.weighted_chord_gradient`."""
        value, gradient = self.metric.weighted_chord_gradient(self.embed(nodes), weights)
        return value, gradient @ self.basis.to(nodes)

    def gauss_newton(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Pull the blocks back by B, see `Metric.gauss_newton`."""
        diagonal, off_diagonal = self.metric.gauss_newton(self.embed(nodes), weights)
        return self._both(diagonal), self._both(off_diagonal)

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Pull the expansion back by B, see `Metric.expand_chords`."""
        at = self.metric.expand_chords(self.embed(nodes))
        matrices = (self._both(H) for H in (at.diagonal, at.off_diagonal, at.metric))
        return ChordExpansion(at.value, at.gradient @ self.basis.to(nodes), *matrices)

    def _decode(self, w: Tensor) -> Any:
        decoder: Any = getattr(self.metric, "decoder", None)
        return decoder(self.embed(w))

    def _along(self, w: Tensor) -> Tensor:
        """Return B w, a tangent vector of the whole space."""
        return w @ self.basis.to(w).mT

    def _both(self, H: Tensor) -> Tensor:
        """Return B^T H B, a quadratic form on the subspace."""
        basis = self.basis.to(H)
        return basis.mT @ H @ basis

    def _like(self, metric: Metric) -> "RestrictedMetric":
        return RestrictedMetric(metric, self.basis, self.origin)

    def _squared_chords(self, points: Tensor) -> Tensor:
        return self.metric._squared_chords(self.embed(points))
