"""Metrics of the space that an immersion maps into: what is pulled back, where it is not flat."""

from abc import ABC, abstractmethod

from pullback.shapes import Ambient

__all__ = ["AmbientMetric"]


class AmbientMetric(ABC):
    """A Riemannian metric G(x) on the ambient space R^m, smooth in x.

    Example:
        >>> import torch
        >>> class Doubled(AmbientMetric):
        ...     def apply(self, x, v):
        ...         return 2 * v
        >>> Doubled().apply(torch.zeros(3), torch.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

    @abstractmethod
    def apply(self, x: Ambient, v: Ambient) -> Ambient:
        """Compute G(x) v, row by row and under `torch.func`.

        Args:
            x: points of the ambient space, shape `(*batch, m)`; the batch shapes broadcast.
            v: tangent vectors there, shape `(*batch, m)`.

        Returns:
            Covectors, shape `(*batch, m)`.
        """
