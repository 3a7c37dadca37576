"""Langevin steps on a manifold: downhill and noisy, in the unit of the metric."""

import torch
from torch import Tensor

from pullback.sampling.chains.metropolis import MetropolisSampler, Proposal
from pullback.sampling.chains.target import LocalTarget

__all__ = ["Langevin"]


class Langevin(MetropolisSampler):
    r"""Riemannian MALA: the Langevin diffusion of a density, each step accepted or rejected.

    The diffusion with stationary density p with respect to the volume is
    dz = 1/2 M^-1 grad log p dt + dB, with B the Brownian motion of the manifold. Its Euler step
    proposes z' ~ N(m(z), eps^2 M^-1) with
    m_i = z_i + eps^2 / 2 [M^-1 grad (log p + log sqrt det M)]_i + eps^2 / 2 sum_j d_j (M^-1)_ij,
    and the correction of Metropolis and Hastings makes p the exact stationary law. Chains do not
    cross where p is tiny, such as the wall between two clusters: R-hat tells.

    Args:
        manifold: where to sample.
        log_density: maps points `(n, d)` to log p up to a constant, shape `(n,)`, differentiable;
            None for the uniform density, that needs a region or a manifold of finite volume.
        measure: `"riemannian"` if log p is with respect to the volume sqrt(det M) dz, `"lebesgue"`
            if with respect to dz.
        region: p is 0 outside: an object with `contains(z)`, such as a `Support`, or a function
            from points `(n, d)` to a mask `(n,)`.
        step_size: eps > 0, in the unit of the metric; the first guess.
        target_acceptance: what burn-in adapts the step size to; 0.57 is best in many dimensions.
        n_burn_in: steps taken first and not kept, which adapt the step size; 0 keeps it.
        thinning: every so many steps a draw is kept.

    Raises:
        InvalidParameterError: a parameter is out of range.

    Source:
        Girolami and Calderhead, Riemann manifold Langevin and Hamiltonian Monte Carlo methods
        (2011), with the drift of Xifara, Sherlock, Livingstone, Byrne, Girolami, Langevin
        diffusions and the Metropolis-adjusted Langevin algorithm (2014).

    Example:
        >>> from pullback import Manifold
        >>> from pullback.metrics import PullbackMetric
        >>> doubled = Manifold(PullbackMetric(lambda z: 2 * z, dim=2))
        >>> normal = lambda z: -(2 * z).square().sum(-1) / 2  # of 2 z, so that z has variance 1 / 4
        >>> sampler = Langevin(doubled, normal, n_burn_in=20)
        >>> samples = sampler.sample(torch.zeros(500, 2), 40, random_state=0)
        >>> round(samples.points.std().item(), 1)
        0.5
    """

    def propose(
        self, z: Tensor, here: LocalTarget, step: Tensor, generator: torch.Generator
    ) -> Proposal:
        """Drift and scatter, see `MetropolisSampler.propose`."""
        size = step.unsqueeze(-1)
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        spread = torch.linalg.solve_triangular(here.factor.mT, noise.unsqueeze(-1), upper=True)
        mean = z + size.square() * _drift(here)
        trial = mean + size * spread.squeeze(-1)
        finite = trial.isfinite().all(-1)
        trial = torch.where(finite.unsqueeze(-1), trial, z)
        there = self.target.at(trial)
        forth = here.log_volume - _deviation(here, trial - mean, size)
        back = there.log_volume - _deviation(there, z - trial - size.square() * _drift(there), size)
        gain = there.log_density + there.log_volume - here.log_density - here.log_volume
        log_ratio = torch.where(finite & there.regular, gain + back - forth, -torch.inf)
        return Proposal(trial, there, log_ratio, ~finite)


def _drift(at: LocalTarget) -> Tensor:
    """Half of M^-1 grad (log p + log sqrt det M) + div M^-1, shape `(chains, d)`."""
    rise = at.gradient + torch.einsum("...iik->...k", at.slope) / 2
    turn = torch.einsum("...jkj->...k", at.slope)  # M div M^-1 with the opposite sign
    return torch.cholesky_solve((rise - turn).unsqueeze(-1), at.factor).squeeze(-1) / 2


def _deviation(at: LocalTarget, gap: Tensor, size: Tensor) -> Tensor:
    """gap^T M gap / (2 eps^2), shape `(chains,)`."""
    return (at.factor.mT @ (gap / size).unsqueeze(-1)).squeeze(-1).square().sum(-1) / 2
