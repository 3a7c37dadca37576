"""Files that are whole or not there: written in one step, and tensors read with every check."""

import errno
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pullback.errors import StorageError, check_path

__all__ = ["FileKind", "Stored", "atomic_write", "check_writable", "read_bytes"]

# The name of the entry in a safetensors header that holds our own document.
_KEY = "pullback"
# The bytes at the start of a safetensors file that say how long its header is, by its
# specification.
_LENGTH = 8
# The bytes that are written, and deleted again, to see whether a disk has space: one page of a file
# system, since an empty file can be made on a full disk.
_PAGE = 4096


def atomic_write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a crash at any moment leaves either the old file or the new one.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the file then
    takes the place of the old one in one step.

    Args:
        path: the file; its folder is made if it is missing.
        content: the bytes.

    Raises:
        StorageError: the folder or the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(Path(folder) / "note.txt", b"hello")
        ...     (Path(folder) / "note.txt").read_bytes()
        b'hello'
    """
    path = check_path("path", path)
    # Always the same name, so that what a killed process left behind is used up by the next one.
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}. Nothing that was there has changed; "
            "choose a folder that can be written and has space."
        ) from error


def check_writable(path: str | os.PathLike[str], *, cure: str = "") -> None:
    """Raise if `atomic_write` could not write a file: to be asked before long work, not after it.

    A page is written where the file shall lie, or in the nearest folder that there is, and removed
    again: permissions alone do not tell of a read-only or full disk.

    Args:
        path: the file.
        cure: a sentence that says what else may be done.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> check_writable("/nowhere/at/all.txt" if os.name == "nt" else "/dev/null/x.txt")
        Traceback (most recent call last):
        pullback.errors.StorageError: Cannot write /dev/null/x.txt: Not a directory. ...
    """
    path = Path(path).absolute()
    there = next(folder for folder in path.parents if folder.exists())
    trial = there / f".{path.name}.partial"
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        with trial.open("wb") as file:
            file.write(bytes(_PAGE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        cure = cure or "Choose a folder that can be written and has space."
        raise StorageError(f"Cannot write {path}: {error.strerror or error}. {cure}") from error
    finally:
        with suppress(OSError):  # where nothing can be written there is nothing to remove
            trial.unlink()


def read_bytes(path: Path, *, absent: str) -> bytes:
    """Read a file.

    Args:
        path: the file.
        absent: what it means, or what to do, if there is none.

    Raises:
        StorageError: there is no such file, or it cannot be read.

    Example:
        >>> read_bytes(Path("nowhere/table"), absent="save a table first.")
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no table in nowhere: save a table first.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"There is no {path.name} in {path.parent}: {absent}") from error
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error


class Stored(NamedTuple):
    """What a file of tensors holds.

    Attributes:
        tensors: by name, on the CPU.
        header: the texts that were written along with them, by name.
        document: the one of them that is ours, read as JSON; empty where there is none.

    Example:
        >>> Stored({}, {}, {"format": 1}).document["format"]
        1
    """

    tensors: dict[str, Tensor]
    header: dict[str, str]
    document: dict[str, Any]


@dataclass(frozen=True)
class FileKind:
    """A kind of files of tensors: safetensors with texts in their header, and never a pickle.

    Args:
        name: what a file of the kind is called in an error, such as "checkpoint".
        absent: what it means, or what to do, if there is no such file.
        cure: what to do about a damaged one.

    Example:
        >>> import tempfile, torch
        >>> kind = FileKind("table of squares", absent="make one.", cure="Make it anew.")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kind.write(Path(folder) / "squares", {"a": torch.arange(3) ** 2}, '{"n": 3}')
        ...     stored = kind.read(Path(folder) / "squares")
        >>> stored.tensors["a"].tolist(), stored.document["n"]
        ([0, 1, 4], 3)
    """

    name: str
    absent: str
    cure: str

    def write(
        self,
        path: str | os.PathLike[str],
        tensors: dict[str, Tensor],
        document: str = "",
        **header: str,
    ) -> None:
        """Write tensors from any device to a file, in one step.

        Args:
            path: the file; its folder is made if it is missing.
            tensors: by name.
            document: a text of JSON that goes into the header; empty for none.
            header: other texts that go there, by name.

        Raises:
            StorageError: the file cannot be written.
        """
        atomic_write(path, self.to_bytes(tensors, document, **header))

    def to_bytes(self, tensors: dict[str, Tensor], document: str = "", **header: str) -> bytes:
        """Return what `write` writes."""
        here = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        texts = {_KEY: document} | header if document else header
        return safetensors.torch.save(here, texts or None)

    def read(self, path: Path) -> Stored:
        """Read a file.

        Raises:
            StorageError: there is no such file, it cannot be read, or it is damaged.
        """
        return self.from_bytes(read_bytes(path, absent=self.absent), path)

    def from_bytes(self, content: bytes, path: Path) -> Stored:
        """Read the content of a file, whose path is named if it is damaged.

        Raises:
            StorageError: it is damaged.
        """
        try:
            tensors = safetensors.torch.load(content)
            size = int.from_bytes(content[:_LENGTH], "little")
            header = json.loads(content[_LENGTH : _LENGTH + size]).get("__metadata__", {})
            document = json.loads(header[_KEY]) if _KEY in header else {}
        except (SafetensorError, KeyError, ValueError) as error:
            raise self.damaged(path, error) from error
        if not isinstance(document, dict):
            raise self.damaged(path, f"its document is a {type(document).__name__}")
        return Stored(tensors, header, document)

    def damaged(self, path: Path, reason: object) -> StorageError:
        """Return the error of a file that is none of this kind."""
        return StorageError(f"{path} is no {self.name} that can be read ({reason}). {self.cure}")
