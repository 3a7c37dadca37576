"""What is known of one sample, and the plane that is looked at."""

from typing import Any

import numpy as np

from pullback.explorer.answers.plain import View
from pullback.explorer.answers.strips import strips
from pullback.explorer.messages import Plane, Sample
from pullback.explorer.scene import Scene

__all__ = ["answer_plane", "answer_sample", "plane_box"]


def answer_sample(scene: Scene, view: View, ask: Sample) -> dict[str, Any]:
    """Show one sample: its image or features, its code, and its columns.

    Args:
        scene: what is explored; without data the code is decoded.
        view: not looked at.
        ask: which sample.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> found = answer_sample(scene, View(), Sample(1))
        >>> found["strip"], found["point"]
        ({'names': ['x1', 'x2'], 'values': [[0.0, 2.0]]}, [0.0, 1.0])
    """
    del view
    code = scene.Z[ask.index]
    if scene.X is not None:
        row = np.asarray(scene.X[ask.index : ask.index + 1] * scene.scale + scene.center)
    elif scene.manifold.decoder is not None:
        row = scene.decode(code[None])
    else:
        row = None
    strip = None if row is None else strips(scene, row)[0]
    columns = {column.name: column.at(ask.index) for column in scene.columns}
    return {"strip": strip, "point": code.tolist(), "columns": columns}


def answer_plane(scene: Scene, view: View, ask: Plane) -> dict[str, Any]:
    """Show another plane from now on.

    Args:
        scene: what is explored.
        view: it keeps the axes.
        ask: the two axes.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=3), torch.eye(3).double())
        >>> view = View()
        >>> answer_plane(scene, view, Plane((0, 2)))["axes"], view.axes
        ([0, 2], (0, 2))
    """
    view.axes = ask.axes
    return {"axes": list(ask.axes), "box": plane_box(scene, ask.axes)}


def plane_box(scene: Scene, axes: tuple[int, int]) -> list[list[float]]:
    """Return the lower left and the upper right corner of a plane.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> plane_box(scene, (0, 1))
        [[-0.5, -0.5], [1.5, 1.5]]
    """
    return [[float(corner[axis]) for axis in axes] for corner in scene.box]
