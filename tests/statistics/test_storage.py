"""Estimators are written and read without pickle, in one file that tells when it is damaged."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from pullback.errors import InvalidDataError, InvalidParameterError, StorageError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, paraboloid
from pullback.statistics import LatentEstimator

M = Manifold(paraboloid, dim=2)
Z = torch.tensor([[0.0, 0.1], [0.5, 0.2], [1.0, -0.3]], dtype=torch.float64)


class Remembering(LatentEstimator):
    """Keeps one attribute of every kind that can be written."""

    def __init__(self, manifold, *, size=1.5, name="a", shape=(2, 3), nothing=None):
        self.manifold, self.size, self.name = manifold, size, name
        self.shape, self.nothing = shape, nothing

    def fit(self, Z, y=None, *, sample_weight=None):
        codes = self._points(Z, reset=True, min_samples=2)
        self.tensor_ = codes.mean(0)
        self.array_ = np.arange(3, dtype=np.float32)
        self.classes_ = np.array(["cat", "dog"])
        self.number_, self.flag_, self.text_, self.none_ = np.float64(2.5), True, "x", None
        self.parts_ = [{"a": torch.ones(2, 2), "b": [1, np.inf]}]
        self.weights_ = self._weights(sample_weight, codes)
        return self

    def predict(self, Z):
        return self._points(Z, reset=False)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "estimator"
    Remembering(M, size=2.5, shape=(4,)).fit(Z).save(path)
    return path


def test_every_kind_of_attribute_comes_back(saved):
    read = Remembering.load(saved, M)
    fitted = Remembering(M, size=2.5).fit(Z)
    assert read.get_params(deep=False) | {"shape": None} == fitted.get_params(deep=False) | {
        "shape": None
    }
    assert list(read.shape) == [4]
    assert torch.equal(read.tensor_, fitted.tensor_)
    assert read.array_.dtype == np.float32
    assert read.array_.tolist() == [0, 1, 2]
    assert read.classes_.tolist() == ["cat", "dog"]
    assert (read.number_, read.flag_, read.text_, read.none_) == (2.5, True, "x", None)
    assert torch.equal(read.parts_[0]["a"], torch.ones(2, 2))
    assert read.parts_[0]["b"] == [1, np.inf]
    assert torch.equal(read.predict(Z), Z)


def test_a_base_class_reads_what_a_derived_one_wrote(saved):
    assert type(LatentEstimator.load(saved, M)).__name__ == "Remembering"


@pytest.mark.thorough
def test_there_is_no_pickle_in_it(saved):
    code = (
        "import sys\n"
        "from pullback import Manifold\n"
        "from pullback.manifolds.reference import paraboloid\n"
        "from pullback.statistics import FrechetMean\n"
        "events = []\n"
        "sys.addaudithook(lambda event, _: events.append(event))\n"
        "mean = FrechetMean.load(sys.argv[1], Manifold(paraboloid, dim=2))\n"
        "print(mean.estimate_.shape, 'open' in events, 'pickle.find_class' in events)"
    )
    from pullback.statistics import FrechetMean

    FrechetMean(M).fit(Z).save(saved)
    run = [sys.executable, "-c", code, str(saved)]
    result = subprocess.run(run, capture_output=True, text=True, timeout=3600, check=True)
    assert result.stdout.strip() == "torch.Size([2]) True False"


def test_another_metric_is_refused_and_a_table_of_the_same_is_not(saved):
    with pytest.raises(InvalidParameterError, match="`manifold` must be the one"):
        Remembering.load(saved, Manifold(HalfPlane(), dim=2))
    with pytest.raises(InvalidParameterError, match="`manifold` must be the one"):
        Remembering.load(saved, Manifold(lambda z: z, dim=3))
    assert Remembering.load(saved, M.tabulated(Z)).size == 2.5


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "gone"])
def test_a_damaged_file_is_told_of(saved, damage):
    content = bytearray(saved.read_bytes())
    if damage == "cut":
        content = content[:-8]
    elif damage == "flip":
        content[-1] ^= 1
    elif damage == "text":
        content = b"hello"
    saved.write_bytes(bytes(content)) if damage != "gone" else saved.unlink()
    with pytest.raises(StorageError, match=str(saved.name)):
        Remembering.load(saved, M)


def test_what_is_not_fitted_or_cannot_be_written_is_not(tmp_path, saved):
    with pytest.raises(NotFittedError):
        Remembering(M).save(tmp_path / "new")
    before = saved.read_bytes()
    with pytest.raises(InvalidParameterError, match=r"`name` must be of numbers, .* but got a obj"):
        Remembering(M, name=object()).fit(Z).save(saved)
    assert saved.read_bytes() == before


def test_a_file_of_another_estimator_is_refused(saved):
    from pullback.statistics import FrechetMean

    with pytest.raises(StorageError, match="holds a Remembering, but a FrechetMean"):
        FrechetMean.load(saved, M)


def test_points_are_checked_at_the_door():
    for wrong, message in [
        (np.zeros((3, 3)), "`X` must have 2 features"),
        (np.array([[0.0, np.nan]] * 3), "`X` must be finite"),
        (torch.zeros(3), "`X` must have shape"),
        (np.zeros((1, 2)), "1 sample"),
        (torch.zeros(1, 2), "at least 2 samples"),
    ]:
        with pytest.raises((InvalidDataError, ValueError), match=message):
            Remembering(M).fit(wrong)
    with pytest.raises(InvalidParameterError, match="`manifold` must be a `Manifold`"):
        Remembering(HalfPlane()).fit(Z)
    with pytest.raises(ValueError, match="3 features, but Remembering is expecting 2"):
        Remembering(M).fit(Z).predict(np.zeros((3, 3)))


def test_weights_are_checked_at_the_door():
    for wrong in ([1.0, 1.0], [1.0, -1.0, 1.0], [np.nan, 1.0, 1.0], np.zeros(3)):
        with pytest.raises(InvalidDataError, match="`sample_weight` must"):
            Remembering(M).fit(Z, sample_weight=wrong)
    assert Remembering(M).fit(Z, sample_weight=torch.arange(3.0)).weights_.tolist() == [0, 1, 2]
    assert Remembering(M).fit(Z).weights_.tolist() == [1, 1, 1]
