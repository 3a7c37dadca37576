"""Building a report: measure every chapter, draw its pictures, write the page."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pullback.errors import InvalidParameterError, StorageError
from pullback.pages.chapter import Chapter, Picture, Pictures
from pullback.pages.html import Image, page
from pullback.pages.wording import to_json
from pullback.plots import theme, to_png
from pullback.report.chapters import STORY, reproduction
from pullback.report.ledger import beside_ledger, said_of
from pullback.report.study import Study
from pullback.runs.folder import RunFolder

__all__ = ["build"]


class _Clock:
    """Times steps, and says when one is done."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start
        self.say(f"{self.seconds[name]:6.1f} s  {name}")


def build(
    folder: RunFolder,
    *,
    n_pairs: int = 100,
    chapters: Mapping[str, Callable[[Study], Chapter]] = STORY,
    out: RunFolder | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Sequence[Chapter]:
    """Measure a trained run and write `report.html`, its figures and numbers into it.

    Written are `metrics.json`, `figures/`, `report.html`, and in `timings.json` how long each step
    took.

    Args:
        folder: a run whose models are trained.
        n_pairs: most pairs of held-out codes that exact geodesics are computed for.
        chapters: what is told, by the names of the steps, in this order; how to reproduce the run
            is told at the end in any case.
        out: where to write instead, a folder of nothing but another report.
        say: takes one line for each step that is done.

    Returns:
        The chapters of the report.

    Raises:
        InvalidParameterError: the folder holds no run, or two chapters have one key or one picture.
        StorageError: a file is missing or damaged, or cannot be written.

    Example:
        >>> build(RunFolder("nowhere"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """
    target = folder if out is None else out
    target.refuse_unwritable()
    study, clock = Study(folder, n_pairs=n_pairs), _Clock(say)
    rows = [row for vae in (study.vae, study.network) if vae for row in vae.history]
    clock.seconds["training"] = sum(row.get("seconds", 0.0) for row in rows)
    told = []
    for name, tell in chapters.items():
        with clock.step(name):
            told.append(beside_ledger(tell(study), _digits(study)))
    _refuse_twice("key", [chapter.key for chapter in told])
    _refuse_twice("picture", [picture.name for chapter in told for picture in _pictures(chapter)])
    with clock.step("figures"):
        images = {p.name: _draw(p) for chapter in told for p in _pictures(chapter)}
    told.append(reproduction(study))
    _write(target, study, told, images)
    # The times stand in a file of their own: all other files are the same, byte by byte, when the
    # same run is made again.
    target.write("timings.json", json.dumps({"seconds": clock.seconds}, indent=1).encode())
    return told


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    """Refuse names of which one would be written over the other."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        allowed = f"functions whose chapters have each a {what} of its own"
        raise InvalidParameterError("chapters", allowed, f"{twice[0]!r} twice", "Rename one.")


def _pictures(chapter: Chapter) -> Iterator[Picture]:
    for block in chapter.blocks:
        if isinstance(block, Picture):
            yield block
        elif isinstance(block, Pictures):
            yield from block.pictures


def _draw(picture: Picture) -> Image:
    images = {}
    for name in ("light", "dark"):
        with theme(name):
            images[name] = to_png(picture.draw())
    return images


def _write(
    folder: RunFolder, study: Study, told: Sequence[Chapter], images: dict[str, Image]
) -> None:
    try:
        if folder.figures.is_dir():
            shutil.rmtree(folder.figures)  # those of another time may have other names
    except OSError as error:
        raise StorageError(
            f"Cannot replace {folder.figures}: {error.strerror or error}. Delete it yourself."
        ) from error
    for name, image in images.items():
        folder.write(f"figures/{name}.png", image["light"])
    metrics = {"format": 1, "claims": [_claim(c, study) for c in told if c.claim]}
    metrics |= {chapter.key: chapter.numbers for chapter in told}
    folder.write("metrics.json", json.dumps(to_json(metrics), indent=1, allow_nan=False).encode())
    document = page(_title(study), _lead(study), told, images)
    folder.write("report.html", document.encode())


def _digits(study: Study) -> str:
    """Return the digits of a demo; of other data there are none."""
    return study.settings.source if study.settings.command == "demo" else ""


def _claim(chapter: Chapter, study: Study) -> dict[str, Any]:
    return {
        "key": chapter.key,
        "claim": chapter.claim,
        "verdict": chapter.verdict.label,
        "outcome": chapter.outcome,
        "ledger": {one.key: one.verdict.label for one in said_of(chapter, _digits(study))},
    }


def _title(study: Study) -> str:
    if study.settings.command == "demo":
        return f"The geometry of digits {', '.join(study.settings.source.split(','))}"
    return f"The latent geometry of {study.settings.source.rsplit('/', 1)[-1]}"


def _lead(study: Study) -> list[str]:
    what = (
        "handwritten digits of MNIST"
        if study.settings.command == "demo"
        else f"the {study.vae.data_dim} features of `{study.settings.source}`"
    )
    return [
        f"A variational auto-encoder was trained on {what}, and its latent space measured with the "
        "metric that the decoder pulls back from the data. This page says what came of it: every "
        "claim of “Latent Space Oddity” (Arvanitidis, Hansen and Hauberg, 2018) that can be tested "
        "here, on samples that were held out, whether it holds or not.",
    ]
