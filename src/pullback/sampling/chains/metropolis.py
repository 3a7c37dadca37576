"""Chains that propose and decide: what Langevin and Hamiltonian samplers have in common."""

import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.errors import ConvergenceWarning, InvalidDataError, check_number
from pullback.manifolds import Manifold
from pullback.sampling.base import ChainState, Sampler
from pullback.sampling.chains.step_size import StepSize
from pullback.sampling.chains.target import LocalTarget, Target
from pullback.sampling.samples import ChainStatus, Samples

__all__ = ["MetropolisSampler", "Proposal"]


class Proposal(NamedTuple):
    """Where chains might go.

    Attributes:
        points: z', finite, shape `(chains, d)`.
        there: the target at z'.
        log_ratio: log of p(z') q(z | z') / (p(z) q(z' | z)), shape `(chains,)`.
        divergent: whether the integration broke down, shape `(chains,)`.

    Example:
        >>> Proposal._fields
        ('points', 'there', 'log_ratio', 'divergent')
    """

    points: Tensor
    there: LocalTarget
    log_ratio: Tensor
    divergent: Tensor


class MetropolisSampler(Sampler):
    r"""A sampler whose proposals z' are accepted with probability min(1, ratio).

    The ratio p(z') q(z | z') / (p(z) q(z' | z)) makes p the stationary law whatever the step size,
    which only decides how fast a chain forgets; in burn-in all chains together find one. A proposal
    of density 0, or where it is not finite, is rejected. Chains do not cross where p is tiny, such
    as the wall between two clusters: R-hat tells.

    Args:
        manifold: where to sample.
        log_density: maps points `(n, d)` to log p up to a constant, shape `(n,)`; None for the
            uniform density, that needs a region or a manifold of finite volume.
        measure: what `log_density` is a density with respect to: `"riemannian"`, the volume of the
            manifold, or `"lebesgue"`, that of the coordinates.
        region: p is 0 outside: an object with `contains(z)`, such as a `Support`, or a function
            from points `(n, d)` to a mask `(n,)`.
        step_size: eps > 0, the Riemannian length of a step in each dimension; the first guess.
        target_acceptance: the mean acceptance probability that burn-in adapts the step size to;
            0.57 is best for Langevin steps in many dimensions.
        n_burn_in: steps taken first and not kept, which adapt the step size; 0 keeps it.
        thinning: every so many steps a draw is kept.

    Raises:
        InvalidParameterError: a parameter is out of range.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> from pullback.sampling import Langevin
        >>> flat = Manifold(PullbackMetric(lambda z: z, dim=2))
        >>> isinstance(Langevin(flat, lambda z: -z.square().sum(-1)), MetropolisSampler)
        True
    """

    def __init__(
        self,
        manifold: Manifold,
        log_density: Callable[[Tensor], Tensor] | None = None,
        *,
        measure: str = "riemannian",
        region: Any = None,
        step_size: float = 0.1,
        target_acceptance: float = 0.57,
        n_burn_in: int = 300,
        thinning: int = 1,
    ) -> None:
        super().__init__(manifold, n_burn_in=n_burn_in, thinning=thinning)
        self.target = Target(manifold, log_density, measure=measure, region=region)
        self.step_size = check_number("step_size", step_size, 0, open_low=True)
        share = check_number("target_acceptance", target_acceptance, 0, 0.999, open_low=True)
        self.target_acceptance = share

    def sample(
        self,
        start: Any,
        n_steps: int,
        *,
        random_state: int | torch.Generator | None = None,
        progress: bool = False,
    ) -> Samples:
        """Run chains from start points, see `Sampler.sample`.

        Warns with `ConvergenceWarning` of chains that never moved; their status says so.

        Raises:
            InvalidDataError: see `Sampler.sample`; or the density is 0 or unknown at a start.
        """
        samples = super().sample(start, n_steps, random_state=random_state, progress=progress)
        stuck = (samples.points == samples.points[..., :1, :]).flatten(-2).all(-1)
        stuck &= samples.converged & (samples.points.shape[-2] > 1)
        if bool(stuck.any()):
            warnings.warn(
                f"{int(stuck.sum())} of {stuck.numel()} chains never moved: "
                f"{ChainStatus.STUCK.message}.",
                ConvergenceWarning,
                stacklevel=2,
            )
        status = torch.where(stuck, int(ChainStatus.STUCK), samples.status)
        return dataclasses.replace(samples, status=status)

    @abstractmethod
    def propose(
        self, z: Tensor, here: LocalTarget, step: Tensor, generator: torch.Generator
    ) -> Proposal:
        """Propose a step.

        Args:
            z: where the chains stand, shape `(chains, d)`.
            here: the target there.
            step: the step sizes, shape `(chains,)`.
            generator: the source of randomness.

        Returns:
            Where they may go, and what it takes to decide.
        """

    def init(self, z: Tensor, generator: torch.Generator) -> ChainState:
        """Evaluate the target at the start, see `Sampler.init`."""
        here = self.target.at(z)
        outside = here.log_density == -torch.inf
        if bool(outside.any()):
            where = int(outside.nonzero()[0])
            raise InvalidDataError(
                f"`start` must lie where the density is positive and finite, but at "
                f"{int(outside.sum())} of {len(z)} points it is not (the first is number {where}, "
                f"{[round(x, 4) for x in z[where].tolist()]}). Start inside the `region`."
            )
        size = StepSize.start(here.log_density, self.step_size)
        return ChainState(z, here.log_density, memory=(*here, *size))

    def step(
        self, state: ChainState, generator: torch.Generator, *, burning_in: bool
    ) -> ChainState:
        """Propose and decide, see `Sampler.step`."""
        n = len(LocalTarget._fields)
        here, size = LocalTarget(*state.memory[:n]), StepSize(*state.memory[n:])
        step = size.log_step.exp() if burning_in else size.adapted
        trial = self.propose(state.points, here, step, generator)
        log_ratio = torch.where(trial.log_ratio.isnan(), -torch.inf, trial.log_ratio)
        acceptance = log_ratio.clamp(max=0).exp()
        u = torch.rand(acceptance.shape, generator=generator, dtype=step.dtype, device=step.device)
        accepted = u < acceptance
        here = here.replace(accepted, trial.there)
        if burning_in:
            shared = acceptance.mean().expand_as(acceptance)
            size = size.update(shared, target=self.target_acceptance)
        return ChainState(
            points=torch.where(accepted.unsqueeze(-1), trial.points, state.points),
            log_density=here.log_density,
            acceptance=acceptance,
            divergent=trial.divergent,
            memory=(*here, *size),
        )
