"""Hamiltonian Monte Carlo on a manifold: long flights along perturbed geodesics."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pullback.errors import check_integer
from pullback.manifolds import Manifold
from pullback.sampling.chains.metropolis import MetropolisSampler, Proposal
from pullback.sampling.chains.target import LocalTarget

__all__ = ["Hamiltonian"]

# The share by which the step size is varied at random from flight to flight. With a constant one, a
# flight may end where it began, again and again.
_JITTER = 0.2
# The error of the energy from which on an integration counts as broken (that of Stan): such a
# proposal is accepted with probability e^-1000.
_DIVERGED = 1000.0


class Hamiltonian(MetropolisSampler):
    r"""Riemannian Hamiltonian Monte Carlo, integrated in velocities: explicit, exactly reversible.

    With v ~ N(0, M^-1) a point flies by the Hamiltonian 1/2 v^T M v - log p, p with respect to the
    volume: c'' = -Gamma(c', c') + M^-1 grad log p, a geodesic where p is uniform. A step is

        (M + eps/2 A(v0)) v1 = M v0 + eps/2 grad log p    at z, A_kj(v) = sum_i Gamma_k,ij v_i,
        z' = z + eps v1,
        (M + eps/2 A(v1)) v2 = M v1 + eps/2 grad log p    at z'.

    Gamma is bilinear in the old and the new velocity, so that a step backwards undoes one forwards
    without any iteration (the generalised leapfrog solves two implicit equations for that), and
    costs one evaluation of M and its derivatives. It does not preserve the volume of phase space:
    the acceptance probability holds the known change, the quotients of
    det(M - eps/2 A(new v)) and det(M + eps/2 A(old v)). The stationary law is exactly p.
    Chains do not cross where p is tiny, such as the wall between two clusters: R-hat tells.

    Args:
        manifold: where to sample.
        log_density: maps points `(n, d)` to log p up to a constant, shape `(n,)`, differentiable;
            None for the uniform density, that needs a region or a manifold of finite volume.
        measure: `"riemannian"` if log p is with respect to the volume sqrt(det M) dz, `"lebesgue"`
            if with respect to dz.
        region: p is 0 outside: an object with `contains(z)`, such as a `Support`, or a function
            from points `(n, d)` to a mask `(n,)`.
        step_size: eps > 0, in the unit of the metric; the first guess. Each flight takes it times
            a random number in [0.8, 1.2].
        n_leapfrog: steps of one flight.
        target_acceptance: what burn-in adapts the step size to.
        n_burn_in: flights taken first and not kept, which adapt the step size; 0 keeps it.
        thinning: every so many flights a draw is kept.

    Raises:
        InvalidParameterError: a parameter is out of range.

    Source:
        Girolami and Calderhead, Riemann manifold Langevin and Hamiltonian Monte Carlo methods
        (2011); Lan, Stathopoulos, Shahbaba, Girolami, Markov chain Monte Carlo from Lagrangian
        dynamics (2015).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> doubled = Manifold(PullbackMetric(lambda z: 2 * z, dim=2))
        >>> normal = lambda z: -(2 * z).square().sum(-1) / 2  # of 2 z, so that z has variance 1 / 4
        >>> sampler = Hamiltonian(doubled, normal, n_leapfrog=5, n_burn_in=10)
        >>> samples = sampler.sample(torch.zeros(500, 2), 10, random_state=0)
        >>> round(samples.points.std().item(), 1)
        0.5
    """

    def __init__(
        self,
        manifold: Manifold,
        log_density: Callable[[Tensor], Tensor] | None = None,
        *,
        measure: str = "riemannian",
        region: Any = None,
        step_size: float = 0.1,
        n_leapfrog: int = 10,
        target_acceptance: float = 0.8,
        n_burn_in: int = 200,
        thinning: int = 1,
    ) -> None:
        super().__init__(
            manifold,
            log_density,
            measure=measure,
            region=region,
            step_size=step_size,
            target_acceptance=target_acceptance,
            n_burn_in=n_burn_in,
            thinning=thinning,
        )
        self.n_leapfrog = check_integer("n_leapfrog", n_leapfrog)

    def propose(
        self, z: Tensor, here: LocalTarget, step: Tensor, generator: torch.Generator
    ) -> Proposal:
        """Fly with a random velocity, see `MetropolisSampler.propose`."""
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        spread = torch.linalg.solve_triangular(here.factor.mT, noise.unsqueeze(-1), upper=True)
        u = torch.rand(step.shape, generator=generator, dtype=z.dtype, device=z.device)
        step = step * (1 + _JITTER * (2 * u - 1))
        v = spread.squeeze(-1)
        points, there, velocity, log_change, whole = self._fly(z, here, v, step)
        gain = _log_joint(there, velocity) - _log_joint(here, v) + log_change
        log_ratio = torch.where(whole, gain, -torch.inf)
        # A flight that ended outside the region has density 0 there: it is refused, but not broken.
        broken = ~whole | (there.log_density.isfinite() & ~(gain > -_DIVERGED))
        return Proposal(points, there, log_ratio, broken)

    def _fly(
        self, z: Tensor, at: LocalTarget, v: Tensor, step: Tensor
    ) -> tuple[Tensor, LocalTarget, Tensor, Tensor, Tensor]:
        """Fly `n_leapfrog` steps from z with velocity v.

        Returns:
            The end, the target there, the velocity there, the logarithm of the change of volume of
            phase space, and which flights were whole: the others ended where they broke.
        """
        log_change = torch.zeros_like(step)
        whole = torch.ones_like(step, dtype=torch.bool)
        for _ in range(self.n_leapfrog):
            middle, first = _turn(at, v, step)
            ahead = z + step.unsqueeze(-1) * middle
            whole = whole & ahead.isfinite().all(-1)
            ahead = torch.where(whole.unsqueeze(-1), ahead, z)
            there = self.target.at(ahead)
            whole = whole & there.regular
            turned, second = _turn(there, middle, step)
            on = whole.unsqueeze(-1)
            z, v = torch.where(on, ahead, z), torch.where(on, turned, v)
            at = at.replace(whole, there)
            log_change = log_change + first + second
        return z, at, v, log_change, whole


def _turn(at: LocalTarget, v: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Change velocities `(chains, d)` by half a step, and say by how much their volume changes."""
    half = step[:, None, None] / 2
    matrix = at.factor @ at.factor.mT
    push = matrix @ v.unsqueeze(-1) + half * at.gradient.unsqueeze(-1)
    old, pivots, _ = torch.linalg.lu_factor_ex(matrix + half * _connection(at, v))
    turned = torch.linalg.lu_solve(old, pivots, push).squeeze(-1)
    new, *_ = torch.linalg.lu_factor_ex(matrix - half * _connection(at, turned))
    return turned, _log_abs_det(new) - _log_abs_det(old)


def _connection(at: LocalTarget, v: Tensor) -> Tensor:
    """A_kj = sum_i Gamma_k,ij v_i, the Christoffel symbols of the first kind along v."""
    along = torch.einsum("...kji,...i->...kj", at.change, v)
    across = torch.einsum("...kij,...i->...kj", at.change, v)
    return (along + across - across.mT) / 2


def _log_abs_det(factors: Tensor) -> Tensor:
    return factors.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)


def _log_joint(at: LocalTarget, v: Tensor) -> Tensor:
    """The log-density of (z, v) with respect to dz dv, up to a constant."""
    speed = (at.factor.mT @ v.unsqueeze(-1)).squeeze(-1)
    return at.log_density + 2 * at.log_volume - speed.square().sum(-1) / 2
