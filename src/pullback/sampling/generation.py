"""New points where the model knows: between the codes of data and on their support."""

import math
from typing import Any

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import (
    ConvergenceError,
    InvalidDataError,
    InvalidParameterError,
    check_number,
)
from pullback.sampling.independent import IndependentSampler
from pullback.sampling.samples import Samples
from pullback.sampling.support import Support

__all__ = ["SupportSampler"]

# Rounds of proposals before the search for draws on the support is given up.
_ROUNDS = 200
# The most pairs of a draw and a code whose distance is computed together: 16 MiB in double
# precision.
_ENTRIES = 2**21


class SupportSampler(IndependentSampler):
    r"""Independent draws near codes of data, none of them off the support.

    Proposals come from the codes, each blurred in the unit of the metric, and those off the support
    are refused: p(z) is proportional to 1/n sum_i N(z; c_i, s^2 M(c_i)^-1) where the support
    contains z, and 0 elsewhere. The blur is wide along directions in which the decoder hardly
    changes, and narrow across a wall.

    Args:
        support: where draws may lie, and the codes.
        spread: s > 0, a length in the metric; None for the median length of the straight line from
            a code to the next one, over sqrt(d).

    Raises:
        InvalidParameterError: not a `Support`, or `spread` is out of range.
        InvalidDataError: the metric is singular at every code, or the codes are all the same.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> from pullback.metrics import PullbackMetric
        >>> codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)).double()
        >>> support = Support(Manifold(PullbackMetric(lambda z: z, dim=2)), codes)
        >>> samples = SupportSampler(support).sample(100, random_state=0)
        >>> samples.points.shape, support.share(samples.points)
        (torch.Size([100, 2]), 1.0)
    """

    def __init__(self, support: Support | Any, *, spread: float | None = None) -> None:
        if not isinstance(support, Support):
            raise InvalidParameterError("support", "a Support", type(support).__name__)
        self.support, self.manifold = support, support.manifold
        metric = support.manifold.metric
        factor, regular = linalg.cholesky(metric.metric_matrix(support.codes).detach())
        if not bool(regular.any()):
            raise InvalidDataError(
                "The metric is singular at every code: a latent axis may have collapsed."
            )
        self._centers, self._factor = support.codes[regular], factor[regular]
        if spread is None:
            spread = self._median_gap()
        self.spread = check_number("spread", spread, 0, open_low=True)

    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """Draw points, see `IndependentSampler.sample`.

        Args:
            n: how many.
            generator: the source of randomness.

        Returns:
            Points `(n, d)`, with the log-density with respect to the Riemannian volume (normalised
            by the share of proposals that were accepted) and that share.

        Raises:
            ConvergenceError: hardly any proposal lies on the support.
        """
        kept: list[Tensor] = []
        n_kept = n_proposed = 0
        for _ in range(_ROUNDS):
            proposals = self._propose(max(n, 100), generator)
            kept.append(proposals[self.support.contains(proposals)])
            n_kept, n_proposed = n_kept + len(kept[-1]), n_proposed + len(proposals)
            if n_kept >= n:
                break
        else:
            raise ConvergenceError(
                f"Only {n_kept} of {n_proposed} proposals lie on the support, but {n} were asked "
                f"for: make `spread` = {self.spread:.3g} smaller, or the `level` of the support "
                "larger."
            )
        points, share = torch.cat(kept)[:n], n_kept / n_proposed
        log_density = self._log_density(points) - math.log(share)
        return Samples(
            points,
            status=torch.zeros((), dtype=torch.long, device=points.device),
            log_density=log_density,
            acceptance=points.new_tensor(share),
        )

    def _propose(self, n: int, generator: torch.Generator) -> Tensor:
        c, device = self._centers, self._centers.device
        chosen = torch.randint(len(c), (n,), generator=generator, device=device)
        noise = torch.randn(n, c.shape[1], 1, generator=generator, dtype=c.dtype, device=device)
        blur: Tensor = torch.linalg.solve_triangular(self._factor[chosen].mT, noise, upper=True)
        return c[chosen] + self.spread * blur.squeeze(-1)

    def _log_density(self, z: Tensor) -> Tensor:
        """The log-density of the proposals with respect to the volume."""
        c, d = self._centers, z.shape[1]
        weight = self._factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) - math.log(len(c))
        weight = weight - d * math.log(self.spread) - d / 2 * math.log(2 * math.pi)
        parts: list[Any] = []
        for part in z.split(max(1, _ENTRIES // len(c))):
            gap = part.unsqueeze(1) - c
            scaled = torch.einsum("nji,bnj->bni", self._factor, gap) / self.spread
            parts.append((weight - scaled.square().sum(-1) / 2).logsumexp(1))
        total: Tensor = torch.cat(parts)
        return total - self.support.manifold.metric.log_volume(z).detach()

    def _median_gap(self) -> float:
        gaps = self.support.gaps()
        gap = float(gaps[gaps.isfinite()].median()) / math.sqrt(self.support.codes.shape[1])
        if not gap > 0:
            raise InvalidDataError(
                "Most codes coincide with another one, so that there is no length to blur them by: "
                "give `spread`."
            )
        return gap
