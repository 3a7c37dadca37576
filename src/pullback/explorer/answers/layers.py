"""Maps over the plane: volume, standard deviation, curvature, density, and Voronoi cells."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from pullback.explorer.answers.groups import nearest_center
from pullback.explorer.answers.plain import View, encoded, field_from, number, plane_grid, quietly
from pullback.explorer.messages import LAYERS, Layer
from pullback.explorer.scene import Scene
from pullback.plots.maps.std_map import mean_log_std
from pullback.statistics import KernelDensity
from pullback.statistics.densities.bandwidth import log_kernel, rule_of_thumb

__all__ = ["answer_layer", "layers_of"]

# Points of a map that are measured at once. Few, for a drag has to wait for them: of digits the
# curvature takes 0.4 ms a point on a table.
_BLOCK = 128
# Seconds between blocks in which a drag that waits gets its turn.
_BREATH = 0.001
# The most codes, drawn at random, that the density is of: each is the source of a field of
# distances, 12 ms on a table of digits, or of paths on a graph.
_KERNELS = 200
# The most points along each axis, of maps that cost more than a glance: of digits the curvature
# takes 0.5 ms a point on a table.
_COARSER = {"density": 64, "curvature": 80}
# How far down the colours of a log-density go: a factor of 2e5. Set by judgement: codes lie within
# a factor of a thousand, and beyond them it falls to e^-1000000.
_DEPTH = 12.0
# The percentiles of a map at the ends of its colours, as in figures.
_ENDS = (1, 99)


class _Kind(NamedTuple):
    title: str
    unit: str
    scale: str  # of the colours: from low to high, from below 0 to above it, or one each
    measure: Callable[[Scene, View, Tensor], Tensor]


def layers_of(scene: Scene) -> list[dict[str, str]]:
    """Return which layers there are: name, title, unit, and what its colours are of.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> [layer["name"] for layer in layers_of(scene)]
        ['log_volume', 'curvature', 'density', 'cells']
    """
    names = [name for name in LAYERS if name != "sigma" or _has_std(scene)]
    return [
        {
            "name": name,
            "title": _KINDS[name].title,
            "unit": _KINDS[name].unit,
            "scale": _KINDS[name].scale,
        }
        for name in names
    ]


def answer_layer(scene: Scene, view: View, ask: Layer) -> dict[str, Any]:
    """Measure a map of the plane that is shown.

    Args:
        scene: what is explored.
        view: the plane, and the centres of the cells: those of the clusters that were asked for
            last, else one for each label.
        ask: which map, how fine.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> found = answer_layer(scene, View(), Layer("log_volume", 8))
        >>> found["shape"], round(found["low"], 4)  # log 4
        ([8, 8], 1.3863)
    """
    kind = _KINDS[ask.name]
    n = min(ask.resolution, _COARSER.get(ask.name, ask.resolution))
    grid, inside = plane_grid(scene, view, n)
    plane = scene.plane(view.axes)
    measured = kind.measure(scene, view, plane.lift(grid[inside]).to(scene.Z))
    values = np.full(len(grid), np.nan)
    values[inside.numpy()] = measured.double().cpu().numpy()
    values[~np.isfinite(values)] = np.nan  # where there is nothing to show
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, _ENDS) if len(known) else (0.0, 1.0)
    if ask.name == "density":
        low = max(low, high - _DEPTH)
    return {
        "name": ask.name,
        "box": plane.box,
        "outline": plane.outline,
        "shape": [n, n],
        "data": encoded(values, "<f4"),
        "low": number(low),
        "high": number(high),
        "unit": kind.unit,
        "scale": kind.scale,
    }


def _in_blocks(measure: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    values = []
    for block in z.split(_BLOCK):
        values.append(measure(block).detach())
        time.sleep(_BREATH)
    return torch.cat(values)


def _log_volume(scene: Scene, view: View, z: Tensor) -> Tensor:
    del view
    return _in_blocks(scene.manifold.log_volume, z)


def _sigma(scene: Scene, view: View, z: Tensor) -> Tensor:
    del view
    decoder = scene.manifold.decoder
    assert decoder is not None
    return mean_log_std(decoder, z)


def _curvature(scene: Scene, view: View, z: Tensor) -> Tensor:
    """Return the Gaussian curvature; in more dimensions the sectional one of the shown plane."""
    if scene.d == 2:
        return _in_blocks(lambda part: scene.manifold.scalar_curvature(part) / 2, z)
    u, v = scene.plane(view.axes).basis.to(z)
    return _in_blocks(lambda part: scene.manifold.sectional_curvature(part, u, v), z)


def _density(scene: Scene, view: View, z: Tensor) -> Tensor:
    del view
    order = np.random.default_rng(0).permutation(scene.n)[:_KERNELS]
    some = scene.Z[torch.as_tensor(order, device=scene.Z.device)]
    if len(some) == 1:
        return torch.full((len(z),), torch.nan)  # one code has no spread to take a bandwidth from
    if scene.has_fields:
        return _density_by_fields(scene, some, z)
    with quietly():
        kernels = KernelDensity(scene.manifold, volume_density=False, method="graph").fit(some)
        return torch.as_tensor(kernels.score_samples(z))


def _density_by_fields(scene: Scene, some: Tensor, z: Tensor) -> Tensor:
    """Add kernels around codes up, as `KernelDensity` does, with distances from fields."""
    everything = torch.cat([some, z])
    cells = _COARSER["density"]
    distances = torch.stack([field_from(scene, c, everything, resolution=cells) for c in some], -1)
    among, there = distances[: len(some)], distances[len(some) :]
    i, j = torch.triu_indices(len(some), len(some), offset=1)
    h = rule_of_thumb(among[i, j], float(len(some)), scene.d, "scott")
    logs = log_kernel(there, torch.zeros_like(there), h, scene.d) - math.log(len(some))
    return torch.logsumexp(logs, -1)  # NaN beyond the table


def _cells(scene: Scene, view: View, z: Tensor) -> Tensor:
    centers = _label_centers(scene) if view.centers is None else view.centers
    labels = nearest_center(scene, centers, z).double()
    return labels.masked_fill(labels < 0, torch.nan)


def _label_centers(scene: Scene) -> Tensor:
    """Return for each label of the first column with any the code nearest to their mean."""
    for column in scene.columns:
        if column.labels:
            places = torch.as_tensor(column.values, device=scene.Z.device)
            return torch.stack([_middle(scene.Z[places == k]) for k in range(len(column.labels))])
    return _middle(scene.Z)[None]


def _middle(Z: Tensor) -> Tensor:
    return Z[(Z - Z.mean(0)).norm(dim=-1).argmin()]


def _has_std(scene: Scene) -> bool:
    if scene.manifold.decoder is None:
        return False
    found = scene.manifold.decoder(scene.Z[:1])
    if not isinstance(found, Distribution):
        return False
    try:
        std = found.stddev
    except (NotImplementedError, AttributeError):
        return False
    return bool((std > 0).all())


_KINDS = {
    "log_volume": _Kind("Log-volume of the metric", "log √det M", "sequential", _log_volume),
    "sigma": _Kind("Standard deviation of the decoder", "mean log σ", "sequential", _sigma),
    "curvature": _Kind("Curvature", "1 / length²", "diverging", _curvature),
    "density": _Kind("Density of the codes", "log p, by volume", "sequential", _density),
    "cells": _Kind("Voronoi cells of the centres", "nearest centre", "category", _cells),
}
