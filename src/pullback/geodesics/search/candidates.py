"""Candidates for geodesics, as starts, while they are refined, and as they are found."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.geodesics.search.thresholds import THRESHOLDS, Thresholds
from pullback.shapes import Scalars

__all__ = ["Candidates", "Found", "Starts", "apart"]


class Candidates(NamedTuple):
    """Curves, each for one of the pairs, and how far the search has brought them.

    Attributes:
        nodes: the curves, shape `(n, nodes, d)`.
        origin: the curves that they began as, shape `(n, nodes, d)`.
        pair: the pair that each is for, shape `(n,)`.
        start: which start it came from, shape `(n,)`.
        length: as measured on the metric, shape `(n,)`.
        chain: the sum of its chords, shape `(n,)`.
        mismatch: estimated relative error of the length for few nodes, shape `(n,)`.
        excess: estimated relative error of the length for not being a geodesic, shape `(n,)`.
        residual: geodesic curvature, shape `(n,)`.
        regular: where the metric is positive definite along it, shape `(n,)`.
        second_variation: 1 if positive, 0 if not, NaN if unknown, shape `(n,)`.
        status: `Status` codes, shape `(n,)`.
        n_steps: steps of the solver, shape `(n,)`.

    Example:
        >>> lines = torch.zeros(2, 3, 2)
        >>> Candidates.of_starts([lines, lines]).pair.tolist()
        [0, 1, 0, 1]
    """

    nodes: Tensor
    origin: Tensor
    pair: Tensor
    start: Tensor
    length: Tensor
    chain: Tensor
    mismatch: Tensor
    excess: Tensor
    residual: Tensor
    regular: Tensor
    second_variation: Tensor
    status: Tensor
    n_steps: Tensor

    @classmethod
    def of_starts(cls, starts: list[Tensor]) -> "Candidates":
        """Stack the starts of all pairs, each `(n_pairs, nodes, d)`, into one batch."""
        n_pairs = len(starts[0])
        nodes = torch.cat(starts)
        index = torch.arange(len(nodes), device=nodes.device)
        unknown = nodes.new_full((len(nodes),), torch.nan)
        count = torch.zeros_like(index)
        return cls(
            nodes=nodes,
            origin=nodes,
            pair=index % max(1, n_pairs),
            start=index // max(1, n_pairs),
            length=unknown,
            chain=unknown,
            mismatch=torch.zeros_like(unknown),
            excess=torch.zeros_like(unknown),
            residual=unknown,
            regular=torch.ones_like(index, dtype=torch.bool),
            second_variation=unknown,
            status=count,
            n_steps=count,
        )

    def where(self, keep: Tensor) -> "Candidates":
        """Keep some of the candidates, by a mask or indices."""
        return Candidates(*(part[keep] for part in self))

    def join(self, other: "Candidates") -> "Candidates":
        """Put two sets of candidates together."""
        return Candidates(*map(torch.cat, zip(self, other, strict=True)))

    def put(self, rows: Tensor, others: "Candidates") -> "Candidates":
        """Return the candidates with some of them, by indices, replaced by others."""
        parts = [part.clone() for part in self]
        for part, new in zip(parts, others, strict=True):
            part[rows] = new
        return Candidates(*parts)

    @property
    def refinement(self) -> Tensor:
        """The estimated relative error of the length, shape `(n,)`."""
        return torch.fmax(self.mismatch, self.excess)

    def best(self) -> Tensor:
        """Mark the shortest candidate of each pair, of equals the first start."""
        length = torch.where(self.length.isfinite(), self.length, torch.inf)
        shortest = length <= _smallest_of_pair(length, self.pair)
        last = self.start.amax() + 1 if len(self.start) > 0 else 0
        rank = torch.where(shortest, self.start, last)
        return shortest & (rank <= _smallest_of_pair(rank, self.pair))

    def close(self, share: float) -> Tensor:
        """Mark those that are longer than the shortest of their pair by at most a share, or NaN."""
        length = torch.where(self.length.isfinite(), self.length, torch.inf)
        return ~(length > share * _smallest_of_pair(length, self.pair))

    def leader(self) -> Tensor:
        """Return the index of the shortest candidate of each one's pair."""
        best = self.best()
        index = self.pair.new_zeros(int(self.pair.max()) + 1 if len(best) > 0 else 0)
        index[self.pair[best]] = best.nonzero().squeeze(-1)
        return index[self.pair]

    def rivals(self, thresholds: Thresholds = THRESHOLDS) -> Tensor:
        """Mark the shortest of each pair, and others while it is not to be trusted or close.

        Few nodes can step over a wall that the curve between them runs into: such a curve is longer
        than its chain.
        """
        best, rival_of = self.best(), self.leader()
        distinct = self._distinct(thresholds.distinct)
        unseen = (self.length / self.chain)[rival_of]
        close = self.length <= thresholds.close * self.length[rival_of]
        kept: Tensor = best | (distinct & (close | ~(unseen <= thresholds.seen)))
        # Where nothing was seen, the candidates may have fallen into the same tunnel.
        return kept | (unseen > thresholds.tunnelled)

    def tunnelled(self, thresholds: Thresholds = THRESHOLDS) -> Tensor:
        """Mark those whose chain went through a wall between two nodes: they are begun anew."""
        longer = self.length > thresholds.tunnelled * self.chain
        return longer & self.length.isfinite()

    def rival_length(self, n_pairs: int, thresholds: Thresholds = THRESHOLDS) -> Tensor:
        """Return the length of the shortest curve that is not the best one of its pair.

        Shape `(n_pairs,)`: NaN where all starts led to the same curve.
        """
        rivals = self._distinct(thresholds.distinct) & self.length.isfinite()
        shortest = self.length.new_full((n_pairs,), torch.inf)
        shortest = shortest.scatter_reduce(0, self.pair[rivals], self.length[rivals], "amin")
        return torch.where(shortest.isfinite(), shortest, torch.nan)

    def _distinct(self, share: float) -> Tensor:
        """Mark curves that run apart from the shortest of their pair."""
        return apart(self.nodes, self.nodes[self.leader()], share)

    def any_of_pair(self, mask: Tensor) -> Tensor:
        """Say of each candidate whether the mask holds for any of its pair."""
        return _smallest_of_pair((~mask).long(), self.pair) == 0


class Starts(NamedTuple):
    """The curves that a search begins from, and what was known of them before it began.

    Attributes:
        certain: straight lines that no curve can beat: nothing is sought for their pairs.
        followed: the starts of all other pairs that are relaxed.
        left_out: starts that run beside a shorter one, and would end on the same curve.
        ahead: which start each of these runs beside, shape `(n_left_out,)`.
        straight_length: of the straight lines, shape `(n_pairs,)`.
        lower_bound: no curve can be shorter, shape `(n_pairs,)`.
        names: the names of the starts.

    Example:
        >>> line = Candidates.of_starts([torch.zeros(1, 3, 2)])
        >>> none, one = line.where(line.pair < 0), torch.ones(1)
        >>> starts = Starts(none, line, none, none.pair, one, one, ("straight", "graph"))
        >>> starts.unknown_lengths()
        tensor([[1., nan]])
    """

    certain: Candidates
    followed: Candidates
    left_out: Candidates
    ahead: Tensor
    straight_length: Scalars
    lower_bound: Scalars
    names: tuple[str, ...]

    def lengths(self, relaxed: Candidates) -> Tensor:
        """Say how long the curve from each start became: shape `(n_pairs, n_starts)`.

        A start that was left out has the length of the one that it runs beside.

        Args:
            relaxed: the followed starts, relaxed on the coarsest level.
        """
        lengths = self.unknown_lengths()
        lengths[relaxed.pair, relaxed.start] = relaxed.length
        beside = lengths[self.left_out.pair, self.ahead]
        lengths[self.left_out.pair, self.left_out.start] = beside
        return lengths

    def unknown_lengths(self) -> Tensor:
        """The same before any start was followed: all but the first are NaN."""
        n_pairs = len(self.straight_length)
        lengths = self.straight_length.new_full((n_pairs, len(self.names)), torch.nan)
        lengths[:, 0] = self.straight_length
        return lengths


class Found(NamedTuple):
    """What was found for some pairs: the seam between those who search and the verdict.

    Whoever has curves for pairs of points, however they came by them, hands them on as this, and
    `verdict.judge` measures them on the exact metric, says what they are, and looks at them again.
    Of each candidate it needs the nodes, at constant speed, with `pair`, `start`, `length` on the
    metric that was searched, `mismatch` and `excess`, `status` and `n_steps`, and what
    `certificate.certify` says of it.

    Attributes:
        parts: one candidate for each pair, in any order, those with equally many nodes together.
        straight_length: of the straight line on the metric that was searched, shape `(n_pairs,)`.
        lower_bound: no curve between the ends can be shorter, shape `(n_pairs,)`.
        start_lengths: of the curve from each start on the coarsest level, NaN where it was not
            followed, shape `(n_pairs, n_starts)`.
        rival_length: of the shortest other curve that a start led to, or NaN, shape `(n_pairs,)`.
        starts: the names of the starts.

    Example:
        >>> line = Candidates.of_starts([torch.zeros(2, 3, 2)])
        >>> zero = torch.zeros(2)
        >>> found = Found([line], zero, zero, zero[:, None], zero, ("straight",))
        >>> found.parts[0].pair.tolist()
        [0, 1]
    """

    parts: list[Candidates]
    straight_length: Scalars
    lower_bound: Scalars
    start_lengths: Tensor
    rival_length: Scalars
    starts: tuple[str, ...]


def apart(nodes: Tensor, others: Tensor, share: float) -> Tensor:
    """Mark curves that run apart from others, by more than a share of the extent of these.

    Args:
        nodes: curves, shape `(n, nodes, d)`.
        others: curves at the same times, shape `(n, nodes, d)`.
        share: the share of the extent.

    Returns:
        A mask, shape `(n,)`.

    Example:
        >>> line = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]])
        >>> apart(line + torch.tensor([0.0, 0.1]), line, 0.02).tolist()
        [True]
    """
    gap = (nodes - others).norm(dim=-1).amax(-1)
    distinct: Tensor = gap > share * (others.amax(1) - others.amin(1)).norm(dim=-1)
    return distinct


def _smallest_of_pair(values: Tensor, pair: Tensor) -> Tensor:
    if len(pair) == 0:
        return values
    empty = values.new_zeros(int(pair.max()) + 1)
    smallest: Tensor = empty.scatter_reduce(0, pair, values, "amin", include_self=False)
    return smallest.gather(0, pair)
