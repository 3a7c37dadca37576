"""How sure an ensemble of decoders is of its geometry: one answer from each member."""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.curves import Curve
from pullback.display import as_html, as_line
from pullback.errors import InvalidParameterError, check_number
from pullback.geodesics import GeodesicResult
from pullback.manifolds.geodesic_space import GeodesicSpace
from pullback.metrics import EnsembleMetric

__all__ = ["GeometryPosterior", "Interval", "interval"]


class Interval(NamedTuple):
    """Where the middle share of samples lies.

    Attributes:
        low: the lower end, shape `(*batch,)`.
        median: the median, shape `(*batch,)`.
        high: the upper end, shape `(*batch,)`.

    Example:
        >>> Interval(torch.zeros(3), torch.ones(3), torch.full((3,), 2.0)).high[0].item()
        2.0
    """

    low: Tensor
    median: Tensor
    high: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def interval(samples: Tensor, level: float = 0.9) -> Interval:
    """Return the central interval that holds a share `level` of the samples, and their median.

    The quantiles (1 -+ level) / 2 of k samples, between neighbours linear. A few members say little
    of the tails: with k of them no level can reach beyond the smallest and the largest.

    Args:
        samples: one value for each member, shape `(n_samples, *batch)`.
        level: the share in (0, 1].

    Returns:
        Lower end, median and upper end, each `(*batch,)`.

    Raises:
        InvalidParameterError: `level` is out of range.

    Example:
        >>> interval(torch.arange(11.0), level=0.8)
        Interval(low=1, median=5, high=9)
    """
    level = check_number("level", level, 0, 1, open_low=True)
    shares = torch.tensor([(1 - level) / 2, 0.5, (1 + level) / 2])
    return Interval(*torch.quantile(samples, shares.to(samples), dim=0))


class GeometryPosterior:
    """The geometries of the members of an ensemble, each of them as likely as the others.

    Every answer has one row for each member; `interval` turns them into error bars. They tell what
    is not known of the decoder, given the codes; not what is not known of the codes.

    Args:
        manifold: a manifold whose metric is that of an ensemble, or a table of it.

    Attributes:
        expected: the manifold with the expected metric.
        members: the manifold of each member.

    Raises:
        InvalidParameterError: the manifold has one decoder only.

    Source:
        Syrota, Moreno-Munoz, Hauberg, Decoder ensembling for learned latent geometries (2024).

    Example:
        >>> from pullback.manifolds import Manifold
        >>> M = Manifold([lambda z: z, lambda z: 2 * z], dim=2)
        >>> posterior = GeometryPosterior(M)
        >>> posterior.dist([0.0, 0.0], [3.0, 4.0]).tolist()
        [5.0, 10.0]
    """

    def __init__(self, manifold: GeodesicSpace) -> None:
        metric = manifold.metric.exact
        if not isinstance(metric, EnsembleMetric):
            raise InvalidParameterError(
                "manifold",
                "one of several decoders",
                f"a metric of type {type(metric).__name__}",
                "Train `VAE(n_decoders=k)`, or give a list of decoders or a `DecoderSampler`.",
            )
        self.expected = manifold
        self.members = tuple(_with_metric(manifold, member) for member in metric.members)

    def geodesics(self, point_a: Any, point_b: Any, **options: Any) -> list[GeodesicResult]:
        """Find each member's geodesics, from the expected metric's and the straight line.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: `solver`, `levels` and `rtol` of `geodesics.connect`.

        Returns:
            One result for each member.
        """
        warm = self._warm(point_a, point_b, options)
        return [member.geodesic(point_a, point_b, **warm) for member in self.members]

    def dist(self, point_a: Any, point_b: Any, **options: Any) -> Tensor:
        """Measure the geodesic distances in each member's metric, with derivatives as of `dist`.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: those of `geodesics`.

        Returns:
            Distances, shape `(n_samples, *batch)`.
        """
        warm = self._warm(point_a, point_b, options)
        return torch.stack([member.dist(point_a, point_b, **warm) for member in self.members])

    def length(self, curve: Curve | Any) -> Tensor:
        """Measure given curves in each member's metric, shape `(n_samples, *batch)`.

        Args:
            curve: a `Curve`, or points along curves, shape `(*batch, n, d)`.
        """
        return torch.stack([member.length(curve) for member in self.members])

    def log_volume(self, point: Any) -> Tensor:
        """Compute log sqrt det M_s(z) for each member, shape `(n_samples, *batch)`.

        Args:
            point: z, shape `(*batch, d)`.
        """
        return torch.stack([member.log_volume(point) for member in self.members])

    def _warm(self, point_a: Any, point_b: Any, options: dict[str, Any]) -> dict[str, Any]:
        expected = self.expected.geodesic(point_a, point_b, **options)
        return {**options, "initial": expected.curve, "graph": None}


def _with_metric(manifold: GeodesicSpace, metric: Any) -> GeodesicSpace:
    other: Any = copy.copy(manifold)
    other.metric, other._graphs = metric, {}
    space: GeodesicSpace = other
    return space
