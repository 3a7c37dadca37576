"""The metrics of an ensemble of decoders: the expected one, and one of independent members."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import gradient, second_order
from pullback.errors import InvalidParameterError
from pullback.metrics.base import Metric
from pullback.metrics.chords import ChordExpansion
from pullback.metrics.composite import SumMetric
from pullback.metrics.pullback import PullbackMetric
from pullback.shapes import Latent, MetricMatrix, Points, Scalars

__all__ = ["DecorrelatedEnergy", "EnsembleMetric"]


class EnsembleMetric(SumMetric):
    r"""The expected metric M(z) = 1/k sum_s M_s(z) of an ensemble of decoders.

    For pull-backs M_s = J_s^T J_s it is the pull-back by all immersions at once, (phi_1, ...,
    phi_k) / sqrt(k), so a squared chord is the mean of the members' squared chords. It equals
    J_m^T J_m plus the covariance of the Jacobians, with m the mean of the immersions: it grows
    where the members disagree about how x changes with z, not where they disagree about x itself,
    which the energy of `decorrelated` counts.

    Args:
        members: the metrics of the members, whatever they are.
        decoder: what decodes points, if anything does.

    Attributes:
        decoder: the ensemble of prepared decoders, or None.

    Raises:
        InvalidParameterError: there are no members, or their dimensions differ.

    Source:
        Syrota, Moreno-Munoz, Hauberg, Decoder ensembling for learned latent geometries (2024).

    Example:
        >>> metric = EnsembleMetric([PullbackMetric(lambda z: z), PullbackMetric(lambda z: 2 * z)])
        >>> metric.metric_matrix(torch.zeros(1)).item()  # (1 + 4) / 2
        2.5
    """

    def __init__(
        self, members: Sequence[Metric], decoder: Callable[[Tensor], Any] | None = None
    ) -> None:
        super().__init__(members, weights=[1 / max(1, len(members))] * len(members))
        self.decoder = decoder

    @property
    def members(self) -> tuple[Metric, ...]:
        """The metrics M_s of the members."""
        return self.metrics

    def decorrelated(self) -> "DecorrelatedEnergy":
        """Return the energy of chords between independent draws of the decoder.

        Raises:
            InvalidParameterError: a member has no immersion into a flat space.
        """
        return DecorrelatedEnergy(self)

    @property
    def exact(self) -> Metric:
        """The ensemble of the members' exact metrics, see `Metric.exact`."""
        exact = [member.exact for member in self.members]
        same = all(one is member for one, member in zip(exact, self.members, strict=True))
        return self if same else EnsembleMetric(exact, self.decoder)


class DecorrelatedEnergy(Metric):
    r"""The expected squared chord between images by two independent members of an ensemble.

    ``E_(s,s') |phi_s(b) - phi_s'(a)|^2 = |m(b) - m(a)|^2 + V(a) + V(b)``, with the mean m and the
    variance V = mean_s |phi_s - m|^2 of the images, in full expectation.

    It is no Riemannian metric, for V is counted at each node and not along the curve. The energy
    N S / 2 of a chain of N segments tends to

        1/2 int |m(c)'|^2 dt + N^2 int V(c) dt,

    a particle's action in the potential -N^2 V: the more segments, the more it avoids what is not
    known, and the less it minds long steps across it. It diverges with N, so N is part of the
    definition: choose it, minimise over the nodes, and measure the curve by the expected metric,
    as `pullback.manifolds.decorrelated_geodesic` does.

    Args:
        ensemble: the expected metric, whose members pull back by immersions into one flat space.

    Attributes:
        expected: the expected metric, by which lengths are measured; also `metric_matrix`.
        mean: the pull-back metric of m.

    Raises:
        InvalidParameterError: a member has no such immersion.

    Source:
        Syrota, Moreno-Munoz, Hauberg, Decoder ensembling for learned latent geometries (2024).

    Example:
        >>> metric = EnsembleMetric([PullbackMetric(lambda z: z), PullbackMetric(lambda z: 2 * z)])
        >>> chain = torch.tensor([[1.0], [2.0]])  # images 1 and 2 of the first point, 2 and 4
        >>> metric.decorrelated().squared_chord_sum(chain).item()  # (1 + 9 + 0 + 4) / 4
        3.5
    """

    def __init__(self, ensemble: EnsembleMetric) -> None:
        super().__init__(ensemble.dim)
        flat = [member for member in ensemble.members if type(member) is PullbackMetric]
        if len(flat) < len(ensemble.members):
            kinds = sorted({type(member).__name__ for member in ensemble.members})
            allowed = "an ensemble whose members are pulled back from a flat space"
            raise InvalidParameterError("ensemble", allowed, ", ".join(kinds))
        self.expected = ensemble
        self._immersions = [member.immersion for member in flat]
        self.mean = PullbackMetric(self._mean_image, ensemble.dim)

    def variance(self, z: Latent) -> Scalars:
        """Compute V(z) = mean_s |phi_s(z) - m(z)|^2, shape `(*batch,)`."""
        return self._images(z).var(0, correction=0).sum(-1)

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Return the expected metric, see `Metric.metric_matrix`."""
        return self.expected.metric_matrix(z)

    def chord_rounding(self, z: Latent) -> Scalars:
        """Return that of the expected metric, see `Metric.chord_rounding`."""
        return self.expected.chord_rounding(z)

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Add the variance's part to the mean's, see `Metric.chord_gradient`."""
        value, force = self.mean.chord_gradient(nodes)
        variance, slope = gradient(self._variance_column, nodes)
        return value + _counted(variance), force + 2 * slope[:, 1:-1]

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Return the gradient of S: no formula of higher order holds, see `chord_gradient`."""
        return self.chord_gradient(nodes)

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Add the variance's part to the mean's, see `Metric.expand_chords`."""
        chords, inner = self.mean.expand_chords(nodes), nodes[:, 1:-1]
        ones = inner.new_ones(*inner.shape[:-1], 1)
        at = second_order(self._variance_column, inner, ones)
        return ChordExpansion(
            value=chords.value + _counted(self._variance_column(nodes)),
            gradient=chords.gradient + 2 * at.gradient,
            diagonal=chords.diagonal + 2 * at.hessian,
            off_diagonal=chords.off_diagonal,
            metric=self.metric_matrix(inner),
        )

    def _images(self, z: Tensor) -> Tensor:
        return torch.stack([immersion(z) for immersion in self._immersions])

    def _mean_image(self, z: Tensor) -> Tensor:
        return self._images(z).mean(0)

    def _variance_column(self, z: Tensor) -> Tensor:
        return self.variance(z).unsqueeze(-1)

    def _squared_chords(self, points: Tensor) -> Tensor:
        variance = self.variance(points)
        return self.mean._squared_chords(points) + variance[..., 1:] + variance[..., :-1]


def _counted(variance: Tensor) -> Tensor:
    """Sum the variance of nodes `(batch, n, 1)` as often as each ends a chord."""
    return (variance[:, 1:] + variance[:, :-1]).sum((-1, -2))
