"""What a page that stands alone holds: codes, columns and layers, the table, and the decoder."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pullback.errors import InvalidParameterError
from pullback.explorer.alone.decoder import model_of
from pullback.explorer.answers import View, answer
from pullback.explorer.answers.description import describe
from pullback.explorer.answers.plain import encoded
from pullback.explorer.messages import Layer
from pullback.explorer.scene import Scene
from pullback.metrics import TabulatedMetric

__all__ = ["content_of"]

# Points of a layer along each axis, as the live page asks for.
_RESOLUTION = 128
# What the page says of what it cannot do.
_NEEDS_PYTHON = (
    "This page stands alone: your browser searches the geodesics, and nothing is sent anywhere. "
    "Balls, fans, clusters, nearest neighbours and the code of a path need Python: “pullback "
    "explore” shows them. Samples are shown as the model decodes them."
)


def content_of(scene: Scene) -> dict[str, Any]:
    """Return all that a page shows and answers from, in numbers and words that JSON can hold.

    Args:
        scene: what is explored, over a table of the plane.

    Raises:
        InvalidParameterError: it is none that a page can search, or the decoder is none that it can
            evaluate; the message says which part.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> Z = torch.eye(2).double()
        >>> scene = Scene("flat", Manifold(torch.nn.Linear(2, 3), dim=2).tabulated(Z), Z)
        >>> content = content_of(scene)
        >>> content["scene"]["box"]  # half of the margin less, where the table alone answers
        [[-0.1, -0.1], [1.1, 1.1]]
        >>> sorted(content["layers"])
        ['cells', 'curvature', 'density', 'log_volume']
    """
    coefficients, low, high, margin = (part.double().cpu() for part in _table(scene).spline_parts)
    model = model_of(scene)
    box = torch.stack([low + margin, high - margin])
    told = {
        **describe(scene),
        "box": [[round(x, 12) for x in corner] for corner in box.tolist()],
        "alone": _NEEDS_PYTHON,
    }
    table = {
        "low": low.tolist(),
        "high": high.tolist(),
        "margin": margin.tolist(),
        "shape": list(coefficients.shape[1:]),
        # Of digits, single precision changes lengths by 2e-9 (median) and 5e-8 (largest of 500).
        "coefficients": encoded(coefficients.movedim(0, -1).numpy(), "<f4"),
    }
    names = [layer["name"] for layer in told["layers"]]
    return {
        "scene": told,
        "codes": encoded(scene.Z.cpu().numpy(), "<f4"),
        "columns": {column.name: encoded(_numbers(column), "<f4") for column in scene.columns},
        "pixels": list(scene.pixels),
        "table": table,
        "model": model,
        "layers": {name: answer(scene, View(), Layer(name, _RESOLUTION)) for name in names},
    }


def _table(scene: Scene) -> TabulatedMetric:
    if scene.d != 2:
        cure = "`pullback explore` shows planes of larger spaces."
        raise InvalidParameterError("latent_dim", "2 for a page that stands alone", scene.d, cure)
    metric = scene.manifold.metric
    if not isinstance(metric, TabulatedMetric):
        cure = (
            "Give `manifold.tabulated(Z)`. Of a run, no table was near enough: the metric is too "
            "steep or has kinks, and `pullback explore` searches without one."
        )
        raise InvalidParameterError(
            "model", "over a table of its metric", type(metric).__name__, cure
        )
    return metric


def _numbers(column: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.asarray(column.values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
