"""What all commands over a trained run share: their options, and how they answer."""

import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullback.cli.failures import remember_debug

if TYPE_CHECKING:
    from pullback.cli.analyses.base import Analysis, Subject

__all__ = ["Debug", "Most", "Out", "Part", "Run", "Seed", "answer"]

Run = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a trained run.")]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Table to write, .csv or .parquet; a picture goes beside it. "
        "Default: DIR/analyses/COMMAND.csv",
        show_default=False,
    ),
]
Part = Annotated[
    str, typer.Option(metavar="held-out|training|all", help="Which samples of the run.")
]
Most = Annotated[int, typer.Option("--n", min=2, help="Most samples, drawn at random.")]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="Seed of everything random. Default: that of the run",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show tracebacks.", callback=remember_debug, is_eager=True),
]


def answer(
    name: str,
    run: Path,
    out: Path | None,
    analyse: "Callable[[Subject], Analysis]",
    **options: Any,
) -> None:
    """Do an analysis, say what came of it, and write its table and picture.

    Args:
        name: the name of the command.
        run: the folder of the run.
        out: the file of the table; None for one in the folder of the run.
        analyse: from a run to what is found.
        options: which samples and what seed, see `Subject`.

    Raises:
        PullbackError: wrong usage, or a failure.

    Example:
        >>> answer("geodesics", Path("nowhere"), None, lambda subject: None)
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """
    from pullback.cli.analyses.base import Subject, check_output, deliver
    from pullback.cli.commands import interruptible, limit_threads

    path = check_output(run, name, out)
    subject = Subject(run, **options)
    limit_threads(subject.vae.data_dim)
    command = shlex.join(["pullback", *sys.argv[1:]])
    with interruptible(command, f"{path} was not written."), _warnings_as_lines():
        analysis = analyse(subject)
        for line in analysis.summary:
            typer.echo(line)
        files = deliver(analysis, path)
    for file in files:
        typer.echo(f"wrote {file}")
    if analysis.draw is None:
        typer.echo(f"no picture: {subject.why_no_map}")


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    from pullback.errors import ConvergenceWarning

    def tell(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        typer.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", ConvergenceWarning)
        warnings.showwarning = tell  # restored on leaving
        yield
