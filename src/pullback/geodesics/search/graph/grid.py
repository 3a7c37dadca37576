"""Regular grids over points of the latent space, and the edges between their nodes."""

import itertools
import math

import torch
from torch import Tensor

from pullback.metrics import Metric
from pullback.shapes import Codes, Nodes

__all__ = ["fine_enough", "grid_edges", "grid_nodes", "lattice_box"]

_PROBED = 128  # edges of a grid that are measured by more chords, of thousands: by judgement
# Share of the chords of a grid up to which single precision may round them: they are straight, and
# paths along them too long by a hundredth, so that less would change nothing. It takes half the
# time on the common problem (0.7 for 1.3 to 2.0 CPU s).
_ROUNDING = 1e-3
_GOLDEN = (5**0.5 - 1) / 2  # whose multiples modulo 1 lie as evenly as any: where edges begin
_CHORDS = 8  # that measure each of these, four times as many as usual
# Share by which nine of ten of these edges may then be longer. Of the 24 kinds of
# `benchmarks/honesty.py`, on 64 nodes over the data, it is 0.07 for attention, whose images fold
# more often than there are nodes, and below 0.025 for all others; over a box of a lattice, which is
# larger, also 0.04 to 0.08 for five of them. With 64 nodes three of 33 answers among such folds
# miss a way that is 1.7 to 2.9 % shorter, with 128 none does.
_UNSEEN = 0.03


def lattice_box(points: Codes) -> Nodes:
    """Cover points by a cube of a lattice: many sets of points have the same.

    Its edge is twice the next power of two above the extent of the points, and its lowest corner
    lies on multiples of that power: of 1000 random pairs of a normal prior 75 boxes cover all, and
    a graph over a box finds ways round obstacles that a box around the points alone cuts off.

    Args:
        points: points of the latent space, shape `(n, d)`.

    Returns:
        The lowest and the highest corner, shape `(2, d)`.

    Example:
        >>> lattice_box(torch.tensor([[0.1, 0.2], [1.0, 0.9]])).tolist()
        [[0.0, 0.0], [2.0, 2.0]]
        >>> lattice_box(torch.tensor([[1.6, 0.1], [0.9, 0.24]])).tolist()
        [[0.0, 0.0], [2.0, 2.0]]
    """
    low, high = points.amin(0), points.amax(0)
    extent = (high - low).amax().clamp(min=1e-6)
    half = extent.log2().ceil().exp2()
    corner = (low / half).floor() * half
    return torch.stack([corner, corner + 2 * half])


def grid_nodes(codes: Codes, *, resolution: int, margin: float = 0.2) -> Nodes:
    """Lay a regular grid over the bounding box of codes, widened by a share of its extent.

    Args:
        codes: points to cover, shape `(n, d)`.
        resolution: nodes along each axis.
        margin: how far the grid reaches beyond the codes, as a share of their extent.

    Returns:
        Nodes, shape `(resolution ** d, d)`, the last axis running fastest.

    Example:
        >>> grid_nodes(torch.tensor([[0.0], [1.0]]), resolution=3, margin=0.5).flatten().tolist()
        [-0.5, 0.5, 1.5]
    """
    low, high = codes.amin(0), codes.amax(0)
    extent = (high - low).amax().clamp(min=1e-6)
    low, high = low - margin * extent, high + margin * extent
    axes = [
        torch.linspace(float(a), float(b), resolution, dtype=codes.dtype, device=codes.device)
        for a, b in zip(low, high, strict=True)
    ]
    return torch.cartesian_prod(*axes).reshape(-1, codes.shape[1])


def grid_edges(
    metric: Metric, codes: Tensor, *, resolution: int, margin: float
) -> tuple[Tensor, Tensor]:
    """Join each node of a grid to those near by, and measure each edge as two chords.

    In the plane each is joined in 32 directions, up to three cells away, for with 16 paths are too
    long by up to 3 % and may lead round the wrong side; else to those one cell away. The middle of
    every edge lies on the grid of half the step, so that each point of that one is decoded only a
    few times, however many edges meet there.

    Args:
        metric: the Riemannian metric.
        codes: points to cover, shape `(n, d)`.
        resolution: nodes along each axis, as of `grid_nodes`.
        margin: how far the grid reaches beyond the codes, as a share of their extent.

    Returns:
        Pairs of places in `grid_nodes`, shape `(n_edges, 2)`, each undirected edge once, and the
        lengths of the edges, `(n_edges,)`: not finite where the metric is not.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> metric, codes = PullbackMetric(lambda z: 2 * z), torch.tensor([[0.0], [1.0]])
        >>> edges, lengths = grid_edges(metric, codes, resolution=3, margin=0.0)
        >>> edges.tolist(), lengths.tolist()
        ([[0, 1], [1, 2]], [1.0, 1.0])
    """
    d = codes.shape[1]
    fine = 2 * resolution - 1
    points = grid_nodes(codes, resolution=fine, margin=margin)
    place = fine ** torch.arange(d - 1, -1, -1, device=codes.device)
    nodes = torch.cartesian_prod(*[torch.arange(resolution, device=codes.device)] * d)
    nodes = nodes.reshape(-1, d)
    starts, offsets = [], []
    for offset in _offsets(d):
        step = torch.tensor(offset, device=codes.device)
        end = nodes + step
        inside = ((end >= 0) & (end < resolution)).all(-1)
        starts.append(nodes[inside])
        offsets.append(step.expand(len(starts[-1]), d))
    start, step = torch.cat(starts), torch.cat(offsets)
    index = (2 * start * place).sum(-1)
    half = torch.stack([index, index + (step * place).sum(-1)], -1)
    halves = torch.stack([half, half + (step * place).sum(-1, keepdim=True)], 1)
    order = halves[:, 0, 0].argsort()  # neighbours in the grid come together
    chords = _chords_between(metric, points, halves[order].reshape(-1, 2)).reshape(-1, 2)
    coarse = resolution ** torch.arange(d - 1, -1, -1, device=codes.device)
    edges = torch.stack([(start * coarse).sum(-1), ((start + step) * coarse).sum(-1)], -1)
    return edges[order], chords.sum(-1)


def _chords_between(metric: Metric, points: Nodes, pairs: Tensor) -> Tensor:
    """Measure chords of a grid, in single precision where it rounds them by little."""
    single = metric.single
    with torch.no_grad():
        if single is not None:
            chords = single.chords_between(points.float(), pairs).to(points)
            probed = points[:: -(-len(points) // _PROBED)].float()
            usual = chords[chords.isfinite()].mean()
            if bool(single.chord_rounding(probed).amax() < _ROUNDING * usual):
                return chords
        return metric.chords_between(points, pairs)


def fine_enough(metric: Metric, codes: Tensor, resolution: int, *, margin: float) -> bool:
    """Say whether the edges of a grid see what lies on them: more chords make them no longer.

    Args:
        metric: the Riemannian metric.
        codes: points to cover, shape `(n, d)`.
        resolution: nodes along each axis, as of `grid_nodes`.
        margin: how far the grid reaches beyond the codes, as a share of their extent.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> folded = PullbackMetric(lambda z: (20 * z).sin())
        >>> codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        >>> [fine_enough(folded, codes, n, margin=0.0) for n in (8, 64)]
        [False, True]
    """
    nodes, d = grid_nodes(codes, resolution=resolution, margin=margin), codes.shape[1]
    offsets = torch.tensor(_offsets(d), device=codes.device)
    step = (nodes[-1] - nodes[0]) / (resolution - 1)
    index = torch.arange(_PROBED, device=codes.device)
    start = nodes[(index * _GOLDEN % 1 * len(nodes)).long()]
    edge = offsets[index % len(offsets)] * step
    t = torch.linspace(0, 1, _CHORDS + 1, dtype=codes.dtype, device=codes.device)
    with torch.no_grad():
        few, many = metric.chords_by_step(
            start.unsqueeze(1) + t.unsqueeze(-1) * edge.unsqueeze(1), (_CHORDS // 2, 1)
        )
    longer = many.sum(-1) / few.sum(-1) - 1
    longer = longer[longer.isfinite()]
    return len(longer) == 0 or bool(longer.quantile(0.9) <= _UNSEEN)


def _offsets(d: int) -> list[tuple[int, ...]]:
    """The directions of edges, one of each two opposite ones and none a multiple of another."""
    reach = 3 if d == 2 else 1
    around = itertools.product(range(-reach, reach + 1), repeat=d)
    return [offset for offset in around if offset > (0,) * d and math.gcd(*offset) == 1]
