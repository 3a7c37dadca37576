"""All 70,000 images of MNIST, where the user has them: their files are read with every check."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.errors import StorageError

__all__ = ["OPENML", "all_of_mnist"]

OPENML = "openml"
"""The source that downloads: everything else is a path."""

# The header of an idx file, by its specification: two zeros, 8 for unsigned bytes, the number of
# dimensions, and each size as a big-endian integer of four bytes.
_UNSIGNED_BYTE = 8
_PARTS = ("train", "t10k")
_SIDE = 28  # pixels
_OPENML_NAME, _OPENML_VERSION = "mnist_784", 1

Raw = tuple[NDArray[np.uint8], NDArray[np.int64]]


def all_of_mnist(source: str | os.PathLike[str]) -> Raw:
    """Return all images that a source has.

    Args:
        source: see `pullback.datasets.mnist`.

    Returns:
        The pixels in 0, ..., 255, `(n, 784)`, and the digits, `(n,)`.

    Raises:
        StorageError: there is nothing, something else, or a damaged file.

    Example:
        >>> all_of_mnist("nowhere")
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no file or folder nowhere: ...
    """
    if source == OPENML:
        return _from_openml()
    path = Path(source)
    if not path.exists():
        raise StorageError(
            f"There is no file or folder {path}: give that of MNIST's four idx files, a .npz file, "
            f"or {OPENML!r} to download them."
        )
    try:
        pixels, y = _from_npz(path) if path.is_file() else _from_folder(path)
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{path} does not hold MNIST: {error}. Download it again, or give another source."
        ) from error
    return _checked(path, pixels, y)


def _from_npz(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        pixels = np.concatenate([file["x_train"], file["x_test"]])
        return pixels, np.concatenate([file["y_train"], file["y_test"]])


def _from_folder(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    images = [_read_idx(path, f"{part}-images-idx3-ubyte", 3) for part in _PARTS]
    labels = [_read_idx(path, f"{part}-labels-idx1-ubyte", 1) for part in _PARTS]
    return np.concatenate(images), np.concatenate(labels)


def _read_idx(folder: Path, name: str, n_dimensions: int) -> NDArray[np.uint8]:
    """Read one idx file, gzipped or not."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else None
    if content is None:
        content = (folder / name).read_bytes()
    if content[:4] != bytes([0, 0, _UNSIGNED_BYTE, n_dimensions]):
        raise ValueError(f"{name} does not begin as an idx file of bytes")
    start = 4 * (1 + n_dimensions)
    shape = np.frombuffer(content[4:start], ">u4")
    if len(content) - start != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{name} is shorter or longer than its header says")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape.tolist())


def _from_openml() -> Raw:
    from sklearn.datasets import fetch_openml

    # scikit-learn compares the download with the checksum that OpenML gives for it.
    try:
        X, y = fetch_openml(
            _OPENML_NAME,
            version=_OPENML_VERSION,
            return_X_y=True,
            as_frame=False,
            parser="liac-arff",
        )
    except (OSError, ValueError) as error:
        raise StorageError(
            f"MNIST cannot be downloaded from OpenML: {error}. Look at the network, or give the "
            "path of files that you have."
        ) from error
    return _checked(Path(OPENML), X, y.astype(np.int64))


def _checked(path: Path, pixels: NDArray[Any], y: NDArray[Any]) -> Raw:
    rows = pixels.reshape(len(pixels), -1)
    whole = rows.shape[1] == _SIDE**2 and y.shape == (len(rows),) and len(rows) > 0
    if not whole or rows.min() < 0 or rows.max() > 255 or not np.isin(y, range(10)).all():
        raise StorageError(
            f"{path} must hold images of {_SIDE} x {_SIDE} pixels in 0, ..., 255 and a digit for "
            f"each, but its arrays have the shapes {pixels.shape} and {y.shape}, or other values."
        )
    return rows.astype(np.uint8), y.astype(np.int64)
