"""Geodesic distances, written into an AnnData under scanpy's names for scanpy's tools."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from pullback.curves import straight_line
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    MissingExtraError,
    check_choice,
    check_data,
    check_integer,
)
from pullback.geodesics import PairwiseDistances
from pullback.manifolds import Manifold

__all__ = ["write_distances"]

# Chords that the straight line to a neighbour is measured by. Set by judgement: with more, a thin
# wall between two neighbours is seen more surely, and each edge costs as many more evaluations of
# the metric.
_SEGMENTS = 16


def write_distances(
    adata: Any,
    manifold: Manifold,
    *,
    use_rep: str = "X_scVI",
    n_neighbors: int = 15,
    method: str = "auto",
    n_refined: int = 64,
    key_added: str | None = None,
    random_state: int = 0,
    progress: bool = True,
) -> PairwiseDistances:
    """Measure all geodesic distances between cells, and write the graph of nearest neighbours.

    It stands where `sc.pp.neighbors` would: `sc.tl.leiden`, `sc.tl.umap`, `sc.tl.diffmap` and
    `sc.tl.dpt` then run on geodesic neighbours. Connectivities are the fuzzy simplicial set of
    UMAP, which is what scanpy takes too. Written are, with "neighbors" for `key_added`:

    ===========================  =========================================================
    `.obsp["distances"]`         from each cell to its nearest ones, sparse
    `.obsp["connectivities"]`    weights of the symmetric graph, in [0, 1], sparse
    `.uns["neighbors"]`          the two names, and `params`
    ===========================  =========================================================

    Args:
        adata: an `AnnData` of n cells; it is written to.
        manifold: the latent space.
        use_rep: the codes `(n, d)`, a key of `.obsm`.
        n_neighbors: neighbours of each cell, itself counted, as scanpy counts.
        method: how distances are measured, see `Manifold.pairwise`: `"table"` is exact to some
            0.1 % for d <= 3; `"graph"`, over the cells, is quick in every dimension, takes straight
            lines between neighbours where those are shorter, and in 10 dimensions is tens of per
            cent long between cells far apart; `"newton"` solves every one of the n (n - 1) / 2
            pairs; `"auto"` takes the table where it can, else the graph.
        n_refined: pairs of neighbours that are solved with care, for the estimate of the error.
        key_added: the name to write under; `.obsp` then has `{key_added}_distances` and so on.
        random_state: the seed of the connectivities.
        progress: show a bar while many pairs are solved.

    Returns:
        All distances, with the error measured on a sample of the neighbours; `params["error"]` is
        what 95 % of them keep to.

    Raises:
        MissingExtraError: anndata or umap-learn, which scanpy brings, is not installed.
        InvalidParameterError: there are no such codes, or fewer cells than neighbours.
        InvalidDataError: a cell is joined to fewer cells than it is to have neighbours.

    Source:
        McInnes, Healy, Melville, UMAP: uniform manifold approximation and projection (2018),
        section 3. Wolf, Angerer, Theis, SCANPY: large-scale single-cell gene expression data
        analysis (2018).

    Example:
        >>> adata.obsm["X_scVI"] = model.get_latent_representation()  # doctest: +SKIP
        >>> M = pb.Manifold(from_scvi(model), data=adata.obsm["X_scVI"])  # doctest: +SKIP
        >>> write_distances(adata, M).error()  # doctest: +SKIP
        0.02
        >>> sc.tl.leiden(adata, flavor="igraph")  # doctest: +SKIP
    """
    codes = _codes(adata, use_rep, manifold)
    check_integer("n_neighbors", n_neighbors, 2, len(codes))
    check_integer("n_refined", n_refined, 0)
    check_choice("method", method, ("auto", "graph", "newton", "table"))
    if method == "auto":
        method = "table" if codes.shape[1] <= 3 else "graph"
    space = Manifold(  # the cells are nodes of its graph
        manifold.metric, dim=manifold.dim, data=codes, dtype=manifold.dtype, device=manifold.device
    )
    measured = space.pairwise_dist(codes, method=method, progress=progress)
    if method == "graph":
        measured = _with_lines(space, measured, 3 * n_neighbors)
    index, distances = _nearest(measured.cpu().numpy(), n_neighbors)
    found = _refined(space, measured, index, n_refined, random_state)
    key = "neighbors" if key_added is None else key_added
    prefix = "" if key_added in (None, "neighbors") else f"{key_added}_"
    names = {f"{name}_key": f"{prefix}{name}" for name in ("connectivities", "distances")}
    connectivities = _connectivities(index, distances, random_state)
    adata.obsp[names["distances_key"]] = _sparse(index[:, 1:], distances[:, 1:])
    adata.obsp[names["connectivities_key"]] = connectivities
    params = {
        "n_neighbors": n_neighbors,
        # How the connectivities are made of the distances.
        "method": "umap",
        "random_state": random_state,
        # The metric of the codes in `use_rep`, by which sc.tl.umap places parts of the graph that
        # no edge joins.
        "metric": "euclidean",
        "use_rep": use_rep,
        "distances": f"geodesic ({method})",
        "error": found.error(),
    }
    adata.uns[key] = {**names, "params": params}
    return found


def _codes(adata: Any, use_rep: str, manifold: Manifold) -> Any:
    try:
        from anndata import AnnData
    except ImportError as error:
        raise MissingExtraError("anndata", "bio", "`write_distances`") from error
    if not isinstance(adata, AnnData):
        raise InvalidParameterError("adata", "an `AnnData`", f"a {type(adata).__name__}")
    if use_rep not in adata.obsm:
        raise InvalidParameterError("use_rep", f"one of {list(adata.obsm)} in `.obsm`", use_rep)
    return check_data(f"adata.obsm[{use_rep!r}]", adata.obsm[use_rep], dim=manifold.dim)


def _with_lines(space: Manifold, distances: Tensor, n_near: int) -> Tensor:
    """Take the straight line to cells near by where the graph has only a longer way.

    Each line is measured once, whichever of its cells is near to the other, and not at all where
    its two halves show that it cannot be the shorter way.
    """
    codes, n_near = space.data, min(n_near, len(distances))
    assert codes is not None
    near = torch.zeros_like(distances, dtype=torch.bool)
    for near_by in (distances, torch.cdist(codes, codes)):
        near.scatter_(1, near_by.topk(n_near, largest=False).indices, True)
    row, column = (near | near.T).triu(1).nonzero().T
    for segments in (2, _SEGMENTS):  # chords of a line grow as they are halved
        lines = straight_line(codes[row], codes[column], segments)
        with torch.no_grad():
            length = space.metric.chords(lines).sum(-1).nan_to_num(nan=torch.inf)
        shorter = length < torch.minimum(distances[row, column], distances[column, row])
        row, column, length = row[shorter], column[shorter], length[shorter]
    distances = torch.minimum(distances, distances.T)
    distances[row, column] = distances[column, row] = length
    return distances.fill_diagonal_(0)


def _refined(
    space: Manifold, distances: Tensor, index: NDArray[Any], n: int, seed: int
) -> PairwiseDistances:
    """Solve a sample of the pairs of neighbours with all care."""
    generator = np.random.default_rng(seed)
    row = generator.choice(len(index), size=min(n, len(index)), replace=False)
    column = index[row, generator.integers(1, index.shape[1], size=len(row))]
    sample = torch.as_tensor(np.stack([row, column], -1), device=distances.device)
    if len(sample) == 0:
        return PairwiseDistances(distances, sample, distances.new_zeros(0))
    assert space.data is not None
    lengths = space.geodesic(*space.data[sample].unbind(1)).length
    return PairwiseDistances(distances, sample, lengths)


def _nearest(distances: NDArray[Any], n_neighbors: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Find the nearest cells of each, itself first; indices and distances `(n, n_neighbors)`."""
    own = distances.copy()
    # Each cell comes first among its own neighbours, even before another one with the very same
    # code.
    np.fill_diagonal(own, -1)
    index = own.argsort(axis=1, kind="stable")[:, :n_neighbors]
    nearest = np.take_along_axis(distances, index, axis=1)
    lost = ~np.isfinite(nearest).all(1)
    if lost.any():
        raise InvalidDataError(
            f"{int(lost.sum())} of {len(distances)} cells have no path to {n_neighbors - 1} others "
            f"(the first is cell {int(lost.argmax())}): the decoder is not finite around them, or "
            "the graph is in parts. Ask for fewer neighbours, or take `method='newton'`."
        )
    return index, nearest


def _sparse(index: NDArray[Any], values: NDArray[Any]) -> csr_matrix:
    n, k = index.shape
    return csr_matrix((values.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def _connectivities(index: NDArray[Any], distances: NDArray[Any], seed: int) -> csr_matrix:
    try:
        from umap.umap_ import fuzzy_simplicial_set
    except ImportError as error:
        raise MissingExtraError("umap-learn", "bio", "`write_distances`") from error
    n, k = index.shape
    # umap is given the distances, and asks the data only how many there are.
    nothing = csr_matrix((n, 1))
    weights, *_ = fuzzy_simplicial_set(
        nothing, k, seed, "precomputed", knn_indices=index, knn_dists=distances.astype(np.float32)
    )
    return weights.tocsr()
