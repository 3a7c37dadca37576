"""Clusters of samples by geodesic distance, and how well they agree with the labels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn import cluster
from torch import Tensor

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.errors import InvalidParameterError, check_choice, check_integer, check_number
from pullback.manifolds.voronoi import voronoi_cells
from pullback.statistics import (
    GeodesicAffinity,
    GeodesicDistances,
    KMeans,
    KMedoids,
    clustering_scores,
)

__all__ = ["CLUSTERINGS", "find_clusters"]

# What DBSCAN is given unless `--eps` says otherwise: a core sample has at least 5 samples, itself
# among them, within eps (scikit-learn's default), and eps is the distance within which 90 % of the
# samples are core samples. Set by judgement: a larger share joins more clusters into one, a smaller
# one leaves more samples as noise.
_NEIGHBORS, _SHARE = 5, 0.9
# Points along each axis of the map that shows which cluster each place belongs to. Set by
# judgement: smoother borders, for a cost that grows by the square.
_RESOLUTION = 150
_NAMES = {"macro_f1": "macro F1", "pairwise_f": "pairwise F", "ari": "ARI", "nmi": "NMI"}


class _Clusters(NamedTuple):
    labels: NDArray[np.int64]
    centers: Tensor | None = None
    note: str = ""


def find_clusters(
    subject: Subject, n_clusters: int | None, *, method: str, eps: float | None = None
) -> Analysis:
    """Cluster the samples.

    Args:
        subject: the run.
        n_clusters: k; the number of classes if None. DBSCAN finds it itself.
        method: one of `CLUSTERINGS`.
        eps: of DBSCAN, the distance between neighbours; found by the data if None.

    Returns:
        A row for each sample: number, label, code, cluster (-1 for none), and for clusters with a
        centre the geodesic distance to it.

    Raises:
        InvalidParameterError: there is no such method, or the number of clusters is not known or
            more than that of the samples.

    Example:
        >>> find_clusters(subject, 3, method="k-means")  # doctest: +SKIP
    """
    check_choice("--method", method, CLUSTERINGS)
    if method == "dbscan":
        _refuse("--n-clusters", n_clusters, "dbscan, which finds how many there are")
        found = _dbscan(subject, eps)
    else:
        _refuse("--eps", eps, f"{method}: it is of dbscan")
        k = subject.n_classes if n_clusters is None else n_clusters
        found = _FIND[method](subject, _check_number_of_clusters(k, len(subject.index)))
    frame = subject.codes_frame().assign(cluster=found.labels)
    if found.centers is not None:
        frame["distance"] = _to_centers(subject, found.labels, found.centers)
    draw = (lambda: _draw(subject, found)) if subject.is_plane else None
    return Analysis(frame, _summary(subject, method, found), draw)


def _refuse(option: str, value: object, method: str) -> None:
    if value is not None:
        raise InvalidParameterError(option, f"left out with {method}", value)


def _check_number_of_clusters(k: int | None, n: int) -> int:
    if k is None:
        cure = "Say how many clusters to find."
        raise InvalidParameterError("--n-clusters", "given, as the run has no labels", None, cure)
    if k > n:
        allowed = f"at most the number of samples, {n}"
        raise InvalidParameterError("--n-clusters", allowed, k, "Or give a larger --n.")
    return check_integer("--n-clusters", k)


def _k_means(subject: Subject, k: int) -> _Clusters:
    model = KMeans(subject.manifold, k, random_state=subject.seed).fit(subject.Z)
    return _Clusters(model.labels_, model.cluster_centers_)


def _k_medoids(subject: Subject, k: int) -> _Clusters:
    model = KMedoids(subject.manifold, k, random_state=subject.seed).fit(subject.Z)
    return _Clusters(model.labels_, model.cluster_centers_)


def _hierarchical(subject: Subject, k: int) -> _Clusters:
    distances = GeodesicDistances(subject.manifold).fit_transform(subject.Z)
    model = cluster.AgglomerativeClustering(k, metric="precomputed", linkage="average")
    return _Clusters(model.fit_predict(distances))


def _spectral(subject: Subject, k: int) -> _Clusters:
    affinity = GeodesicAffinity(subject.manifold).fit_transform(subject.Z)
    model = cluster.SpectralClustering(k, affinity="precomputed", random_state=subject.seed)
    return _Clusters(model.fit_predict(affinity))


def _dbscan(subject: Subject, eps: float | None) -> _Clusters:
    distances = GeodesicDistances(subject.manifold).fit_transform(subject.Z)
    eps = _reach(distances) if eps is None else eps
    check_number("--eps", eps, 0, open_low=True)
    model = cluster.DBSCAN(eps=eps, min_samples=_NEIGHBORS, metric="precomputed")
    labels = model.fit_predict(distances)
    return _Clusters(labels, note=f"; eps = {eps:.4g}, {int((labels < 0).sum())} in none")


def _reach(distances: NDArray[np.float64]) -> float:
    """Return the distance within which most samples have enough neighbours, themselves counted."""
    farthest = np.sort(distances, 1)[:, min(_NEIGHBORS, len(distances)) - 1]
    return float(np.quantile(farthest, _SHARE))


_FIND: dict[str, Callable[[Subject, int], _Clusters]] = {
    "k-means": _k_means,
    "k-medoids": _k_medoids,
    "hierarchical": _hierarchical,
    "spectral": _spectral,
}
CLUSTERINGS = (*_FIND, "dbscan")
"""The ways to cluster, all by geodesic distance."""


def _to_centers(subject: Subject, labels: NDArray[np.int64], centers: Tensor) -> NDArray[Any]:
    """Measure the geodesics from samples to their centres: NaN for those without."""
    distances = np.full(len(labels), np.nan)
    has_center = labels >= 0
    ends = centers[torch.as_tensor(labels[has_center], device=centers.device)]
    starts = subject.Z[torch.as_tensor(has_center, device=subject.Z.device)]
    distances[has_center] = subject.manifold.dist(starts, ends).detach().cpu().numpy()
    return distances


def _summary(subject: Subject, method: str, found: _Clusters) -> list[str]:
    sizes = np.bincount(found.labels[found.labels >= 0])
    told = ", ".join(map(str, sizes.tolist()))
    lines = [f"{method}: {len(sizes)} clusters of {told} samples{found.note}"]
    if subject.y is None or len(np.unique(subject.y)) < 2:
        return lines
    k = len(sizes) if len(sizes) > 1 else len(np.unique(subject.y))
    flat = cluster.KMeans(k, n_init=10, random_state=subject.seed)
    labels = {method: found.labels, "Euclidean k-means": flat.fit_predict(subject.Z.cpu().numpy())}
    for name, clusters in labels.items():
        scores = clustering_scores(subject.y, clusters)
        told = ", ".join(f"{_NAMES[key]} {value:.3f}" for key, value in scores.items())
        lines.append(f"{name} against the labels: {told}")
    return lines


def _draw(subject: Subject, found: _Clusters) -> Axes:
    Z, centers = subject.Z, found.centers
    names = np.where(found.labels < 0, "none", found.labels.astype(str))
    if centers is None:
        return plots.scatter(Z.cpu(), names)
    graph = subject.manifold.graph_over(Z)
    assert graph is not None  # of a plane there always is one

    def nearest(points: Any) -> NDArray[Any]:  # on the graph: a map needs many distances
        cells = voronoi_cells(lambda z, c: graph.dist(c, z).T, centers, torch.as_tensor(points))
        labels = cells.labels.cpu().numpy()
        return np.where(labels < 0, "none", labels.astype(str))

    ax = plots.cells(nearest, Z.cpu(), names, resolution=_RESOLUTION)
    ink, paper = ax.xaxis.label.get_color(), ax.get_facecolor()
    x, y = centers.cpu().numpy().T
    ax.scatter(x, y, s=150, marker="*", color=ink, edgecolors=[paper])
    return ax
