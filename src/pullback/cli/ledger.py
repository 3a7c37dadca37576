"""What the command `reproduce` does: a thin shell over `pullback.reproduction`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from pullback.cli.commands import interruptible
from pullback.reproduction import CLAIMS, reproduce
from pullback.reproduction.reproduce import command_line

__all__ = ["list_claims", "run_reproduce"]


def list_claims() -> None:
    """Say which claims there are.

    Example:
        >>> list_claims()  # doctest: +ELLIPSIS
        clustering-012 ...
    """
    width = max(map(len, CLAIMS))
    for key, claim in CLAIMS.items():
        typer.echo(f"{key:{width}s}  {claim.statement}")


def run_reproduce(keys: Sequence[str], out: Path, **options: Any) -> None:
    """Measure claims, write the ledger, and say what came of it.

    Args:
        keys: which claims; all for none.
        out: the folder of the ledger.
        options: `n_seeds`, `quick`, `n_jobs` and `source`, see `reproduce`.

    Raises:
        PullbackError: wrong usage, or the folder cannot be written.
        typer.Exit: a measurement failed; the ledger says which, and holds the others.

    Example:
        >>> run_reproduce(["flat-earth"], Path("ledger"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `CLAIM` must be one of ...
    """
    shown = {name: value for name, value in options.items() if name != "n_jobs"}
    shown = {"n_seeds": 5, "quick": False, "source": None, **shown}
    again = command_line(keys, out=out, **shown)
    with interruptible(again, f"What was measured so far is kept in {out}."):
        entries = reproduce(keys, out=out, say=lambda line: typer.echo(line, err=True), **options)
    for entry in entries:
        typer.echo(f"{entry.verdict.label:18s} {entry.claim.key}: {entry.claim.statement}")
    typer.echo(f"\nLedger: {out / 'ledger.html'}")
    if failed := [entry.claim.key for entry in entries if entry.failures]:
        typer.echo(f"Error: {', '.join(failed)} failed; the ledger says why.", err=True)
        raise typer.Exit(1)
