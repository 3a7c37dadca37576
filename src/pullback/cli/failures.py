"""The one place where errors become what a person at a terminal reads."""

import sys
from types import TracebackType

import typer

__all__ = ["failures_as_paragraphs", "remember_debug"]

# The exit codes of a command that failed, and of one that was called wrongly.
_FAILED, _WRONG_USAGE = 1, 2
# The exit code that typer gives a command that was ended by Ctrl-C: 128 + SIGINT, as shells do. It
# prints nothing then.
_INTERRUPTED = 130
# Whether tracebacks are wanted, from `--debug` on.
_debug = False


def remember_debug(wanted: bool) -> bool:
    """Show tracebacks from now on, if they are wanted.

    Example:
        >>> remember_debug(False)
        False
    """
    global _debug
    _debug = _debug or wanted
    return wanted


class failures_as_paragraphs:  # noqa: N801
    """A `with` block whose errors end the process with one paragraph and an exit code.

    The exit code is 2 if the command was called wrongly, as with a value out of range, and 1 if it
    failed or was interrupted. Errors of other kinds are bugs, and keep their traceback.

    Example:
        >>> with failures_as_paragraphs():
        ...     pass
    """

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell of an error, if there was one."""
        if _is_interruption(error):
            typer.echo("Error: interrupted before anything was written.", err=True)
            sys.exit(_FAILED)
        if _debug or not isinstance(error, Exception):
            return
        from pullback.errors import DeviceError, InvalidParameterError, PullbackError

        if isinstance(error, PullbackError | OSError):
            typer.echo(f"Error: {error}", err=True)
            wrong_usage = isinstance(error, InvalidParameterError | DeviceError)
            sys.exit(_WRONG_USAGE if wrong_usage else _FAILED)


def _is_interruption(error: BaseException | None) -> bool:
    ended = isinstance(error, SystemExit) and error.code == _INTERRUPTED
    return ended or isinstance(error, KeyboardInterrupt)
