"""Curves whose nodes crowd near both ends, where geodesics of sloppy metrics have thin layers."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from pullback.curves.spline import CubicSpline
from pullback.shapes import Points

__all__ = ["GradedSpline", "graded_durations", "graded_times"]

# How many nodes crowd: the density of nodes at time t is 1 + _CROWD / (t + _LAYER) and the same
# from the other end, so 41 % of the nodes stand closer than equal steps would have them. With 0.05
# and 1e-6, on an RBF decoder of digits with d = 10, 64 segments gave lengths to 7e-5 that 1024
# equal ones gave to 2e-3; with these values, whose middle is finer, to 2e-5 (29 November 2026).
_CROWD = 0.03
_LAYER = 1e-5  # the time within which a layer is resolved
_EVEN = 128  # segments of the curve that says velocities, half of the most that are solved
_BISECTIONS = 80  # by which times are found: more than there are bits


class GradedSpline(CubicSpline):
    r"""The cubic spline through nodes that stand at the times of `graded_times`.

    Where a decoder hardly depends on some latent directions, a geodesic leaves its end points by a
    fast move along these, within a tiny part of its length. Nodes at equal times step over such a
    layer, and what they call the shortest chain takes a short cut through the space of images. Here
    the steps fall geometrically towards both ends. In its own parameter s, of which the steps are
    equal, the curve is a `CubicSpline`; `at` and `velocity` are by the time

        s(t) = (t + k log(1 + t / h) + k log((1 + h) / (1 - t + h))) / (1 + 2 k log(1 + 1 / h)).

    Args:
        nodes: the nodes, shape `(*batch, n, d)`, n >= 2.

    Source:
        Bakhvalov, On the optimization of the methods for solving boundary value problems in the
        presence of a boundary layer (1969).

    Example:
        >>> nodes = graded_times(16).unsqueeze(-1)
        >>> GradedSpline(nodes).at(torch.tensor([0.5], dtype=torch.float64)).item()
        0.5
    """

    def at(self, t: Tensor) -> Points:
        """Evaluate c(t): points `(*batch, n, d)`, see `Curve.at`."""
        return super().at(_position(t.clamp(0, 1)))

    def velocity(self, t: Tensor) -> Points:
        """Evaluate c'(t) outside of the layers, see `Curve.velocity`.

        It is that of the spline through points at equal steps of t, 1/128 each. Within a layer a
        node hardly weighs in the energy, so that its own velocity is not known.
        """
        return CubicSpline(self.points(_EVEN + 1)).velocity(t)


def graded_times(n_segments: int) -> Tensor:
    """Return the times at which the nodes of a graded curve stand, shape `(n_segments + 1,)`.

    Args:
        n_segments: the number of segments, >= 1.

    Example:
        >>> graded_times(64)[[0, 32, 64]].tolist(), bool(graded_times(64)[4] < 1e-3)
        ([0.0, 0.5, 1.0], True)
    """
    times = torch.zeros(n_segments + 1, dtype=torch.float64)
    times[1:] = graded_durations(n_segments).cumsum(0)
    times[-1] = 1.0
    return times


def graded_durations(n_segments: int) -> Tensor:
    """Return how long each segment of a graded curve takes, to full precision near both ends.

    Args:
        n_segments: the number of segments, >= 1.

    Returns:
        The steps of the time, which add up to 1, shape `(n_segments,)`.

    Example:
        >>> steps = graded_durations(64)
        >>> bool((steps[0] == steps[-1]) & (steps[0] < 2e-5)), round(float(steps.sum()), 12)
        (True, 1.0)
    """
    return _durations(n_segments).clone()


_SCALE = 1 + 2 * _CROWD * math.log1p(1 / _LAYER)  # so that s runs from 0 to 1


def _position(t: Tensor) -> Tensor:
    """Compute s(t)."""
    layers = torch.log1p(t / _LAYER) + math.log1p(1 / _LAYER) - torch.log1p((1 - t) / _LAYER)
    position: Tensor = (t + _CROWD * layers) / _SCALE
    return position


@lru_cache(maxsize=64)
def _durations(n_segments: int) -> Tensor:
    """Invert s(t) on the first half by bisection; the second half is its mirror image."""
    half = torch.arange(n_segments // 2 + 1, dtype=torch.float64) / n_segments
    low, high = torch.zeros_like(half), torch.full_like(half, 0.5)
    for _ in range(_BISECTIONS):
        # Near the end the mean of the logarithms finds the small times to all their digits.
        middle = torch.where(low > 0, (low * high).sqrt(), high / 4)
        before = _position(middle) < half
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    high[0] = 0.0
    if n_segments % 2 == 0:
        high[-1] = 0.5
    front = high.diff()
    middle = 1 - 2 * high[-1:] if n_segments % 2 == 1 else front[:0]
    return torch.cat([front, middle, front.flip(0)])
