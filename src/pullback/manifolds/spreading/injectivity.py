"""The injectivity radius: how far geodesics from a point are the shortest ways."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_integer, check_number, check_points
from pullback.geodesics import LatentGraph, connect, shoot
from pullback.manifolds.spreading.balls import unit_vectors
from pullback.manifolds.spreading.conjugate import conjugate_points
from pullback.metrics import Metric
from pullback.shapes import Nodes, Scalars

__all__ = ["InjectivityRadius", "injectivity_radius"]

# Another way counts as shorter than a geodesic if it is so by this share: ten times the share to
# which lengths are settled, so that the geodesic itself, found again, never counts.
_SHORTER = 1e-3
# Halvings of the interval in which a geodesic stops being the shortest way: 7 leave less than a
# hundredth of it. Each takes a geodesic in every direction.
_N_HALVINGS = 7


@dataclass(frozen=True, eq=False)
class InjectivityRadius:
    """An upper bound of the injectivity radius at a point, and what it was found from.

    Attributes:
        radius: the least of what follows: infinite if nothing was found.
        conjugate: distance to the first conjugate point in each direction, infinite where there is
            none as far as was looked, shape `(n,)`.
        cut: the least length at which another geodesic was found to be shorter, by direction;
            infinite where none was, shape `(n,)`.
        searched: how far each geodesic was followed, shape `(n,)`: with no finding, nothing is
            known beyond.
        directions: the unit vectors, shape `(n, d)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> found = injectivity_radius(HalfPlane(), [0.0, 1.0], 1.5, n_directions=4, n_lengths=2)
        >>> found.radius, found.searched.round(decimals=6).tolist()
        (inf, [1.5, 1.5, 1.5, 1.5])
    """

    radius: float
    conjugate: Scalars
    cut: Scalars
    searched: Scalars
    directions: Nodes

    __repr__ = as_line
    _repr_html_ = as_html


def injectivity_radius(
    metric: Metric,
    point: Any,
    max_length: float,
    *,
    n_directions: int = 32,
    n_lengths: int = 8,
    graph: LatentGraph | None = None,
    generator: torch.Generator | None = None,
) -> InjectivityRadius:
    """Bound the injectivity radius at a point from above, by geodesics in sampled directions.

    A geodesic is no longer the shortest way beyond its first conjugate point, nor once another way
    to its end is shorter: of each geodesic some points are connected with the start anew, and where
    that is shorter the length is narrowed down. Both are proofs, so the true radius is at most the
    one returned; between the directions, and where the search for geodesics misses the shorter one,
    it may be less.

    Args:
        metric: the Riemannian metric.
        point: a, shape `(d,)`.
        max_length: how far to look.
        n_directions: geodesics to follow: at equal angles from a random one for d = 2, else random.
        n_lengths: points of each to connect anew.
        graph: a graph over the region, from which the search for shorter ways starts too.
        generator: draws the directions; seed 0 if None.

    Returns:
        The bound, and what was found in each direction.

    Raises:
        InvalidParameterError: a number is out of range.
        InvalidDataError: the point is not finite, or not one point.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 13.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: z)
        >>> injectivity_radius(flat, [0.0, 0.0], 2.0, n_directions=3, n_lengths=2).radius
        inf
    """
    check_number("max_length", max_length, 0, open_low=True)
    check_integer("n_directions", n_directions)
    check_integer("n_lengths", n_lengths)
    z = check_points("point", point, metric.dim).detach()
    if z.ndim != 1:
        raise InvalidDataError(
            f"`point` must be one point, of shape (d,), but got {tuple(z.shape)}. Call it for each."
        )
    u = unit_vectors(metric, z, _directions(z, n_directions, generator))
    found = conjugate_points(metric, z, max_length * u)
    t = torch.linspace(0, 1, n_lengths + 1, dtype=z.dtype, device=z.device)[1:]
    ends = shoot(metric, z, max_length * u).at(t)
    lengths = max_length * t
    known = ends.isfinite().all(-1) & (lengths <= found.distance.unsqueeze(-1))
    shorter = torch.zeros_like(known)
    shorter[known] = _is_shorter(metric, z, ends[known], lengths.expand(known.shape)[known], graph)
    cut = torch.where(shorter, lengths, torch.inf).amin(-1)
    near = cut.isfinite() & (cut <= cut.amin())
    cut[near] = _narrowed(metric, z, u[near], cut[near], max_length / n_lengths, graph)
    radius = torch.minimum(found.distance, cut).amin()
    return InjectivityRadius(float(radius), found.distance, cut, found.followed, u)


def _directions(z: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    generator = generator or torch.Generator().manual_seed(0)
    kind: Any = {"dtype": torch.float64, "device": generator.device}
    if len(z) == 2:
        shift = torch.rand(1, generator=generator, **kind)
        angle = 2 * math.pi / n * (torch.arange(n, **kind) + shift)
        return torch.stack([angle.cos(), angle.sin()], -1).to(z)
    x = torch.randn(n, len(z), generator=generator, **kind)
    unit: Tensor = (x / x.norm(dim=-1, keepdim=True)).to(z)
    return unit


def _is_shorter(
    metric: Metric, z: Tensor, ends: Tensor, lengths: Tensor, graph: LatentGraph | None
) -> Tensor:
    """Say to which ends of geodesics of known lengths there is a shorter way."""
    if len(ends) == 0:
        return torch.zeros_like(lengths, dtype=torch.bool)
    other = connect(metric, z, ends, graph=graph)
    return other.converged & (other.length < (1 - _SHORTER) * lengths)


def _narrowed(
    metric: Metric, z: Tensor, u: Tensor, high: Tensor, step: float, graph: LatentGraph | None
) -> Tensor:
    """Halve intervals of length: at their upper ends geodesics are no shortest ways any more."""
    low = high - step
    for _ in range(_N_HALVINGS if len(u) > 0 else 0):
        middle = (low + high) / 2
        ends = shoot(metric, z, middle.unsqueeze(-1) * u).end
        shorter = torch.zeros_like(high, dtype=torch.bool)
        known = ends.isfinite().all(-1)
        shorter[known] = _is_shorter(metric, z, ends[known], middle[known], graph)
        low, high = torch.where(shorter, low, middle), torch.where(shorter, middle, high)
    return high
