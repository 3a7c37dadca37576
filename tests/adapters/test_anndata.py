import sys

import numpy as np
import pytest
import torch

from pullback.adapters import write_distances
from pullback.adapters.anndata import _with_lines
from pullback.errors import InvalidDataError, InvalidParameterError, MissingExtraError
from pullback.manifolds import Manifold

REASON = "needs `pip install 'pullback[bio]'`"


def scroll(z):
    """A sheet rolled up twice: near in space is not near along it."""
    t, y = z.unbind(-1)
    return torch.stack([t * t.cos(), t * t.sin(), 3 * y], -1)


def arc_length(t):
    return (t * np.sqrt(1 + t**2) + np.arcsinh(t)) / 2


def write(cells, manifold, **options):
    options = {"n_neighbors": 8, "n_refined": 8, "progress": False, **options}
    return write_distances(cells, manifold, **options)


def exact(codes):
    """The scroll is flat: the coordinates (arc length, 3 y) are Euclidean."""
    flat = np.stack([arc_length(codes[:, 0]), 3 * codes[:, 1]], -1)
    return np.linalg.norm(flat[:, None] - flat, axis=-1)


@pytest.fixture
def scanpy():
    pytest.importorskip("umap", reason=REASON)
    return pytest.importorskip("scanpy", reason=REASON)


@pytest.fixture
def cells(scanpy):
    from anndata import AnnData

    rng = np.random.default_rng(0)
    codes = np.stack([rng.uniform(4, 12, size=60), rng.uniform(0, 1, size=60)], -1)
    return AnnData(np.zeros((60, 1), dtype=np.float32), obsm={"X_scVI": codes})


@pytest.fixture
def manifold():
    return Manifold(scroll, dim=2)


@pytest.mark.parametrize(("method", "rtol"), [("table", 1e-3), ("graph", 0.1)])
def test_neighbours_are_the_nearest_along_the_manifold(cells, manifold, method, rtol):
    found = write(cells, manifold, method=method)
    truth = exact(cells.obsm["X_scVI"])
    np.testing.assert_allclose(found.distances.numpy(), truth, rtol=rtol, atol=1e-6)
    sparse = cells.obsp["distances"]
    assert sparse.shape == (60, 60)
    assert (np.diff(sparse.indptr) == 7).all()
    rows, columns = sparse.nonzero()
    np.testing.assert_allclose(sparse[rows, columns].A1, truth[rows, columns], rtol=rtol)
    if method == "table":
        nearest = truth.argsort(1)[:, 1:8]
        assert all(set(nearest[i]) == set(sparse[i].indices) for i in range(60))


def test_connectivities_are_those_that_scanpy_makes_of_the_same_distances(scanpy, cells, manifold):
    write(cells, manifold)
    flat = cells.copy()
    codes = flat.obsm["X_scVI"]
    flat.obsm["X_flat"] = np.stack([arc_length(codes[:, 0]), 3 * codes[:, 1]], -1)
    scanpy.pp.neighbors(flat, n_neighbors=8, use_rep="X_flat")
    for name, rtol in [("distances", 1e-3), ("connectivities", 0.02)]:
        ours, theirs = cells.obsp[name].toarray(), flat.obsp[name].toarray()
        np.testing.assert_array_equal(ours > 0, theirs > 0)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-6)
    assert set(flat.uns["neighbors"]) <= set(cells.uns["neighbors"])
    assert set(flat.uns["neighbors"]["params"]) <= set(cells.uns["neighbors"]["params"])


@pytest.mark.parametrize("key", [None, "geodesic"])
def test_the_tools_of_scanpy_run_on_what_is_written(scanpy, cells, manifold, key, tmp_path):
    write(cells, manifold, method="graph", key_added=key)
    chosen = {"neighbors_key": key}
    scanpy.tl.leiden(cells, flavor="igraph", n_iterations=2, directed=False, **chosen)
    scanpy.tl.louvain(cells, flavor="igraph", **chosen)
    scanpy.tl.umap(cells, maxiter=20, **chosen)
    scanpy.tl.diffmap(cells, **chosen)
    along = cells.obsm["X_scVI"][:, 0]
    cells.uns["iroot"] = int(along.argmin())
    scanpy.tl.dpt(cells, **chosen)
    scanpy.tl.paga(cells, groups="leiden", **chosen)
    assert cells.obs["leiden"].nunique() > 1
    assert np.isfinite(cells.obsm["X_umap"]).all()
    time = cells.obs["dpt_pseudotime"].to_numpy()
    assert np.corrcoef(time, along)[0, 1] > 0.9


def test_what_is_written_can_be_stored(cells, manifold, tmp_path):
    import h5py
    from anndata.io import read_elem, write_elem

    found = write(cells, manifold, method="graph", key_added="geodesic")
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        for name in ("obsp", "uns"):
            write_elem(file, name, dict(getattr(cells, name)))
        obsp, uns = read_elem(file["obsp"]), read_elem(file["uns"])
    assert uns["geodesic"]["connectivities_key"] == "geodesic_connectivities"
    params = uns["geodesic"]["params"]
    assert params["n_neighbors"] == 8
    assert params["use_rep"] == "X_scVI"
    assert params["error"] == found.error()
    assert (obsp["geodesic_distances"] != cells.obsp["geodesic_distances"]).nnz == 0


def test_cells_with_one_code_are_neighbours_at_no_distance(cells, manifold):
    cells.obsm["X_scVI"][10:15] = cells.obsm["X_scVI"][10]
    write(cells, manifold, n_neighbors=5, method="graph")
    row = cells.obsp["distances"][12]
    assert sorted(row.indices) == [10, 11, 13, 14]
    np.testing.assert_allclose(row.data, 0, atol=1e-12)
    assert cells.obsp["connectivities"].diagonal().max() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_rep": "X_pca"}, r"`use_rep` must be one of \['X_scVI'\] in `.obsm`, but got X_pca"),
        ({"n_neighbors": 61}, r"`n_neighbors` must be an integer in \[2, 60\], but got 61"),
        ({"n_neighbors": 1}, r"`n_neighbors` must be an integer in \[2, 60\], but got 1"),
        ({"method": "exact"}, r"`method` must be one of 'auto', 'graph', 'newton', 'table'"),
    ],
)
def test_what_is_out_of_range_is_refused(cells, manifold, options, message):
    with pytest.raises(InvalidParameterError, match=message):
        write_distances(cells, manifold, **options)
    assert "neighbors" not in cells.uns


def test_codes_of_another_dimension_are_refused(cells):
    with pytest.raises(InvalidDataError, match=r"`adata.obsm\['X_scVI'\]` must have 3 features"):
        write_distances(cells, Manifold(lambda z: 2 * z, dim=3))


def test_a_cell_without_a_path_is_named(cells):
    def torn(z):
        return torch.where(z[:, :1] > 11.5, torch.nan, z)

    n_lost = int((cells.obsm["X_scVI"][:, 0] > 11.5).sum())
    with pytest.raises(InvalidDataError, match=f"{n_lost} of 60 cells have no path to 7 others"):
        write_distances(cells, Manifold(torn, dim=2), method="graph", n_neighbors=8, n_refined=0)


def test_what_is_no_anndata_is_refused(scanpy, manifold):
    with pytest.raises(InvalidParameterError, match="an `AnnData`, but got a ndarray"):
        write_distances(np.zeros((5, 2)), manifold)


@pytest.mark.parametrize("package", ["anndata", "umap.umap_"])
def test_a_missing_package_is_named_with_the_command(request, manifold, monkeypatch, package):
    cells = None if package == "anndata" else request.getfixturevalue("cells")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[bio\]'"):
        write_distances(cells, manifold, method="graph", n_refined=0)


@pytest.mark.slow
def test_lines_to_cells_near_by_are_measured_once_and_only_where_they_may_be_shorter():
    decoded = [0]

    def bent(z):
        decoded[0] += len(z)
        return torch.cat([z, z.square()], -1)

    codes = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    space = Manifold(bent, dim=4, data=codes)
    graph = space.pairwise_dist(codes, method="graph")
    decoded[0] = 0
    found = _with_lines(space, graph, 30)
    assert decoded[0] < 40 * 30 * 17  # a half of the lines from each cell to those near by it

    t = torch.linspace(0, 1, 17, dtype=torch.float64)[:, None]
    lines = torch.lerp(codes[:, None, None, :], codes[None, :, None, :], t)
    images = torch.cat([lines, lines.square()], -1)
    length = images.diff(dim=-2).norm(dim=-1).sum(-1)
    near = torch.zeros(40, 40, dtype=torch.bool)
    for by in (graph, torch.cdist(codes, codes)):
        near.scatter_(1, by.topk(30, largest=False).indices, True)
    expected = torch.where(near, torch.minimum(graph, length), graph)
    expected = torch.minimum(expected, expected.T).fill_diagonal_(0)
    assert (expected < graph - 1e-9).any()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
