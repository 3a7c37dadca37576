"""The Python that makes the paths of the page again."""

from textwrap import wrap
from typing import Any

from pullback.explorer.answers.plain import View
from pullback.explorer.messages import PythonCode
from pullback.explorer.planes import ShownPlane
from pullback.explorer.scene import Scene

__all__ = ["answer_python"]


def answer_python(scene: Scene, view: View, ask: PythonCode) -> dict[str, Any]:
    """Write the Python that makes the manifold and finds geodesics between the same points.

    Args:
        scene: what is explored.
        view: not looked at: points have all d coordinates, and the request says in which plane
            they were kept.
        ask: the ends of the paths.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> ends = (torch.zeros(2).double(), torch.ones(2).double())
        >>> print(answer_python(scene, View(), PythonCode((ends,)))["code"])
        M = ...  # the manifold that was explored
        <BLANKLINE>
        a = [
            [0.0, 0.0],
        ]
        b = [
            [1.0, 1.0],
        ]
        paths = M.geodesic(a, b)
        print(paths)
        <BLANKLINE>
    """
    del view
    lines = [scene.setup, ""]
    for name, end in (("a", 0), ("b", 1)):
        rows = [f"    {pair[end].tolist()!r}," for pair in ask.paths]
        lines += [f"{name} = [", *rows, "]"]
    lines += ["paths = M.geodesic(a, b)", "print(paths)", ""]
    if ask.in_principal:
        lines += _plane(scene.principal)
    return {"code": "\n".join(lines)}


def _plane(plane: ShownPlane) -> list[str]:
    """Write the lines that show the paths in the plane of the principal geodesics."""
    rows = [f"    {row.tolist()!r}," for row in plane.basis]
    return [
        *(f"# {line}" for line in wrap(" ".join(plane.words), 97)),
        "import torch",
        "",
        f"mean = torch.tensor({plane.origin.tolist()!r}).to(M.dtype)",
        "directions = torch.tensor([",
        *rows,
        "]).to(M.dtype)",
        "coordinates = (paths.points(65) - mean) @ M.metric_matrix(mean) @ directions.T",
        "",
    ]
