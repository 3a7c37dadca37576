"""What a page reads at its beginning: the scene, the codes of a plane, the values of a column."""

from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import InvalidParameterError
from pullback.explorer.answers.description import describe
from pullback.explorer.fields import shortened
from pullback.explorer.planes import PRINCIPAL
from pullback.explorer.scene import Scene

__all__ = ["Readings"]

# Up to so many samples the values of columns come with the scene, beyond when they are asked for:
# the first picture is not to wait for a megabyte of them.
_INLINE = 2000


class Readings:
    """What a page reads of a scene, besides the answers to its requests.

    Args:
        scene: what is explored.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> len(Readings(scene).codes("0,1"))  # 2 codes of 2 numbers of 4 bytes
        16
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @cached_property
    def description(self) -> dict[str, Any]:
        """What is explored, as JSON holds it."""
        return describe(self._scene, most_values=_INLINE)

    def codes(self, axes: str) -> bytes:
        """Return two coordinates of all codes, as little-endian floats of 4 bytes.

        Args:
            axes: two axes, such as "0,1", or `PRINCIPAL`.

        Raises:
            InvalidParameterError: there is no such plane, or it was not found yet.
        """
        scene, words = self._scene, axes.split(",")
        known = {str(axis) for axis in range(scene.d)}
        if words == [PRINCIPAL] and scene.knows_principal:
            plane = scene.principal
        elif len(words) == 2 and set(words) <= known and words[0] != words[1]:
            plane = scene.plane((int(words[0]), int(words[1])))
        else:
            allowed = (
                f"two different ones of 0 to {scene.d - 1}, such as 0,1, or {PRINCIPAL} once these "
                "were found"
            )
            raise InvalidParameterError("axes", allowed, shortened(axes))
        shown = plane.coordinates(scene.Z).numpy()
        return np.ascontiguousarray(shown, dtype="<f4").tobytes()

    def column(self, name: str) -> dict[str, Any]:
        """Return the values of one column, as JSON holds them.

        Args:
            name: its name.

        Raises:
            InvalidParameterError: there is none of that name.
        """
        for column in self._scene.columns:
            if column.name == name:
                return {"name": name, "values": column.numbers()}
        raise InvalidParameterError("name", "the name of a column", shortened(name))
