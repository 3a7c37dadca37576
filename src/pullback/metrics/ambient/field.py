"""The metric that an immersion pulls back from an ambient space with a metric of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import Map, differentiable, gradient, jacobian, jvp, second_order
from pullback.errors import InvalidParameterError
from pullback.metrics.ambient.base import AmbientMetric
from pullback.metrics.base import Metric
from pullback.metrics.chords import ChordExpansion, Refine, RefinedChords
from pullback.metrics.pullback import PullbackMetric
from pullback.shapes import (
    Codes,
    Latent,
    MetricMatrix,
    Nodes,
    Pairs,
    Points,
    Scalars,
    Tangent,
)

__all__ = ["FieldMetric"]


class FieldMetric(PullbackMetric):
    r"""The pull-back M(z) = J_phi(z)^T G(phi(z)) J_phi(z) of a metric field G on R^m.

    A chord is measured with G half-way between its ends, (b - a)^T G((a + b) / 2) (b - a), which
    needs one image of each node and no Jacobian.

    Args:
        immersion: phi, from points `(*batch, d)` to images `(*batch, m)`, row by row.
        field: G, the metric of the ambient space.
        dim: the dimension d of the latent space, or None where any will do.

    Raises:
        InvalidParameterError: `field` is no ambient metric.

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
        kind: Any = field
        if not isinstance(kind, AmbientMetric):
            cure = "Of a decoder take `Manifold(decoder, ambient=...)`."
            raise InvalidParameterError("field", "an `AmbientMetric`", type(kind).__name__, cure)
        self.field = field

    @property
    def single(self) -> None:
        """None: a field need not compute in single precision."""
        return

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute J^T G J, shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        flat = z.reshape(-1, z.shape[-1])
        parts = self._chunks(flat, sweeps=1 + 2 * z.shape[-1])
        chunks = [self._gram(*jacobian(self.immersion, part)) for part in parts]
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

    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Return 0, as `chord_floor` does, see `Metric.lower_bounds`."""
        return Metric.lower_bounds(self, point_a, point_b)

    def chord_rounding(self, z: Latent) -> Scalars:
        """Take a few units in the last place of the images, see `Metric.chord_rounding`."""
        image = self.immersion(z)
        size = (image * self.field.apply(image, image)).sum(-1).clamp(min=0).sqrt()
        return 4 * torch.finfo(z.dtype).eps * size

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        r"""Pull the bend of the image of a straight line back, see `Metric.acceleration`.

        With p = J v, J^T G J c'' = J^T (1/2 grad_x (p^T G p) - (D_p G) p - G D^2 phi[v, v]).
        """

        def solved(z: Tensor, v: Tensor) -> Tensor:
            _, bend = jvp(lambda z: jvp(self.immersion, z, v)[1], z, v)
            image, J = jacobian(self.immersion, z)
            p = (J @ v.unsqueeze(-1)).squeeze(-1)
            _, pull = gradient(lambda x: (p * self.field.apply(x, p)).sum(-1), image)
            _, change = jvp(lambda x: self.field.apply(x, p), image, p)
            force = pull / 2 - change - self.field.apply(image, bend)
            pulled = (J.mT @ force.unsqueeze(-1)).squeeze(-1)
            a, positive = linalg.solve(self._gram(image, J), pulled)
            return torch.where(positive.unsqueeze(-1), a, torch.nan)

        d = z.shape[-1]
        pairs = torch.stack([z.reshape(-1, d), v.reshape(-1, d)], 1)
        parts = [solved(*part.unbind(1)) for part in self._chunks(pairs, sweeps=4 + 2 * d)]
        return torch.cat(parts).reshape(z.shape)

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

    def refined_chords(self, points: Points, n_steps: int, refine: Refine) -> RefinedChords:
        """Measure each time anew, see `Metric.refined_chords`."""
        return Metric.refined_chords(self, points, n_steps, refine)

    def chords_between(self, points: Nodes, pairs: Pairs) -> Tensor:
        """Map each point of a block of pairs once, see `Metric.chords_between`."""
        chords = [points.new_zeros(0)]
        n_rows = self._n_rows(points, sweeps=8)
        for block in torch.split(pairs, 4 * n_rows) if len(pairs) else ():
            index, position = block.unique(return_inverse=True)
            parts = self._chunks(points[index], sweeps=8)
            image = torch.cat([self.immersion(part) for part in parts])
            for ends in torch.split(position, n_rows):
                chords.append(self._squared(image[ends]).squeeze(-1).clamp(min=0).sqrt())
        return torch.cat(chords)

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
        """Sweep over the nodes once, then over their images, see `Metric.expand_chords`."""
        sweeps = 8 * nodes.shape[-1] + 6
        parts = [self._expand_chords(part) for part in self._chunks(nodes, sweeps=sweeps)]
        return ChordExpansion(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _expand_chords(self, nodes: Tensor) -> ChordExpansion:
        # The Hessian has two parts. Second derivatives of phi enter only along the force on the
        # images, a covector, by one sweep; second derivatives of the chords act on the columns of
        # J, which needs no sweep through phi.
        image = self.immersion(nodes)
        ends = torch.cat([image[:, :-1], image[:, 1:]], -1)
        chord, force = gradient(self._squared_of_ends, ends)
        before, after = force.chunk(2, -1)
        at = second_order(self.immersion, nodes[:, 1:-1], after[:, :-1] + before[:, 1:])
        J = torch.nn.functional.pad(at.jacobian, (0, 0, 0, 0, 1, 1))  # the ends are held
        of_a, of_b = (self._change_of_force(ends, *columns) for columns in _sides(J))
        own = J[:, :-1].mT @ of_a[0], J[:, 1:].mT @ of_b[1]
        return ChordExpansion(
            value=chord.sum(-1),
            gradient=at.gradient,
            diagonal=at.hessian + own[1][:, :-1] + own[0][:, 1:],
            off_diagonal=(J[:, :-1].mT @ of_b[0])[:, 1:-1],
            metric=self._gram(image[:, 1:-1], at.jacobian),
        )

    def _change_of_force(self, ends: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """How the forces on both ends of chords change as the ends move along columns."""

        def along(columns: Tensor) -> Tensor:
            return jvp(lambda ends: gradient(self._squared_of_ends, ends)[1], ends, columns)[1]

        with differentiable():
            moved = torch.func.vmap(along, in_dims=-1, out_dims=-1)(torch.cat([a, b], -2))
        on_a, on_b = moved.chunk(2, -2)
        return on_a, on_b

    def _gram(self, image: Tensor, J: Tensor) -> Tensor:
        M = self.field.apply(image.unsqueeze(-2), J.mT) @ J
        return (M + M.mT) / 2

    def _n_rows(self, items: Tensor, *, sweeps: int, held: int = 1) -> int:
        rows = super()._n_rows(items, sweeps=sweeps, held=held)
        m = self._ambient_dim or 1
        return max(1, rows * m // self.field.n_entries(m))

    def _squared_chords(self, points: Tensor) -> Tensor:
        flat = points.reshape(-1, *points.shape[-2:])
        parts = [self._squared_chords_at_once(part) for part in self._chunks(flat, sweeps=4)]
        return torch.cat(parts).reshape(*points.shape[:-2], points.shape[-2] - 1)

    def _squared_chords_at_once(self, points: Tensor) -> Tensor:
        return self._squared(self.immersion(points))

    def _squared_of_ends(self, ends: Tensor) -> Tensor:
        return self._squared(torch.stack(ends.chunk(2, -1), -2)).squeeze(-1)

    def _squared(self, image: Tensor) -> Tensor:
        chord, middle = image.diff(dim=-2), (image[..., 1:, :] + image[..., :-1, :]) / 2
        return (chord * self.field.apply(middle, chord)).sum(-1)


def _sides(J: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The columns along which the first ends of chords move, and those of the second."""
    a, b = J[:, :-1], J[:, 1:]
    return (a, torch.zeros_like(a)), (torch.zeros_like(b), b)
