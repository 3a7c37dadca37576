"""Which samples belong together: clusters and neighbours, by either distance."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pullback.explorer.answers.plain import View, encoded, field_from, points_of, rounded
from pullback.explorer.messages import Clusters, Neighbors
from pullback.explorer.scene import Scene
from pullback.statistics import KMeans
from pullback.statistics.distances.nearest import find_nearest

__all__ = ["answer_clusters", "answer_neighbors", "nearest_center"]

# The most codes, drawn at random, that clusters are searched among, by geodesic distance: it holds
# all distances of them along a graph, in a second or two.
_CLUSTERED = 500
# Up to so many codes the nearest are found by geodesics where there is no table, beyond along a
# graph: the bounds that spare geodesics decode all of them.
_MEASURED = 2000
# How many times k codes, the nearest by a field of distances, are measured by geodesics, and how
# many more: the field errs by a percent or two, so that the k-th may be exchanged with the next.
_TIMES, _MORE = 2, 8
# What stands for a sample that no centre reaches: 24 clusters are the most.
_NONE = 255


def answer_clusters(scene: Scene, view: View, ask: Clusters) -> dict[str, Any]:
    """Cluster the codes by k-means, and keep the centres for the layer of cells.

    Args:
        scene: what is explored.
        view: the plane; it keeps the centres.
        ask: how many, and by which distance.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> Z = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]]).double()
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), Z)
        >>> found = answer_clusters(scene, View(), Clusters(2, "euclidean"))
        >>> len(found["centers"]), found["n_used"]
        (2, 4)
    """
    if ask.distance == "euclidean":
        centers, n_used = _flat_centers(scene, ask.k), scene.n
        labels = torch.cdist(scene.Z, centers).argmin(-1)
    else:
        centers, n_used = _curved_centers(scene, ask.k)
        labels = nearest_center(scene, centers, scene.Z)
    view.centers = centers
    plain = labels.cpu().numpy()
    lost = int((plain < 0).sum())
    words = [f"k-means by {ask.distance} distance, {ask.k} clusters."]
    if n_used < scene.n:
        words.append(f"Centres were searched among {n_used} of {scene.n} samples.")
    if lost:
        words.append(f"{lost} samples are reached from no centre.")
    return {
        "labels": encoded(np.where(plain < 0, _NONE, plain), "u1"),
        "centers": points_of(scene, centers, view),
        "n_used": n_used,
        "words": words,
    }


def _flat_centers(scene: Scene, k: int) -> Tensor:
    from sklearn.cluster import KMeans as FlatKMeans

    found = FlatKMeans(k, n_init=10, random_state=0).fit(scene.Z.cpu().numpy())
    return torch.as_tensor(found.cluster_centers_).to(scene.Z)


def _curved_centers(scene: Scene, k: int) -> tuple[Tensor, int]:
    order = np.random.default_rng(0).permutation(scene.n)[: max(_CLUSTERED, k)]
    some = scene.Z[torch.as_tensor(np.sort(order), device=scene.Z.device)]
    found = KMeans(scene.manifold, k, method="graph", random_state=0).fit(some)
    return found.cluster_centers_.to(scene.Z), len(some)


def nearest_center(scene: Scene, centers: Tensor, points: Tensor) -> Tensor:
    """Return which centre is the nearest to each point by geodesic distance, -1 for none.

    Over a table fields of distances tell, else shortest paths on a graph.

    Args:
        scene: what is explored.
        centers: the centres, `(k, d)`.
        points: the points, `(m, d)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> nearest_center(scene, scene.Z, torch.tensor([[0.1, 0.9], [2.0, 0.0]]).double())
        tensor([1, 0])
    """
    if not scene.has_fields:
        return scene.manifold.voronoi(centers, points).labels
    distances = [field_from(scene, c, points, resolution=128) for c in centers]
    known = torch.stack(distances, -1).nan_to_num(nan=torch.inf)
    return torch.where(known.isfinite().any(-1), known.argmin(-1), -1)


def answer_neighbors(scene: Scene, view: View, ask: Neighbors) -> dict[str, Any]:
    """Find the samples that are nearest to one, itself left out.

    Args:
        scene: what is explored.
        view: not looked at.
        ask: which sample, how many, and by which distance.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> Z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]).double()
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), Z)
        >>> answer_neighbors(scene, View(), Neighbors(0, 2, "geodesic"))
        {'indices': [1, 2], 'distances': [2.0, 6.0]}
    """
    del view
    here = scene.Z[ask.index]
    if ask.distance == "euclidean":
        distances = (scene.Z - here).norm(dim=-1)
        index = _without(distances.argsort(stable=True), ask)
        return _listed(index, distances[index])
    if scene.has_fields:
        return _listed(*_by_field(scene, ask))
    method = "newton" if scene.n <= _MEASURED else "graph"
    ruler = scene.manifold.ruler(scene.Z, method)
    k = min(ask.k + 1, scene.n)
    found = find_nearest(ruler, here[None], k)
    kept = found.indices[0] != ask.index
    return _listed(found.indices[0][kept][: ask.k], found.length[0][kept][: ask.k])


def _by_field(scene: Scene, ask: Neighbors) -> tuple[Tensor, Tensor]:
    """Choose candidates by a field of distances, and measure those by geodesics."""
    here = scene.Z[ask.index]
    rough = field_from(scene, here, scene.Z).nan_to_num(nan=torch.inf)
    n_candidates = min(_TIMES * ask.k + _MORE, scene.n - 1)
    candidates = _without(rough.argsort(stable=True), ask, n_candidates)
    lengths = scene.manifold.geodesic(here, scene.Z[candidates]).length.nan_to_num(nan=torch.inf)
    order = lengths.argsort(stable=True)[: ask.k]
    return candidates[order], lengths[order]


def _without(order: Tensor, ask: Neighbors, most: int | None = None) -> Tensor:
    return order[order != ask.index][: ask.k if most is None else most]


def _listed(index: Tensor, distances: Tensor) -> dict[str, Any]:
    return {"indices": index.tolist(), "distances": rounded(distances.cpu().numpy())}
