"""The geodesic between two points and the straight line: drawn, measured, decoded, certified."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback import curves
from pullback.explorer.answers.plain import View, number, points_of, rounded
from pullback.explorer.answers.strips import strips
from pullback.explorer.messages import Path
from pullback.explorer.scene import Scene
from pullback.geodesics import GeodesicResult
from pullback.geodesics.base import Status

__all__ = ["answer_path", "certificate"]

# Points along a curve that are drawn: enough to look smooth.
_DRAWN = 65
# Chords by which the straight line is measured on the decoder itself, and half as many: chords are
# too short by the square of their length, so that both tell what is left. On a line through the
# variance wall of digits that errs by 3e-6, where 256 chords alone err by 9e-5 and cost more.
_CHORDS = 128
# Steps of equal time whose sizes in data space are told.
_STEPS = 32


def answer_path(scene: Scene, view: View, ask: Path) -> dict[str, Any]:
    """Find the geodesic from a to b, and say what it is worth.

    Args:
        scene: what is explored.
        view: the plane that is shown; the geodesic is searched in all d dimensions.
        ask: the two points.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> found = answer_path(scene, View(), Path(torch.zeros(2), torch.ones(2), 3))
        >>> found["status"], round(found["geodesic"]["length"], 4)  # 2 sqrt(2)
        ('converged', 2.8284)
    """
    begin = time.perf_counter()
    manifold = scene.manifold
    a, b = ask.a.to(scene.Z), ask.b.to(scene.Z)
    found = manifold.geodesic(a, b)
    straight = _straight_length(scene, a, b)
    images, steps = _decoded(scene, found, a, b, ask.n_images)
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "geodesic": {
            "points": points_of(scene, found.points(_DRAWN), view),
            "length": number(found.length),
        },
        "straight": {"length": number(straight)},
        "status": Status(int(found.status)).name.lower(),
        "certified": bool(found.converged),
        "words": certificate(found, straight),
        "speed_variation": number(found.speed_variation),
        "images": dict(zip(("geodesic", "straight"), images, strict=True)),
        "steps": dict(zip(("geodesic", "straight"), steps, strict=True)),
        "seconds": time.perf_counter() - begin,
    }


def certificate(found: GeodesicResult, straight: float) -> list[str]:
    """Say in words what one geodesic is worth: first whether it is certified.

    Args:
        found: the geodesic, of batch shape ().
        straight: the length of the straight line.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> found = Manifold(lambda z: z, dim=2).geodesic([0.0, 0.0], [3.0, 4.0])
        >>> certificate(found, 5.0)[0]
        'Certified: this is a geodesic.'
    """
    length, bound = float(found.length), float(found.lower_bound)
    words = [_verdict(found)]
    if not np.isfinite(length):
        return words
    if np.isfinite(straight) and straight > 0:
        gain = 1 - length / straight
        told = f"{gain:.1%} shorter than" if gain >= 5e-4 else "as long as"
        words.append(f"It is {told} the straight line ({length:.4g} and {straight:.4g}).")
    if bound > 0:
        words.append(f"No way can be shorter than {bound:.4g}, the distance of the images.")
    error = float(found.refinement)
    if np.isfinite(error):
        parts = float(f"{1 / max(error, 1e-9):.0e}")  # one digit of it says enough
        words.append(f"Its length is known to about one part in {parts:,.0f}.")
    return words


def _verdict(found: GeodesicResult) -> str:
    if not bool(found.converged):
        return f"Not certified: {Status(int(found.status)).reason}."
    if bool(found.conjugate):
        return "A geodesic, but a small change may make it no longer: another may be as short."
    if bool(found.ambiguous):
        rival = float(found.rival_length)
        return f"A geodesic, but another way is nearly as short ({rival:.4g}): it may be mistaken."
    if not np.isfinite(float(found.second_variation)):
        return "Certified: this is a geodesic."
    return "Certified: this is a geodesic, and every small change makes it longer."


def _straight_length(scene: Scene, a: Tensor, b: Tensor) -> float:
    exact, line = scene.manifold.metric.exact, _line(a, b, _CHORDS + 1)
    fine, coarse = (float(curves.length(exact, nodes)) for nodes in (line, line[::2]))
    return (4 * fine - coarse) / 3


def _line(a: Tensor, b: Tensor, n: int) -> Tensor:
    t = torch.linspace(0, 1, n, dtype=a.dtype, device=a.device)[:, None]
    return a * (1 - t) + b * t


def _decoded(
    scene: Scene, found: GeodesicResult, a: Tensor, b: Tensor, n_images: int
) -> tuple[list[dict[str, Any]], list[list[float | None]]]:
    """Decode both curves at once: images at equal times, and the sizes of steps between them."""
    ways = [found.points(n_images), _line(a, b, n_images)]
    ways += [found.points(_STEPS + 1), _line(a, b, _STEPS + 1)]
    if scene.manifold.decoder is None:
        return [{"names": [], "values": []}] * 2, [[], []]
    usable = [torch.nan_to_num(way) for way in ways]
    rows = scene.decode(torch.cat(usable))
    parts = np.split(rows, np.cumsum([len(way) for way in ways])[:-1])
    return strips(scene, *parts[:2]), [_sizes(scene, part) for part in parts[2:]]


def _sizes(scene: Scene, rows: NDArray[np.float64]) -> list[float | None]:
    """Return the sizes of steps, each feature in the unit that the model takes it in."""
    return rounded(np.linalg.norm(np.diff(rows / scene.scale, axis=0), axis=-1))
