"""The command that opens the explorer. Nothing heavy is imported up here."""

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


COMMANDS = (explore,)
"""What opens a page."""
