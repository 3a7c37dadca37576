"""Chords between points of a curve: of several steps, by few points or more, to second order."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.shapes import Ambient, Points, Scalars

__all__ = [
    "ChordExpansion",
    "EndExpansion",
    "Refine",
    "RefinedChords",
    "halved_chords",
    "image_chords",
    "interleaved",
]


Refine = Callable[[tuple[Tensor, ...], slice | Tensor], tuple[Tensor, Points]]
"""Which curves to measure by more points, and by which.

From chords of steps 1, 2, 4 and so on between n points on each curve, and from where these curves
stand in their batch, a slice or indices: the places of some among them, `(n_rows,)`, and points
between each two neighbours on these, `(n_rows, n - 1, d)`.
"""


class RefinedChords(NamedTuple):
    """Chords of curves by few points, and by twice as many where that left a doubt.

    Attributes:
        coarse: chord lengths between n points, for the steps 1, 2, 4 and so on, each
            `(batch, (n - 1) / s)`.
        rounding: by how much these may be off for the finite precision of their ends, `(batch,)`.
        floor: no curve with these ends can be shorter, see `Metric.chord_floor`, `(batch,)`.
        rows: the curves that were measured by more points, shape `(n_rows,)`.
        fine: the chord lengths of these, `(n_rows, 2 (n - 1) / s)` for each step; () where there
            is none.

    Example:
        >>> RefinedChords._fields
        ('coarse', 'rounding', 'floor', 'rows', 'fine')
    """

    coarse: tuple[Tensor, ...]
    rounding: Scalars
    floor: Scalars
    rows: Tensor
    fine: tuple[Tensor, ...]

    @classmethod
    def joined(cls, parts: list["RefinedChords"]) -> "RefinedChords":
        """Join the parts of a batch, whose `rows` count in the whole of it."""
        if len(parts) == 1:
            return parts[0]
        coarse, rounding, floor, rows, fine = zip(*parts, strict=True)
        return cls(
            tuple(map(torch.cat, zip(*coarse, strict=True))),
            torch.cat(rounding),
            torch.cat(floor),
            torch.cat(rows),
            tuple(map(torch.cat, zip(*filter(None, fine), strict=True))),
        )

    def to(self, points: Tensor) -> "RefinedChords":
        """Return the same in the precision of the points, and a floor that is one for all that."""
        floor = (self.floor - 2 * self.rounding).clamp(min=0)
        return RefinedChords(
            tuple(part.to(points) for part in self.coarse),
            self.rounding.to(points),
            floor.to(points),
            self.rows,
            tuple(part.to(points) for part in self.fine),
        )

    def put(self, rows: Tensor, others: "RefinedChords") -> "RefinedChords":
        """Return the same with some curves, by their indices `(n,)`, replaced by others."""

        def replaced(part: Tensor, new: Tensor) -> Tensor:
            return part.index_put((rows,), new)

        kept = ~torch.isin(self.rows, rows)
        own = tuple(part[kept] for part in self.fine) if bool(kept.any()) else ()
        both = [fine for fine in (own, others.fine) if fine]
        return RefinedChords(
            tuple(map(replaced, self.coarse, others.coarse)),
            replaced(self.rounding, others.rounding),
            replaced(self.floor, others.floor),
            torch.cat([self.rows[kept], rows[others.rows]]),
            tuple(map(torch.cat, zip(*both, strict=True))),
        )


class ChordExpansion(NamedTuple):
    """The sum S of squared chords of a chain of nodes, to second order in its interior nodes.

    Attributes:
        value: S = sum_i |chord_i|^2, shape `(batch,)`.
        gradient: dS/dz_i, shape `(batch, n, d)` for n interior nodes.
        diagonal: d^2 S / dz_i^2, shape `(batch, n, d, d)`.
        off_diagonal: d^2 S / dz_i dz_i+1, shape `(batch, n - 1, d, d)`.
        metric: M(z_i), or the mean of M in the middle of the two chords that meet there, shape
            `(batch, n, d, d)`.

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


class EndExpansion(NamedTuple):
    """Squared chords to second order in both their ends.

    Attributes:
        value: |chord|^2, shape `(*batch,)`.
        gradient: by both ends, shape `(*batch, 2 d)`.
        hessian: by both ends, shape `(*batch, 2 d, 2 d)`.
        metric: M half-way, shape `(*batch, d, d)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> at = PullbackMetric(lambda z: z).expand_ends(torch.tensor([1.0, 4.0]))  # (4 - 1)^2
        >>> at.value.item(), at.gradient.tolist()
        (9.0, [-6.0, 6.0])
    """

    value: Tensor
    gradient: Tensor
    hessian: Tensor
    metric: Tensor


def image_chords(image: Ambient, steps: Sequence[int]) -> tuple[Tensor, ...]:
    """Measure the chords between images of points along curves.

    What spans several steps is the sum of what spans one, so that images are read once.

    Args:
        image: images of n points along curves, shape `(batch, n, m)`.
        steps: the steps s, each a divisor of n - 1.

    Returns:
        Chord lengths for each step, shapes `(batch, (n - 1) / s)`.

    Example:
        >>> corner = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]])
        >>> [chords.tolist() for chords in image_chords(corner, (1, 2))]
        [[[3.0, 4.0]], [[5.0]]]
    """
    chords, known, difference = [], 0, image
    for step in steps:
        if known > 0 and step == 2 * known:
            difference = difference[:, ::2] + difference[:, 1::2]
        elif step != known:
            difference = image[:, ::step].diff(dim=1)
        known = step
        chords.append(torch.linalg.vector_norm(difference, dim=-1))
    return tuple(chords)


def halved_chords(image: Ambient, between: Tensor) -> Tensor:
    """Measure the chords to images that come between others.

    Args:
        image: images of n points along curves, shape `(batch, n, m)`.
        between: images of points between each two of them, shape `(batch, n - 1, m)`.

    Returns:
        Chord lengths in the order of the curve, shape `(batch, 2 n - 2)`.

    Example:
        >>> ends, middle = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]]), torch.tensor([[[3.0, 0.0]]])
        >>> halved_chords(ends, middle).tolist()
        [[3.0, 4.0]]
    """
    halves = [between - image[:, :-1], image[:, 1:] - between]
    return torch.stack([torch.linalg.vector_norm(half, dim=-1) for half in halves], -1).flatten(1)


def interleaved(points: Points, between: Tensor) -> Tensor:
    """Put points between the neighbours on curves.

    Args:
        points: n points along curves, shape `(batch, n, d)`.
        between: points between each two of them, shape `(batch, n - 1, d)`.

    Example:
        >>> ends, middle = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[[1.0]]])
        >>> interleaved(ends, middle).flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    both = torch.stack([points[:, :-1], between], 2).flatten(1, 2)
    return torch.cat([both, points[:, -1:]], 1)
