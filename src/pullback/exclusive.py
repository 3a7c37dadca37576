"""One thread at a time where all threads share a state, also after a fork of the process.

PyTorch keeps for the whole process, not for a thread: the levels of nested derivatives in forward
mode, the choice of kernels for attention, whether distributions check their arguments, and the
global random state. Python's filters of warnings and matplotlib's settings are shared as well. Two
threads that alter one of them get each other's numbers, and leave it altered.
"""

import os
import threading
import warnings
from contextlib import AbstractContextManager

import torch

__all__ = ["exclusive"]

_lock = threading.RLock()
# With how many threads the process computed that this one was forked from, if they were several: 0
# once the user was warned of it.
_lost_threads = 0


def exclusive() -> AbstractContextManager[bool]:
    """Keep all other threads out of every such block, in the whole process, until this one ends.

    A block may stand in another. Never wait for another thread inside of one.

    Example:
        >>> with exclusive(), exclusive():
        ...     torch.rand(2, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2])
    """
    if _lost_threads:
        _tell_of_fork()
    return _lock


def _tell_of_fork() -> None:
    global _lost_threads
    lost, _lost_threads = _lost_threads, 0
    warnings.warn(
        f"This process was forked from one that computes with {lost} threads. They do not survive "
        "a fork, and PyTorch would wait for them for ever, so this process computes with one. For "
        "more, start processes by 'spawn' or 'forkserver' (joblib's 'loky' does).",
        RuntimeWarning,
        stacklevel=3,
    )


def _after_fork_in_child() -> None:
    global _lost_threads
    if torch.get_num_threads() > 1:
        _lost_threads = torch.get_num_threads()
        torch.set_num_threads(1)
    _lock.release()


# The thread that forks takes the lock first. So no other thread is in the middle of altering what
# the child inherits, and the lock is held by the one thread that lives on in the child, which can
# release it there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_after_fork_in_child,
    )
