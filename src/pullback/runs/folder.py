"""The folder of a run: what it was asked for, its data, its models, and what was measured."""

import io
import json
import shlex
import shutil
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from pullback.errors import InvalidParameterError, StorageError, check_device
from pullback.files import atomic_write, check_writable
from pullback.runs.preparation import RunData

__all__ = ["RunFolder", "Settings"]

# The number of the format of a run; a folder with another is refused, as another version wrote it.
_FORMAT = 1
_WRITTEN = (
    "run.json",
    "data.npz",
    "model",
    "model-network",
    "metrics.json",
    "timings.json",
    "figures",
    "analyses",
    "table",
    "report.html",
    "checkpoint.safetensors",
    "checkpoint-network.safetensors",
)


@dataclass(frozen=True)
class Settings:
    """What a run was asked for: all that decides its result.

    Attributes:
        command: `"demo"` or `"train"`.
        source: the digits, or the path of the data file, which may be moved.
        data_digest: SHA-256 of the data and labels as read.
        label: the column of the labels that was asked for, or None.
        scale: what was done to the features, see `prepare`.
        image_shape: (height, width) if a sample is an image, or None.
        latent_dim: the latent dimension d.
        epochs: most epochs of each stage of training.
        seed: seed of the split, the weights, the training and the measurements.
        device: where it was trained.
        likelihood: the likelihood of the model by its name, see `VAE`.
        likelihood_options: numbers and texts that it takes, by name, such as {"df": 3}, and of the
            categorical one `n_categories`.

    Example:
        >>> Settings("train", "my data.csv", "0a", seed=3).command_line("run")
        "pullback train 'my data.csv' --out run --latent-dim 2 --epochs 300 --seed 3"
    """

    command: str
    source: str = field(compare=False)
    data_digest: str
    label: str | None = None
    scale: str = "auto"
    image_shape: tuple[int, int] | None = None
    latent_dim: int = 2
    epochs: int = 300
    seed: int = 0
    device: str = "cpu"
    likelihood: str = "normal"
    likelihood_options: dict[str, Any] = field(default_factory=dict)

    @property
    def has_std(self) -> bool:
        """Whether the model has a standard deviation that depends on z, to compare with others."""
        return self.likelihood == "normal"

    def command_line(self, folder: str | Path) -> str:
        """Return the command that makes this run, or goes on with it."""
        words = ["pullback", self.command]
        words += ["--digits", self.source] if self.command == "demo" else [self.source]
        words += ["--out", str(folder)]
        if self.command == "train":
            words += ["--label", self.label] if self.label is not None else []
            words += ["--scale", self.scale] if self.scale != "auto" else []
            if self.image_shape is not None:
                words += ["--image-shape", "{}x{}".format(*self.image_shape)]
            words += ["--likelihood", self.likelihood] if self.likelihood != "normal" else []
            for name, value in self.likelihood_options.items():
                text = value if isinstance(value, str) else json.dumps(value)
                words += ["--likelihood-option", f"{name}={text}"]
        words += ["--latent-dim", str(self.latent_dim), "--epochs", str(self.epochs)]
        words += ["--seed", str(self.seed)]
        words += ["--device", self.device] if self.device != "cpu" else []
        return shlex.join(words)

    def differences(self, other: "Settings") -> list[str]:
        """Say in which settings another run differs.

        Example:
            >>> Settings("demo", "0,1", "0a").differences(Settings("demo", "0,1", "0a", seed=3))
            ['seed 3, not 0']
        """
        names = [entry.name for entry in fields(self) if entry.compare]
        changed = [name for name in names if getattr(self, name) != getattr(other, name)]
        return [
            "other data"
            if name == "data_digest"
            else f"{name} {getattr(other, name)}, not {getattr(self, name)}"
            for name in changed
        ]


class RunFolder:
    """The folder that a run writes to, and is read back from.

    Args:
        path: the folder; nothing is written before `begin`.

    Attributes:
        path: the folder.

    Example:
        >>> RunFolder("run").model.as_posix()
        'run/model'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def model(self) -> Path:
        """The folder of the model, with its RBF precision."""
        return self.path / "model"

    @property
    def network_model(self) -> Path:
        """The folder of the same model with a variance network."""
        return self.path / "model-network"

    @property
    def table(self) -> Path:
        """The folder of the table of the metric, once something has been measured."""
        return self.path / "table"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of the model while it is trained."""
        return self.path / "checkpoint.safetensors"

    @property
    def network_checkpoint(self) -> Path:
        """The checkpoint of the variance network while it is trained."""
        return self.path / "checkpoint-network.safetensors"

    @property
    def is_trained(self) -> bool:
        """Whether its models are trained and saved: two, where there are two to compare."""
        if not is_saved(self.model):
            return False
        return is_saved(self.network_model) or not self.settings().has_std

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def begin(self, settings: Settings, data: RunData, *, overwrite: bool = False) -> bool:
        """Take the folder for a run, or find the same run in it to go on with.

        Args:
            settings: what the run is asked for.
            data: its data.
            overwrite: remove the run that is in the folder, and begin anew.

        Returns:
            Whether there was such a run already.

        Raises:
            InvalidParameterError: the folder holds another run, or other things.
            StorageError: the folder cannot be written.
        """
        self.refuse_other(settings, overwrite=overwrite)
        if self._run_json.exists() and not overwrite:
            return True
        content = io.BytesIO()
        arrays = {entry.name: getattr(data, entry.name) for entry in fields(data)}
        np.savez_compressed(content, **{k: v for k, v in arrays.items() if v is not None})
        if self._run_json.exists():
            self._clear()
        atomic_write(self.path / "data.npz", content.getvalue())
        document = {"format": _FORMAT, "settings": asdict(settings)}
        atomic_write(self._run_json, json.dumps(document, indent=1).encode())
        return False

    def refuse_other(self, settings: Settings, *, overwrite: bool = False) -> None:
        """Raise if the folder is not free for this run; see `begin`."""
        allowed = "a new or empty folder, or that of the same run"
        if self.path.exists() and not self.path.is_dir():
            raise InvalidParameterError("--out", allowed, f"the file {self.path}")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not self._run_json.exists():
            found = sorted(entry.name for entry in self.path.iterdir())
            if set(found) - {"data.npz", ".data.npz.partial", ".run.json.partial"}:
                got = f"{self.path}, which holds other things ({found[0]}, ...)"
                raise InvalidParameterError("--out", allowed, got, "Choose another folder.")
        elif not overwrite and (other := self.settings()) != settings:
            raise InvalidParameterError(
                "--out",
                allowed,
                f"{self.path}, which holds another run ({', '.join(settings.differences(other))})",
                "Choose another `--out`, or replace that run with `--overwrite`.",
            )

    def refuse_unwritable(self, cure: str = "") -> None:
        """Raise at the start what writing the report would raise at the end; see `check_writable`.

        Raises:
            StorageError: a file of the run cannot be written.
        """
        for name in ("report.html", "figures/codes.png"):
            check_writable(self.path / name, cure=cure)

    def settings(self) -> Settings:
        """Read what the run was asked for.

        Raises:
            InvalidParameterError: the folder holds no run.
            StorageError: its description is damaged, or of another format.
        """
        if not self._run_json.is_file():
            raise InvalidParameterError(
                "DIR",
                "a folder that `pullback demo` or `pullback train` wrote",
                f"{self.path}, which has no run.json",
            )
        try:
            return _read_settings(json.loads(self._run_json.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self._run_json} is damaged ({error}): restore it, or run again with "
                "`--overwrite` or another `--out`."
            ) from error

    def trained_settings(self) -> Settings:
        """Read what the run was asked for, if it can be measured here.

        Raises:
            InvalidParameterError: the folder holds no run, or its training has not ended.
            DeviceError: the device that it was trained on is not on this machine.
            StorageError: its description is damaged, or of another format.
        """
        settings = self.settings()
        check_device(settings.device)
        if not self.is_trained:
            cure = f"Go on with it: `{settings.command_line(self.path)}`."
            allowed = "a run whose training has ended"
            raise InvalidParameterError("DIR", allowed, str(self.path), cure)
        return settings

    def data(self) -> RunData:
        """Read the data of the run.

        Raises:
            StorageError: they are missing or damaged.
        """
        path = self.path / "data.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found: dict[str, Any] = {"y": None} | dict(arrays)
                return RunData(**found)
        except (OSError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise StorageError(
                f"{path} is missing or damaged ({error}): restore it, or run "
                f"`{self.settings().command_line(self.path)} --overwrite`."
            ) from error

    def write(self, name: str, content: bytes) -> None:
        """Write one file of the run atomically.

        Raises:
            StorageError: it cannot be written.
        """
        atomic_write(self.path / name, content)

    def _clear(self) -> None:
        """Remove what a run writes, and nothing else; its description goes last."""
        for name in reversed(_WRITTEN):
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @property
    def _run_json(self) -> Path:
        return self.path / "run.json"


def is_saved(model: Path) -> bool:
    """Say whether a model was saved into a folder to the end."""
    return (model / "model.json").exists()


def _read_settings(document: Any) -> Settings:
    """Return the settings that run.json holds, or raise a `ValueError` that says what is wrong."""
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise ValueError("it has no settings")
    if document.get("format") != _FORMAT:
        raise ValueError(
            f"its format is {document.get('format')!r}, and this version reads {_FORMAT}"
        )
    values = dict(document["settings"])
    values.setdefault("likelihood", "normal")  # as of all runs that were made before it was said
    values.setdefault("likelihood_options", {})
    hints = get_type_hints(Settings) | {"likelihood_options": dict}
    if set(values) != set(hints):
        raise ValueError(f"the settings must be {', '.join(hints)}, but are {', '.join(values)}")
    shape = values.pop("image_shape")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, hints[name]):
            raise ValueError(f"{name} is {value!r}")
    if shape is None:
        return Settings(**values)
    if not _is_shape(shape):
        raise ValueError(f"image_shape is {shape!r}")
    return Settings(**values, image_shape=tuple(shape))


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)
