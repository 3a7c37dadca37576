"""What a centre minimises: the objective of means and medians, and the step that logs propose."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from pullback.manifolds import Manifold
from pullback.statistics.centers.mass import Mass
from pullback.statistics.logarithms import Logs

__all__ = ["Objective"]


class Objective(ABC):
    """What a centre minimises, and the step towards its minimum that the logs propose.

    Example:
        >>> from pullback.statistics.centers.frechet_mean import SquaredDistance
        >>> issubclass(SquaredDistance, Objective)
        True
    """

    at_data: ClassVar[bool] = False
    """Whether the minimum may lie on a point of the data, where steps would not end."""

    squared: ClassVar[bool] = False
    """Whether F is the mean of d^2: its curves are then relaxed together with the centre."""

    @abstractmethod
    def value(self, lengths: Tensor) -> Tensor:
        """Compute the objective of each point, whose weighted mean is F, shape `(n,)`."""

    @abstractmethod
    def spread(self, value: Tensor) -> Tensor:
        """Return the typical distance that belongs to F, shape `(k,)`."""

    @abstractmethod
    def move(self, manifold: Manifold, points: Tensor, logs: Logs, mass: Mass) -> Tensor:
        """Propose a step for each centre, shape `(k, d)`."""
