"""Metrics of the space that an immersion maps into: what is pulled back, where it is not flat."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pullback import linalg
from pullback.errors import InvalidDataError, InvalidParameterError, check_points
from pullback.shapes import Ambient

__all__ = [
    "AmbientMetric",
    "ConstantMatrix",
    "CostField",
    "FlatMetric",
    "MatrixField",
    "WeightField",
    "Weights",
]


_Broadcast = Float[Tensor, "*#batch m"]  # one point may serve for many vectors


class AmbientMetric(ABC):
    """A Riemannian metric G(x) on the ambient space R^m, smooth in x.

    Attributes:
        dim: the dimension m, or None where any will do.
        diagonal: whether all G(x) are diagonal.

    Example:
        >>> class Doubled(AmbientMetric):
        ...     def apply(self, x, v):
        ...         return 2 * v
        >>> Doubled().apply(torch.zeros(3), torch.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

    dim: int | None = None
    diagonal: bool = False

    @abstractmethod
    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute G(x) v, row by row and under `torch.func`.

        Args:
            x: points of the ambient space, shape `(*batch, m)`; the batch shapes broadcast.
            v: tangent vectors there, shape `(*batch, m)`.

        Returns:
            Covectors, shape `(*batch, m)`.
        """

    def n_entries(self, m: int) -> int:
        """Say how many numbers G(x) takes at one point of R^m, by which memory is planned: m."""
        return m


class FlatMetric(AmbientMetric):
    """A metric that is the same everywhere: lengths are Euclidean after a linear map.

    Example:
        >>> isinstance(Weights([1.0, 2.0]), FlatMetric)
        True
    """

    @abstractmethod
    def flatten(self, x: Ambient) -> Ambient:
        """Map R^m linearly so that |flatten(v)|^2 = v^T G v.

        Args:
            x: points or tangent vectors, shape `(*batch, m)`.

        Returns:
            Their images, shape `(*batch, m)`.
        """


class Weights(FlatMetric):
    r"""Features that count for more or less: G = diag(w), constant.

    Args:
        weights: w >= 0, one for each dimension, shape `(m,)`: what a squared difference in that
            feature is worth. Zeros and ones make a mask.

    Raises:
        InvalidDataError: not a vector of finite numbers.
        InvalidParameterError: a weight is negative, or all are zero.

    Example:
        >>> Weights([0.0, 4.0]).flatten(torch.tensor([3.0, 3.0])).tolist()
        [0.0, 6.0]
    """

    diagonal = True

    def __init__(self, weights: Any) -> None:
        self.weights = check_points("weights", weights).detach()
        if self.weights.ndim != 1:
            got = f"shape {tuple(self.weights.shape)}"
            raise InvalidParameterError("weights", "a vector, one weight for each dimension", got)
        if not bool((self.weights >= 0).all()) or not bool(self.weights.any()):
            got = f"values from {self.weights.min():g} to {self.weights.max():g}"
            raise InvalidParameterError("weights", ">= 0, and not all of them zero", got)
        self.dim = len(self.weights)

    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute w v, see `AmbientMetric.apply`."""
        _check_size(self, x)
        return self.weights.to(v) * v + torch.zeros_like(x)

    def flatten(self, x: Ambient) -> Ambient:
        """Compute sqrt(w) x, see `FlatMetric.flatten`."""
        _check_size(self, x)
        return self.weights.sqrt().to(x) * x


class ConstantMatrix(FlatMetric):
    r"""The same inner product everywhere, <u, v> = u^T A v, as of a Mahalanobis distance.

    Args:
        matrix: A, symmetric and positive definite, shape `(m, m)`.

    Raises:
        InvalidDataError: not a square matrix of finite numbers.
        InvalidParameterError: A is not symmetric, or not positive definite.

    Example:
        >>> ConstantMatrix([[2.0, 1.0], [1.0, 2.0]]).apply(torch.zeros(2), torch.ones(2)).tolist()
        [3.0, 3.0]
    """

    def __init__(self, matrix: Any) -> None:
        A = check_points("matrix", matrix).detach()
        if A.ndim != 2 or A.shape[0] != A.shape[1]:
            raise InvalidParameterError("matrix", "square, (m, m)", f"shape {tuple(A.shape)}")
        scale = A.abs().max()
        skew = (A - A.mT).abs().max()
        if bool(skew > torch.finfo(A.dtype).eps ** 0.75 * scale):
            cure = "Use (A + A^T) / 2."
            got = f"an asymmetry of {skew:.2g} in entries up to {scale:.2g}"
            raise InvalidParameterError("matrix", "symmetric", got, cure)
        self.matrix = (A + A.mT) / 2
        self._factor, positive = linalg.cholesky(self.matrix)
        if not bool(positive):
            smallest = torch.linalg.eigvalsh(self.matrix)[0]
            got = f"a smallest eigenvalue of {smallest:.3g}"
            cure = "Add a small multiple of the identity."
            raise InvalidParameterError("matrix", "positive definite", got, cure)
        self.dim = len(A)

    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute A v, see `AmbientMetric.apply`."""
        _check_size(self, x)
        return v @ self.matrix.to(v) + torch.zeros_like(x)

    def flatten(self, x: Ambient) -> Ambient:
        """Compute L^T x with A = L L^T, see `FlatMetric.flatten`."""
        _check_size(self, x)
        return x @ self._factor.to(x)


class CostField(AmbientMetric):
    r"""Places that are dear to pass through: G(x) = c(x) I, a conformal metric.

    Args:
        cost: c, from points `(*batch, m)` to `(*batch,)`: positive, smooth, row by row and under
            `torch.func`. A length through a place grows by the square root of its cost.
        dim: the dimension m, or None where any will do.

    Example:
        >>> hill = CostField(lambda x: 1 + torch.exp(-x.square().sum(-1)))
        >>> hill.apply(torch.zeros(2), torch.ones(2)).tolist()
        [2.0, 2.0]
    """

    diagonal = True

    def __init__(self, cost: Callable[[Tensor], Tensor], dim: int | None = None) -> None:
        self.cost = check_function("cost", cost)
        self.dim = dim

    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute c(x) v, see `AmbientMetric.apply`."""
        _check_size(self, x)
        return checked("cost", self.cost(x), x.shape[:-1]).unsqueeze(-1) * v


class WeightField(AmbientMetric):
    r"""Features that count for more or less, and not everywhere the same: G(x) = diag(w(x)).

    Args:
        weights: w, from points `(*batch, m)` to positive weights `(*batch, m)`: smooth, row by row
            and under `torch.func`.
        dim: the dimension m, or None where any will do.

    Example:
        >>> WeightField(lambda x: 1 + x.square()).apply(torch.ones(2), torch.ones(2)).tolist()
        [2.0, 2.0]
    """

    diagonal = True

    def __init__(self, weights: Callable[[Tensor], Tensor], dim: int | None = None) -> None:
        self.weights = check_function("weights", weights)
        self.dim = dim

    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute w(x) v, see `AmbientMetric.apply`."""
        _check_size(self, x)
        return checked("weights", self.weights(x), x.shape) * v


class MatrixField(AmbientMetric):
    r"""A metric of any kind, given as a matrix at every point: G(x) = f(x).

    Args:
        matrix: f, from points `(*batch, m)` to symmetric positive definite matrices
            `(*batch, m, m)`: smooth, row by row and under `torch.func`.
        dim: the dimension m, or None where any will do.

    Example:
        >>> G = MatrixField(lambda x: torch.eye(2) + x.unsqueeze(-1) * x.unsqueeze(-2))
        >>> G.apply(torch.ones(2), torch.tensor([1.0, 0.0])).tolist()
        [2.0, 1.0]
    """

    def __init__(self, matrix: Callable[[Tensor], Tensor], dim: int | None = None) -> None:
        self.matrix = check_function("matrix", matrix)
        self.dim = dim

    def apply(self, x: _Broadcast, v: _Broadcast) -> _Broadcast:
        """Compute f(x) v, see `AmbientMetric.apply`."""
        _check_size(self, x)
        G = checked("matrix", self.matrix(x), (*x.shape, x.shape[-1]))
        return torch.einsum("...ij,...j->...i", G, v)

    def n_entries(self, m: int) -> int:
        """Return m^2, see `AmbientMetric.n_entries`."""
        return m * m


def check_function(name: str, function: Any) -> Any:
    """Return what can be called, or raise `InvalidParameterError`.

    Example:
        >>> check_function("cost", torch.sum) is torch.sum
        True
    """
    if not callable(function):
        raise InvalidParameterError(name, "a function of points", f"a {type(function).__name__}")
    return function


def checked(name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """Return what a user's function gave if it is a tensor of the shape, or raise.

    Raises:
        InvalidDataError: it is something else.

    Example:
        >>> checked("cost", torch.ones(5), (5,)).shape
        torch.Size([5])
    """
    if not isinstance(value, Tensor) or value.shape != shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InvalidDataError(
            f"`{name}` must return a tensor of shape {tuple(shape)} for these points, one value "
            f"for each row, but returned {got}."
        )
    return value


def _check_size(ambient: AmbientMetric, x: Tensor) -> None:
    if ambient.dim is not None and x.shape[-1] != ambient.dim:
        allowed = f"of the dimension of the ambient space, {x.shape[-1]}"
        raise InvalidParameterError("ambient", allowed, f"a metric of dimension {ambient.dim}")
