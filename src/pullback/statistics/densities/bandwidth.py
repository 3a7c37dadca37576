"""How wide kernels on a curved space should be: rules of thumb, and the likelihood left out."""

import math
import warnings

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from pullback.errors import ConvergenceWarning, InvalidDataError

__all__ = ["held_out_bandwidth", "log_kernel", "rule_of_thumb"]

# The bandwidths that are tried, in units of the rule of thumb: from far too narrow to far too wide.
_RANGE = (0.02, 3.0)
# How many, evenly in the logarithm: each is 14 % wider than the last.
_TRIED = 40


def log_kernel(length: Tensor, log_density: Tensor, bandwidth: float, dim: int) -> Tensor:
    r"""Compute log K_h(r) - log theta, K_h(r) = (2 pi h^2)^(-dim/2) exp(-r^2 / (2 h^2)).

    Args:
        length: geodesic distances r, of any shape; the kernel is 0 where they are infinite.
        log_density: log theta, the volume density, of the same shape.
        bandwidth: h > 0.
        dim: the dimension of the space.

    Returns:
        Logarithms, of the same shape.

    Example:
        >>> log_kernel(torch.zeros(1), torch.zeros(1), 1.0, 2).exp()  # 1 / (2 pi)
        tensor([0.1592])
    """
    scaled = length / bandwidth
    log = -scaled.square() / 2 - dim * math.log(bandwidth * math.sqrt(2 * math.pi)) - log_density
    return torch.where(length.isfinite(), log, -torch.inf)


def rule_of_thumb(length: Tensor, n_effective: float, dim: int, rule: str) -> float:
    r"""Choose h as for normal data in a flat space.

    The spread is s^2 = mean d_ij^2 / (2 dim) over pairs of points: the mean variance of a
    coordinate. Scott's rule is h = s n^(-1 / (dim + 4)), Silverman's has n (dim + 2) / 4 in place
    of n. Both are too wide for data in several clusters.

    Args:
        length: distances between different points, shape `(k,)`; infinite ones are left out.
        n_effective: the number of points.
        dim: the dimension of the space.
        rule: `"scott"` or `"silverman"`.

    Returns:
        The bandwidth h.

    Raises:
        InvalidDataError: all points coincide, or there is only one.

    Source:
        Scott, Multivariate density estimation (1992), section 6.3; Silverman, Density estimation
        for statistics and data analysis (1986), section 4.3.

    Example:
        >>> round(rule_of_thumb(torch.tensor([2.0]), 1.0, 2, "scott"), 6)
        1.0
    """
    known = length[length.isfinite()]
    spread = float((known.square().mean() / (2 * dim)).sqrt()) if len(known) else 0.0
    if spread == 0:
        raise InvalidDataError(
            f"`bandwidth` = {rule!r} needs points at some distance from each other, but there is "
            "only one sample, all of them coincide, or none reaches another. Give a number."
        )
    factor = n_effective if rule == "scott" else n_effective * (dim + 2) / 4
    return spread * float(factor ** (-1 / (dim + 4)))


def held_out_bandwidth(
    length: Tensor, log_density: Tensor, weights: Tensor, dim: int, *, guess: float
) -> float:
    r"""Choose h by the likelihood of each point under the kernels of all others.

    Maximises sum_i w_i log sum_{j != i} w_j K_h(d_ij) / theta_ij. Of widths from 1/50 to 3 times
    the guess the best is refined.

    Args:
        length: distances, shape `(n, n)`.
        log_density: log theta between the points, shape `(n, n)`.
        weights: w, shape `(n,)`.
        dim: the dimension of the space.
        guess: a rule of thumb.

    Returns:
        The bandwidth h; warned of if it is the least or the greatest that was tried.

    Source:
        Habbema, Hermans, van den Broek, A stepwise discriminant analysis program using density
        estimation (1974).

    Example:
        >>> z = torch.linspace(-1, 1, 21).double()
        >>> gap, none = (z[:, None] - z).abs(), torch.zeros(21, 21).double()
        >>> 0.01 < held_out_bandwidth(gap, none, torch.ones(21).double(), 1, guess=0.3) < 0.5
        True
    """
    own = torch.eye(len(length), dtype=torch.bool, device=length.device)
    # A point that reaches no other has no density by them, whatever the bandwidth.
    reached = (~own & length.isfinite()).any(1)
    others = length.masked_fill(own, torch.inf)[reached]
    log_density, shares = log_density[reached], weights[reached]

    def loss(log_h: float) -> float:
        logs = log_kernel(others, log_density, math.exp(log_h), dim) + weights.log()
        return -float(shares @ torch.logsumexp(logs, 1))

    low, high = (math.log(guess * share) for share in _RANGE)
    tried = np.linspace(low, high, _TRIED)
    best = int(np.argmin([loss(log_h) for log_h in tried]))
    if best in (0, _TRIED - 1):
        end = "smallest" if best == 0 else "largest"
        warnings.warn(
            f"The likelihood of held-out points is highest at the {end} bandwidth that was tried, "
            f"{math.exp(tried[best]):.3g}: points may come twice, or lie in parts that do not "
            "touch. Give `bandwidth` as a number.",
            ConvergenceWarning,
            stacklevel=4,
        )
        return math.exp(tried[best])
    found = minimize_scalar(loss, bounds=(tried[best - 1], tried[best + 1]), method="bounded")
    return math.exp(float(found.x))
