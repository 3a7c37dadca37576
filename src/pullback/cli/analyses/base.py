"""What an analysis of a trained run works on, what it yields, and how that is written."""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import (
    InvalidParameterError,
    MissingExtraError,
    check_choice,
    check_integer,
)
from pullback.files import atomic_write, check_writable
from pullback.plots import theme, to_png
from pullback.plots.maps.latent_map import latent_map, survey
from pullback.runs import Run, RunFolder, Stream

__all__ = ["PARTS", "Analysis", "Subject", "check_output", "deliver"]

PARTS = ("held-out", "training", "all")
"""Which samples of a run are measured."""
_CURE = "Choose another file with `--out`, in a folder that can be written and has space."
_ENDINGS = (".csv", ".parquet")


class Subject(Run):
    """A trained run, and the codes of it that are measured.

    Args:
        run: the folder of the run.
        part: one of `PARTS`.
        n: most samples, drawn at random; all if None.
        seed: seed of everything random; that of the run if None.

    Attributes:
        index: the numbers of the samples in the data of the run, increasing, shape `(n,)`.
        progress: whether bars can be shown.

    Raises:
        InvalidParameterError: the folder holds no trained run, or a setting is out of range.

    Example:
        >>> Subject(Path("nowhere"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """

    def __init__(
        self, run: Path, *, part: str = "held-out", n: int | None = None, seed: int | None = None
    ) -> None:
        super().__init__(RunFolder(run), seed=seed)
        self.progress = sys.stderr.isatty()
        check_choice("--part", part, PARTS)
        test = self.data.test
        chosen = {"held-out": test, "training": ~test, "all": np.ones_like(test)}[part]
        self.index: NDArray[np.int64] = self.some(np.flatnonzero(chosen), n)

    @property
    def y(self) -> NDArray[Any] | None:
        """The labels of the samples, `(n,)`, or None."""
        return None if self.data.y is None else self.data.y[self.index]

    @property
    def n_classes(self) -> int | None:
        """The number of different labels in the data of the run, or None."""
        return None if self.data.y is None else len(np.unique(self.data.y))

    @property
    def why_no_map(self) -> str:
        """Why there is no map of the latent space, where it is no plane."""
        d = self.vae.latent_dim
        return f"the latent space has {d} dimension{'s' * (d > 1)}, and maps are drawn of two only"

    @cached_property
    def Z(self) -> Tensor:
        """The codes of the samples, float64 `(n, d)`."""
        return self.encode(self.data.X[self.index])

    def some(self, numbers: NDArray[np.int64], n: int | None) -> NDArray[np.int64]:
        """Return at most n of some numbers, drawn at random, in increasing order."""
        if n is None:
            return numbers
        check_integer("--n", n)
        return np.sort(Stream.SAMPLES.generator(self.seed).permutation(numbers)[:n])

    def rows_of(self, samples: Sequence[int]) -> list[int]:
        """Return the places of samples among the codes, by their numbers in the data."""
        places = {number: place for place, number in enumerate(self.index.tolist())}
        unknown = [number for number in samples if number not in places]
        if unknown:
            some = ", ".join(map(str, self.index[:5].tolist()))
            allowed = f"numbers of samples of this part of the data ({some}, ...)"
            raise InvalidParameterError("SAMPLE", allowed, unknown[0], "Or choose another --part.")
        return [places[number] for number in samples]

    def codes_frame(self) -> pd.DataFrame:
        """Return a table of the samples: their numbers, labels and codes."""
        frame = pd.DataFrame({"sample": self.index})
        if self.y is not None:
            frame["label"] = self.y
        return frame.assign(**self.coordinates(self.Z))

    def coordinates(self, Z: Tensor) -> dict[str, NDArray[Any]]:
        """Return codes `(n, d)` as columns z1, ..., zd."""
        return {f"z{k + 1}": column for k, column in enumerate(Z.detach().cpu().numpy().T)}

    def with_features(self, frame: pd.DataFrame, Z: Tensor) -> pd.DataFrame:
        """Add the mean of p(x|z) at codes `(n, d)` to a table, in the unit of the data as read.

        A feature with the name of a column that is there already is called `decoded NAME`.
        """
        scaled = self.manifold.decode(Z).cpu().numpy()
        names = [str(name) for name in self.data.feature_names]
        names = [f"decoded {name}" if name in frame.columns else name for name in names]
        raw = scaled * self.data.scale + self.data.center
        return pd.concat([frame, pd.DataFrame(raw, columns=names, index=frame.index)], axis=1)

    def draw_volume(self) -> Axes:
        """Draw the log-volume of the plane without the codes, for what goes on top."""
        chart = survey(self.manifold.log_volume, self.Z)
        return latent_map(chart, label=r"log volume $\log\sqrt{\det M}$", cmap="magma")


@dataclass(frozen=True)
class Analysis:
    """What an analysis found.

    Attributes:
        frame: the table to write.
        summary: what to say of it, one line each.
        draw: draws the picture; None where there is none.
        save: writes what was fitted to a file; None where nothing was.

    Example:
        >>> Analysis(pd.DataFrame({"a": [1]}), ["one row"]).draw is None
        True
    """

    frame: pd.DataFrame
    summary: Sequence[str]
    draw: Callable[[], Axes] | None = None
    save: Callable[[Path], None] | None = None


def check_output(run: Path, name: str, out: Path | None) -> Path:
    """Return the file that a table shall be written to, before any work is done.

    Args:
        run: the folder of the run.
        name: the name of the command.
        out: what was asked for; None for a file in the folder of the run.

    Raises:
        InvalidParameterError: the ending is not one of a table.
        StorageError: it cannot be written, or the picture beside it.
        MissingExtraError: the ending is .parquet and pyarrow is not installed.

    Example:
        >>> check_output(Path("run"), "geodesics", None).as_posix()
        'run/analyses/geodesics.csv'
        >>> check_output(Path("run"), "geodesics", Path("x.txt"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `--out` must be a file that ends with .csv or ...
    """
    path = run / "analyses" / f"{name}.csv" if out is None else out
    if path.suffix.lower() not in _ENDINGS:
        raise InvalidParameterError("--out", f"a file that ends with {' or '.join(_ENDINGS)}", path)
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("pyarrow", "data", "writing .parquet files") from error
    if out is None and not run.is_dir():
        return path  # there is no such run, which is said elsewhere
    for ending in (path.suffix, ".png", ".safetensors"):
        check_writable(path.with_suffix(ending), cure=_CURE)
    return path


def deliver(analysis: Analysis, path: Path) -> list[Path]:
    """Write the table of an analysis, and its picture beside it.

    Args:
        analysis: what was found.
        path: the file of the table; the picture has the ending .png, what was fitted .safetensors.

    Returns:
        The files.

    Raises:
        StorageError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.csv"
        ...     written = deliver(Analysis(pd.DataFrame({"a": [1, 2]}), []), path)
        ...     path.read_text().split()
        ['a', '1', '2']
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".parquet":
        analysis.frame.to_parquet(buffer, index=False)
    else:
        analysis.frame.to_csv(buffer, index=False)
    written = [path]
    atomic_write(path, buffer.getvalue())
    if analysis.save is not None:
        written.append(path.with_suffix(".safetensors"))
        analysis.save(written[-1])
    if analysis.draw is not None:
        written.append(path.with_suffix(".png"))
        with theme("light"):
            atomic_write(written[-1], to_png(analysis.draw()))
    return written
