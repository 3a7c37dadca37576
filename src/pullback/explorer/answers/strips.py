"""What is decoded along a curve, as images or as the features that change."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.explorer.answers.plain import encoded, rounded
from pullback.explorer.scene import Scene

__all__ = ["strips"]

# The most features that are shown along a path. Set by judgement: as many fit beside the map, and
# are still told apart.
_MOST = 12


def strips(scene: Scene, *curves: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return what is shown of decoded rows along curves, the same features for all of them.

    Args:
        scene: what is explored.
        curves: rows in the unit of the data as read, each `(k, D)`.

    Returns:
        For images `shape` (k, h, w) and `data`, bytes from black to white; else `names` and
        `values`, the features that change most along any of the curves, most first.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> strips(scene, np.array([[0.0, 1.0], [0.5, 3.0]]))
        [{'names': ['x2', 'x1'], 'values': [[1.0, 0.0], [3.0, 0.5]]}]
    """
    if scene.image_shape is not None:
        return [_images(scene, rows, scene.image_shape) for rows in curves]
    together = np.concatenate(curves)
    change = np.nan_to_num(np.ptp(together, axis=0) / scene.scale)
    chosen = np.argsort(-change, kind="stable")[:_MOST]
    given = scene.feature_names
    names = [f"x{k + 1}" if given is None else given[k] for k in chosen.tolist()]
    return [
        {"names": names, "values": [rounded(row) for row in rows[:, chosen]]} for rows in curves
    ]


def _images(scene: Scene, rows: NDArray[np.float64], shape: tuple[int, int]) -> dict[str, Any]:
    low, high = scene.pixels
    light = np.clip((np.nan_to_num(rows) - low) / (high - low), 0, 1)
    return {"shape": [len(rows), *shape], "data": encoded(np.round(255 * light), "u1")}
