"""Numbers as JSON holds them, and what one reader looks at."""

import base64
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import ConvergenceWarning
from pullback.exclusive import exclusive
from pullback.explorer.scene import Scene

__all__ = [
    "View",
    "encoded",
    "field_from",
    "number",
    "plane_grid",
    "points_of",
    "quietly",
    "rounded",
]


@dataclass
class View:
    """What one reader looks at.

    Attributes:
        axes: the two axes of the plane that is shown, or `PRINCIPAL`.
        centers: the centres of the clusters that were asked for last, `(k, d)`, or None.

    Example:
        >>> View().axes
        (0, 1)
    """

    axes: tuple[int, int] | str = (0, 1)
    centers: Tensor | None = None


def number(value: Any) -> float | None:
    """Return a number as JSON holds it: None where it is not finite.

    Example:
        >>> number(torch.tensor(1.5)), number(float("nan"))
        (1.5, None)
    """
    plain = float(value)
    return plain if math.isfinite(plain) else None


def rounded(values: Any, digits: int = 6) -> list[float | None]:
    """Return numbers as a list, to so many significant digits, None where one is not finite.

    Example:
        >>> rounded([1 / 3, float("inf")], 3)
        [0.333, None]
    """
    flat = np.asarray(values, dtype=np.float64).ravel().tolist()
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in flat]


def points_of(scene: Scene, z: Tensor, view: View) -> list[list[float] | None]:
    """Return points `(k, d)` in the plane that is shown, None where one is not finite.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> points_of(scene, torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]), View())
        [[1.0, 2.0], None]
    """
    shown = scene.plane(view.axes).coordinates(z).tolist()
    return [point if all(map(math.isfinite, point)) else None for point in shown]


def encoded(values: NDArray[Any], kind: str) -> str:
    """Return an array as base64 of its bytes, little-endian, row by row.

    Args:
        values: the array.
        kind: NumPy's name of the type that is sent, such as "<f4".

    Example:
        >>> encoded(np.array([1, 255]), "u1")
        'Af8='
    """
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def field_from(scene: Scene, point: Tensor, z: Tensor, *, resolution: int | None = None) -> Tensor:
    """Read distances from a point to others off a field of the table, NaN beyond it.

    Args:
        scene: what is explored, over a table.
        point: from where, `(d,)`.
        z: to where, `(m, d)`.
        resolution: cells of the field along each axis.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> Z = torch.eye(2).double()
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2).tabulated(Z), Z)
        >>> field_from(scene, Z[0], Z[1:], resolution=64).round(decimals=1)
        tensor([2.8000], dtype=torch.float64)
    """
    field = scene.manifold.dist_field(point, resolution=resolution)
    with quietly():  # of points beyond it; not longer, for a drag waits meanwhile
        return field.at(z)


def plane_grid(scene: Scene, view: View, resolution: int) -> tuple[Tensor, Tensor]:
    """Return a grid over the plane that is shown, row by row from below.

    Returns:
        Its coordinates in the plane, `(resolution^2, 2)`, and which of them lie where points may
        be, `(resolution^2,)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> grid, known = plane_grid(scene, View(), 2)
        >>> grid.tolist(), bool(known.all())
        ([[-0.5, -0.5], [1.5, -0.5], [-0.5, 1.5], [1.5, 1.5]], True)
    """
    plane = scene.plane(view.axes)
    (left, bottom), (right, top) = plane.box
    x = torch.linspace(left, right, resolution, dtype=torch.float64)
    y = torch.linspace(bottom, top, resolution, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    return grid, plane.covers(grid)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep warnings of convergence from the terminal, where the answer itself tells of it.

    Example:
        >>> with quietly():
        ...     warnings.warn("3 of 4 did not converge", ConvergenceWarning)
    """
    with exclusive(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
