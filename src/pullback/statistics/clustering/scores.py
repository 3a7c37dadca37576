"""How well distances and clusters agree with labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import InvalidDataError

__all__ = ["clustering_scores", "triplet_share"]


def triplet_share(distances: Any, y: Any) -> float:
    r"""Compute the share of triplets whose two members of one class are the nearer pair.

    Over all (i, j, k) with j != i of the class of i and k of another, the share with
    d(i, j) < d(i, k); a tie counts one half. 0.5 is chance, 1 means that every point is nearer to
    all of its own class than to anything else.

    Args:
        distances: d, shape `(n, n)`.
        y: class labels, shape `(n,)`, of at least two classes, one of them with two members.

    Returns:
        The share, in [0, 1]: the mean over i, each weighed by its number of triplets.

    Raises:
        InvalidDataError: the shapes do not fit, a distance is NaN, or there is no triplet.

    Source:
        Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018), introduction, states the claim that this share measures.

    Example:
        >>> triplet_share([[0, 1, 5], [1, 0, 2], [5, 2, 0]], ["a", "a", "b"])
        1.0
    """
    D, y = _array(distances).astype(float), _array(y)
    if y.ndim != 1 or D.shape != (len(y), len(y)):
        raise InvalidDataError(
            f"`distances` must have shape ({len(y)}, {len(y)}), one row for each label, but got "
            f"{D.shape}."
        )
    if bool(np.isnan(D).any()):
        raise InvalidDataError(
            f"`distances` must not be NaN, but {int(np.isnan(D).sum())} of {D.size} are: geodesics "
            "that were not found. Leave their points out."
        )
    won = total = 0.0
    for i, own in enumerate(y):
        same, other = y == own, y != own
        same[i] = False
        near, far = D[i, same], np.sort(D[i, other])
        won += float((far.size - np.searchsorted(far, near, "right")).sum())
        ties = np.searchsorted(far, near, "right") - np.searchsorted(far, near, "left")
        won += 0.5 * float(ties.sum())
        total += near.size * far.size
    if total == 0:
        raise InvalidDataError(
            "`y` must hold at least two classes, one of them with two members, to form a triplet."
        )
    return won / total


def clustering_scores(y: Any, labels: Any) -> dict[str, float]:
    """Score a clustering against class labels.

    Args:
        y: class labels, shape `(n,)`.
        labels: cluster labels, shape `(n,)`.

    Returns:
        `macro_f1`: mean F1 over the classes, clusters matched to classes so that the most samples
        agree, and of equals the best; `pairwise_f`: the F-measure over pairs of samples, in one
        cluster or not; `ari`: the adjusted Rand index; `nmi`: the normalised mutual information.
        All are 1 for a perfect clustering.

    Raises:
        InvalidDataError: the two have different lengths, or are empty.

    Source:
        Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008), section 16.3.

    Example:
        >>> clustering_scores([0, 0, 1, 1], [1, 1, 0, 0])
        {'macro_f1': 1.0, 'pairwise_f': 1.0, 'ari': 1.0, 'nmi': 1.0}
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, pair_confusion_matrix

    y, labels = np.asarray(y), _array(labels)
    if y.shape != labels.shape or y.ndim != 1 or len(y) == 0:
        raise InvalidDataError(
            f"`y` and `labels` must be of one length >= 1, but got {y.shape} and {labels.shape}."
        )
    (_, false_positive), (false_negative, true_positive) = pair_confusion_matrix(y, labels)
    pairs = 2 * true_positive + false_positive + false_negative
    return {
        "macro_f1": _matched_macro_f1(contingency_matrix(y, labels)),
        "pairwise_f": float(2 * true_positive / pairs) if pairs else 1.0,
        "ari": float(adjusted_rand_score(y, labels)),
        "nmi": float(normalized_mutual_info_score(y, labels)),
    }


def _matched_macro_f1(table: NDArray[Any]) -> float:
    from scipy.optimize import linear_sum_assignment

    f1 = 2 * table / (table.sum(1, keepdims=True) + table.sum(0))
    # Among the matchings that agree on the most samples, the one of the best F1 is taken: all F1
    # together weigh less than one sample.
    matched = linear_sum_assignment(-(table + f1 / (len(table) + 1)))
    return float(f1[matched].sum() / len(table))


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
