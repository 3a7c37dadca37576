import itertools

import numpy as np
import pytest

from pullback.report.chapters.triplets import weighted_triplet_share
from pullback.statistics import triplet_share


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(12, 2))
    return np.linalg.norm(Z[:, None] - Z[None], axis=-1), np.array(
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    )


def by_hand(distances, y, times):
    right = total = 0.0
    for i, j, k in itertools.permutations(range(len(y)), 3):
        if y[i] == y[j] != y[k]:
            weight = times[i] * times[j] * times[k]
            total += weight
            right += weight * (distances[i, j] < distances[i, k])
    return right / total


def test_weights_count_copies(points):
    distances, y = points
    for seed in range(3):
        times = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12))
        times[:2] += 1
        assert weighted_triplet_share(distances, y, times) == pytest.approx(
            by_hand(distances, y, times)
        )


def test_without_copies_it_is_the_triplet_share(points):
    distances, y = points
    share = weighted_triplet_share(distances, y, np.ones(12))
    assert share == pytest.approx(triplet_share(distances, y))


def test_no_triplet_no_share(points):
    distances, y = points
    assert np.isnan(weighted_triplet_share(distances, y, np.eye(12)[0]))
