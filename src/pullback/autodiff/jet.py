"""A jet: a tensor whose rows depend on points, with its derivatives along some directions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Bend", "Jet", "UnknownOperationError", "expand"]


class UnknownOperationError(Exception):
    """An operation that jets have no rule for: the map is differentiated by PyTorch instead.

    Example:
        >>> issubclass(UnknownOperationError, Exception)
        True
    """


class Bend(NamedTuple):
    """An operation that is not linear, and its share of the second derivatives of <r, f>.

    Attributes:
        value: what the operation returned, shape `(n, ...)`.
        share: from the derivative of <r, f> by `value`, of the same shape, to what this operation
            adds to the matrix of second derivatives of each row, shape `(n, d, d)`.

    Example:
        >>> Bend(torch.ones(1), lambda adjoint: adjoint[:, None, None]).value
        tensor([1.])
    """

    value: Tensor
    share: Callable[[Tensor], Tensor]


class Jet(Tensor):
    """A tensor of n rows, each a function of one point, with its derivatives along directions.

    While a map is evaluated a jet stands for its tensors, and a rule says what each of PyTorch's
    operations makes of it. The first axis counts the rows, always: an operation that mixes rows or
    moves that axis has no rule.

    Attributes:
        value: the tensor, shape `(n, ...)`.
        tangents: its derivatives along k directions, shape `(n, k, ...)`.
        is_curved: the last of the k is no derivative along a direction, but the second derivative
            along the direction before it.
        bends: the operations so far that are not linear, one list for all jets of an evaluation;
            None if second derivatives are not asked for.
        rules: from an operation to its rule, a function of it, its arguments and its keywords.

    Example:
        >>> jet = Jet.of(torch.tensor([[3.0]]), torch.ones(1, 1, 1))
        >>> torch.square(jet).tangents.item()
        6.0
    """

    value: Tensor
    tangents: Tensor
    bends: list[Bend] | None
    is_curved: bool
    rules: dict[Any, Callable[..., Any]] = {}  # noqa: RUF012

    @staticmethod
    def of(
        value: Tensor,
        tangents: Tensor,
        bends: list[Bend] | None = None,
        *,
        is_curved: bool = False,
    ) -> "Jet":
        """Make a jet of its parts."""
        jet: Jet = value.detach().as_subclass(Jet)
        jet.value, jet.tangents, jet.bends, jet.is_curved = value, tangents, bends, is_curved
        return jet

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what the rule of an operation says.

        Raises:
            UnknownOperationError: it has none.
        """
        # Programs of torch.export call overloads of an operation, which are many objects.
        operation = getattr(func, "overloadpacket", func)
        rule = cls.rules.get(operation)
        if rule is None:
            raise UnknownOperationError(f"{func}")
        return rule(operation, args, kwargs or {})

    def evaluate(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Compute a value, so that it can be differentiated if second derivatives are asked for."""
        with torch.set_grad_enabled(self.bends is not None):
            return function(*args, **kwargs)

    def then(self, value: Tensor, tangents: Tensor) -> "Jet":
        """Make the jet of what an operation made of this one, row by row."""
        if value.ndim == 0 or len(value) != len(self.value):
            raise UnknownOperationError("an operation that does not keep rows apart")
        return Jet.of(value, tangents, self.bends, is_curved=self.is_curved)


def expand(
    f: Callable[[Tensor], Any],
    z: Tensor,
    directions: Tensor,
    bends: list[Bend] | None = None,
    *,
    is_curved: bool = False,
) -> Jet:
    """Evaluate a map on a jet: its values, and its derivatives along some directions.

    Args:
        f: the map, from points to images, row by row.
        z: points, shape `(n, d)`; a leaf that asks for its gradient, if there are `bends`.
        directions: k tangent vectors at each z, shape `(n, k, d)`.
        bends: a list to which operations that are not linear are added, for second derivatives.
        is_curved: the last of the k vectors is c'' of a curve c through z, and the one before c'.

    Returns:
        The jet of the images, shape `(n, m)`.

    Raises:
        UnknownOperationError: an operation of the map has no rule.

    Example:
        >>> z = torch.tensor([[1.0, 2.0]])
        >>> expand(torch.exp, z, torch.tensor([[[0.0, 1.0]]])).tangents
        tensor([[[0.0000, 7.3891]]])
    """
    image = f(Jet.of(z, directions, bends, is_curved=is_curved))
    if not isinstance(image, Jet):
        raise UnknownOperationError("a map that does not return what it made of its points")
    return image
