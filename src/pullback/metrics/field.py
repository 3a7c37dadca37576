"""The metric that an immersion pulls back from an ambient space with a metric of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pullback.autodiff import Map, gradient, jacobian, jvp
from pullback.metrics.ambient import AmbientMetric
from pullback.metrics.base import ChordExpansion, Metric
from pullback.metrics.pullback import PullbackMetric
from pullback.shapes import Latent, MetricMatrix, Points, Scalars, Tangent

__all__ = ["FieldMetric"]


class FieldMetric(PullbackMetric):
    r"""The pull-back M(z) = J_phi(z)^T G(phi(z)) J_phi(z) of a metric field G on R^m.

    A chord is measured with G half-way between its ends, (b - a)^T G((a + b) / 2) (b - a), which
    needs one image of each node and no Jacobian.

    Args:
        immersion: phi, from points `(*batch, d)` to images `(*batch, m)`, row by row.
        field: G, the metric of the ambient space.
        dim: the dimension d of the latent space, or None where any will do.

    Source:
        Arvanitidis, Hauberg, Schoelkopf, Geometrically enriched latent spaces (2021), section 3.

    Example:
        >>> class Growing(AmbientMetric):
        ...     def apply(self, x, v):
        ...         return (1 + x.square().sum(-1, keepdim=True)) * v
        >>> M = FieldMetric(lambda z: 2 * z, Growing(), dim=2)
        >>> M.metric_matrix(torch.tensor([1.0, 0.0])).tolist()
        [[20.0, 0.0], [0.0, 20.0]]
    """

    def __init__(self, immersion: Map, field: AmbientMetric, dim: int | None = None) -> None:
        super().__init__(immersion, dim)
        self.field = field

    @property
    def single(self) -> None:
        """None: a field need not compute in single precision."""
        return

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute J^T G J, shape `(*batch, d, d)`, see `Metric.metric_matrix`."""

        def gram(z: Tensor) -> Tensor:
            image, J = jacobian(self.immersion, z)
            M = self.field.apply(image.unsqueeze(-2), J.mT) @ J
            return (M + M.mT) / 2

        flat = z.reshape(-1, z.shape[-1])
        chunks = [gram(part) for part in self._chunks(flat, sweeps=1 + 2 * z.shape[-1])]
        return torch.cat(chunks).reshape(*z.shape, z.shape[-1])

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute <J u, G J v>, see `Metric.inner_product`."""
        image, pushed = jvp(self.immersion, z, u)
        return (pushed * self.field.apply(image, self.push_forward(z, v))).sum(-1)

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute |J v|_G in one forward sweep, see `Metric.norm`."""
        image, pushed = jvp(self.immersion, z, v)
        return (pushed * self.field.apply(image, pushed)).sum(-1).clamp(min=0).sqrt()

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Return 0: in a curved space a straight line bounds nothing, see `Metric.chord_floor`."""
        return Metric.chord_floor(self, point_a, point_b)

    def chord_rounding(self, z: Latent) -> Scalars:
        """Take a few units in the last place of the images, see `Metric.chord_rounding`."""
        image = self.immersion(z)
        size = (image * self.field.apply(image, image)).sum(-1).clamp(min=0).sqrt()
        return 4 * torch.finfo(z.dtype).eps * size

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Differentiate the metric, see `Metric.acceleration`."""
        return Metric.acceleration(self, z, v)

    def chords_by_step(self, points: Points, steps: Sequence[int] = (1, 2)) -> tuple[Tensor, ...]:
        """Measure all on the same images, see `Metric.chords_by_step`."""
        flat = points.reshape(-1, *points.shape[-2:])
        chords: list[list[Tensor]] = [[] for _ in steps]
        for part in self._chunks(flat, sweeps=4):
            image = self.immersion(part)
            for step, found in zip(steps, chords, strict=True):
                found.append(self._squared(image[:, ::step]).clamp(min=0).sqrt())
        shape = points.shape[:-2]
        return tuple(torch.cat(found).reshape(*shape, found[0].shape[-1]) for found in chords)

    def chords_between(self, points: Tensor, pairs: Tensor) -> Tensor:
        """Measure pair by pair, see `Metric.chords_between`."""
        parts = torch.split(pairs, self._n_rows(points, sweeps=8))
        return torch.cat([Metric.chords_between(self, points, part) for part in parts])

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Pull the sum of squared chords back, see `Metric.chord_gradient`."""
        parts = [
            gradient(self._squared_chords_at_once, part) for part in self._chunks(nodes, sweeps=6)
        ]
        value, pulled = (torch.cat(part) for part in zip(*parts, strict=True))
        return value.sum(-1), pulled[:, 1:-1]

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Combine two gradients, see `Metric.energy_gradient`."""
        return Metric.energy_gradient(self, nodes)

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Expand chord by chord, see `Metric.expand_chords`."""
        sweeps = 4 * nodes.shape[-1] + 6
        parts = [Metric.expand_chords(self, part) for part in self._chunks(nodes, sweeps=sweeps)]
        return ChordExpansion(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _squared_chords(self, points: Tensor) -> Tensor:
        flat = points.reshape(-1, *points.shape[-2:])
        parts = [self._squared_chords_at_once(part) for part in self._chunks(flat, sweeps=4)]
        return torch.cat(parts).reshape(*points.shape[:-2], points.shape[-2] - 1)

    def _squared_chords_at_once(self, points: Tensor) -> Tensor:
        return self._squared(self.immersion(points))

    def _squared(self, image: Tensor) -> Tensor:
        chord, middle = image.diff(dim=-2), (image[..., 1:, :] + image[..., :-1, :]) / 2
        return (chord * self.field.apply(middle, chord)).sum(-1)
