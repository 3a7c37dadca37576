"""Draws along geodesics, and around them."""

from typing import Any

import torch
from torch import Tensor

from pullback import linalg
from pullback.curves import Curve
from pullback.errors import InvalidParameterError, check_choice, check_number
from pullback.geodesics import GeodesicResult
from pullback.geodesics import Status as GeodesicStatus
from pullback.manifolds import Manifold
from pullback.sampling.base import check_manifold
from pullback.sampling.independent import IndependentSampler
from pullback.sampling.samples import ChainStatus, Samples
from pullback.shapes import Mask

__all__ = ["GeodesicTube"]

# Chords by which the length along a curve is measured, to place draws evenly along it.
_FINE = 2000


class GeodesicTube(IndependentSampler):
    r"""Points along curves by their arc length in the metric, and normal draws around them.

    Around: exp at a point of the curve of s xi, where xi ~ N(0, M^-1) less its part along the
    curve, so that a draw is off the curve by about s in each of the d - 1 directions across it.

    Args:
        manifold: the latent space.
        path: geodesics, or any `Curve`.
        spread: s >= 0, in the unit of the metric; 0 for points on the curves.

    Raises:
        InvalidParameterError: not a manifold, `path` is neither, or `spread` is out of range.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> M = Manifold(HalfPlane())
        >>> up = M.geodesic([0.0, 1.0], [0.0, 16.0])
        >>> GeodesicTube(M, up).sample(5).points[:, 1].round(decimals=3).tolist()
        [1.0, 2.0, 4.0, 8.0, 16.0]
        >>> around = GeodesicTube(M, up, spread=0.1).sample(200, random_state=0)
        >>> round(HalfPlane().dist(around.points, around.points * torch.tensor([0, 1]))[1:-1].
        ...       square().mean().sqrt().item(), 1)  # the geodesic is the line x = 0
        0.1
    """

    def __init__(
        self, manifold: Manifold, path: GeodesicResult | Curve | Any, *, spread: float = 0.0
    ) -> None:
        if not isinstance(path, GeodesicResult | Curve):
            cure = "Make one: `manifold.geodesic(point_a, point_b)`."
            allowed = "a GeodesicResult or a Curve"
            raise InvalidParameterError("path", allowed, type(path).__name__, cure)
        self.manifold = check_manifold(manifold)
        self.curve: Curve = path.curve if isinstance(path, GeodesicResult) else path
        self.spread = check_number("spread", spread, 0)

    def sample(
        self,
        n: int,
        *,
        spacing: str = "equal",
        random_state: int | torch.Generator | None = None,
    ) -> Samples:
        """Draw points.

        Args:
            n: how many for each curve.
            spacing: `"equal"` for equal arc lengths, both ends included; `"random"` for arc lengths
                drawn uniformly.
            random_state: a seed, or a generator on the manifold's device; None for a seed from
                torch's global generator.

        Returns:
            Points, shape `(*batch, n, d)`, and the status of each, shape `(*batch, n)`. A point
            that exp could not move off the curve stays on it, and says so; so do all points of a
            curve of no finite length.

        Raises:
            InvalidParameterError: `n` or `spacing` is not as said.
        """
        check_choice("spacing", spacing, ("equal", "random"))
        n, generator = self._begin(n, random_state)
        with torch.no_grad():
            return self._draw(n, generator, spacing)

    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """Draw around points at equal arc lengths, see `sample`."""
        return self._draw(n, generator, "equal")

    def _draw(self, n: int, generator: torch.Generator, spacing: str) -> Samples:
        nodes = self.curve.nodes.detach()
        batch = nodes.shape[:-2]
        if spacing == "equal":
            share = torch.linspace(0, 1, n, dtype=nodes.dtype, device=nodes.device)
            share = share.expand(*batch, n)
        else:
            share = torch.rand(
                (*batch, n), generator=generator, dtype=nodes.dtype, device=nodes.device
            )
        points, tangent, finite = self._along(share)
        status = torch.zeros((*batch, n), dtype=torch.long, device=nodes.device)
        if self.spread > 0:
            points, status = self._around(points, tangent, generator)
        status = torch.where(finite, status, int(ChainStatus.NO_GEODESIC))
        return Samples(points, status=status)

    def _along(self, share: Tensor) -> tuple[Tensor, Tensor, Mask]:
        """Find the points at shares of the arc length, and the directions of the curves there.

        Also says which curves have a finite length, shape `(*batch, 1)`.
        """
        fine = self.curve.points(_FINE + 1).detach()
        length = torch.cumsum(self.manifold.metric.chords(fine), -1)
        # A curve that stays at one point has length 0, one across a wall an infinite one: there
        # points are placed evenly in t.
        total = length[..., -1:]
        finite = total.isfinite()
        even = torch.arange(1, _FINE + 1, dtype=length.dtype, device=length.device) / _FINE
        length = torch.where(finite & (total > 0), length / total, even)
        length = torch.cat([torch.zeros_like(total), length], -1).contiguous()
        left = torch.searchsorted(length, share.contiguous(), right=True) - 1
        left = left.clamp(0, _FINE - 1)
        begin, end = length.gather(-1, left), length.gather(-1, left + 1)
        gap = end - begin
        within = torch.where(gap > 0, (share - begin) / gap, torch.zeros_like(gap)).clamp(0, 1)
        index = left.unsqueeze(-1).expand(*left.shape, fine.shape[-1])
        first, second = fine.gather(-2, index), fine.gather(-2, index + 1)
        return torch.lerp(first, second, within.unsqueeze(-1)), second - first, finite

    def _around(
        self, points: Tensor, tangent: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        metric = self.manifold.metric
        noise = torch.randn(
            points.shape, generator=generator, dtype=points.dtype, device=points.device
        )
        factor, _ = linalg.cholesky(metric.metric_matrix(points))
        along = (factor.mT @ tangent.unsqueeze(-1)).squeeze(-1)  # in an orthonormal frame
        size = along.norm(dim=-1, keepdim=True)
        along = along / torch.where(size > 0, size, torch.ones_like(size))
        across = noise - (noise * along).sum(-1, keepdim=True) * along
        v = torch.linalg.solve_triangular(factor.mT, across.unsqueeze(-1), upper=True).squeeze(-1)
        flight: Any = self.manifold.shoot(points, self.spread * v)
        status = torch.where(flight.converged, 0, int(ChainStatus.NO_GEODESIC))
        left = flight.status == GeodesicStatus.LEFT_DOMAIN
        status = torch.where(left, int(ChainStatus.LEFT_DOMAIN), status)
        return torch.where(flight.converged.unsqueeze(-1), flight.end, points), status
