"""The fields of a message: each is taken out once and checked, and refused in words."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pullback.errors import InvalidParameterError, check_choice, check_integer, check_number
from pullback.explorer.scene import Scene

__all__ = ["Fields", "shortened"]

# The most paths of which the Python is asked at once. By judgement: more than one keeps.
_PATHS = 100


class Fields:
    """The fields of a message, each taken out once and checked.

    Args:
        body: the fields by name.
        scene: what they ask about.
        axes: the axes of the plane that is shown, or `PRINCIPAL`.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> Fields({"a": [0.0, float("nan")]}, scene, (0, 1)).point("a")
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `a[1]` must be a finite number ..., but got nan...
    """

    def __init__(self, body: dict[str, Any], scene: Scene, axes: tuple[int, int] | str) -> None:
        self.scene = scene
        self.axes = axes
        self._body = body
        self._taken: set[str] = set()

    def take(self, name: str, default: Any = ...) -> Any:
        """Return a field; raise if it is missing and has no default."""
        self._taken.add(name)
        if name in self._body:
            return self._body[name]
        if default is ...:
            raise InvalidParameterError(name, "given", "nothing")
        return default

    def point(self, name: str) -> Tensor:
        """Return a point with all d coordinates, inside of the box that is shown."""
        return self._point(name, self.take(name))

    def integer(self, name: str, low: int, high: int, default: Any = ...) -> int:
        """Return a whole number in [low, high]."""
        return check_integer(name, self.take(name, default), low, high)

    def positive(self, name: str) -> float:
        """Return a number above 0."""
        return check_number(name, self.take(name), 0, open_low=True)

    def choice(self, name: str, choices: Sequence[str], default: Any = ...) -> str:
        """Return one of some words."""
        return check_choice(name, self.take(name, default), choices)

    def items(self, name: str, high: int) -> list[Any]:
        """Return a list of one entry or more."""
        given = self.take(name)
        if not isinstance(given, list) or not 1 <= len(given) <= high:
            got = f"{len(given)} entries" if isinstance(given, list) else shortened(given)
            raise InvalidParameterError(name, f"a list of 1 to {high} entries", got)
        return given

    def pairs(self, name: str) -> list[tuple[Tensor, Tensor]]:
        """Return a list of pairs of points, given as {"a", "b"}."""
        pairs = []
        for k, given in enumerate(self.items(name, _PATHS)):
            if not isinstance(given, dict) or not {"a", "b"} <= set(given):
                raise InvalidParameterError(f"{name}[{k}]", 'points {"a", "b"}', shortened(given))
            a, b = (self._point(f"{name}[{k}].{end}", given[end]) for end in ("a", "b"))
            pairs.append((a, b))
        return pairs

    def refuse_others(self) -> None:
        """Raise if there is a field that nobody asked for."""
        others = sorted(set(self._body) - self._taken)
        if others:
            allowed = f"left out: the fields are {', '.join(sorted(self._taken)) or 'none'}"
            raise InvalidParameterError(others[0][:40], allowed, shortened(self._body[others[0]]))

    def _point(self, name: str, given: Any) -> Tensor:
        sizes = sorted({2, self.scene.d})
        if not isinstance(given, list) or len(given) not in sizes:
            allowed = f"a list of {' or '.join(map(str, sizes))} numbers"
            raise InvalidParameterError(name, allowed, shortened(given))
        numbers = [check_number(f"{name}[{k}]", value) for k, value in enumerate(given)]
        point = self.scene.lift(numbers, self.axes)
        low, high = self.scene.box
        if bool(((point < low) | (point > high)).any()):
            ends = " x ".join(f"[{a:.4g}, {b:.4g}]" for a, b in zip(low, high, strict=True))
            cure = "Beyond it nothing was measured."
            raise InvalidParameterError(name, f"in the box {ends}", shortened(given), cure)
        return point


def shortened(value: Any) -> str:
    """Return what came as Python writes it, cut where it is long.

    Example:
        >>> shortened([0, 1])
        '[0, 1]'
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
