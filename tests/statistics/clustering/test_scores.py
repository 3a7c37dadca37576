"""Scores against loops, hand-made cases and scikit-learn."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pullback.errors import InvalidDataError
from pullback.statistics import clustering_scores, triplet_share


@pytest.mark.slow
@given(n=st.integers(3, 9), seed=st.integers(0, 10**6), values=st.integers(1, 6))
def test_the_share_is_that_of_a_triple_loop(n, seed, values):
    rng = np.random.default_rng(seed)
    D = rng.integers(0, values, size=(n, n)).astype(float)  # few values, so that many tie
    y = rng.integers(0, 3, size=n)
    points = []
    for i, j, k in itertools.permutations(range(n), 3):
        if y[i] == y[j] != y[k]:
            points.append((D[i, j] < D[i, k]) + 0.5 * (D[i, j] == D[i, k]))
    assume(points)
    assert triplet_share(D, y) == pytest.approx(np.mean(points))
    assert triplet_share(torch.as_tensor(D), torch.as_tensor(y)) == pytest.approx(np.mean(points))


@pytest.mark.parametrize(
    ("D", "y", "message"),
    [
        (np.zeros((3, 2)), [0, 0, 1], r"shape \(3, 3\).*got \(3, 2\)"),
        (np.zeros((2, 2)), [0, 0, 1], r"shape \(3, 3\)"),
        (np.zeros(3), [0, 0, 1], "one row for each label"),
        (np.zeros((2, 2)), [0, 0], "at least two classes"),
        (np.zeros((2, 2)), [0, 1], "one of them with two members"),
        (np.zeros((0, 0)), [], "at least two classes"),
    ],
)
def test_what_has_no_triplets_is_refused(D, y, message):
    with pytest.raises(InvalidDataError, match=message):
        triplet_share(D, y)


def test_scores_of_a_case_by_hand():
    # Matched 0-a, 1-b: F1 of 0 is 4 / 5, of 1 is 2 / 3; pairs: one of three right, of three.
    scores = clustering_scores([0, 0, 1, 1], ["a", "a", "a", "b"])
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["pairwise_f"] == pytest.approx(2 * 1 / (2 * 1 + 2 + 1))
    assert scores["ari"] == pytest.approx(0)
    assert scores["nmi"] == pytest.approx(0.3437110184854508)


def test_a_class_without_a_cluster_scores_nothing():
    assert clustering_scores([0, 0, 1, 2], [5, 5, 5, 5])["macro_f1"] == pytest.approx(2 / 3 * 1 / 3)
    assert clustering_scores([0, 0], [0, 1])["pairwise_f"] == 0
    assert clustering_scores([0, 1], [0, 1]) == dict.fromkeys(
        ("macro_f1", "pairwise_f", "ari", "nmi"), 1.0
    )


@pytest.mark.thorough
@given(seed=st.integers(0, 10**6), n=st.integers(2, 30), k=st.integers(1, 5))
def test_names_of_clusters_do_not_matter(seed, n, k):
    rng = np.random.default_rng(seed)
    y, labels = rng.integers(0, 3, size=n), rng.integers(0, k, size=n)
    scores = clustering_scores(y, labels)
    assert clustering_scores(y, rng.permutation(k)[labels]) == pytest.approx(scores)
    assert clustering_scores(rng.permutation(3)[y], labels) == pytest.approx(scores)
    order = rng.permutation(n)
    assert clustering_scores(y[order], labels[order]) == pytest.approx(scores)
    assert all(-1 <= score <= 1 + 1e-12 for score in scores.values())
    assert clustering_scores(y, y)["macro_f1"] == 1


@pytest.mark.parametrize(("y", "labels"), [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]])])
def test_scores_of_other_lengths_are_refused(y, labels):
    with pytest.raises(InvalidDataError, match="of one length >= 1"):
        clustering_scores(y, labels)


def test_distances_that_are_not_numbers_are_refused():
    D = np.zeros((3, 3))
    D[0, 1] = np.nan
    with pytest.raises(InvalidDataError, match="1 of 9 are: geodesics that were not found"):
        triplet_share(D, [0, 0, 1])
