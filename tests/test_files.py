"""Files are whole or not there, and what is damaged is told of in words."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from pullback import files
from pullback.errors import StorageError
from pullback.files import FileKind, atomic_write
from pullback.manifolds import Manifold
from pullback.manifolds.reference import paraboloid
from pullback.metrics import TabulatedMetric
from pullback.models import load
from pullback.statistics import FrechetMean

SAVED = Path(__file__).with_name("saved_before")
KIND = FileKind("box of numbers", absent="pack one first.", cure="Pack it again.")
TENSORS = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.int64)}


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"Cannot write .*No space left.*Nothing .* has changed"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_is_written_is_read_by_anything_that_knows_safetensors(tmp_path):
    KIND.write(tmp_path / "box", TENSORS, '{"n": 2}', note="hello")
    with safetensors.safe_open(tmp_path / "box", framework="pt") as file:
        assert file.metadata() == {"pullback": '{"n": 2}', "note": "hello"}
        assert torch.equal(file.get_tensor("a"), TENSORS["a"])
    stored = KIND.read(tmp_path / "box")
    assert stored.document == {"n": 2}
    assert stored.header["note"] == "hello"
    assert torch.equal(stored.tensors["a"], TENSORS["a"])
    assert stored.tensors["b"].dtype == torch.int64


def test_a_file_without_a_header_has_an_empty_one(tmp_path):
    path = tmp_path / "plain"
    path.write_bytes(safetensors.torch.save(TENSORS))
    assert KIND.read(path)[1:] == ({}, {})
    assert KIND.to_bytes(TENSORS) == path.read_bytes()


def test_views_and_tensors_with_derivatives_are_written(tmp_path):
    view = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    KIND.write(tmp_path / "box", {"view": view})
    assert torch.equal(KIND.read(tmp_path / "box").tensors["view"], view)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"hello",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content.replace(b'"F32"', b'"X32"'),
    ],
)
def test_a_damaged_file_is_named_with_its_cure(tmp_path, damage):
    path = tmp_path / "box"
    path.write_bytes(damage(KIND.to_bytes(TENSORS, "{}")))
    said = r"box is no box of numbers that can be read \(.+\)\. Pack it again\."
    with pytest.raises(StorageError, match=said):
        KIND.read(path)


@pytest.mark.parametrize("document", ["{", "[1]", "3", '"text"'])
def test_a_document_that_is_none_is_damage(tmp_path, document):
    path = tmp_path / "box"
    path.write_bytes(safetensors.torch.save(TENSORS, {"pullback": document}))
    with pytest.raises(StorageError, match="no box of numbers"):
        KIND.read(path)


def test_what_is_not_there_or_no_file_is_told_apart_from_damage(tmp_path):
    with pytest.raises(StorageError, match=r"There is no box in .*: pack one first\."):
        KIND.read(tmp_path / "box")
    with pytest.raises(StorageError, match=r"Cannot read .*: Is a directory\."):
        KIND.read(tmp_path)


# Files that earlier code wrote: the model is of 0.1, the others of the code before
# `pullback.files`. The numbers are what it printed when it wrote them.


def test_a_model_of_0_1_loads():
    (decoded,) = load(SAVED / "model").decode(torch.tensor([[0.5]])).double().tolist()
    assert decoded == pytest.approx([0.408316045999527, 0.6091631650924683, 0.7114199995994568])


def test_an_estimator_that_was_saved_before_loads():
    mean = FrechetMean.load(SAVED / "mean.safetensors", Manifold(paraboloid, dim=2))
    assert mean.estimate_.tolist() == [0.5993190175969291, 0.0034922482124656235]


def test_a_table_that_was_saved_before_loads():
    curve = Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
    table = TabulatedMetric.load(SAVED / "table", curve.metric)
    z = torch.tensor([[0.5]], dtype=torch.float64)  # where M = 1 + 4 z^2
    assert table.metric_matrix(z).item() == pytest.approx(2, rel=1e-3)
