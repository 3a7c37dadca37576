"""The stability of clusters: where it is known, against a loop, and what it chooses."""

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.statistics import clustering_stability


def blobs(spread, n=40):
    """Return distances of points around the corners of a triangle of side 1."""
    rng = np.random.default_rng(0)
    corners = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], n, 0)
    Z = torch.as_tensor(corners + spread * rng.normal(size=corners.shape))
    return torch.cdist(Z, Z)


def test_clusters_that_are_apart_are_found_again_and_those_that_merge_are_not():
    apart, near, merged = (
        clustering_stability(blobs(spread), 3, random_state=0) for spread in (0.05, 0.25, 2.0)
    )
    assert apart == 1
    assert apart > near > merged > 0


def test_the_right_number_of_clusters_is_the_most_stable():
    found = {k: clustering_stability(blobs(0.05), k, random_state=0) for k in (2, 3, 4, 5)}
    assert max(found, key=found.get) == 3
    assert sorted(found.values())[-2] < 0.95


def test_without_structure_subsets_agree_little_more_than_by_chance():
    # All points at one distance of each other: the nearest centre is any, but for the centres.
    D = torch.ones(60, 60).double().fill_diagonal_(0)
    assert abs(clustering_stability(D, 3, random_state=0)) < 0.1


def test_it_is_the_mean_over_all_pairs_of_subsets_of_the_best_centres():
    # Any matrix, so that no two choices of centres cost the same; the best are found by trying all.
    D = 1 + torch.rand(8, 8, generator=torch.Generator().manual_seed(0)).double()
    D.fill_diagonal_(0)
    rng, labels = np.random.default_rng(7), []
    for subset in [rng.permutation(8)[:4] for _ in range(5)]:
        pairs = [list(pair) for pair in combinations(subset.tolist(), 2)]
        best = min(pairs, key=lambda pair: float(D[subset][:, pair].square().amin(1).sum()))
        labels.append(D[:, best].argmin(1).numpy())
    agreement = [adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]
    assert len(set(agreement)) >= 3
    found = clustering_stability(D, 2, n_subsets=5, subset_share=0.5, random_state=7)
    assert found == pytest.approx(np.mean(agreement))


def test_a_seed_gives_the_same_again_and_units_do_not_matter():
    D = blobs(0.4)
    found = clustering_stability(D, 3, random_state=1)
    assert found == clustering_stability(D.numpy(), 3, random_state=1)
    assert found == clustering_stability(8 * D.float(), 3, random_state=1)
    assert found != clustering_stability(D, 3, random_state=2)


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        (torch.zeros(8, 7), r"shape \(n, n\), but got \(8, 7\)"),
        (torch.zeros(8), r"shape \(n, n\)"),
        (torch.full((8, 8), torch.inf), "must be finite"),
        (torch.full((8, 8), torch.nan), "must be finite"),
        (-torch.ones(8, 8), ">= 0"),
    ],
)
def test_it_refuses_what_are_no_distances(distances, message):
    with pytest.raises(InvalidDataError, match=message):
        clustering_stability(distances, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 1}, "`n_clusters` must be an integer >= 2"),
        ({"n_clusters": 3}, "at most the 2 points of a subset of 8"),
        ({"n_clusters": 2, "n_subsets": 1}, "`n_subsets`"),
        ({"n_clusters": 2, "subset_share": 0.0}, "`subset_share`"),
        ({"n_clusters": 2, "subset_share": 1.5}, "`subset_share`"),
    ],
)
def test_it_refuses_settings_out_of_range(options, message):
    with pytest.raises(InvalidParameterError, match=message):
        clustering_stability(torch.zeros(8, 8), **options)
