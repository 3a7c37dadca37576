"""What is explored, as a page is told of it first."""

from typing import Any

from pullback.explorer.answers.layers import layers_of
from pullback.explorer.scene import Scene
from pullback.version import __version__

__all__ = ["describe"]


def describe(scene: Scene, *, most_values: int = 0) -> dict[str, Any]:
    """Say what is explored, in numbers and words that JSON can hold.

    Args:
        scene: what is explored.
        most_values: the values of columns come along up to so many samples.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> told = describe(scene)
        >>> told["title"], told["n"], told["d"], told["axes"]
        ('flat', 2, 2, [0, 1])
    """
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "labels": list(column.labels),
            "values": column.numbers() if scene.n <= most_values else None,
        }
        for column in scene.columns
    ]
    return {
        "title": scene.title,
        "n": scene.n,
        "d": scene.d,
        **scene.plane((0, 1)).told(),
        "columns": columns,
        "image": scene.image_shape,
        "features": scene.feature_names,
        "layers": layers_of(scene),
        "balls": scene.has_table or scene.d == 2,
        "version": __version__,
    }
