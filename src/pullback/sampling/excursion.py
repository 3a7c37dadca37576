"""How far walks are from the codes, and steps by which walks in two spaces can be compared."""

import math
from typing import Any

import torch

from pullback import linalg
from pullback.errors import InvalidDataError, check_data, check_number, check_points
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Scalars

__all__ = ["excursions", "matched_step"]

# Distances from points to codes that are in memory at once: 32 MB in double precision. Set by
# judgement: with fewer, the loop over parts takes longer than the parts; with more, only memory.
_AT_ONCE = 2**22


def excursions(points: Any, codes: Codes) -> Scalars:
    """Measure how far walks are from the nearest code in the second half of their steps.

    The unit is the spread of the codes, the mean over the axes of their standard deviation: 1 is as
    far as codes are from their middle. Half of the walk is left out, for every walk begins at home.

    Args:
        points: walks with their starts, shape `(*walks, n, d)`, from `Samples.points`.
        codes: z of the data, `(m, d)`, m >= 2.

    Returns:
        Distances, `(*walks, n - n // 2)`, in the order of the steps: of a walk that had to stop,
        those of its last point from there on.

    Raises:
        InvalidDataError: points or codes are not finite, of unlike dimensions, or all codes are the
            same.

    Example:
        >>> codes = torch.tensor([[-1.0], [1.0]]).double()
        >>> (excursions([[0.0], [50.0], [1.0], [4.0]], codes) * codes.std()).tolist()
        [0.0, 3.0]
    """
    codes = check_data("codes", codes, min_samples=2).detach()
    walks = check_points("points", points, codes.shape[1]).detach().to(codes)
    spread = codes.std(0).mean()
    if not bool(spread > 0):
        raise InvalidDataError("`codes` must differ, but all are the same: there is no unit.")
    half = walks[..., walks.shape[-2] // 2 :, :]
    parts = half.reshape(-1, codes.shape[1]).split(max(1, _AT_ONCE // len(codes)))
    nearest = torch.cat([torch.cdist(part, codes).amin(-1) for part in parts])
    return (nearest / spread).reshape(half.shape[:-1])


def matched_step(manifold: Manifold, codes: Codes, length: float) -> float:
    """Return the step size s at which a walk moves as far in coordinates as a Euclidean one.

    A step s M^-1/2 eps has the mean square s^2 trace M^-1. At the median code that is d length^2,
    as of a Euclidean step of this standard deviation along each axis.

    Args:
        manifold: where to walk, see `BrownianMotion`.
        codes: z of the data, `(m, d)`.
        length: the standard deviation of a Euclidean step along each axis, > 0.

    Returns:
        s, in the unit of the metric.

    Raises:
        InvalidParameterError: a length out of range.
        InvalidDataError: the metric is singular at every code.

    Example:
        >>> round(matched_step(Manifold(lambda z: 7 * z, dim=2), torch.zeros(3, 2), 0.1), 6)
        0.7
    """
    check_number("length", length, 0, open_low=True)
    with torch.no_grad():
        L, usable = linalg.cholesky(manifold.metric_matrix(codes))
    if not bool(usable.any()):
        raise InvalidDataError("The metric is singular at every one of `codes`: no step is as far.")
    L = L[usable]
    root = torch.linalg.solve_triangular(L, torch.eye(L.shape[-1]).to(L).expand_as(L), upper=False)
    moved = root.square().sum((-2, -1)).median()
    return length * math.sqrt(L.shape[-1] / float(moved))
