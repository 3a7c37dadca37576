import numpy as np
import pytest

from pullback.datasets import split
from pullback.errors import InvalidDataError, InvalidParameterError


def test_the_parts_are_disjoint_and_the_whole():
    X = np.arange(50)[:, None]
    X_train, X_test, y_train, y_test = split(X, test_fraction=0.3, random_state=0)
    assert (len(X_train), len(X_test)) == (35, 15)
    assert (y_train, y_test) == (None, None)
    np.testing.assert_array_equal(np.sort(np.concatenate([X_train, X_test])[:, 0]), X[:, 0])


def test_labels_stay_with_their_samples_and_classes_keep_their_shares():
    y = np.repeat(["a", "b"], [80, 20])
    X = np.arange(100)[:, None]
    X_train, X_test, y_train, y_test = split(X, y, test_fraction=0.25, random_state=0)
    np.testing.assert_array_equal(y_train, y[X_train[:, 0]])
    np.testing.assert_array_equal(y_test, y[X_test[:, 0]])
    assert (y_test == "b").sum() == 5


def test_the_seed_decides():
    X = np.arange(100)[:, None]
    first, again, other = (split(X, random_state=seed).X_test for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("fraction", "n_test"), [(1e-9, 1), (1 - 1e-9, 4)])
def test_each_part_has_a_sample(fraction, n_test):
    assert len(split(np.eye(5), test_fraction=fraction).X_test) == n_test


def test_seeds_are_those_of_numpy():
    assert len(split(np.eye(5), random_state=2**32 - 1).X_test) == 1
    for seed in (-1, 2**32):
        with pytest.raises(InvalidParameterError, match=r"`random_state` .* \[0, 4294967295\]"):
            split(np.eye(5), random_state=seed)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, np.nan])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(InvalidParameterError, match="`test_fraction` must be"):
        split(np.eye(5), test_fraction=fraction)


@pytest.mark.parametrize(
    ("n", "y", "message"),
    [
        (1, None, "at least 2 samples"),
        (4, [0, 0, 1], "one label for each of the 4 samples"),
        (4, [0, 0, 0, 1], "class 1 has 1 sample"),
        (6, [0, 0, 1, 1, 2, 2], "3 classes and one side 1 sample"),
    ],
)
def test_data_that_cannot_be_split_are_refused(n, y, message):
    with pytest.raises(InvalidDataError, match=message):
        split(np.zeros((n, 2)), y)
