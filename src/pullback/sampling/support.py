"""Where a model knows: the part of the latent space that data vouch for."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_choice,
    check_data,
    check_integer,
    check_number,
    check_points,
)
from pullback.manifolds import Manifold
from pullback.sampling.base import check_manifold
from pullback.shapes import Latent, Mask, Scalars

__all__ = ["Support"]

# What may decide where a model knows.
_CRITERIA = ("log_volume", "neighbors", "std")
# Chords by which a straight line to a neighbour is measured: with fewer, one could step over a
# wall.
_CHORDS = 8
# Points at which the decoder is evaluated together: it bounds memory.
_AT_ONCE = 16384


class Support:
    r"""The latent points that look like codes of data: {z: score(z) <= the quantile of the codes'}.

    The score is one of

    - `"neighbors"`: the length in the metric of the straight line to the furthest of the k nearest
      codes, a bound from above on the geodesic distance to the k-th. It is large in a wall of the
      variance and beyond it, and in holes; codes are scored without themselves.
    - `"std"`: the mean over the features of log sigma_j(z), for a decoder that says its sigma.
    - `"log_volume"`: log sqrt det M(z). Beware: far out, where the decoder no longer changes, it
      is small again.

    Args:
        manifold: the latent space.
        codes: codes of data, shape `(n, d)`, more than `n_neighbors` of them.
        criterion: `"neighbors"`, `"std"` or `"log_volume"`.
        level: the share of the codes that lie inside, in (0, 1].
        n_neighbors: k, for `"neighbors"`.

    Attributes:
        threshold: the largest score inside.
        scores: those of the codes, shape `(n,)`.

    Raises:
        InvalidParameterError: a parameter is out of range, or the decoder has no sigma.
        InvalidDataError: codes are not finite, too few, or of another dimension, or more than
            1 - `level` of them have no score.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = Manifold(PullbackMetric(lambda z: z, dim=2))
        >>> codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)).double()
        >>> support = Support(flat, codes, level=0.95)
        >>> support.contains([[0.0, 0.0], [9.0, 9.0]]).tolist(), support.share(2 * codes) < 0.8
        ([True, False], True)
    """

    def __init__(
        self,
        manifold: Manifold,
        codes: Any,
        *,
        criterion: str = "neighbors",
        level: float = 0.99,
        n_neighbors: int = 5,
    ) -> None:
        self.manifold = check_manifold(manifold)
        self.criterion = check_choice("criterion", criterion, _CRITERIA)
        self.level = check_number("level", level, 0, 1, open_low=True)
        self.n_neighbors = check_integer("n_neighbors", n_neighbors)
        least = self.n_neighbors + 1 if criterion == "neighbors" else 2
        like = torch.zeros((), dtype=manifold.dtype, device=manifold.device)
        self.codes = check_data("codes", codes, dim=manifold.dim, min_samples=least)
        self.codes = self.codes.detach().to(like)
        if criterion == "std":
            self._check_std()
        self.scores = self._score(self.codes, n_skipped=1)
        self.threshold = self._threshold()

    def __repr__(self) -> str:
        return (
            f"Support({len(self.codes)} codes, {self.criterion!r}, level={self.level:g}, "
            f"threshold={self.threshold:.4g})"
        )

    def score(self, points: Any) -> Scalars:
        """Compute the score of points `(*batch, d)`: small inside; shape `(*batch,)`.

        It is NaN or infinite where the metric is not defined.
        """
        z = check_points("points", points, self.codes.shape[1]).detach().to(self.codes)
        return self._score(z.reshape(-1, z.shape[-1])).reshape(z.shape[:-1])

    def contains(self, points: Any) -> Mask:
        """Say which points `(*batch, d)` lie inside: shape `(*batch,)`."""
        return self.score(points) <= self.threshold  # False for NaN

    def share(self, points: Any) -> float:
        """Return the share of points `(*batch, d)` that lie inside."""
        return float(self.contains(points).double().mean())

    def gaps(self) -> Scalars:
        """Measure the straight line from each code to the next one, in the metric: shape `(n,)`."""
        with torch.no_grad():
            chunks = self.codes.split(_AT_ONCE // (_CHORDS + 1))
            parts = [self._lengths(part, 1, 1)[:, 0] for part in chunks]
        return torch.cat(parts)

    def _threshold(self) -> float:
        unknown = self.scores.isnan() | (self.scores == torch.inf)
        scores = torch.where(unknown, torch.inf, self.scores)  # such codes are the furthest out
        threshold = float(scores.quantile(self.level, interpolation="higher"))
        if threshold == torch.inf:
            raise InvalidDataError(
                f"`codes` must lie where the metric is finite, but around {int(unknown.sum())} of "
                f"{len(unknown)} it is not, more than `level` = {self.level:g} leaves outside. "
                "Remove them, or lower `level`."
            )
        return threshold

    def _score(self, z: Tensor, n_skipped: int = 0) -> Tensor:
        lines = (_CHORDS + 1) * self.n_neighbors if self.criterion == "neighbors" else 1
        with torch.no_grad():
            chunks = z.split(max(1, _AT_ONCE // lines))
            parts = [self._score_part(part, n_skipped) for part in chunks]
        return torch.cat(parts) if parts else z.new_zeros(0)

    def _score_part(self, z: Tensor, n_skipped: int) -> Tensor:
        if self.criterion == "log_volume":
            return self.manifold.metric.log_volume(z)
        if self.criterion == "std":
            std: Tensor = self._distribution(z).stddev
            return std.log().flatten(1).mean(1).to(z)
        return self._lengths(z, self.n_neighbors, n_skipped).amax(1)

    def _lengths(self, z: Latent, k: int, n_skipped: int) -> Tensor:
        """Measure the straight lines from points to their k nearest codes, shape `(n, k)`."""
        near = torch.cdist(z, self.codes).topk(k + n_skipped, largest=False).indices[:, n_skipped:]
        t = torch.linspace(0, 1, _CHORDS + 1, dtype=z.dtype, device=z.device).unsqueeze(-1)
        ends = self.codes[near].unsqueeze(-2)
        lines = z[:, None, None] * (1 - t) + ends * t
        lengths: Tensor = self.manifold.metric.chords(lines).sum(-1)
        return lengths

    def _distribution(self, z: Tensor) -> Any:
        return None if self.manifold.decoder is None else self.manifold.decoder(z)

    def _check_std(self) -> None:
        with torch.no_grad():
            output = self._distribution(self.codes[:1])
        if not isinstance(output, Distribution):
            allowed = "'neighbors' or 'log_volume' where no decoder returns one distribution"
            raise InvalidParameterError("criterion", allowed, "'std'")
