"""By how much geodesics miss data: what regression and principal geodesics make small."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.geodesics.initial_value.initial_value import follow
from pullback.linalg import cholesky
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Mask, MetricMatrix, Scalars
from pullback.statistics.logarithms import Logarithms

__all__ = ["GeodesicResiduals", "Residuals"]

# The most steps of the integrator on one geodesic: it bounds the time that a wall may take.
_MAX_STEPS = 200
# An end that is nearer to its point than this share of the extent of the data has met it: the
# residual has no direction there.
_MET = 1e-9
# The relative tolerance of geodesics, and the shift, as a share of the extent of the data, by which
# their ends are differentiated as a difference.
_RTOL, _SHIFT = 1e-9, 1e-3
# The same on a table of the metric. Its spline has only two derivatives that are continuous, so the
# integrator gains nothing by small steps, and a larger shift keeps the difference above its error.
_RTOL_ON_TABLE, _SHIFT_ON_TABLE = 1e-4, 1e-2


class Residuals(NamedTuple):
    """Logs from the ends of geodesics to data, in orthonormal frames at the ends.

    Attributes:
        values: log_e(z) with e = exp(p, v), shape `(n, d)`: its Euclidean norm is d(e, z).
        by_velocity: the derivatives of e by v, in the same frames, shape `(n, d, d)`.
        by_point: those by p, or None if they were not asked for.
        reached: where the end and its distance are finite, shape `(n,)`; elsewhere all is 0.
        converged: where the search for the log converged, shape `(n,)`.

    Example:
        >>> from pullback.statistics.geodesic_models.geodesic_residuals import GeodesicResiduals
        >>> Z = torch.tensor([[3.0, 4.0]]).double()
        >>> misses = GeodesicResiduals(Manifold(lambda z: 2 * z, dim=2), Z)
        >>> there = misses.at(torch.zeros(2).double(), torch.zeros(1, 2).double())
        >>> there.squared().round(decimals=6).tolist()
        [100.0]
    """

    values: Codes
    by_velocity: MetricMatrix
    by_point: MetricMatrix | None
    reached: Mask
    converged: Mask

    def squared(self) -> Scalars:
        """Return d(exp(p, v), z)^2, infinite where it is not reached, shape `(n,)`."""
        return torch.where(self.reached, self.values.square().sum(-1), torch.inf)


class GeodesicResiduals:
    r"""The logs from exp(p, v_i) to data z_i, with the derivatives of exp(p, v_i).

    The derivatives are central differences of geodesics that are followed in the same batch: an
    evaluation of many metrics at once costs little more than one.

    Args:
        manifold: the latent space.
        Z: data, shape `(n, d)`.
        exact: whether the logs are searched with care, see `Logarithms`.

    Source:
        Fletcher, Geodesic regression and the theory of least squares on Riemannian manifolds
        (2013), whose gradient takes the adjoint of these derivatives.

    Example:
        >>> Z = torch.tensor([[1.0], [3.0]]).double()
        >>> misses = GeodesicResiduals(Manifold(lambda z: 2 * z, dim=1), Z, exact=True)
        >>> there = misses.at(torch.zeros(1).double(), torch.ones(2, 1).double(), by_point=True)
        >>> there.values.flatten().round(decimals=6).tolist()
        [0.0, 4.0]
    """

    def __init__(self, manifold: Manifold, Z: Codes, *, exact: bool = False) -> None:
        self.manifold = manifold
        self.Z = Z
        self.logarithms = Logarithms(manifold, Z, exact=exact)
        approximate = manifold.metric.exact is not manifold.metric or Z.dtype != torch.float64
        self.rtol = _RTOL_ON_TABLE if approximate else _RTOL
        self.extent = float((Z - Z.mean(0)).square().sum(-1).mean().sqrt()) or 1.0
        self._last: tuple[Tensor, Residuals] | None = None
        self.shift = self.extent * (_SHIFT_ON_TABLE if approximate else _SHIFT)

    @torch.no_grad()
    def at(self, point: Tensor, velocity: Codes, *, by_point: bool = False) -> Residuals:
        """Compute the residuals.

        Args:
            point: p, shape `(d,)`.
            velocity: v_i, shape `(n, d)`.
            by_point: compute the derivatives by p too.

        Returns:
            Residuals of shape `(n, d)`.
        """
        # A search asks again for what it tried last.
        asked = torch.cat([point, velocity.flatten()])
        if self._last is not None:
            where, known = self._last
            if (known.by_point is not None) == by_point and torch.equal(where, asked):
                return known
        found = self._measure(point, velocity, by_point)
        self._last = asked, found
        return found

    def _measure(self, point: Tensor, velocity: Tensor, by_point: bool) -> Residuals:
        n, d = velocity.shape
        ends, slopes = self._ends(point, velocity, by_point)
        followed = ends.isfinite().all(-1) & slopes.isfinite().all(-1).all(-1)
        ends = torch.where(followed.unsqueeze(-1), ends, point)
        met = (ends - self.Z).norm(dim=-1) <= _MET * self.extent
        ends = torch.where(met.unsqueeze(-1), self.Z, ends)
        logs = self.logarithms.at(ends, owner=torch.arange(n, device=ends.device))
        factor, positive = cholesky(self.manifold.metric_matrix(ends))
        reached = followed & positive & logs.lengths.isfinite()
        slopes = factor.mT @ torch.where(reached[:, None, None], slopes, 0)
        values = torch.where(reached.unsqueeze(-1), logs.vectors, 0).unsqueeze(-1)
        return Residuals(
            values=(factor.mT @ values).squeeze(-1),
            by_velocity=slopes[..., :d],
            by_point=slopes[..., d:] if by_point else None,
            reached=reached,
            converged=reached & logs.converged,
        )

    def _ends(self, point: Tensor, velocity: Tensor, by_point: bool) -> tuple[Tensor, Tensor]:
        """Follow geodesics and their neighbours: ends `(n, d)`, derivatives `(n, d, d or 2 d)`."""
        n, d = velocity.shape
        shifts = self.shift * torch.eye(2 * d, dtype=point.dtype, device=point.device)
        shifts = shifts if by_point else shifts[:d]
        shifts = torch.cat([torch.zeros_like(shifts[:1]), shifts, -shifts]).unsqueeze(1)
        v = (velocity + shifts[..., :d]).reshape(-1, d)
        z = (point + shifts[..., d:]).expand(-1, n, d).reshape(-1, d)
        flight = follow(
            self.manifold.metric, z, v, rtol=self.rtol, atol=self.rtol / 100, max_steps=_MAX_STEPS
        )
        ends = flight.end.reshape(-1, n, d)
        ahead, behind = ends[1:].chunk(2)
        return ends[0], ((ahead - behind) / (2 * self.shift)).permute(1, 2, 0)
