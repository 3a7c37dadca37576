"""Metrics made of others: their sums and scalings."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.errors import InvalidParameterError, check_number
from pullback.metrics.base import Metric
from pullback.metrics.chords import ChordExpansion, EndExpansion
from pullback.shapes import (
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

__all__ = ["ScaledMetric", "SumMetric"]


class SumMetric(Metric):
    r"""The sum of metrics, M(z) = sum_k w_k M_k(z).

    Chords, lengths and energies are put together from those of the parts, so that a sum of
    pull-backs is measured as the pull-back of all images side by side, and as fast.

    Args:
        metrics: M_k, at least one, all of the same dimension.
        weights: w_k > 0, one for each metric; all 1 if None.

    Raises:
        InvalidParameterError: no metrics, of different dimensions, or weights that do not fit.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> SumMetric([flat, flat], weights=[1.0, 3.0]).metric_matrix(torch.zeros(2)).tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """

    def __init__(
        self, metrics: Sequence[Metric], *, weights: Sequence[float] | None = None
    ) -> None:
        self.metrics = tuple(metrics)
        kinds = {type(part).__name__ for part in self.metrics if not isinstance(part, Metric)}
        if kinds:
            raise InvalidParameterError("metrics", "metrics", ", ".join(sorted(kinds)))
        if not self.metrics:
            raise InvalidParameterError("metrics", "one or more metrics", metrics)
        dims = {part.dim for part in self.metrics} - {None}
        if len(dims) > 1:
            got = sorted(dim for dim in dims if dim is not None)
            raise InvalidParameterError("metrics", "of the same dimension", got)
        given = [1.0] * len(self.metrics) if weights is None else weights
        if len(given) != len(self.metrics):
            allowed = f"one number for each of {len(self.metrics)} metrics"
            raise InvalidParameterError("weights", allowed, f"{len(given)} of them")
        self.weights = tuple(check_number("weights", w, 0, open_low=True) for w in given)
        super().__init__(next(iter(dims), None))
        self.requires_grad = any(part.requires_grad for part in self.metrics)

    @property
    def is_cheap(self) -> bool:
        """Whether all metrics are, see `Metric.is_cheap`."""
        return all(part.is_cheap for part in self.metrics)

    @property
    def exact(self) -> Metric:
        """The sum of the exact metrics, see `Metric.exact`."""
        exact = [part.exact for part in self.metrics]
        same = all(a is b for a, b in zip(exact, self.metrics, strict=True))
        return self if same else SumMetric(exact, weights=self.weights)

    @property
    def single(self) -> Metric | None:
        """The sum in single precision, where all metrics have it, see `Metric.single`."""
        single = [part.single for part in self.metrics]
        there = [part for part in single if part is not None]
        return SumMetric(there, weights=self.weights) if len(there) == len(single) else None

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute sum_k w_k M_k(z), see `Metric.metric_matrix`."""
        return self._sum(lambda part: part.metric_matrix(z))

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute sum_k w_k <u, v>_k, see `Metric.inner_product`."""
        return self._sum(lambda part: part.inner_product(z, u, v))

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute sqrt(sum_k w_k |v|_k^2), see `Metric.norm`."""
        return self._root(lambda part: part.norm(z, v))

    def contains(self, z: Latent) -> Mask:
        """Say where all metrics are defined, see `Metric.contains`."""
        return torch.stack([part.contains(z) for part in self.metrics]).all(0)

    def chords(self, points: Points) -> Tensor:
        """Put the chords together, see `Metric.chords`."""
        return self._root(lambda part: part.chords(points))

    def chords_between(self, points: Nodes, pairs: Pairs) -> Tensor:
        """Put the chords together, see `Metric.chords_between`."""
        return self._root(lambda part: part.chords_between(points, pairs))

    def chords_by_step(self, points: Points, steps: Sequence[int] = (1, 2)) -> tuple[Tensor, ...]:
        """Put the chords together, see `Metric.chords_by_step`."""
        chords = [part.chords_by_step(points, steps) for part in self.metrics]
        return tuple(self._root_of(of_step) for of_step in zip(*chords, strict=True))

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Put the bounds together, by Minkowski's inequality, see `Metric.chord_floor`."""
        return self._root(lambda part: part.chord_floor(point_a, point_b))

    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Put the bounds together, see `Metric.lower_bounds`."""
        return self._root(lambda part: part.lower_bounds(point_a, point_b))

    def chord_rounding(self, z: Latent) -> Scalars:
        """Put the roundings together, see `Metric.chord_rounding`."""
        return self._root(lambda part: part.chord_rounding(z))

    def squared_chord_sum(self, nodes: Points) -> Scalars:
        """Add the sums, see `Metric.squared_chord_sum`."""
        return self._sum(lambda part: part.squared_chord_sum(nodes))

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Add the gradients, see `Metric.chord_gradient`."""
        value, gradient = self._sums(lambda part: part.chord_gradient(nodes))
        return value, gradient

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Add the gradients, see `Metric.energy_gradient`."""
        value, gradient = self._sums(lambda part: part.energy_gradient(nodes))
        return value, gradient

    def weighted_chord_gradient(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Add the gradients, see `Metric.weighted_chord_gradient`."""
        value, gradient = self._sums(lambda part: part.weighted_chord_gradient(nodes, weights))
        return value, gradient

    def gauss_newton(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Add the blocks, see `Metric.gauss_newton`."""
        diagonal, off_diagonal = self._sums(lambda part: part.gauss_newton(nodes, weights))
        return diagonal, off_diagonal

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Add the expansions, see `Metric.expand_chords`."""
        return ChordExpansion(*self._sums(lambda part: part.expand_chords(nodes)))

    def expand_ends(self, ends: Latent) -> EndExpansion:
        """Add the expansions, see `Metric.expand_ends`."""
        return EndExpansion(*self._sums(lambda part: part.expand_ends(ends)))

    def _squared_chords(self, points: Tensor) -> Tensor:
        return self._sum(lambda part: part._squared_chords(points))

    def _sum(self, of: Callable[[Metric], Tensor]) -> Tensor:
        return _weighted(self.weights, [of(part) for part in self.metrics])

    def _sums(self, of: Callable[[Metric], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        parts = zip(*[of(part) for part in self.metrics], strict=True)
        return tuple(_weighted(self.weights, part) for part in parts)

    def _root(self, of: Callable[[Metric], Tensor]) -> Tensor:
        return self._root_of([of(part) for part in self.metrics])

    def _root_of(self, lengths: Sequence[Tensor]) -> Tensor:
        return _weighted(self.weights, [length.square() for length in lengths]).sqrt()


class ScaledMetric(SumMetric):
    r"""A metric in another unit, s M(z): lengths grow by sqrt(s), geodesics stay.

    Args:
        metric: M.
        factor: s > 0.

    Attributes:
        decoder: that of the metric, if it has one.

    Raises:
        InvalidParameterError: the factor is out of range.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> M = ScaledMetric(PullbackMetric(lambda z: z), 4.0)
        >>> M.norm(torch.zeros(1), torch.ones(1)).item()
        2.0
    """

    def __init__(self, metric: Metric, factor: float) -> None:
        super().__init__([metric], weights=[check_number("factor", factor, 0, open_low=True)])
        self.decoder: Callable[[Tensor], Any] | None = getattr(metric, "decoder", None)

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Ask the metric itself, see `Metric.acceleration`."""
        return self.metrics[0].acceleration(z, v)


def _weighted(weights: Sequence[float], parts: Sequence[Tensor]) -> Tensor:
    total = weights[0] * parts[0]
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        total = total + weight * part
    return total
