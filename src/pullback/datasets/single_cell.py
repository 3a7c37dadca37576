"""Real counts of gene transcripts in single cells that come inside a dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pullback.datasets.packaged import packaged_file
from pullback.errors import InvalidDataError

__all__ = ["pbmc"]

# Every cell of the data set was scaled to this total count before the logarithm was taken: the
# usual one of scanpy, needed to go back to counts.
_TARGET = 1e4
# How far from a whole number a recomputed count may be. The data are in single precision, which
# moves large counts; from 0.5 on the nearest whole number would be a guess.
_ROUNDED = 0.25


def pbmc() -> tuple[NDArray[np.float32], NDArray[Any]]:
    r"""Return counts of 765 genes in 700 blood cells of 10 types.

    They are peripheral blood mononuclear cells of the 68,000 of one donor, in the reduced form that
    the package scanpy ships. Its file holds no counts but `v = log(1 + 10^4 x / s)`, with s the
    total of the cell over all genes, which it keeps; so x = s (e^v - 1) / 10^4. These come out
    within 0.09 of whole numbers, nearly all within 0.01, and are rounded.

    A cell's counts here sum to 342 to 1654: how deeply it was sequenced is part of x. Many of the
    genes are markers of the types, chosen from the whole.

    Returns:
        The counts X, float32 `(700, 765)` of whole numbers, and the cell types y, str `(700,)`.

    Raises:
        MissingExtraError: scanpy is not installed.
        StorageError: the installed scanpy has no such file.
        InvalidDataError: what it holds does not come out as counts.

    Source: Zheng et al., "Massively parallel digital transcriptional profiling of single cells",
    2017; Wolf, Angerer, Theis, "SCANPY", 2018, for the reduced form.

    Example:
        >>> import pullback as pb
        >>> X, y = pb.datasets.pbmc()  # doctest: +SKIP
        >>> X.shape, len(set(y))  # doctest: +SKIP
        ((700, 765), 10)
    """
    path = packaged_file(
        "scanpy",
        "datasets",
        "10x_pbmc68k_reduced.h5ad",
        extra="bio",
        purpose="The data set `pbmc`",
    )
    return _read(path)


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[Any]]:
    import h5py  # scanpy needs it, so it is there

    with h5py.File(path) as file:
        try:
            raw, cells = file["raw.X"], file["obs"][:]
            names = file["uns/bulk_labels_categories"][:].astype(np.str_)
            values = sparse.csr_matrix(
                (raw["data"][:], raw["indices"][:], raw["indptr"][:]), raw.attrs["h5sparse_shape"]
            )
        except KeyError as error:
            raise InvalidDataError(
                f"{path} is laid out in another way than this package reads ({error.args[0]}). "
                "Install scanpy 1.11."
            ) from error
        return _recover_counts(values.toarray(), cells["n_counts"]), names[cells["bulk_labels"]]


def _recover_counts(values: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float32]:
    """Undo `v = log(1 + 10^4 x / s)` for cells of totals s, `(n,)`."""
    exact = np.expm1(values.astype(np.float64)) * totals.astype(np.float64)[:, None] / _TARGET
    counts = exact.round()
    off = float(np.abs(exact - counts).max())
    if off > _ROUNDED or counts.min() < 0:
        raise InvalidDataError(
            f"The values do not come out as counts: they are up to {off:.2g} off whole numbers, "
            f"and the smallest is {counts.min():g}."
        )
    return counts.astype(np.float32)
