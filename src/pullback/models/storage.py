"""Models on disk: a folder of JSON and safetensors, written atomically and never pickled."""

import errno
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from pullback.errors import StorageError, check_path
from pullback.models.model import LatentVariableModel
from pullback.version import __version__

__all__ = ["Saved", "atomic_write", "check_writable", "fill", "read_saved", "save"]

_FORMAT = 1
_JSON = "model.json"
_PAGE = 4096  # bytes that are written to see whether a disk has space
_TIMINGS = "timings.json"  # apart from the rest, which is the same for the same training


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


def save(vae: LatentVariableModel, path: str | os.PathLike[str]) -> None:
    """Save a model into a folder, replacing the one in it if there is one.

    Args:
        vae: the model.
        path: the folder; it is made if it is missing.

    Raises:
        StorageError: the folder cannot be written; what was in it stays as it was.

    Example:
        >>> import tempfile
        >>> from pullback.models import VAE
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(VAE(5, 2), folder)
        ...     read_saved(folder).config["data_dim"]
        5
    """
    folder = check_path("path", path)
    replaced = _named_weights(folder)
    content = tensors_to_bytes(vae.state_dict())
    digest = hashlib.sha256(content).hexdigest()
    name = f"weights-{digest[:16]}.safetensors"
    document = {
        "format": _FORMAT,
        "version": __version__,
        "class": "VAE",
        "config": vae.config,
        "history": [{k: v for k, v in row.items() if k != "seconds"} for row in vae.history],
        "weights": {"file": name, "size": len(content), "sha256": digest},
    }
    document["checksum"] = _checksum(document)
    atomic_write(folder / name, content)
    timings = {"weights": name, "seconds": [row.get("seconds") for row in vae.history]}
    atomic_write(folder / _TIMINGS, json.dumps(timings).encode())
    # The JSON goes last: until it is replaced, the folder holds the old model, whole.
    atomic_write(folder / _JSON, json.dumps(document, indent=1).encode())
    if replaced is not None and replaced.name != name:
        try:
            replaced.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"The model is saved, but {replaced}, the weights of the one it replaces, cannot "
                f"be deleted: {error.strerror or error}. Delete the file yourself."
            ) from error


class Saved(NamedTuple):
    """What a folder of `save` holds.

    Attributes:
        folder: the folder.
        config: the settings of the model, or None for custom modules.
        history: one row for each epoch of training.
        state: the weights.

    Example:
        >>> Saved(Path("run"), None, [], {}).config
    """

    folder: Path
    config: dict[str, Any] | None
    history: list[dict[str, Any]]
    state: dict[str, Tensor]


def read_saved(path: str | os.PathLike[str]) -> Saved:
    """Read the folder that `save` wrote.

    Args:
        path: the folder.

    Raises:
        StorageError: a file is missing, truncated, tampered with, or written by a newer version.

    Example:
        >>> read_saved("nowhere")
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no model.json in nowhere: ...
    """
    folder = check_path("path", path)
    document = _read_document(folder / _JSON)
    state = _read_weights(folder, document["weights"])
    return Saved(folder, document["config"], _with_timings(document, folder / _TIMINGS), state)


def fill(model: LatentVariableModel, saved: Saved) -> None:
    """Give a model the weights and the history that were saved, in their precision.

    Raises:
        StorageError: the weights do not fit.

    Example:
        >>> import tempfile
        >>> from pullback.models import VAE
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(VAE(5, 2), folder)
        ...     fill(VAE(5, 2), read_saved(folder))
    """
    try:
        model.to(_dtype(saved.state)).load_state_dict(saved.state)
    except RuntimeError as error:
        raise StorageError(
            f"The weights in {saved.folder} do not fit the model: {error}. Give `model=` the same "
            "modules that were saved."
        ) from error
    model.history = saved.history
    model.eval()


def _with_timings(document: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the history with the seconds of each epoch, if they are there, and of this model."""
    history: list[dict[str, Any]] = document["history"]
    if not path.exists():
        return history
    try:
        timings = json.loads(_read_bytes(path))
        if timings["weights"] != document["weights"]["file"]:
            return history  # a crash left them there, of a model that was not saved to the end
        pairs = list(zip(history, timings["seconds"], strict=True))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged ({error}). It only says how long each epoch took: delete it."
        ) from error
    return [row if s is None else {**row, "seconds": s} for row, s in pairs]


def tensors_to_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Serialise tensors from any device in the safetensors format."""
    detached = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return safetensors.torch.save(detached, metadata)


def _named_weights(folder: Path) -> Path | None:
    """Return the weights of the model that is in a folder: the one file that `save` may delete."""
    try:
        name = Path(_read_document(folder / _JSON)["weights"]["file"]).name
    except StorageError:
        return None  # no model of ours, so no weights of ours
    return folder / name


def _checksum(document: dict[str, Any]) -> str:
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(
            f"There is no {path.name} in {path.parent}: it is not a folder that `VAE.save` wrote, "
            "or the file was deleted."
        ) from error
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error


def _read_document(path: Path) -> dict[str, Any]:
    content = _read_bytes(path)
    try:
        document: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise StorageError(
            f"{path} is no valid JSON ({error}): it is truncated or damaged. Save the model again "
            "or restore the file from a backup."
        ) from error
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise StorageError(f"{path} does not describe a model of this package.")
    if document["format"] > _FORMAT:
        raise StorageError(
            f"{path} was written by pullback {document.get('version')} in format "
            f"{document['format']}, but this is pullback {__version__}, which reads formats up to "
            f"{_FORMAT}. Upgrade with `pip install --upgrade pullback`."
        )
    if document.get("checksum") != _checksum(document):
        raise StorageError(
            f"{path} was changed after it was saved: its checksum does not match its content. "
            "Restore it from a backup or save the model again."
        )
    _refuse_other_content(path, document)
    return document


def _refuse_other_content(path: Path, document: dict[str, Any]) -> None:
    if document.get("class") != "VAE":
        raise StorageError(
            f"{path} describes a {document.get('class')!r}, but a 'VAE' is wanted. Give the folder "
            "that `VAE.save` wrote."
        )
    weights = document.get("weights")
    entries = weights if isinstance(weights, dict) else {}
    kinds = {"file": str, "size": int, "sha256": str}
    missing = [key for key in ("config", "history") if key not in document]
    missing += [f"weights.{key}" for key in kinds if not isinstance(entries.get(key), kinds[key])]
    if missing:
        raise StorageError(
            f"{path} lacks {', '.join(missing)}: it is damaged, or another program wrote it. "
            "Restore it from a backup or save the model again."
        )


def _read_weights(folder: Path, entry: dict[str, Any]) -> dict[str, Tensor]:
    path = folder / entry["file"]
    content = _read_bytes(path)
    if len(content) != entry["size"]:
        raise StorageError(
            f"{path} is truncated or damaged: it has {len(content)} bytes of {entry['size']}. "
            "Copy it again or save the model again."
        )
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise StorageError(
            f"{path} was changed after it was saved: its SHA-256 is not the one in {_JSON}. "
            "Restore it from a backup or save the model again."
        )
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise StorageError(f"{path} is no valid safetensors file: {error}.") from error


def _dtype(state: dict[str, Tensor]) -> torch.dtype:
    floating = [value.dtype for value in state.values() if value.is_floating_point()]
    return floating[0] if floating else torch.get_default_dtype()
