"""What lies around a point: geodesic balls, and geodesics in all directions."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import InvalidParameterError
from pullback.explorer.answers.plain import View, field_from, plane_grid, points_of
from pullback.explorer.messages import Ball, Fan
from pullback.explorer.scene import Scene

__all__ = ["answer_ball", "answer_fan"]

# Cells of the distance field along each axis, by dimension, and points of the plane in which it is
# read. In the plane 128 cells err by 0.33 % (median), less than a pixel of a radius, and follow a
# hand where 256 take three times as long.
_CELLS, _READ = {2: 128, 3: 48}, 192
# Directions of a ball that is drawn by geodesics, where there is no table.
_ROUND = 96
# Points along each geodesic of a fan.
_TIMES = 61
# The relative tolerance of its steps: on digits the fan takes 80 ms so, an eighth of what the
# default takes, and no ray is off by what could be seen.
_TOLERANCE = 1e-4


def answer_ball(scene: Scene, view: View, ask: Ball) -> dict[str, Any]:
    """Draw the boundaries of geodesic balls: all that is nearer than a radius lies inside.

    Args:
        scene: what is explored; over a table a field of distances tells them, in the plane that is
            shown. Elsewhere, for d = 2, the ends of geodesics do.
        view: the plane.
        ask: the point and the radii.

    Raises:
        InvalidParameterError: there is no table, and d > 2.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> ring = answer_ball(scene, View(), Ball(torch.zeros(2), (1.0,)))["curves"][0][0]
        >>> sorted({round(math.hypot(*point), 6) for point in ring})
        [0.5]
    """
    if scene.has_fields:
        return {"curves": _contours(scene, view, ask), "words": []}
    if scene.d > 2:
        cure = "Balls are drawn of two dimensions, or over a table (d <= 3, `pullback[fast]`)."
        raise InvalidParameterError("point", "in two dimensions", scene.d, cure)
    point = ask.point.to(scene.Z)
    rings = [scene.manifold.ball(point, radius, n=_ROUND).boundary for radius in ask.radii]
    closed = [torch.cat([ring, ring[:1]]) for ring in rings]
    words = ["Where geodesics cross, a ring passes through its own ball."]
    return {"curves": [_unbroken(points_of(scene, ring, view)) for ring in closed], "words": words}


def _contours(scene: Scene, view: View, ask: Ball) -> list[list[Any]]:
    from contourpy import contour_generator

    grid, known = plane_grid(scene, view, _READ)
    z = scene.plane(view.axes).lift(grid).to(scene.Z)
    distances = field_from(scene, ask.point, z, resolution=_CELLS[scene.d]).double().cpu()
    heights = distances.masked_fill(~known, torch.nan).numpy().reshape(_READ, _READ)
    x, y = (part.numpy().reshape(_READ, _READ) for part in grid.unbind(-1))
    lines = contour_generator(x, y, np.ma.masked_invalid(heights))
    return [[np.asarray(line).tolist() for line in lines.lines(radius)] for radius in ask.radii]


def answer_fan(scene: Scene, view: View, ask: Fan) -> dict[str, Any]:
    """Follow geodesics from a point, evenly spread by the angles of the metric.

    In more than two dimensions they leave within the plane that is shown, and are drawn in it.

    Args:
        scene: what is explored.
        view: the plane.
        ask: the point, how many and how long.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> found = answer_fan(scene, View(), Fan(torch.zeros(2), 4, 1.0))
        >>> [[round(x, 6) + 0.0 for x in curve[0][-1]] for curve in found["curves"]]
        [[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]]
    """
    point = ask.point.to(scene.Z)
    velocity = ask.length * _directions(scene, view, point, ask.n)
    paths = scene.manifold.shoot(point, velocity, rtol=_TOLERANCE)
    drawn = paths.points(_TIMES)  # NaN beyond what was reached
    lost = int((~paths.converged).sum())
    words = [f"{lost} of {ask.n} could not be followed to their end."] if lost else []
    return {"curves": [_unbroken(points_of(scene, way, view)) for way in drawn], "words": words}


def _directions(scene: Scene, view: View, z: Tensor, n: int) -> Tensor:
    """Return n tangent vectors in the shown plane, of length 1 in the metric, `(n, d)`."""
    angle = torch.arange(n, dtype=z.dtype, device=z.device) * (2 * math.pi / n)
    circle = torch.stack([angle.cos(), angle.sin()])
    basis = scene.plane(view.axes).basis.to(z).T
    L, _ = linalg.cholesky(basis.T @ scene.manifold.metric_matrix(z) @ basis)
    inside: Tensor = torch.linalg.solve_triangular(L.mT, circle, upper=True)
    return (basis @ inside).T


def _unbroken(points: list[list[float] | None]) -> list[list[list[float]]]:
    """Cut a curve where points are missing, and leave out what is no curve."""
    pieces: list[list[list[float]]] = [[]]
    for point in points:
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append(point)
    return [piece for piece in pieces if len(piece) > 1]
