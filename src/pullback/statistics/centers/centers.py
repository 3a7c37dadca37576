"""What is found of the centres of groups: where they lie, and how their descents went."""

from typing import NamedTuple

from torch import Tensor

from pullback.display import as_html, as_line

__all__ = ["Centers"]


class Centers(NamedTuple):
    """What a descent found for each of k groups.

    Attributes:
        points: the centres c, shape `(k, d)`.
        values: the objectives F(c), shape `(k,)`.
        spread: the typical distance to the centre, in which steps are measured, shape `(k,)`.
        n_failed: data whose geodesic to the centre was not found, shape `(k,)`: one without a
            finite curve is left out, the length of any other is an upper bound.
        n_iter: steps taken, shape `(k,)`.
        converged: where the last step was short enough, shape `(k,)`.
        unique: False where another start ended elsewhere with an equal objective, shape `(k,)`.
        joint: True where curves and centre that were relaxed together led to it; False where steps
            along logs did, because these found better, or because there is no joint relaxation,
            shape `(k,)`.

    Example:
        >>> from pullback import Manifold
        >>> from pullback.statistics import frechet_means
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> frechet_means(M, [[1.0], [3.0], [8.0]], [0, 0, 1]).points.flatten().tolist()
        [2.0, 8.0]
    """

    points: Tensor
    values: Tensor
    spread: Tensor
    n_failed: Tensor
    n_iter: Tensor
    converged: Tensor
    unique: Tensor
    joint: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)
