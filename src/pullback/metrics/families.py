"""Functions of a decoder's output that choose by its class: the most specific class wins.

A family of distributions is described in one of two places: by its `Likelihood`, or by a function
that is registered for its class. Whichever of them names the class that is nearer to that of the
output answers; of both for the same class the registered one does, so that users can override.
"""

from collections.abc import Callable, Mapping
from functools import singledispatch, update_wrapper
from typing import Any, Generic, TypeVar, overload

from pullback.models.likelihoods.base import FAMILIES, Likelihood

__all__ = ["ByFamily"]

Answer = TypeVar("Answer")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class ByFamily(Generic[Answer]):
    """A function of a decoder's output, as `functools.singledispatch` that knows of likelihoods.

    Args:
        function: answers for classes that nobody describes; its name and docstring are taken.
        of_likelihood: from a likelihood to the function for its families, or None if it has none.

    Example:
        >>> from torch.distributions import Distribution, Gamma, Poisson
        >>> def name(output: object) -> str:
        ...     return "unknown"
        >>> name = ByFamily(name, lambda likelihood: lambda output: likelihood.__name__)
        >>> _ = name.register(Distribution)(lambda output: "some distribution")
        >>> name(Poisson(1.0)), name(Gamma(1.0, 1.0)), name(0)
        ('PoissonLikelihood', 'some distribution', 'unknown')
    """

    def __init__(
        self,
        function: Callable[[object], Answer],
        of_likelihood: Callable[[type[Likelihood]], Callable[[Any], Answer] | None],
    ) -> None:
        self._registered = singledispatch(function)
        self._of_likelihood = of_likelihood
        update_wrapper(self, function)

    def __call__(self, output: Any) -> Answer:
        """Answer for an output, by its class."""
        return self.dispatch(type(output))(output)

    @overload
    def register(self, kind: type) -> Callable[[_Function], _Function]: ...

    @overload
    def register(self, kind: _Function) -> _Function: ...

    def register(self, kind: Any) -> Any:
        """Register a function for a class of outputs, as `functools.singledispatch` does.

        Args:
            kind: the class, for a decorator; or the function, whose annotation names the class.
        """
        return self._registered.register(kind)

    @property
    def registry(self) -> Mapping[Any, Callable[..., Answer]]:
        """The registered functions by their classes; that of `object` is the last resort."""
        return self._registered.registry

    def dispatch(self, kind: type) -> Callable[[Any], Answer]:
        """Return the function that answers for a class of outputs."""
        for base in kind.__mro__:
            if base in self.registry:
                break
            found = self._of_likelihood(FAMILIES[base]) if base in FAMILIES else None
            if found is not None:
                return found
        return self._registered.dispatch(kind)

    def knows(self, kind: type) -> bool:
        """Say whether a class of outputs is described, by a likelihood or a registered function."""
        return self.dispatch(kind) is not self.registry[object]
