"""Progress bars, and what becomes of them where nobody watches."""

import sys
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

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
