"""What the commands do: thin shells over `pullback.report`."""

import hashlib
import json
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer

from pullback.datasets import Table, mnist, read_table
from pullback.errors import (
    InvalidParameterError,
    PullbackError,
    check_choice,
    check_device,
    check_integer,
)
from pullback.models.likelihoods import LIKELIHOODS
from pullback.pages.chapter import Chapter
from pullback.report import build
from pullback.runs import RunFolder, Settings, prepare, refuse_unfit, train

__all__ = [
    "InterruptedRunError",
    "interruptible",
    "limit_threads",
    "run_demo",
    "run_report",
    "run_train",
]


# What a folder may hold and still be written to by `--out`: the files of another report.
_REPORT = {"report.html", "metrics.json", "timings.json", "figures"}
# Up to this many features training uses one thread of the CPU: the network of 64 and 32 units is so
# small that several threads spend more time waiting for each other than they save.
_SMALL = 4096


class InterruptedRunError(PullbackError):
    """The user stopped a run: its message says how to go on."""


def run_demo(out: Path, *, digits: str, overwrite: bool, device: str, **options: Any) -> None:
    """Run the paper's story on digits of MNIST.

    Args:
        out: the folder of the run.
        digits: the digits, separated by commas.
        overwrite: replace another run in the folder.
        device: where to compute.
        options: `latent_dim`, `epochs` and `seed`, see `Settings`.

    Raises:
        PullbackError: wrong usage, or a failure.

    Example:
        >>> run_demo(Path("x"), digits="0,a", overwrite=False, device="cpu")
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `--digits` must be different digits ...
    """
    check_device(device)
    wanted = _parse_digits(digits)
    X, y = mnist(digits=wanted)
    table = Table.checked("mnist", X, y, None)
    settings = Settings(
        "demo",
        ",".join(map(str, wanted)),
        _digest(table),
        image_shape=(28, 28),
        device=device,
        **options,
    )
    _run(out, table, settings, overwrite=overwrite)


def run_train(
    data: Path,
    out: Path,
    *,
    overwrite: bool,
    image_shape: str | None,
    device: str,
    likelihood: str = "normal",
    likelihood_options: Sequence[str] = (),
    **options: Any,
) -> None:
    """Run the same first steps on the user's own data.

    Args:
        data: the file.
        out: the folder of the run.
        overwrite: replace another run in the folder.
        image_shape: "HEIGHTxWIDTH" if a sample is an image, or None.
        device: where to compute.
        likelihood: the likelihood of the model, by its name.
        likelihood_options: what it takes, each a "NAME=VALUE".
        options: `label`, `scale`, `latent_dim`, `epochs` and `seed`, see `Settings`.

    Raises:
        PullbackError: wrong usage, data that cannot be worked on, or a failure.

    Example:
        >>> run_train(Path("nowhere.csv"), Path("x"), overwrite=False, image_shape=None,
        ...           device="cpu", label=None, scale="auto")
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no file nowhere.csv: check the path.
    """
    check_device(device)
    check_choice("--likelihood", likelihood, LIKELIHOODS)
    taken = _parse_options(likelihood_options)
    table = read_table(data, label=options["label"])
    shape = None if image_shape is None else _parse_shape(image_shape, table.X.shape[1])
    settings = Settings(
        "train",
        str(data),
        _digest(table),
        image_shape=shape,
        device=device,
        likelihood=likelihood,
        likelihood_options=taken,
        **options,
    )
    _run(out, table, settings, overwrite=overwrite)


def run_report(path: Path, out: Path | None = None) -> None:
    """Measure a trained run again, and write its report again.

    Args:
        path: the folder of the run.
        out: another folder to write it to, for a run that can only be read.

    Raises:
        PullbackError: the folder holds no trained run, or a failure.

    Example:
        >>> run_report(Path("nowhere"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """
    folder = RunFolder(path)
    folder.trained_settings()  # or none that can be measured
    target = folder if out is None else RunFolder(out)
    if out is not None:
        _refuse_other_things(out)
    target.refuse_unwritable("Choose another folder with `--out`.")
    limit_threads(folder.data().X.shape[1])
    again = ["pullback", "report", str(path), *(["--out", str(out)] if out else [])]
    with interruptible(shlex.join(again), "What was there before is as it was."):
        _measure(folder, target)


def _refuse_other_things(out: Path) -> None:
    """Refuse a folder that holds more than an earlier report, for that is replaced."""
    allowed = "a new or empty folder, or that of another report"
    if out.exists() and not out.is_dir():
        raise InvalidParameterError("--out", allowed, f"the file {out}")
    others = sorted({entry.name for entry in out.iterdir()} - _REPORT) if out.is_dir() else []
    if others:
        raise InvalidParameterError("--out", allowed, f"{out}, which holds {others[0]}")


def _run(out: Path, table: Table, settings: Settings, *, overwrite: bool) -> None:
    """Refuse what cannot be done, then train, measure and write."""
    folder = RunFolder(out)
    folder.refuse_other(settings, overwrite=overwrite)
    folder.refuse_unwritable()
    data = prepare(table, scale=settings.scale, seed=settings.seed, say=_say)
    check_integer("--latent-dim", settings.latent_dim, 1, data.X.shape[1])
    refuse_unfit(settings, data)  # nothing on disk has changed so far
    limit_threads(data.X.shape[1])
    start = time.monotonic()
    with interruptible(settings.command_line(out), f"What is done so far is kept in {out}."):
        resumed = folder.begin(settings, data, overwrite=overwrite)
        _say(f"{'Going on with' if resumed else 'Writing'} the run in {out}")
        train(folder)
        _say(f"{time.monotonic() - start:6.1f} s  training")
        _measure(folder, folder)


def _measure(folder: RunFolder, target: RunFolder) -> None:
    chapters = build(folder, out=target, say=_say)
    for chapter in chapters:
        _tell(chapter)
    typer.echo(f"\nReport: {target.path / 'report.html'}")


def _tell(chapter: Chapter) -> None:
    if chapter.claim:
        typer.echo(f"\n{chapter.claim}\n  {chapter.verdict.label}: {chapter.outcome}")


def limit_threads(data_dim: int) -> None:
    """Use one thread where the layers are small: more would wait for each other, not help.

    Args:
        data_dim: the number of features of the data.

    Example:
        >>> limit_threads(10**6)
    """
    if data_dim <= _SMALL and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _say(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def interruptible(command: str, kept: str) -> Iterator[None]:
    """Make one line of an interruption by the user.

    Args:
        command: what goes on with it.
        kept: what became of the work so far, a sentence.

    Raises:
        InterruptedRunError: the user stopped it.

    Example:
        >>> with interruptible("pullback report run", "All is as it was."):
        ...     raise KeyboardInterrupt
        Traceback (most recent call last):
        pullback.cli.commands.InterruptedRunError: interrupted. All is as it was. To go on, run: ...
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(f"interrupted. {kept} To go on, run: {command}") from None


def _parse_digits(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        allowed = "different digits out of 0, ..., 9, separated by commas"
        raise InvalidParameterError("--digits", allowed, repr(text), "For instance 0,1,7.")
    return tuple(int(word) for word in words)


def _parse_shape(text: str, n_features: int) -> tuple[int, int]:
    words = text.lower().split("x")
    allowed = f"HEIGHTxWIDTH with product {n_features}, the number of features"
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise InvalidParameterError("--image-shape", allowed, repr(text))
    height, width = map(int, words)
    if height * width != n_features:
        raise InvalidParameterError("--image-shape", allowed, repr(text))
    return height, width


def _parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Return options by name: what JSON reads as numbers and lists, and other texts as they are."""
    options: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text) or name in options:
            allowed = "NAME=VALUE, each name once"
            raise InvalidParameterError("--likelihood-option", allowed, repr(word), "Such as df=3.")
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options


def _digest(table: Table) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(table.X).tobytes())
    if table.y is not None:
        digest.update(repr(table.y.tolist()).encode())
    return digest.hexdigest()
