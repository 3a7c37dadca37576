"""What a distance field answers of points: distances, their errors, and which were refined."""

from typing import NamedTuple

from pullback.display import as_html, as_line
from pullback.shapes import Mask, Scalars

__all__ = ["DistancesFrom"]


class DistancesFrom(NamedTuple):
    """Distances from a point to others.

    Attributes:
        distance: shape `(n,)`; NaN beyond the field.
        error: an estimate of its error on the table, in the same unit, shape `(n,)`.
        refined: where the distance is the length of a geodesic, shape `(n,)`; elsewhere it is read
            off the field.

    Example:
        >>> import torch
        >>> found = DistancesFrom(torch.ones(2), torch.zeros(2), torch.tensor([True, False]))
        >>> found
        DistancesFrom(distance=(2,) float32, error=(2,) float32, refined=(2,) bool)
    """

    distance: Scalars
    error: Scalars
    refined: Mask

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)
