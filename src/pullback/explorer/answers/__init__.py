"""What the explorer answers: plain numbers for every request."""

from collections.abc import Callable
from typing import Any

import torch

from pullback.explorer.answers.around import answer_ball, answer_fan
from pullback.explorer.answers.code import answer_python
from pullback.explorer.answers.groups import answer_clusters, answer_neighbors
from pullback.explorer.answers.layers import answer_layer, layers_of
from pullback.explorer.answers.path import answer_path
from pullback.explorer.answers.plain import View
from pullback.explorer.answers.samples import answer_plane, answer_principal, answer_sample
from pullback.explorer.messages import (
    Ball,
    Clusters,
    Fan,
    Layer,
    Neighbors,
    Path,
    Plane,
    Principal,
    PythonCode,
    Request,
    Sample,
)
from pullback.explorer.scene import Scene

__all__ = ["View", "answer", "layers_of"]

_ANSWERS: dict[type[Request], Callable[[Scene, View, Any], dict[str, Any]]] = {
    Path: answer_path,
    Layer: answer_layer,
    Ball: answer_ball,
    Fan: answer_fan,
    Clusters: answer_clusters,
    Neighbors: answer_neighbors,
    Sample: answer_sample,
    Plane: answer_plane,
    Principal: answer_principal,
    PythonCode: answer_python,
}


@torch.no_grad()
def answer(scene: Scene, view: View, request: Request) -> dict[str, Any]:
    """Answer a request in numbers and words that JSON can hold.

    Args:
        scene: what is explored.
        view: what one reader looks at, which some requests change.
        request: what is asked.

    Raises:
        PullbackError: it cannot be answered; the message says why.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> answer(scene, View(), Plane((1, 0)))["axes"]
        [1, 0]
    """
    return _ANSWERS[type(request)](scene, view, request)
