"""Whether chains have mixed, and how many independent draws they are worth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_choice

__all__ = ["Diagnostics", "effective_sample_size", "r_hat"]

# The fewest draws of a chain: each half of it needs two for a variance.
_FEWEST = 4
# Chains have mixed if R-hat is below 1.01 and the effective number of draws is at least 100 for
# each chain, as Vehtari et al. advise (2021).
_MIXED, _ENOUGH = 1.01, 100


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What chains say of themselves, for each quantity; `print` shows a table.

    Attributes:
        r_hat: rank-normalised split R-hat, shape `(*values,)`: see `r_hat`.
        bulk_ess: effective sample size for means, see `effective_sample_size`.
        tail_ess: effective sample size for the quantiles of 5 and 95 %.
        n_chains: how many chains there are.
        n_draws: draws of each chain.

    Example:
        >>> draws = torch.randn(4, 1000, 2, generator=torch.Generator().manual_seed(0))
        >>> Diagnostics.of(draws).mixed
        True
    """

    r_hat: Tensor
    bulk_ess: Tensor
    tail_ess: Tensor
    n_chains: int
    n_draws: int

    __repr__ = as_line
    _repr_html_ = as_html

    @classmethod
    def of(cls, draws: Tensor) -> "Diagnostics":
        """Diagnose draws of shape `(chains, n, *values)`."""
        return cls(
            r_hat=r_hat(draws),
            bulk_ess=effective_sample_size(draws),
            tail_ess=effective_sample_size(draws, kind="tail"),
            n_chains=draws.shape[0],
            n_draws=draws.shape[1],
        )

    @property
    def mixed(self) -> bool:
        """Whether every R-hat is below 1.01 and every ESS at least 100 a chain.

        These are the bounds of Vehtari et al. (2021). A quantity that never changed fails.
        """
        few = torch.minimum(self.bulk_ess, self.tail_ess) < _ENOUGH * self.n_chains
        return bool(((self.r_hat < _MIXED) & ~few).all())

    def __str__(self) -> str:
        """Return a table with a row for each quantity."""
        columns = [x.flatten().tolist() for x in (self.r_hat, self.bulk_ess, self.tail_ess)]
        lines = [
            f"{self.n_chains} chains of {self.n_draws} draws"
            + ("" if self.mixed else ": not mixed, run longer"),
            "quantity   R-hat   bulk ESS   tail ESS",
        ]
        for i, (ratio, bulk, tail) in enumerate(zip(*columns, strict=True)):
            lines.append(f"{i:>8}  {ratio:6.3f}  {bulk:9.0f}  {tail:9.0f}")
        return "\n".join(lines)


def r_hat(draws: Tensor) -> Tensor:
    r"""Compare the variance between chains with that within them: 1 where they agree.

    With n draws in each half of a chain, W the mean variance within halves and B / n the variance
    of their means, R = sqrt((n - 1) / n + B / (n W)) of the normal scores of the ranks. The larger
    of that of the draws and that of their distances from the median is returned, so that chains
    with one mean but different spreads are told apart as well.

    Args:
        draws: shape `(chains, n, *values)`, n >= 4.

    Returns:
        R-hat, shape `(*values,)`: 1.01 or less for chains that have mixed; infinite where each
        half stands still at a place of its own, NaN where nothing ever changed.

    Raises:
        InvalidDataError: fewer than 4 draws, or draws that are not finite.

    Source:
        Vehtari, Gelman, Simpson, Carpenter, Buerkner, Rank-normalization, folding, and
        localization: an improved R-hat (2021).

    Example:
        >>> apart = torch.arange(2.0).reshape(2, 1) + torch.rand(2, 100)
        >>> r_hat(apart).item() > 1.5
        True
    """
    halves = _split(_checked(draws))
    folded = (halves - _quantile(halves, 0.5)).abs()
    ratio = torch.maximum(_plain_r_hat(_rank_normal(halves)), _plain_r_hat(_rank_normal(folded)))
    return ratio.reshape(draws.shape[2:])


def effective_sample_size(draws: Tensor, *, kind: str = "bulk") -> Tensor:
    r"""Say how many independent draws would estimate as well: m n / (1 + 2 sum_t rho_t).

    The autocorrelations rho_t are those of all m chains together, summed in pairs as long as they
    stay positive and made monotone (Geyer).

    Args:
        draws: shape `(chains, n, *values)`, n >= 4.
        kind: `"bulk"` for means, of the normal scores of the ranks; `"tail"` for quantiles, the
            smaller one of those at 5 and 95 %; `"mean"` for the mean of the draws as they are.

    Returns:
        The effective sample size, shape `(*values,)`; at most m n log10(m n), NaN where nothing
        ever changed.

    Raises:
        InvalidDataError: fewer than 4 draws, or draws that are not finite.
        InvalidParameterError: an unknown kind.

    Source:
        Vehtari, Gelman, Simpson, Carpenter, Buerkner, Rank-normalization, folding, and
        localization: an improved R-hat (2021); Geyer, Practical Markov chain Monte Carlo (1992).

    Example:
        >>> draws = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
        >>> 3000 < effective_sample_size(draws).item() < 5000
        True
    """
    check_choice("kind", kind, ("bulk", "mean", "tail"))
    whole = _checked(draws)
    halves = _split(whole)
    if kind == "tail":
        below = [(halves <= _quantile(whole, q)).double() for q in (0.05, 0.95)]
        size = torch.minimum(*(_plain_ess(share) for share in below))
    else:
        size = _plain_ess(_rank_normal(halves) if kind == "bulk" else halves)
    return size.reshape(draws.shape[2:])


def _checked(draws: Tensor) -> Tensor:
    """Return draws `(chains, n, values)` in double precision."""
    if draws.ndim < 2 or draws.shape[0] < 1 or draws.shape[1] < _FEWEST:
        raise InvalidDataError(
            f"`draws` must have shape (chains, n, ...) with n >= {_FEWEST} draws of each chain, "
            f"but got {tuple(draws.shape)}. Run the chains longer."
        )
    if not bool(draws.isfinite().all()):
        raise InvalidDataError("`draws` must be finite, but some are NaN or infinite.")
    return draws.detach().double().reshape(*draws.shape[:2], -1)


def _split(draws: Tensor) -> Tensor:
    """Take both halves of each chain as chains; of an odd number the middle draw is left out."""
    half = draws.shape[1] // 2
    return torch.cat([draws[:, :half], draws[:, -half:]])


def _quantile(draws: Tensor, q: float) -> Tensor:
    """Interpolate between the order statistics of all draws `(chains, n, values)`: `(values,)`.

    `torch.quantile` refuses more than 2^24 numbers.
    """
    ordered = draws.flatten(0, 1).sort(0).values
    place = q * (len(ordered) - 1)
    low = int(place)
    return ordered[low].lerp(ordered[min(low + 1, len(ordered) - 1)], place - low)


def _rank_normal(draws: Tensor) -> Tensor:
    """Replace draws by the normal scores of their ranks among all chains, ties sharing theirs."""
    flat = draws.flatten(0, 1).T.contiguous()
    ordered = flat.sort(-1).values
    below, up_to = (torch.searchsorted(ordered, flat, right=right) for right in (False, True))
    rank = (below + up_to + 1).double() / 2
    # Blom's offsets keep the largest rank away from a score of infinity.
    score: Tensor = torch.special.ndtri((rank - 0.375) / (flat.shape[-1] + 0.25))
    return score.T.reshape(draws.shape)


def _plain_r_hat(draws: Tensor) -> Tensor:
    n = draws.shape[1]
    within = draws.var(1).mean(0)
    between = draws.mean(1).var(0)  # B / n
    return ((n - 1) / n + between / within).sqrt()


def _plain_ess(draws: Tensor) -> Tensor:
    m, n = draws.shape[:2]
    covariance = _autocovariance(draws).mean(0)
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + draws.mean(1).var(0)
    rho = 1 - (within - covariance) / total
    rho[0] = 1
    # Without the last lags, which are means of one product or two.
    n_pairs = max((n - 1) // 2, 1)
    even, odd = rho[0 : 2 * n_pairs : 2], rho[1 : 2 * n_pairs : 2]
    pairs = even + odd
    kept = (pairs > 0).to(rho).cumprod(0)
    kept[-1] = 0
    monotone = torch.cummin(torch.where(kept > 0, pairs, 0), 0).values
    # Of the first pair of lags whose sum is not positive, the even one still counts if it is.
    first = kept.sum(0).long().unsqueeze(0)
    rest = even.gather(0, first).squeeze(0).clamp(min=0)
    tau = -1 + 2 * monotone.sum(0) + rest
    size = m * n / tau.clamp(min=1 / math.log10(m * n))
    return torch.where(covariance[0] + total > 0, size, torch.nan)


def _autocovariance(draws: Tensor) -> Tensor:
    """Compute (1 / n) sum_i x_i x_i+t of the centred chains for all lags t, by a Fourier transform.

    Padding to twice the length keeps the ends of a chain from meeting.
    """
    n = draws.shape[1]
    centred = draws - draws.mean(1, keepdim=True)
    spectrum = torch.fft.rfft(centred, n=2 * n, dim=1)
    power = spectrum.real.square() + spectrum.imag.square()
    covariance: Tensor = torch.fft.irfft(power, n=2 * n, dim=1)
    return covariance[:, :n] / n
