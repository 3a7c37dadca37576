"""Brownian motion on a manifold, by three random walks."""

from typing import ClassVar

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import check_choice, check_number
from pullback.geodesics.initial_value.flow import geodesic_flow
from pullback.geodesics.initial_value.initial_value import follow
from pullback.geodesics.initial_value.runge_kutta import runge_kutta_step
from pullback.manifolds import Manifold
from pullback.metrics import Metric
from pullback.sampling.base import ChainState, Sampler
from pullback.sampling.samples import ChainStatus
from pullback.shapes import Latent, MetricMatrix, Tangent

__all__ = ["BrownianMotion", "brownian_drift"]

# Tolerances of the geodesics that a walk follows: the law of a walk of finite steps is off by far
# more.
_RTOL, _ATOL = 1e-3, 1e-6
# The most steps of the integrator on each of them: a geodesic that runs into a wall would take all
# the time there is.
_MAX_STEPS = 50


class BrownianMotion(Sampler):
    r"""Random walks of small steps, by default those that tend to Brownian motion.

    With v = M(z)^{-1/2} eps, eps ~ N(0, I), a tangent vector that is standard normal in the metric,
    and the step size s, one step is

    - `"ito"`: z + s v + s^2 b(z), the Euler-Maruyama step of Brownian motion, whose generator is
      half the Laplace-Beltrami operator; b is `brownian_drift`. Where the volume is finite the walk
      tends to be uniform by it: density sqrt det M in coordinates.
    - `"geodesic"`: exp_z(s v). The same motion as s -> 0, and the same walk in whatever coordinates
      z is written, for many times the cost.
    - `"driftless"`: z + s v, the random walk of Arvanitidis et al. (2018). It is Brownian motion
      only where b = 0, as for M = m(z) I in the plane. For M = m(z) I in R^d its density tends to
      m, not m^{d/2}: in d > 2 it favours regions of large volume less, in d = 1 more.

    Time is t = n_steps s^2, and s is in the unit of the metric, for a decoder that of the data. The
    first two err by O(s^2) in the law at a time t. Steps must be short where the metric changes
    fast: compare two step sizes.

    Args:
        manifold: where to walk; `Manifold.tabulated` makes the steps cheap for d <= 3. Beyond the
            edge of a table the decoder itself is asked.
        step_size: s > 0.
        method: `"ito"`, `"geodesic"` or `"driftless"`.
        thinning: every so many steps a point is kept.

    Raises:
        InvalidParameterError: a parameter is out of range.

    Source:
        Hsu, Stochastic Analysis on Manifolds (2002), chapter 3; Arvanitidis, Hansen, Hauberg,
        Latent Space Oddity: on the curvature of deep generative models (2018), section 5.3.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> walk = BrownianMotion(Manifold(HalfPlane()), step_size=0.1)
        >>> samples = walk.sample([[0.0, 1.0]] * 3, n_steps=100, random_state=0)  # to t = 1
        >>> samples.points.shape, samples.converged.tolist()
        (torch.Size([3, 101, 2]), [True, True, True])
    """

    keeps_start: ClassVar[bool] = True

    def __init__(
        self,
        manifold: Manifold,
        *,
        step_size: float = 0.1,
        method: str = "ito",
        thinning: int = 1,
    ) -> None:
        super().__init__(manifold, thinning=thinning)
        self.step_size = check_number("step_size", step_size, 0, open_low=True)
        self.method = check_choice("method", method, ("driftless", "geodesic", "ito"))

    def init(self, z: Tensor, generator: torch.Generator) -> ChainState:
        """Factorise the metric at the start, see `Sampler.init`."""
        L, _ = linalg.cholesky(self.manifold.metric.metric_matrix(z))
        return ChainState(z, memory=(L,))

    def step(
        self, state: ChainState, generator: torch.Generator, *, burning_in: bool
    ) -> ChainState:
        """Move every chain at random, see `Sampler.step`."""
        z, (L,) = state.points, state.memory
        eps = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        new = self._move(z, L, self.step_size * _whitened(L, eps))
        # The metric at the new point is looked at now, so that no chain ends where it is singular.
        safe = torch.where(new.isfinite().all(-1, keepdim=True), new, z)
        M = self.manifold.metric.metric_matrix(safe)
        L, positive = linalg.cholesky(M)
        finite = M.isfinite().all(-1).all(-1)
        why = torch.where(finite, int(ChainStatus.DEGENERATE), int(ChainStatus.NOT_FINITE))
        why = torch.where(positive, int(ChainStatus.COMPLETED), why)
        return ChainState(new, status=why, memory=(L,))

    def _move(self, z: Tensor, L: MetricMatrix, step: Tensor) -> Tensor:
        metric = self.manifold.metric
        if self.method == "geodesic":
            return _exp(metric, z, step)
        if self.method == "ito":
            return z + step + self.step_size**2 * _drift(metric, z, L)
        return z + step


def brownian_drift(metric: Metric, z: Latent) -> Tangent:
    r"""Compute the drift of Brownian motion in coordinates.

    b^k = 1/2 (1 / sqrt det M) d_i (sqrt det M M^{ik}) = -1/2 M^{ij} Gamma^k_ij, so that
    dZ = b dt + M^{-1/2} dB has the generator 1/2 Delta.

    Args:
        metric: the Riemannian metric.
        z: points, shape `(*batch, d)`.

    Returns:
        b, shape `(*batch, d)`: NaN where the metric is singular.

    Source:
        Hsu, Stochastic Analysis on Manifolds (2002), section 3.2.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> exponential = PullbackMetric(torch.exp)  # M = e^{2z}: b = -1/2 e^{-2z}
        >>> brownian_drift(exponential, torch.zeros(1)).item()
        -0.5
    """
    L, positive = linalg.cholesky(metric.metric_matrix(z))
    return torch.where(positive.unsqueeze(-1), _drift(metric, z, L), torch.nan)


def _drift(metric: Metric, z: Tensor, L: MetricMatrix) -> Tensor:
    """Sum c'' of geodesics along an orthonormal frame: 1/2 sum_a -Gamma(e_a, e_a)."""
    d = z.shape[-1]
    eye = torch.eye(d, dtype=z.dtype, device=z.device).reshape(d, *[1] * (z.ndim - 1), d)
    frame = _whitened(L.expand(d, *L.shape), eye.expand(d, *z.shape))
    return metric.acceleration(z.expand_as(frame), frame).sum(0) / 2


def _exp(metric: Metric, z: Tensor, v: Tensor) -> Tensor:
    """Follow geodesics `(chains, d)` to their ends: in one go where that is accurate enough."""
    flow, y = geodesic_flow(metric), torch.cat([z, v], -1)
    one = torch.ones_like(z[:, 0])
    stages = runge_kutta_step(flow, y, flow(y), one)
    end = stages.end.chunk(2, -1)[0].clone()
    rough = ~(stages.error(one) <= _RTOL * v.norm(dim=-1))
    if bool(rough.any()):
        z, v = z[rough], v[rough]
        end[rough] = follow(metric, z, v, rtol=_RTOL, atol=_ATOL, max_steps=_MAX_STEPS).end
    return end


def _whitened(L: MetricMatrix, eps: Tensor) -> Tensor:
    """Solve L^T v = eps: the covariance of v is M^-1 for normal eps.

    So it is for any root R with R R^T = M^-1, and the law of v is the same: the paper's
    U Lambda^{-1/2} of the eigenvectors needs no decomposition.
    """
    v: Tensor = torch.linalg.solve_triangular(L.mT, eps.unsqueeze(-1), upper=True)
    return v.squeeze(-1)
