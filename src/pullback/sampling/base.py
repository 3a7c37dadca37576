"""What a sampler is: a step on a batch of chains, and the one loop that takes the steps."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_integer,
    check_points,
)
from pullback.exclusive import exclusive
from pullback.manifolds import Manifold
from pullback.progress import progress_bar
from pullback.sampling.samples import ChainStatus, Samples

__all__ = ["ChainState", "Sampler", "check_manifold", "torch_generator"]


class ChainState(NamedTuple):
    """Where the chains of a batch stand after a step.

    Attributes:
        points: z, shape `(chains, d)`.
        log_density: of the target at z, shape `(chains,)`; None for a walk.
        acceptance: the probability with which the last step was accepted, `(chains,)`, or None.
        divergent: whether the integration of the last step broke down, `(chains,)`, or None.
        status: `ChainStatus` codes, for a step that the sampler itself finds it cannot take,
            `(chains,)`, or None; the loop looks for points outside the domain or not finite.
        memory: what the next step needs besides, such as gradients: tensors, chains first.

    Example:
        >>> ChainState(torch.zeros(5, 2)).memory
        ()
    """

    points: Tensor
    log_density: Tensor | None = None
    acceptance: Tensor | None = None
    divergent: Tensor | None = None
    status: Tensor | None = None
    memory: tuple[Tensor, ...] = ()


class Sampler(ABC):
    """A way to draw points on a manifold by steps, of all chains as one batch.

    A sampler gives `step`, and `init` where it needs to know more of a point than where it is. The
    loop here stores the draws, and stops a chain whose step leaves the domain of the metric or is
    not finite: the others go on.

    Args:
        manifold: where to sample.
        n_burn_in: steps taken first and not kept, in which a sampler may adapt itself.
        thinning: every so many steps a draw is kept.

    Raises:
        InvalidParameterError: not a manifold, or a number out of range.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> class Still(Sampler):
        ...     def step(self, state, generator, *, burning_in):
        ...         return state
        >>> flat = Manifold(PullbackMetric(lambda z: z, dim=2))
        >>> Still(flat).sample([[1.0, 2.0]], n_steps=2).points.tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    keeps_start: ClassVar[bool] = False
    """Whether the start is the first draw, as in a walk, rather than forgotten."""

    def __init__(self, manifold: Manifold, *, n_burn_in: int = 0, thinning: int = 1) -> None:
        self.manifold = check_manifold(manifold)
        self.n_burn_in = check_integer("n_burn_in", n_burn_in, low=0)
        self.thinning = check_integer("thinning", thinning)

    def sample(
        self,
        start: Any,
        n_steps: int,
        *,
        random_state: int | torch.Generator | None = None,
        progress: bool = False,
    ) -> Samples:
        """Run chains from start points.

        Args:
            start: z_0 of each chain, shape `(*chains, d)`.
            n_steps: steps after burn-in; a multiple of `thinning`.
            random_state: a seed, or a generator on the manifold's device; None for a seed from
                torch's global generator.
            progress: show a bar.

        Returns:
            The draws, shape `(*chains, n_steps / thinning, d)`, one more where the start counts.

        Raises:
            InvalidParameterError: `n_steps` or `random_state` is not as said.
            InvalidDataError: a start is not finite, of another dimension, or lies where the metric
                is not defined or singular.
        """
        check_integer("n_steps", n_steps)
        if n_steps % self.thinning:
            allowed = f"a multiple of `thinning` = {self.thinning}"
            raise InvalidParameterError("n_steps", allowed, n_steps)
        generator = torch_generator(random_state, self.manifold.device)
        z = self._check_start(start)
        with torch.no_grad():
            flat = self._run(z.reshape(-1, z.shape[-1]), n_steps, generator, progress)
        return _with_chain_shape(flat, z.shape[:-1])

    def init(self, z: Tensor, generator: torch.Generator) -> ChainState:
        """Look at the start points.

        Args:
            z: where the chains start, shape `(chains, d)`.
            generator: the source of randomness.

        Returns:
            The state of the chains before their first step.
        """
        return ChainState(z)

    @abstractmethod
    def step(
        self, state: ChainState, generator: torch.Generator, *, burning_in: bool
    ) -> ChainState:
        """Take one step on every chain; a point outside the domain or not finite stops it.

        Args:
            state: where the chains stand; it is not changed in place. What `step` returns must have
                the same fields filled as what `init` returned, and as much `memory`.
            generator: the source of randomness.
            burning_in: whether draws are not kept yet, so that the sampler may adapt itself.

        Returns:
            Where they stand then.
        """

    def _run(self, z: Tensor, n_steps: int, generator: torch.Generator, progress: bool) -> Samples:
        state = self.init(z, generator)
        record = _Record(state, n_steps // self.thinning, keeps_start=self.keeps_start)
        status = torch.zeros(len(z), dtype=torch.long, device=z.device)
        n_taken = torch.zeros_like(status)
        bar = progress_bar(
            range(self.n_burn_in + n_steps), "sampling", disable=not progress, leave=False
        )
        for k in bar:
            burning_in = k < self.n_burn_in
            stepped = self.step(state, generator, burning_in=burning_in)
            status = self._judge(state, stepped, status)
            state = _select(status == ChainStatus.COMPLETED, stepped, state)
            if not burning_in:
                n_taken += status == ChainStatus.COMPLETED
                record.count(state)
                if (k - self.n_burn_in + 1) % self.thinning == 0:
                    record.keep(state)
            if k % _CHECK == 0 and not bool((status == ChainStatus.COMPLETED).any()):
                break
        return record.samples(state, status, n_taken)

    def _judge(self, old: ChainState, new: ChainState, status: Tensor) -> Tensor:
        """Say which chains can go on to their new points, and why others cannot."""
        finite = new.points.isfinite().all(-1)
        safe = torch.where(finite.unsqueeze(-1), new.points, old.points)
        why = torch.zeros_like(status) if new.status is None else new.status
        why = torch.where(self.manifold.metric.contains(safe), why, int(ChainStatus.LEFT_DOMAIN))
        why = torch.where(finite, why, int(ChainStatus.NOT_FINITE))
        return torch.where(status == ChainStatus.COMPLETED, why, status)

    def _check_start(self, start: Any) -> Tensor:
        manifold = self.manifold
        like = torch.zeros((), dtype=manifold.dtype, device=manifold.device)
        z = check_points("start", start, manifold.dim).detach().to(like)
        flat = z.reshape(-1, z.shape[-1])
        with torch.no_grad():
            usable = manifold.metric.contains(flat)
            usable &= linalg.cholesky(manifold.metric.metric_matrix(flat))[1]
        if not bool(usable.all()):
            where = int((~usable).nonzero()[0])
            raise InvalidDataError(
                f"`start` must lie where the metric is defined and positive definite, but "
                f"{int((~usable).sum())} of {len(flat)} points do not (the first is number "
                f"{where}, {[round(x, 4) for x in flat[where].tolist()]}). Start from codes."
            )
        return z


_CHECK = 16  # steps after which to look whether any chain is still under way


class _Record:
    """What is kept of the chains while they run: draws with the step first, sums of the rest."""

    def __init__(self, state: ChainState, n_kept: int, *, keeps_start: bool) -> None:
        shape = (n_kept + keeps_start, *state.points.shape)
        self.points = state.points.new_empty(shape)
        log_density = state.log_density
        self.log_density = None if log_density is None else log_density.new_empty(shape[:2])
        self.n_kept = 0
        self.n_counted = 0
        self.acceptance: Tensor | None = None
        self.divergences: Tensor | None = None
        if keeps_start:
            self.keep(state)

    def keep(self, state: ChainState) -> None:
        self.points[self.n_kept] = state.points
        if self.log_density is not None and state.log_density is not None:
            self.log_density[self.n_kept] = state.log_density
        self.n_kept += 1

    def count(self, state: ChainState) -> None:
        self.n_counted += 1
        self.acceptance = _plus(self.acceptance, state.acceptance)
        self.divergences = _plus(self.divergences, state.divergent)

    def samples(self, state: ChainState, status: Tensor, n_taken: Tensor) -> Samples:
        """Put the chains first. Where all had to stop, they stay where they are."""
        self.points[self.n_kept :] = state.points
        if self.log_density is not None and state.log_density is not None:
            self.log_density[self.n_kept :] = state.log_density
        return Samples(
            points=self.points.movedim(0, 1),
            status=status,
            log_density=None if self.log_density is None else self.log_density.T,
            acceptance=None if self.acceptance is None else self.acceptance / self.n_counted,
            divergences=self.divergences,
            n_taken=n_taken,
        )


def check_manifold(manifold: Any) -> Manifold:
    """Return the manifold if it is one, or raise.

    Raises:
        InvalidParameterError: it is something else.

    Example:
        >>> check_manifold(torch.exp)
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `manifold` must be a Manifold, but got builtin_...
    """
    if not isinstance(manifold, Manifold):
        cure = "Wrap a decoder or a metric: `Manifold(decoder)`."
        raise InvalidParameterError("manifold", "a Manifold", type(manifold).__name__, cure)
    return manifold


def torch_generator(
    random_state: int | torch.Generator | None, device: torch.device
) -> torch.Generator:
    """Make a generator on a device from a seed, or check the one that is given.

    Args:
        random_state: a seed >= 0, a generator, or None for a seed from torch's global generator.
        device: where random numbers are needed.

    Returns:
        The generator.

    Raises:
        InvalidParameterError: it is something else, or a generator on another device.

    Example:
        >>> a, b = (torch_generator(7, torch.device("cpu")) for _ in range(2))
        >>> bool((torch.rand(3, generator=a) == torch.rand(3, generator=b)).all())
        True
    """
    if isinstance(random_state, torch.Generator):
        if random_state.device.type != device.type:
            allowed = f"a generator on {device}, where the manifold is"
            raise InvalidParameterError("random_state", allowed, random_state.device)
        return random_state
    if random_state is None:
        with exclusive():
            random_state = int(torch.randint(2**62, (), device="cpu"))
    seed = check_integer("random_state", random_state, 0, 2**63 - 1)
    return torch.Generator(device).manual_seed(seed)


def _select(under_way: Tensor, new: ChainState, old: ChainState) -> ChainState:
    """Move the chains that are under way; nothing of the others changes or counts."""

    def choose(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        if a is None:
            return None
        b = torch.zeros_like(a) if b is None else b
        return torch.where(under_way.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    memory = tuple(
        torch.where(under_way.reshape(-1, *[1] * (a.ndim - 1)), a, b)
        for a, b in zip(new.memory, old.memory, strict=True)
    )
    points = torch.where(under_way.unsqueeze(-1), new.points, old.points)
    return ChainState(
        points=points,
        log_density=choose(new.log_density, old.log_density),
        acceptance=choose(new.acceptance, None),
        divergent=choose(new.divergent, None),
        memory=memory,
    )


def _plus(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    if part is None:
        return None
    part = part.long() if part.dtype == torch.bool else part
    return part if total is None else total + part


def _with_chain_shape(samples: Samples, chains: torch.Size) -> Samples:
    def shaped(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.reshape((*chains, *value.shape[1:]))

    return Samples(
        points=samples.points.reshape((*chains, *samples.points.shape[1:])),
        status=samples.status.reshape(chains),
        log_density=shaped(samples.log_density),
        acceptance=shaped(samples.acceptance),
        divergences=shaped(samples.divergences),
        n_taken=shaped(samples.n_taken),
    )
