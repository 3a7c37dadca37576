"""Checkpoints of a training run: one safetensors file, replaced atomically."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pullback.errors import StorageError
from pullback.files import FileKind

__all__ = ["Checkpoint", "TrainingState", "digest"]

# The number of the format of a checkpoint; one with another is refused, as another version wrote
# it.
_FORMAT = 1
_CURE = "Delete it, or pass `resume=False` to start anew."
_CHECKPOINT = FileKind("checkpoint", absent="it was deleted while it was looked for.", cure=_CURE)
# The largest share of the time of a training that writing checkpoints may take. Set by judgement:
# with less, an interruption loses more work.
_COST = 0.1


@dataclass
class TrainingState:
    """How far a training run has come.

    Attributes:
        stage: index of the stage under way.
        epoch: epochs of it that are done.
        best_epoch: the epoch whose validation ELBO was the best, if any was judged.
        best_elbo: that ELBO.
        history: one row for each epoch of every stage.

    Example:
        >>> TrainingState().epoch
        0
    """

    stage: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_elbo: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


class Checkpoint:
    """A file that holds all that a run needs to go on: weights, best weights, optimiser, state.

    Args:
        path: the file, or None to keep nothing.
        fingerprint: what identifies data, settings and initial weights; a file of another run is
            refused.

    Example:
        >>> checkpoint = Checkpoint(None, "0a")
        >>> checkpoint.write(TrainingState(), nn.Linear(1, 1), None, None)
        >>> checkpoint.path is None
        True
    """

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._due = 0.0

    def write(
        self,
        state: TrainingState,
        model: nn.Module,
        best: dict[str, Tensor] | None,
        optimizer: torch.optim.Optimizer | None,
        *,
        force: bool = True,
    ) -> None:
        """Write the file, or only when that keeps its cost under a tenth of the time.

        Args:
            state: how far the run has come.
            model: all modules that are trained.
            best: the weights of the best epoch of this stage.
            optimizer: the optimiser of this stage.
            force: write in any case.

        Raises:
            StorageError: the file cannot be written.
        """
        start = time.monotonic()
        if self.path is None or (not force and start < self._due):
            return
        tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in (best or {}).items()}
        if optimizer is not None:
            for index, entries in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{index}/{key}": entry for key, entry in entries.items()}
        document = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "sha256": digest(tensors),
            "state": asdict(state),
        }
        _CHECKPOINT.write(self.path, tensors, json.dumps(document))
        end = time.monotonic()
        self._due = end + (end - start) / _COST

    def read(self) -> tuple[TrainingState, dict[str, Tensor]] | None:
        """Return the state and the tensors by name, or None if there is no file yet.

        Raises:
            StorageError: the file is damaged, of another format, or of another run.
        """
        if self.path is None or not self.path.exists():
            return None
        if self.path.is_dir():
            raise StorageError(
                f"`checkpoint` must be a file, but {self.path} is a folder. Name a file in it, "
                f"such as {self.path / 'run.safetensors'}."
            )
        tensors, _, document = _CHECKPOINT.read(self.path)
        try:
            self._refuse_other_run(self.path, document, digest(tensors))
            state = TrainingState(**document["state"])
        except (KeyError, TypeError) as error:
            raise _CHECKPOINT.damaged(self.path, error) from error
        return state, tensors

    def _refuse_other_run(self, path: Path, document: dict[str, Any], sha256: str) -> None:
        if document["format"] != _FORMAT:
            raise StorageError(
                f"{path} is a checkpoint of format {document['format']}, but this version "
                f"reads format {_FORMAT}. Go on with the version that wrote it, or pass "
                "`resume=False` to start anew."
            )
        if document["sha256"] != sha256:
            raise _CHECKPOINT.damaged(path, "its tensors are not those that were written")
        if document["fingerprint"] != self.fingerprint:
            raise StorageError(
                f"{path} is the checkpoint of a run with other data or settings, or from "
                "other initial weights. Use another `checkpoint`, or pass `resume=False` to "
                "replace it; seed the weights of custom modules, so that they start the same."
            )


def digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: of their names, dtypes, shapes and values.

    Example:
        >>> digest({"a": torch.zeros(2)}) == digest({"a": torch.zeros(3)})
        False
    """
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser the moments that a checkpoint holds."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            entries.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
