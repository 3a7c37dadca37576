import numpy as np
import pytest

from pullback.datasets import Table
from pullback.datasets.labels import listed
from pullback.errors import InvalidDataError


def checked(X, y=None, names=None):
    return Table.checked("data.npz", X, y, names)


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("<f2", "f4"),
        (">f4", "f4"),
        (">f8", "f8"),
        ("g", "f8"),
        ("u1", "f8"),
        (">i8", "f8"),
        ("?", "f8"),
    ],
)
def test_numbers_of_any_kind_become_native_floats(dtype, becomes):
    table = checked(np.eye(3).astype(dtype))
    assert table.X.dtype == np.dtype(becomes)
    np.testing.assert_array_equal(table.X, np.eye(3))
    assert table.feature_names == ("x0", "x1", "x2")


@pytest.mark.parametrize(
    ("y", "becomes"),
    [
        (np.array([2.0, 1.0, 0.0]), np.array([2, 1, 0])),
        (np.array([True, False, True]), np.array([1, 0, 1])),
        (np.array([1, 2, 3], dtype="u1"), np.array([1, 2, 3])),
        (np.array(["a", "b", "ab"]), np.array(["a", "b", "ab"])),
        (np.array([b"a", b"b", b"ab"]), np.array(["a", "b", "ab"])),
    ],
)
def test_labels_become_whole_numbers_or_text(y, becomes):
    table = checked(np.eye(3), y)
    assert table.y.dtype == becomes.dtype
    np.testing.assert_array_equal(table.y, becomes)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.array([["a", "b"], ["c", "d"]]),
            "must hold real numbers, but its data are of type <U1",
        ),
        (np.eye(2) * 1j, "of type complex128"),
        (np.array(3.0), r"shape \(n_samples, n_features\), but got \(\): it is a single number"),
        (np.zeros((3, 0)), r"has no features: its data have shape \(3, 0\)"),
        (np.zeros((3, 2, 2)), r"shape \(n_samples, n_features\), but got \(3, 2, 2\). Flatten"),
        (np.zeros(3), r"but got \(3,\)"),
        (np.zeros((1, 3)), "at least 2 samples, but got 1"),
        (np.zeros((0, 3)), "at least 2 samples, but got 0"),
    ],
)
def test_what_is_no_data_matrix_is_refused(X, message):
    with pytest.raises(InvalidDataError, match=message):
        checked(X)


def test_gaps_are_named_by_row_and_column():
    X = np.eye(4)
    X[1, 2], X[3, 2], X[3, 0] = np.nan, np.inf, -np.inf
    with pytest.raises(
        InvalidDataError, match=r"3 entries .* in column\(s\) a, c and row\(s\) 1, 3 \(counted"
    ):
        checked(X, names="abcd")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(2), r"has 3 samples, so its labels must have shape \(3,\), but they have \(2,\)"),
        (np.zeros((3, 1)), r"\(3, 1\)"),
        (np.array([0.0, 1.5, 2.0]), "1 are not, the first of them 1.5 in row 1"),
        (np.array([0.0, 1.0, np.nan]), "nan in row 2"),
        (np.array([0.0, np.inf, np.nan]), "2 are not, the first of them inf in row 1"),
        (np.zeros(3, dtype="c16"), "of type complex128"),
    ],
)
def test_what_are_no_labels_is_refused(y, message):
    with pytest.raises(InvalidDataError, match=message):
        checked(np.eye(3), y)


def test_the_caller_s_data_are_left_alone():
    X = np.eye(3)
    checked(X).X[0, 0] = 7
    assert X[0, 0] == 1


def test_long_lists_are_cut():
    assert listed(range(7)) == "0, 1, 2, 3, 4, ..."
    assert listed([]) == ""
