"""What `pullback explore` and `pullback export` do: a thin shell over `pullback.explorer`."""

import shlex
import sys
import time
from pathlib import Path

import typer

from pullback.cli.commands import interruptible, limit_threads
from pullback.explorer.alone import check_out, write_page
from pullback.explorer.explorer import Explorer, refuse_missing
from pullback.explorer.scene import Scene
from pullback.metrics import TabulatedMetric
from pullback.progress import heard, shown_as_bars
from pullback.runs import Run, RunFolder

__all__ = ["run_explore", "run_export"]


def run_explore(path: Path, *, port: int | None, open_browser: bool) -> None:
    """Serve a run to this machine until it is stopped.

    Args:
        path: the folder of the run.
        port: the port, or None for the first free one.
        open_browser: whether to open the page.

    Raises:
        PullbackError: the folder holds no trained run, a package is missing, the port is taken.

    Example:
        >>> run_explore(Path("nowhere"), port=None, open_browser=False)
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """
    refuse_missing()
    begin = time.monotonic()
    folder = RunFolder(path)
    run = Run(folder)
    _say("Reading the run. The first time on a machine, half a minute goes into compiling.")
    limit_threads(run.vae.data_dim)
    _tell_of_table(run)
    try:
        with Explorer(port=port) as explorer:
            typer.echo(explorer.url)
            if open_browser:
                explorer.open()
            with shown_as_bars(), heard(explorer.stage.tell):
                scene = Scene.of_run(run)
                explorer.stage.tell("finding the first geodesic", 0, 0)
                scene.prepare()
            explorer.show(scene)
            _say(f"{scene.n} codes are ready after {time.monotonic() - begin:.1f} s.")
            _say("Explore them at the address above. Stop by Ctrl-C.")
            explorer.wait()
    except KeyboardInterrupt:
        _say("Stopped.")


def run_export(path: Path, *, out: Path) -> None:
    """Write a run's explorer as one file.

    Args:
        path: the folder of the run.
        out: the file.

    Raises:
        PullbackError: the folder holds no trained run, or no page can be made of it or written.

    Example:
        >>> run_export(Path("nowhere"), out=Path("page.html"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """
    out = check_out("--out", out)
    run = Run(RunFolder(path))
    limit_threads(run.vae.data_dim)
    _tell_of_table(run)
    with interruptible(shlex.join(["pullback", *sys.argv[1:]]), f"{out} was not written."):
        with shown_as_bars():
            scene = Scene.of_run(run)
        _say("Measuring the layers.")
        write_page(scene, out)
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _tell_of_table(run: Run) -> None:
    if run.vae.latent_dim <= 3 and not TabulatedMetric.is_saved(run.folder.table):
        _say("Measuring the metric over the codes, this once: it is kept in the run.")


def _say(line: str) -> None:
    typer.echo(line, err=True)
