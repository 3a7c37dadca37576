import numpy as np
import pytest

from pullback.datasets import Table
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.runs import prepare


def table(X, y=None):
    return Table(np.asarray(X, float), y, tuple(f"f{i}" for i in range(np.shape(X)[1])))


def test_data_in_the_unit_interval_are_kept():
    X = np.random.default_rng(0).random((50, 3))
    data = prepare(table(X))
    np.testing.assert_allclose(data.X, X, rtol=1e-6)
    assert data.is_unit_range


def test_other_data_are_standardised_by_what_is_learnt_from():
    X = np.random.default_rng(0).normal(5, 3, (50, 3))
    data = prepare(table(X))
    np.testing.assert_allclose(data.X_train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.X_train.std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(data.X * data.scale + data.center, X, rtol=1e-4)
    assert not data.is_unit_range


def test_the_split_keeps_the_classes_and_the_samples():
    y = np.repeat(["a", "b"], [40, 10])
    data = prepare(table(np.arange(100.0).reshape(50, 2), y), scale="none")
    assert sorted(data.y_test.tolist()) == ["a"] * 8 + ["b"] * 2
    assert len(data.X_train) + len(data.X_test) == 50
    assert not set(data.X_train[:, 0]) & set(data.X_test[:, 0])


@pytest.mark.parametrize(
    ("y", "why"),
    [
        (["a"] * 49 + ["b"], "class b has 1 sample"),
        ([str(i) for i in range(50)], "has 1 sample"),
        ([str(i // 2) for i in range(50)], "25 classes and one side 10"),
    ],
)
def test_small_classes_are_no_obstacle_and_it_is_said(y, why):
    X, said = np.random.default_rng(0).random((50, 3)), []
    data = prepare(table(X, np.array(y)), say=said.append)
    assert data.test.sum() == 10
    assert len(said) == 1
    assert why in said[0]
    prepare(table(X), say=said.append)
    prepare(table(X, np.repeat(["a", "b"], 25)), say=said.append)
    assert len(said) == 1


def test_a_seed_gives_one_split():
    X = np.random.default_rng(0).random((50, 3))
    splits = [prepare(table(X), seed=seed).test for seed in (0, 0, 1)]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert (splits[0] != splits[2]).any()


def test_a_constant_feature_is_refused_by_name():
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[:, 1] = 7
    with pytest.raises(
        InvalidDataError, match=r"1 of 3 features are constant .*\(f1\).*drop them\.$"
    ):
        prepare(table(X))
    with pytest.raises(InvalidDataError, match="leave the data as they are with `--scale none`"):
        prepare(table(np.clip(X, 0, 1)), scale="standard")


@pytest.mark.parametrize("value", [0.1, 1e300, 3.3e-7])
def test_a_constant_is_found_whatever_its_standard_deviation_is_rounded_to(value):
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[:, 2] = value
    with pytest.raises(InvalidDataError, match=r"1 of 3 features are constant .*\(f2\)"):
        prepare(table(X))


def test_pixels_with_a_constant_border_are_told_how_to_be_used():
    X = np.random.default_rng(0).integers(0, 256, (50, 4))
    X[:, 0] = 0
    with pytest.raises(InvalidDataError, match=r"divide by 255 or use values in \[0, 1\]"):
        prepare(table(X))
    assert prepare(table(X / 255)).is_unit_range


def test_too_few_samples_and_unknown_scales_are_refused():
    with pytest.raises(InvalidDataError, match="at least 10 samples .* have 9"):
        prepare(table(np.eye(9)))
    with pytest.raises(InvalidParameterError, match="`scale` must be one of 'auto', 'none'"):
        prepare(table(np.eye(10)), scale="log")
