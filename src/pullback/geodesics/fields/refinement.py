"""Curves to geodesics by the compiled search, when there are curves to start from already."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pullback.metrics import TabulatedMetric
from pullback.shapes import Mask, Points, Scalars

__all__ = ["Refined", "follow", "lengths_of"]

# When the compiled search ends: the fields `steps`, `seen` and `excess` of `kernels.room.Settings`.
# A step of Newton's method may leave 1e-4 of the energy, twice the nodes may change the length by
# 1e-3 of it, and corrections may leave 1e-7 of the energy: as of `connect` at `rtol` = 1e-4, but
# that the length may change by ten times as much.
_STEPS, _SEEN, _EXCESS = 1e-4, 1e-3, 1e-7


# When the search for a length alone ends: the fields of `kernels.fields.lengths.Ends`. Of 9900
# geodesics between codes of digits 98.4 % keep so to 1e-4 of careful ones on the table, in 46 us
# each. Steps may leave 1e-3 of the energy: with 1e-2 it is 97.9 % in 44 us, with 1e-4 98.6 % in 46.
# The speed may vary by the root of 3e-5: with 1e-4 it is 95.8 % in 33 us, with 1e-5 98.6 % in 48.
# A finest chain whose speed varies by more than the root of the last number has stepped over
# something, and is searched anew with care: one in a thousand.
_ROUGH, _EVEN, _TRUSTED = 1e-3, 3e-5, 1e-3

# When a short search ends: the fields of `kernels.fields.searches.Brief`. Steps may leave 1e-3 of
# the energy, as of the search for a length alone, and Newton's method squares it; twice the nodes
# may change the length by 2.5 %, as of the short searches of PyTorch.
_SHORTLY = (1e-3, 0.025)


class Refined(NamedTuple):
    """Geodesics that curves became.

    Attributes:
        length: on the table, shape `(n,)`.
        error: its estimated error, in the same unit, shape `(n,)`.
        found: where the search came to its end, shape `(n,)`; elsewhere the others mean nothing.

    Example:
        >>> found = Refined(torch.tensor([2.0]), torch.tensor([1e-4]), torch.tensor([True]))
        >>> found.length[found.found].tolist()  # see `DistanceField.to` for where they come from
        [2.0]
    """

    length: Scalars
    error: Scalars
    found: Mask

    @classmethod
    def search(cls, table: TabulatedMetric, curves: Points) -> "Refined":
        """Search a geodesic from each curve.

        Args:
            table: the table, d = 2 or 3.
            curves: nodes, shape `(n, 65, d)`.

        Returns:
            What each curve became.
        """
        from pullback.geodesics.kernels.fields.searches import SEARCH_FROM
        from pullback.geodesics.kernels.room import FINEST, STARTED

        n, d = len(curves), curves.shape[-1]
        nodes, numbers = np.zeros((n, FINEST + 1, d)), np.zeros((n, 8))
        answers = (nodes, numbers, np.zeros((n, 4), np.int64))
        settings = (STARTED // 2, FINEST, _STEPS, _SEEN, _EXCESS)
        SEARCH_FROM(*_as_read(table), np.ascontiguousarray(curves.numpy()), settings, answers)
        length, mismatch, excess = torch.from_numpy(numbers[:, :3]).unbind(1)
        return cls(length, length * (mismatch + excess), torch.from_numpy(answers[2][:, 3] == 1))


def follow(table: TabulatedMetric, curves: Points) -> tuple[Scalars, Points]:
    """Search a geodesic shortly, without a certificate, from each curve or from a straight line.

    The shorter of the two is followed.

    Args:
        table: the table, d <= 3.
        curves: nodes, shape `(n, 65, d)`.

    Returns:
        Lengths on the table, shape `(n,)`: NaN where the search left the table or did not come to
        its end. Nodes at about equal distances, shape `(n, 65, d)`.

    Example:
        >>> from pullback.curves import straight_line
        >>> from pullback.manifolds.reference import HalfPlane
        >>> ends = torch.tensor([[[0.0, 1.0]], [[0.0, 2.0]]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), ends[:, 0], rtol=1e-4)
        >>> follow(table, straight_line(*ends, 64))[0].round(decimals=4)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    from pullback.geodesics.kernels.fields.searches import FOLLOW

    starts = np.ascontiguousarray(curves.double().numpy())
    nodes, lengths = np.zeros_like(starts), np.empty(len(starts))
    FOLLOW(*_as_read(table), starts, _SHORTLY, nodes, lengths)
    return torch.from_numpy(lengths), torch.from_numpy(nodes)


def lengths_of(table: TabulatedMetric, curves: Points) -> Tensor:
    """Measure the geodesic that each curve becomes, without a certificate: in a fifth of the time.

    Args:
        table: the table, d = 2.
        curves: nodes, shape `(n, 65, 2)`.

    Returns:
        Lengths on the table, shape `(n,)`: NaN where the search did not come to its end.

    Example:
        >>> from pullback.curves import straight_line
        >>> from pullback.manifolds.reference import HalfPlane
        >>> ends = torch.tensor([[[0.0, 1.0]], [[0.0, 2.0]]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), ends[:, 0], rtol=1e-4)
        >>> lengths_of(table, straight_line(*ends, 64)).round(decimals=4)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    from pullback.geodesics.kernels.fields.lengths import LENGTHS_OF

    found = np.empty(len(curves))
    ends = (_ROUGH, _EVEN, _TRUSTED)
    LENGTHS_OF(*_as_read(table), np.ascontiguousarray(curves.numpy()), ends, found)
    lengths = torch.from_numpy(found)
    rest = lengths.isnan().nonzero().squeeze(-1)
    if len(rest) > 0:
        careful = Refined.search(table, curves[rest])
        lengths[rest] = torch.where(careful.found, careful.length, torch.nan)
    return lengths


def _as_read(table: TabulatedMetric) -> tuple[Any, Any]:
    """Return the coefficients as kernels read them, and the grid as of `kernels.splines.Table`."""
    coefficients, low, high, margin = table.spline_parts
    inverse_step = (torch.tensor(coefficients.shape[1:]).to(low) - 3) / (high - low)
    parts = (low, high, inverse_step, margin)
    grid = tuple(tuple(part.double().tolist()) for part in parts)
    return np.ascontiguousarray(coefficients.movedim(0, -1).cpu().numpy()), grid
