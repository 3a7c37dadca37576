"""The nearest of a set of points by geodesic distance, with as few geodesics as a bound allows."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import InvalidDataError
from pullback.geodesics import Ruler
from pullback.shapes import Codes

__all__ = ["Nearest", "find_nearest"]

_BLOCK = 1024  # points whose neighbours are searched together
_SLACK = 5e-3  # by how much a short search may find less than the distance


class Nearest(NamedTuple):
    """The k nearest points of each point.

    Attributes:
        length: geodesic distances in increasing order, shape `(m, k)`.
        indices: which points, shape `(m, k)`.
        n_solved: pairs that were measured.
        n_failed: pairs of them that did not converge.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> Z = torch.tensor([[0.0], [1.0], [5.0]]).double()
        >>> nearest = find_nearest(Ruler(PullbackMetric(lambda z: 2 * z), Z), Z[:1] + 4, 2)
        >>> nearest.indices.tolist(), nearest.length.round(decimals=6).tolist()
        ([[2, 1]], [[2.0, 6.0]])
    """

    length: Tensor
    indices: Tensor
    n_solved: int
    n_failed: int


def find_nearest(ruler: Ruler, points: Codes, k: int, *, own: bool = False) -> Nearest:
    """Find the k nearest of the ruler's points, exactly as far as its distances are.

    The image of a decoder bounds distances from below: candidates are measured in the order of
    that bound, some at a time, until it exceeds the k-th distance found. Without an immersion there
    is no bound, and all pairs are measured; on a graph they are all known at once.

    Args:
        ruler: measures to the points.
        points: from where, shape `(m, d)`.
        k: how many neighbours.
        own: `points` are the ruler's own, and none is to be its own neighbour.

    Returns:
        The neighbours.

    Raises:
        InvalidDataError: a point reaches fewer than k others.

    Source:
        Seidl and Kriegel, Optimal multi-step k-nearest neighbor search (1998).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> Z = torch.tensor([[0.0], [1.0], [5.0]]).double()
        >>> ruler = Ruler(PullbackMetric(lambda z: 2 * z), Z)
        >>> find_nearest(ruler, Z, 1, own=True).indices.tolist()
        [[1], [0], [1]]
    """
    find = _on_graph if ruler.method == "graph" else _by_bounds
    blocks = []
    for first in range(0, len(points), _BLOCK):
        block = points[first : first + _BLOCK]
        skip = torch.arange(first, first + len(block), device=points.device) if own else None
        blocks.append(find(ruler, block, k, skip))
    length = torch.cat([block.length for block in blocks])
    _refuse_lonely(length)
    return Nearest(
        length,
        torch.cat([block.indices for block in blocks]),
        sum(block.n_solved for block in blocks),
        sum(block.n_failed for block in blocks),
    )


def _on_graph(ruler: Ruler, points: Tensor, k: int, skip: Tensor | None) -> Nearest:
    length = ruler.to(points).length
    if skip is not None:
        length.scatter_(1, skip.unsqueeze(-1), torch.inf)
    found = length.sort(dim=-1, stable=True)
    return Nearest(found.values[:, :k], found.indices[:, :k], 0, 0)


def _by_bounds(ruler: Ruler, points: Tensor, k: int, skip: Tensor | None) -> Nearest:
    bounds = ruler.bounds(points)
    n = bounds.shape[1]
    if skip is not None:
        bounds.scatter_(1, skip.unsqueeze(-1), torch.inf)
    order = bounds.argsort(dim=-1, stable=True)
    ordered = bounds.gather(1, order)
    n_candidates = n if skip is None else n - 1
    length = points.new_full((len(points), k), torch.inf)
    index = torch.zeros(len(points), k, dtype=torch.long, device=points.device)
    rows, seen, n_solved, n_failed = torch.arange(len(points), device=points.device), 0, 0, 0
    while len(rows) > 0 and seen < n_candidates:
        # Where nothing is bounded all must be measured, and best at once.
        width = max(k, seen) if bool((ordered[rows, -1 if skip is None else -2] > 0).any()) else n
        candidates = order[rows, seen : min(seen + width, n_candidates)]
        measured = ruler.pairs(
            points[rows].repeat_interleave(candidates.shape[1], 0),
            ruler.Z[candidates.flatten()],
        )
        n_solved, n_failed = n_solved + candidates.numel(), n_failed + measured.n_failed
        lengths = torch.cat([length[rows], measured.length.reshape(candidates.shape)], 1)
        best = lengths.sort(dim=-1, stable=True)
        length[rows] = best.values[:, :k]
        index[rows] = torch.cat([index[rows], candidates], 1).gather(1, best.indices[:, :k])
        seen += candidates.shape[1]
        if seen < n_candidates:
            rows = rows[(1 - _SLACK) * ordered[rows, seen] <= length[rows, -1]]
    return Nearest(length, index, n_solved, n_failed)


def _refuse_lonely(length: Tensor) -> None:
    reached = length.isfinite().sum(-1)
    lonely = reached < length.shape[1]
    if bool(lonely.any()):
        i = int(lonely.nonzero()[0])
        raise InvalidDataError(
            f"{int(lonely.sum())} of {len(length)} points reach fewer than {length.shape[1]} "
            f"training points (the first is point {i}, which reaches {int(reached[i])}): the "
            "decoder is not finite between them, or the graph falls into parts. Remove such "
            "points, ask for fewer neighbours, or try another `method`."
        )
