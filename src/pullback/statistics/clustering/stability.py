"""How well clusters are found again from other samples: a score of a clustering without labels."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pullback.errors import InvalidDataError, InvalidParameterError, check_integer, check_number
from pullback.statistics.base import numpy_generator, to_array
from pullback.statistics.clustering.medoids import choose_medoids, nearest_medoid

__all__ = ["clustering_stability"]

# Starts on each subset, and most turns of each: those of `KMeans`.
_N_INIT, _MAX_ITER = 10, 100


def clustering_stability(
    distances: Any,
    n_clusters: int,
    *,
    n_subsets: int = 25,
    subset_share: float = 0.25,
    random_state: Any = None,
) -> float:
    r"""Measure whether random subsets of the points lead to the same clusters of all of them.

    Each subset is clustered on its own: centres are those of its points that have the least sum of
    squared distances, as in `KMeans(method="graph")`. They give all points a cluster, and what is
    returned is the adjusted Rand index of two such clusterings, in the mean over all pairs. No
    label is needed. What is not stable depends on which samples came; what is stable is there, but
    need not be what one looked for.

    It takes about n_subsets * n_init * 5 products of k x m by m x m, m the points of a subset: one
    CPU second for 600 points.

    Args:
        distances: d >= 0, finite, shape `(n, n)`, as of `Manifold.pairwise_dist(Z)`.
        n_clusters: the number of clusters k, from 2 to the points of a subset.
        n_subsets: how many subsets, >= 2: the more, the less the score depends on their choice.
        subset_share: which share of the points each of them has, in (0, 1]. The smaller, the more
            the score tells apart.
        random_state: seed of the subsets and of the starts: an integer, a NumPy `Generator` or
            `RandomState`, or None.

    Returns:
        The mean adjusted Rand index: 1 where all agree, about 0 where they do as by chance.

    Raises:
        InvalidParameterError: a setting is out of range.
        InvalidDataError: the distances are not square, negative, or not finite.

    Source:
        Ben-Hur, Elisseeff and Guyon, "A stability based method for discovering structure in
        clustered data", 2002; von Luxburg, "Clustering stability: an overview", 2010, on what it
        tells and what not.

    Example:
        >>> z = torch.cat([torch.linspace(0, 1, 20), torch.linspace(9, 10, 20)]).unsqueeze(-1)
        >>> clustering_stability(torch.cdist(z, z), 2, random_state=0)
        1.0
        >>> clustering_stability(torch.cdist(z, z), 3, random_state=0) < 0.9
        True
    """
    D = _checked(distances)
    check_integer("n_subsets", n_subsets, 2)
    share = check_number("subset_share", subset_share, 0, 1, open_low=True)
    size = max(1, round(share * len(D)))
    if check_integer("n_clusters", n_clusters, 2) > size:
        raise InvalidParameterError(
            "n_clusters", f"at most the {size} points of a subset of {len(D)}", n_clusters
        )
    rng = numpy_generator(random_state)
    # All drawn before the starts are: the same seed gives other distances the same subsets.
    subsets = [rng.permutation(len(D))[:size] for _ in range(n_subsets)]
    labels = []
    for subset in subsets:
        rows = torch.as_tensor(subset, device=D.device)
        labels.append(to_array(nearest_medoid(D[:, rows[_centers(D, rows, n_clusters, rng)]])[0]))
    return _agreement(labels)


def _checked(distances: Any) -> Tensor:
    D = torch.as_tensor(distances)
    if D.ndim != 2 or D.shape[0] != D.shape[1]:
        raise InvalidDataError(f"`distances` must have shape (n, n), but got {tuple(D.shape)}.")
    if not bool((D.isfinite() & (D >= 0)).all()):
        raise InvalidDataError(
            "`distances` must be finite and >= 0: leave out the points that no path reaches."
        )
    return D.detach().double()


def _centers(D: Tensor, rows: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    costs = D[rows][:, rows].square()
    return choose_medoids(
        costs,
        torch.ones_like(costs[:, 0]),
        n_clusters,
        rng=rng,
        n_init=_N_INIT,
        max_iter=_MAX_ITER,
        swaps=False,
    ).chosen


def _agreement(labels: list[Any]) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]))
