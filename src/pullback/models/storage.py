"""Models on disk: a folder of JSON and safetensors, written atomically and never pickled."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.errors import StorageError, check_path
from pullback.files import FileKind, atomic_write, read_bytes
from pullback.models.model import LatentVariableModel
from pullback.version import __version__

__all__ = ["Saved", "fill", "read_saved", "save"]

# The number of the format that is written; a file with a larger one is refused, as a newer version
# wrote it.
_FORMAT = 1
_JSON = "model.json"
# How long epochs took stands in a file of its own: all others are the same, byte by byte, when the
# same training is done again.
_TIMINGS = "timings.json"
_ABSENT = "it is not a folder that `VAE.save` wrote, or the file was deleted."
_WEIGHTS = FileKind("file of weights", absent=_ABSENT, cure="Save the model again.")


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
    content = _WEIGHTS.to_bytes(vae.state_dict())
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
        timings = json.loads(read_bytes(path, absent=_ABSENT))
        if timings["weights"] != document["weights"]["file"]:
            return history  # a crash left them there, of a model that was not saved to the end
        pairs = list(zip(history, timings["seconds"], strict=True))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged ({error}). It only says how long each epoch took: delete it."
        ) from error
    return [row if s is None else {**row, "seconds": s} for row, s in pairs]


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


def _read_document(path: Path) -> dict[str, Any]:
    content = read_bytes(path, absent=_ABSENT)
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
    content = read_bytes(path, absent=_ABSENT)
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
    return _WEIGHTS.from_bytes(content, path).tensors


def _dtype(state: dict[str, Tensor]) -> torch.dtype:
    floating = [value.dtype for value in state.values() if value.is_floating_point()]
    return floating[0] if floating else torch.get_default_dtype()
