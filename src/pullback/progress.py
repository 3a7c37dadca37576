"""Progress bars, and what becomes of them where nobody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

__all__ = ["Listener", "heard", "progress_bar", "shown_as_bars", "tell"]

Listener = Callable[[str, int, int], None]
"""Who hears how far work is: what it is, how much of it is done, and how much there is."""
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("pullback_listeners", default=())

# Where the output is a file and not a terminal, a progress bar would fill it with lines: one is
# written in so many seconds.
_SECONDS_APART = 30.0


def progress_bar(*args: Any, **options: Any) -> Any:
    """Return a bar of tqdm: one that moves on a terminal, a line now and then in a file.

    In a file each state of a bar would be a line of its own, or a mile of carriage returns. There
    it says something every half minute, and nothing of work that is done before.

    Args:
        args: of `tqdm`.
        options: of `tqdm`.

    Example:
        >>> list(progress_bar(range(3), desc="steps"))
        [0, 1, 2]
    """
    if options.get("disable") or _is_watched():
        return tqdm(*args, **options)
    lines: dict[str, Any] = {
        "leave": False,
        "delay": _SECONDS_APART,
        "mininterval": _SECONDS_APART,
        "maxinterval": _SECONDS_APART,
        "miniters": 1,
        "file": _Lines(),
        "ascii": True,
        "bar_format": "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt}, {elapsed} so far",
    }
    return tqdm(*args, **options | lines)


def tell(what: str, done: int, total: int) -> None:
    """Tell those who listen how far work is; nobody has to.

    Args:
        what: what is being done.
        done: how much of it is done.
        total: how much there is.

    Example:
        >>> tell("table", 3, 10)
    """
    for listener in _listeners.get():
        listener(what, done, total)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Let a listener hear of all work of this thread that tells of itself.

    Args:
        listener: who hears.

    Example:
        >>> with heard(lambda what, done, total: print(f"{what}: {done} of {total}")):
        ...     tell("table", 3, 10)
        table: 3 of 10
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


@contextmanager
def shown_as_bars() -> Iterator[None]:
    """Show what work tells of itself as bars, one after the other.

    Example:
        >>> with shown_as_bars():
        ...     tell("table", 3, 10)
    """
    bars: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in bars:
            close()
            bars[what] = progress_bar(total=total, desc=what, leave=False)
        bars[what].update(done - bars[what].n)

    def close() -> None:
        while bars:
            bars.popitem()[1].close()

    try:
        with heard(show):
            yield
    finally:
        close()


def _is_watched() -> bool:
    """Say whether a bar can move where it is shown: on a terminal, or in a notebook."""
    stream = sys.stderr
    notebook = type(stream).__module__.startswith("ipykernel")
    return notebook or (stream is not None and stream.isatty())


class _Lines:
    """Writes each state of a bar as a line of its own to the standard error of the moment."""

    def write(self, text: str) -> None:
        """Write a state without the carriage return before it, if there is one."""
        line = text.strip()
        if line and sys.stderr is not None:
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        """Pass what was written on."""
        if sys.stderr is not None:
            sys.stderr.flush()
