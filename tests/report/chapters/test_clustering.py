import itertools

import numpy as np
from sklearn.metrics import f1_score

from pullback.report.chapters.clustering import _macro_f1, match_clusters


def test_no_naming_of_clusters_agrees_more():
    rng = np.random.default_rng(0)
    for _ in range(5):
        y = rng.choice(["a", "b", "c"], 30)
        labels = rng.integers(0, 3, 30)
        best = max(
            (np.array(names)[labels] == y).sum()
            for names in itertools.permutations(["a", "b", "c"])
        )
        assert (match_clusters(y, labels) == y).sum() == best


def test_weighted_macro_f1_is_that_of_the_copied_samples():
    rng = np.random.default_rng(0)
    y, named = rng.integers(0, 3, (2, 40))
    times = rng.integers(1, 4, 40)
    copied = f1_score(np.repeat(y, times), np.repeat(named, times), average="macro")
    np.testing.assert_allclose(_macro_f1(y, named, times), copied)
