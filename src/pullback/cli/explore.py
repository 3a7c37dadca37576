"""The commands of the explorer: served, or as one file. Nothing heavy is imported up here."""

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli.options import Debug, Run

__all__ = ["COMMANDS"]


def explore(
    run: Run,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="The port to serve on; 0 for any. Default: the first free one from 8780 on",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only, and open no browser.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Open a page on which points are dragged, and the geodesic and its images follow.

    It is served to this machine only, until it is stopped by Ctrl-C.

    Example: pullback explore run --port 8800 --no-browser
    """
    del debug
    from pullback.cli.exploring import run_explore

    run_explore(run, port=port, open_browser=not no_browser)


def export(
    run: Run,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The page to write, FILE.html.")
    ],
    debug: Debug = False,
) -> None:
    """Write the explorer as one HTML file, which runs without Python, also offline.

    It is for latent spaces of two dimensions whose metric has a table.

    Example: pullback export run --out page.html
    """
    del debug
    from pullback.cli.exploring import run_export

    run_export(run, out=out)


COMMANDS = (explore, export)
"""What opens or writes a page."""
