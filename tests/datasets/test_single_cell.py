from importlib.util import find_spec

import numpy as np
import pytest

import pullback as pb
from pullback.datasets import packaged, single_cell
from pullback.errors import InvalidDataError, MissingExtraError

CELLS = [("a", 2000.0, 1), ("b", 4000.0, 0), ("c", 9000.0, 1)]


def counts(high=300):
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(0.3, high / 3, (3, 40)))


def normalised(x, totals):
    return np.log1p(1e4 * x / np.asarray(totals)[:, None]).astype(np.float32)


def test_counts_are_recovered_from_their_logarithms():
    x, totals = counts(), np.array([2000.0, 4000.0, 9000.0])
    found = single_cell._recover_counts(normalised(x, totals), totals)
    assert np.array_equal(found, x)


def test_what_does_not_come_out_whole_is_refused():
    x, totals = counts(), np.array([2000.0, 4000.0, 9000.0])
    with pytest.raises(InvalidDataError, match=r"do not come out as counts.*off whole numbers"):
        single_cell._recover_counts(normalised(x, totals), 1.1 * totals)


def test_without_scanpy_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"scanpy.*pip install 'pullback\[bio\]'"):
        pb.datasets.pbmc()


def write(path, x, *, layout="raw.X"):
    h5py = pytest.importorskip("h5py", reason="needs pip install '.[bio]'")
    from scipy import sparse

    totals = [total for _, total, _ in CELLS]
    values = sparse.csr_matrix(normalised(x, totals))
    with h5py.File(path, "w") as file:
        group = file.create_group(layout)
        group.attrs["h5sparse_shape"] = values.shape
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(values, name)
        file["obs"] = np.array(
            CELLS, dtype=[("index", "S1"), ("n_counts", "f4"), ("bulk_labels", "i1")]
        )
        file["uns/bulk_labels_categories"] = np.array([b"B cell", b"T cell"])


def test_a_file_of_its_layout_is_read(tmp_path):
    write(tmp_path / "cells.h5ad", counts())
    X, y = single_cell._read(tmp_path / "cells.h5ad")
    assert np.array_equal(X, counts())
    assert y.tolist() == ["T cell", "B cell", "T cell"]


def test_a_file_of_another_layout_is_named(tmp_path):
    write(tmp_path / "cells.h5ad", counts(), layout="raw/X")
    with pytest.raises(InvalidDataError, match=r"cells\.h5ad is laid out in another way.*raw\.X"):
        single_cell._read(tmp_path / "cells.h5ad")


@pytest.mark.skipif(find_spec("scanpy") is None, reason="needs pip install '.[bio]'")
def test_the_real_cells_are_counts_with_ten_types():
    X, y = pb.datasets.pbmc()
    assert X.shape == (700, 765)
    assert np.array_equal(X, X.round())
    assert X.min() == 0
    assert (X.sum(0) > 0).all()
    assert (X.sum(1).min(), X.sum(1).max()) == (342, 1654)
    assert len(set(y.tolist())) == 10
    # CD79A is a marker of B cells, whatever its column is: one gene tells them well.
    b = y == "CD19+ B"
    assert (X[b].mean(0) - X[~b].mean(0)).max() > 1
