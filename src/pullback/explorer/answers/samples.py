"""What is known of one sample, and the plane that is looked at."""

from typing import Any

import numpy as np

from pullback.explorer.answers.plain import View
from pullback.explorer.answers.strips import strips
from pullback.explorer.messages import Plane, Principal, Sample
from pullback.explorer.scene import Scene

__all__ = ["answer_plane", "answer_principal", "answer_sample"]


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
    return scene.plane(ask.axes).told()


def answer_principal(scene: Scene, view: View, ask: Principal) -> dict[str, Any]:
    """Find the plane of the principal geodesics, which is kept; `answer_plane` shows it.

    Args:
        scene: what is explored.
        view: not changed: seconds may have passed since it was asked for.
        ask: nothing more.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=3), torch.eye(3).double())
        >>> answer_principal(scene, View(), Principal())["axes"], scene.knows_principal
        ('principal', True)
    """
    del view, ask
    return scene.principal.told()
