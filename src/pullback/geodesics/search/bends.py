"""Curves that are bent aside: starts for searches where no graph sees round obstacles."""

import torch
from torch import Tensor

from pullback.geodesics.search.measure import rough_chords
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.metrics import Metric
from pullback.shapes import Points

__all__ = ["shortest_bends"]


def shortest_bends(
    metric: Metric,
    curves: Points,
    *,
    height: float = THRESHOLDS.arch,
    kept: int = THRESHOLDS.bends,
    directions: int = THRESHOLDS.directions,
    turn: int = 0,
) -> list[Points]:
    """Bend curves aside in some directions, and keep the shortest of each.

    The directions are perpendicular to each other and to the chord, in coordinates: d - 1 of them,
    or some of those at random.

    Args:
        metric: the metric.
        curves: points along curves, shape `(n, points, d)`, d >= 2.
        height: of the arch that is added, as a share of the chord.
        kept: how many to keep of each, where there are as many.
        directions: how many at most, each to both sides.
        turn: which frame of directions: each turn has its own.

    Returns:
        Curves with the same ends, the shortest of each first: up to `kept` times `(n, points, d)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(1, 9, 1) * torch.ones(3)
        >>> bent, _ = shortest_bends(PullbackMetric(lambda z: z), line)
        >>> bool((bent[0, 4] - line[0, 4]).norm() > 0.4), bool((bent[0, 0] == line[0, 0]).all())
        (True, True)
    """
    aside = _directions(curves, directions, turn)
    t = torch.linspace(0, torch.pi, curves.shape[1], dtype=curves.dtype, device=curves.device)
    arch = height * t.sin()[:, None] * aside.unsqueeze(2)
    arch[..., [0, -1], :] = 0.0
    bent = curves.unsqueeze(1) + arch
    length = rough_chords(metric, bent.flatten(0, 1)).sum(-1)
    length = length.nan_to_num(nan=torch.inf).reshape(bent.shape[:2])
    best = length.argsort(-1)[:, :kept]
    row = torch.arange(len(curves), device=curves.device)
    return [bent[row, best[:, k]] for k in range(best.shape[1])]


def _directions(curves: Tensor, most: int, turn: int) -> Tensor:
    """Vectors as long as each chord and perpendicular to it, and their opposites: `(n, k, d)`."""
    chord = curves[:, -1] - curves[:, 0]
    d = chord.shape[-1]
    generator = torch.Generator(device="cpu").manual_seed(turn)
    drawn = torch.randn(d, min(d - 1, most), generator=generator, dtype=torch.float64)
    drawn = drawn.to(curves).expand(len(curves), -1, -1)
    frame = torch.linalg.qr(torch.cat([chord.unsqueeze(-1), drawn], -1)).Q
    aside = chord.norm(dim=-1)[:, None, None] * frame[..., 1:].mT
    return torch.cat([aside, -aside], 1)
