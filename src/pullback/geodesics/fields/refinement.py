"""Curves to geodesics by the compiled search, when there are curves to start from already."""

from typing import NamedTuple

import numpy as np
import torch

from pullback.metrics import TabulatedMetric
from pullback.shapes import Mask, Points, Scalars

__all__ = ["Refined"]

# When the compiled search ends: the fields `steps`, `seen` and `excess` of `kernels.room.Settings`.
# A step of Newton's method may leave 1e-4 of the energy, twice the nodes may change the length by
# 1e-3 of it, and corrections may leave 1e-7 of the energy: as of `connect` at `rtol` = 1e-4, but
# that the length may change by ten times as much.
_STEPS, _SEEN, _EXCESS = 1e-4, 1e-3, 1e-7


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

        coefficients, low, high, margin = table.spline_parts
        inverse_step = (torch.tensor(coefficients.shape[1:]).to(low) - 3) / (high - low)
        parts = (low, high, inverse_step, margin)
        grid = tuple(
            tuple(part.double().tolist()) for part in parts
        )  # as of `kernels.splines.Table`
        n, d = len(curves), curves.shape[-1]
        nodes, numbers = np.zeros((n, FINEST + 1, d)), np.zeros((n, 8))
        answers = (nodes, numbers, np.zeros((n, 4), np.int64))
        SEARCH_FROM(
            np.ascontiguousarray(coefficients.movedim(0, -1).cpu().numpy()),
            grid,
            np.ascontiguousarray(curves.numpy()),
            (STARTED // 2, FINEST, _STEPS, _SEEN, _EXCESS),
            answers,
        )
        length, mismatch, excess = torch.from_numpy(numbers[:, :3]).unbind(1)
        return cls(length, length * (mismatch + excess), torch.from_numpy(answers[2][:, 3] == 1))
