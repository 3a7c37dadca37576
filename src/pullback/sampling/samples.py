"""What a sampler returns: draws of chains, how each chain fared, and whether they have mixed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.sampling.diagnostics import Diagnostics
from pullback.shapes import Mask, Points

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ChainStatus", "Samples"]


class ChainStatus(IntEnum):
    """How a chain ended.

    Example:
        >>> ChainStatus.LEFT_DOMAIN.message
        'the chain stepped out of the region where the metric is defined: make `step_size` smaller'
    """

    COMPLETED = 0
    LEFT_DOMAIN = 1
    DEGENERATE = 2
    NOT_FINITE = 3
    STUCK = 4
    NO_GEODESIC = 5

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    ChainStatus.COMPLETED: "all steps were taken",
    ChainStatus.LEFT_DOMAIN: "the chain stepped out of the region where the metric is defined: "
    "make `step_size` smaller",
    ChainStatus.DEGENERATE: "the metric is singular where the chain would step: a latent axis may "
    "have collapsed there",
    ChainStatus.NOT_FINITE: "a step or the metric at its end was not finite: make `step_size` "
    "smaller",
    ChainStatus.STUCK: "no step was accepted: make `step_size` smaller, or burn in for longer",
    ChainStatus.NO_GEODESIC: "no finite curve leads to the draw: join the ends of the path another "
    "way, or make `spread` smaller",
}


@dataclass(frozen=True, eq=False)
class Samples:
    """What chains drew. A chain that had to stop stays at its last good point, and says so.

    `print(samples)` shows a summary.

    Attributes:
        points: the draws z, shape `(*chains, n, d)`; those of a walk begin with its start.
        status: `ChainStatus` codes, shape `(*chains,)`; `(*chains, n)` where each draw was made by
            a walk of its own.
        log_density: the logarithm of the density that was sampled, up to a constant and with
            respect to the Riemannian volume, shape `(*chains, n)`; None for a walk.
        acceptance: the mean probability with which a step was accepted, shape `(*chains,)`; None
            where every step is.
        divergences: steps after burn-in whose integration broke down, shape `(*chains,)`; None
            where none can.
        n_taken: steps after burn-in that a chain took before it had to stop, shape `(*chains,)`:
            the draws after them are its last good point again. None where no chain takes steps.

    Example:
        >>> points = torch.randn(4, 500, 2, generator=torch.Generator().manual_seed(0))
        >>> samples = Samples(points, status=torch.zeros(4, dtype=torch.long))
        >>> print(samples)
        4 chains of 500 draws in 2 dimensions
        4 of 4 took all their steps
        >>> samples.diagnostics().mixed
        True
    """

    points: Points
    status: Int[Tensor, "*batch_or_draws"]
    log_density: Tensor | None = None
    acceptance: Tensor | None = None
    divergences: Tensor | None = None
    n_taken: Tensor | None = None

    __repr__ = as_line
    _repr_html_ = as_html

    @property
    def converged(self) -> Mask:
        """Which chains took all their steps, shape of `status`."""
        return self.status == ChainStatus.COMPLETED

    @property
    def last(self) -> Tensor:
        """The last draw of each chain, shape `(*chains, d)`: where to go on from."""
        return self.points[..., -1, :]

    def diagnostics(self, function: Callable[[Tensor], Tensor] | None = None) -> Diagnostics:
        """Compute R-hat and effective sample sizes, over all chains.

        Args:
            function: the quantities to look at, points `(m, n, d)` to values `(m, n)` or
                `(m, n, k)`; the coordinates if None.

        Returns:
            The diagnostics of each coordinate or value.

        Raises:
            InvalidDataError: fewer than 4 draws of a chain, or values that are not finite.
        """
        draws = self.points.reshape(-1, *self.points.shape[-2:])
        return Diagnostics.of(draws if function is None else function(draws))

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each draw: chain, draw, z0, z1, ..., log_density."""
        import pandas as pd

        n, d = self.points.shape[-2:]
        flat = self.points.detach().reshape(-1, d).cpu()
        index = torch.arange(len(flat))
        columns = {"chain": index // n, "draw": index % n}
        columns |= {f"z{k}": flat[:, k] for k in range(d)}
        if self.log_density is not None:
            columns["log_density"] = self.log_density.detach().flatten().cpu()
        return pd.DataFrame({name: column.numpy() for name, column in columns.items()})

    def __str__(self) -> str:
        """Say how many draws there are, and how the chains fared."""
        n, d = self.points.shape[-2:]
        n_chains = self.points[..., 0, 0].numel()
        lines = [
            f"{n_chains} chains of {n} draws in {d} dimensions",
            f"{int(self.converged.sum())} of {self.status.numel()} took all their steps",
        ]
        if self.acceptance is not None and self.acceptance.numel() > 0:
            low, high = (100 * float(x) for x in self.acceptance.aminmax())
            lines.append(f"steps accepted: {low:.0f} to {high:.0f} %")
        if self.divergences is not None:
            lines.append(f"divergent steps: {int(self.divergences.sum())}")
        return "\n".join(lines + self._failures())

    def _failures(self) -> list[str]:
        status = self.status.flatten()
        codes = [code for code in status.unique().tolist() if code != ChainStatus.COMPLETED]
        return [
            f"  {int((status == c).sum())}: {ChainStatus(c).message}{self._when(c)}" for c in codes
        ]

    def _when(self, code: int) -> str:
        """Say after how many steps the chains with this status stopped."""
        if self.n_taken is None or code == ChainStatus.STUCK:  # which took them all, in vain
            return ""
        low, high = (int(n) for n in self.n_taken[self.status == code].aminmax())
        return f" (after {low if low == high else f'{low} to {high}'} steps)"
