"""MNIST from the user's own files: the three forms hold the same, and damage is told in words."""

import gzip
import struct

import numpy as np
import pytest

from pullback.datasets import mnist
from pullback.errors import InvalidParameterError, StorageError


def images(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx(folder, *, packed=False):
    for part, n, seed in (("train", 40, 0), ("t10k", 20, 1)):
        pixels, y = images(n, seed)
        for name, array in (("images-idx3", pixels), ("labels-idx1", y)):
            content = idx(array)
            file = folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(content) if packed else content)


def expected(digit):
    (a, y), (b, _) = images(40, 0), images(20, 1)
    rows = np.concatenate([a, b]).reshape(60, 784)
    return rows[np.concatenate([y, y[:20]]) == digit].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("packed", [False, True])
def test_the_four_files(tmp_path, packed):
    write_idx(tmp_path, packed=packed)
    X, y = mnist((3,), source=tmp_path)
    assert np.array_equal(X, expected(3))
    assert set(y.tolist()) == {3}


def test_one_archive(tmp_path):
    (a, y), (b, z) = images(40, 0), images(20, 1)
    np.savez(tmp_path / "mnist.npz", x_train=a, y_train=y, x_test=b, y_test=z)
    X, _ = mnist((3,), source=str(tmp_path / "mnist.npz"))
    assert np.array_equal(X, expected(3))
    chosen, digits = mnist((3, 4), source=tmp_path / "mnist.npz", n_per_digit=5, random_state=0)
    assert chosen.shape == (10, 784)
    assert np.bincount(digits).tolist() == [0, 0, 0, 5, 5]


def test_more_than_there_are_is_refused(tmp_path):
    write_idx(tmp_path)
    with pytest.raises(InvalidParameterError, match="n_per_digit"):
        mnist((3,), source=tmp_path, n_per_digit=7)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train-images-idx3-ubyte", lambda content: content[:-1]),
        ("train-images-idx3-ubyte", lambda content: b"\0\0\x0b" + content[3:]),
        ("t10k-labels-idx1-ubyte", lambda content: content + b"\0"),
        ("t10k-labels-idx1-ubyte", lambda content: b""),
        ("train-labels-idx1-ubyte", lambda content: content[:-1] + b"\x0b"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, damage):
    write_idx(tmp_path)
    file = tmp_path / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StorageError, match=str(tmp_path)):
        mnist(source=tmp_path)


@pytest.mark.parametrize("name", ["nothing", "mnist.npz", "folder"])
def test_what_is_not_there_or_something_else(tmp_path, name):
    (tmp_path / "mnist.npz").write_bytes(b"PK not an archive")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=name):
        mnist(source=tmp_path / name)


def test_a_truncated_gzip(tmp_path):
    write_idx(tmp_path, packed=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StorageError, match="MNIST"):
        mnist(source=tmp_path)
