"""Medoids of a matrix of costs: k candidates, such that all points have one near by."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pullback.statistics.base import to_array

__all__ = ["Medoids", "choose_medoids", "nearest_medoid", "refill", "with_penalty"]

# A change of cost by a smaller share than this many units of rounding is none: by rounding alone
# medoids would be exchanged for ever.
_ROUNDING = 64


class Medoids(NamedTuple):
    """The chosen candidates.

    Attributes:
        chosen: their columns, shape `(k,)`.
        cost: what all points cost together.
        n_iter: turns, or swaps, that were taken.

    Example:
        >>> Medoids(torch.tensor([0]), 1.5, 2).cost
        1.5
    """

    chosen: Tensor
    cost: float
    n_iter: int


def choose_medoids(
    costs: Tensor,
    weights: Tensor,
    n_clusters: int,
    *,
    rng: np.random.Generator,
    n_init: int,
    max_iter: int,
    swaps: bool,
) -> Medoids:
    r"""Choose k of the candidates so that sum_i w_i min_k C_ik is small.

    The start is drawn as by k-means++: each next one among the points with a chance in proportion
    to what it costs so far.

    Args:
        costs: C, finite, shape `(n, m)`: the first n of the m candidates are the points.
        weights: w >= 0, shape `(n,)`.
        n_clusters: k.
        rng: what draws the starts.
        n_init: starts; the best end is kept.
        max_iter: most turns or swaps from each start.
        swaps: always take the best swap of a chosen candidate for another, until none helps (PAM);
            else assign the points and choose the best candidate of each cluster by turns.

    Source:
        Schubert and Rousseeuw, Fast and eager k-medoids clustering: O(k) runtime improvement of the
        PAM, CLARA, and CLARANS algorithms (2021); Arthur and Vassilvitskii, k-means++: the
        advantages of careful seeding (2007).

    Example:
        >>> z = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
        >>> rng = np.random.default_rng(0)
        >>> found = choose_medoids(
        ...     torch.cdist(z, z), torch.ones(4), 2, rng=rng, n_init=3, max_iter=9, swaps=True
        ... )
        >>> sorted(found.chosen.tolist()), found.cost
        ([1, 3], 2.0)
    """
    improve = _swap if swaps else _alternate
    found: list[Medoids] = []
    for _ in range(n_init):
        start = _seed(costs, weights, n_clusters, rng)
        found.append(improve(costs, weights, start, max_iter))
    return min(found, key=lambda medoids: medoids.cost)


def nearest_medoid(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Say which centre is nearest to each point: -1 if none can be reached.

    Args:
        distances: from each point to each centre, shape `(n, k)`: inf where there is no way.

    Returns:
        The labels and the distances to those centres, shape `(n,)`.

    Example:
        >>> nearest_medoid(torch.tensor([[1.0, 2.0], [torch.inf, torch.inf]]))[0].tolist()
        [0, -1]
    """
    nearest = distances.min(-1)
    return torch.where(nearest.values.isfinite(), nearest.indices, -1), nearest.values


def with_penalty(costs: Tensor) -> Tensor:
    """Let what cannot be reached cost more than all the rest together.

    Args:
        costs: C >= 0, inf where there is no way, shape `(n, m)`.

    Example:
        >>> with_penalty(torch.tensor([[0.0, 1.0], [torch.inf, 0.0]])).tolist()
        [[0.0, 1.0], [4.0, 0.0]]
    """
    reached = costs.isfinite()
    if bool(reached.all()):
        return costs
    most = torch.where(reached, costs, 0).max()
    penalty = 2 * len(costs) * torch.where(most > 0, most, 1)
    return torch.where(reached, costs, penalty)


def refill(labels: Tensor, costs: Tensor, n_clusters: int) -> Tensor:
    """Give each empty cluster the point that costs most where it is, of those not alone.

    Args:
        labels: the cluster of each point, -1 for none, shape `(n,)`.
        costs: what each point costs, shape `(n,)`.
        n_clusters: k.

    Returns:
        The labels, with no cluster empty if there are k points that belong to one.

    Example:
        >>> refill(torch.tensor([0, 0, 0]), torch.tensor([1.0, 5.0, 2.0]), 2).tolist()
        [0, 1, 0]
    """
    labels, costs = labels.clone(), costs.clone()
    for cluster in range(n_clusters):
        count = torch.bincount(labels.clamp(min=0), labels >= 0, minlength=n_clusters)
        if int(count[cluster]) == 0:
            free = (labels >= 0) & (count[labels.clamp(min=0)] > 1)
            if not bool(free.any()):
                break
            furthest = torch.where(free, costs, -1).argmax()
            labels[furthest], costs[furthest] = cluster, 0
    return labels


def _seed(costs: Tensor, weights: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    n = len(costs)
    chosen: list[int] = []
    lowest = torch.ones_like(weights)
    while len(chosen) < n_clusters:
        chances = to_array(weights * lowest).astype(float)
        chances[chosen] = 0
        if not chances.sum() > 0:  # all points lie on centres: any other will do
            chances = np.ones(n)
            chances[chosen] = 0
        column = int(rng.choice(n, p=chances / chances.sum()))
        lowest = costs[:, column] if not chosen else torch.minimum(lowest, costs[:, column])
        chosen.append(column)
    return torch.tensor(chosen, device=costs.device)


def _alternate(costs: Tensor, weights: Tensor, chosen: Tensor, max_iter: int) -> Medoids:
    k, weighed = len(chosen), weights.unsqueeze(-1) * costs
    best = Medoids(chosen, float(weighed[:, chosen].amin(-1).sum()), 0)
    for turn in range(1, max_iter + 1):
        at, labels = weighed[:, chosen].min(-1)
        member = torch.nn.functional.one_hot(refill(labels, at, k), k).T.to(costs)
        chosen = (member @ weighed).argmin(-1)
        cost = float(weighed[:, chosen].amin(-1).sum())
        if not cost < best.cost * (1 - _rounding(costs)):
            break
        best = Medoids(chosen, cost, turn)
    return best


def _swap(costs: Tensor, weights: Tensor, chosen: Tensor, max_iter: int) -> Medoids:
    w, chosen, n_swaps = weights.unsqueeze(-1), chosen.clone(), 0
    # With one medoid there is no second nearest: the largest cost stands in for it.
    worst = costs.new_full((len(costs), 1), float(costs.max()))
    cost = float(weights @ costs[:, chosen].amin(-1))
    while n_swaps < max_iter:
        lowest, at = torch.cat([costs[:, chosen], worst], -1).topk(2, largest=False)
        first, second = lowest[:, :1], lowest[:, 1:]
        owned = torch.nn.functional.one_hot(at[:, 0].clamp(max=len(chosen) - 1), len(chosen))
        owned = owned.T.to(costs)
        # A swap changes the cost by what all points gain from the candidate, and by what the points
        # of the dropped medoid lose, who go to their second nearest or to the candidate.
        gain = (w * (costs - first).clamp(max=0)).sum(0)
        loss = owned @ (w * (torch.maximum(torch.minimum(costs, second), first) - first))
        change = gain + loss
        change[:, chosen] = torch.inf
        best = int(change.argmin())
        medoid, candidate = divmod(best, costs.shape[1])
        lower = cost + float(change[medoid, candidate])
        if not lower < cost * (1 - _rounding(costs)):
            break
        chosen[medoid] = candidate
        n_swaps, cost = n_swaps + 1, float(weights @ costs[:, chosen].amin(-1))
    return Medoids(chosen, cost, n_swaps)


def _rounding(costs: Tensor) -> float:
    return _ROUNDING * torch.finfo(costs.dtype).eps
