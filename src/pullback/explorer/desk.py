"""One open page's requests: the newest of each type is worked on, older ones are dropped."""

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pullback.errors import PullbackError
from pullback.explorer.answers import View, answer
from pullback.explorer.messages import Clusters, Envelope, Request, open_message
from pullback.explorer.scene import Scene

__all__ = ["Benches", "Desk"]

LANES = ("quick", "slow")
"""What follows a hand, and what may take seconds: neither waits for the other's thread."""


class Benches:
    """Where the geometry is worked out: one thread for each lane, for all open pages together.

    Example:
        >>> with Benches() as benches:
        ...     benches["quick"].submit(lambda: 3).result()
        3
    """

    def __init__(self) -> None:
        self._threads = {
            lane: ThreadPoolExecutor(1, thread_name_prefix=f"pullback-{lane}") for lane in LANES
        }

    def __getitem__(self, lane: str) -> ThreadPoolExecutor:
        return self._threads[lane]

    def __enter__(self) -> "Benches":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let what is being worked on come to its end, and nothing else."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Asked:
    """A request that waits, with what was looked at when it came."""

    id: int
    type: str
    request: Request
    view: View


@dataclass
class _Lane:
    waiting: dict[str, _Asked] = field(default_factory=dict)
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """Takes the messages of one open page and answers them.

    Of each type one request waits at most. A newer one takes its place, and the older is answered
    by `dropped`: a hand that drags is always shown where it is, never where it was.

    Args:
        scene: what is explored.
        benches: where answers are worked out.
        send: takes the text of an answer.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> async def ask(message):
        ...     async def send(text):
        ...         answers.put_nowait(text)
        ...     answers = asyncio.Queue()
        ...     with Benches() as benches:
        ...         async with Desk(scene, benches, send) as desk:
        ...             await desk.take(message)
        ...             return await answers.get()
        >>> asyncio.run(ask('{"id": 7, "type": "plane", "axes": [1, 0]}'))
        '{"id": 7, "type": "plane", "axes": [1, 0], "names": ["z2", "z1"], "box": [[-0.5, ...'
    """

    def __init__(
        self, scene: Scene, benches: Benches, send: Callable[[str], Awaitable[None]]
    ) -> None:
        self._scene = scene
        self._benches = benches
        self._send = send
        self._view = View()
        self._lanes = {lane: _Lane() for lane in LANES}
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Desk":
        """Begin to work."""
        self._workers = [asyncio.create_task(self._work(lane)) for lane in LANES]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and leave what waits undone."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def take(self, message: str | bytes) -> None:
        """Take a message in; its answer is sent when it is there.

        Args:
            message: the text that came.
        """
        envelope = Envelope(None, None, {})
        try:
            envelope = open_message(message)
            request = envelope.read(self._scene, self._view.axes)
        except PullbackError as error:
            await self._tell(envelope.id, "error", of=envelope.type, message=str(error))
            return
        assert envelope.id is not None
        assert envelope.type is not None
        asked = _Asked(envelope.id, envelope.type, request, copy.copy(self._view))
        if request.lane == "now":
            await self._answer(asked, None)
            return
        lane = self._lanes[request.lane]
        older = lane.waiting.pop(asked.type, None)
        lane.waiting[asked.type] = asked
        lane.bell.set()
        if older is not None:
            await self._tell(older.id, older.type, dropped=True)

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        while True:
            await lane.bell.wait()
            asked = lane.waiting.pop(next(iter(lane.waiting)))
            if not lane.waiting:
                lane.bell.clear()
            await self._answer(asked, self._benches[name])

    async def _answer(self, asked: _Asked, bench: ThreadPoolExecutor | None) -> None:
        try:
            if bench is None:
                found = answer(self._scene, self._view, asked.request)
            else:
                loop, task = asyncio.get_running_loop(), (self._scene, asked.view, asked.request)
                found = await loop.run_in_executor(bench, answer, *task)
        except Exception as error:  # whatever it is, the page goes on
            await self._tell(asked.id, "error", of=asked.type, message=in_words(error))
            return
        if isinstance(asked.request, Clusters):
            self._view.centers = asked.view.centers
        await self._tell(asked.id, asked.type, **found)

    async def _tell(self, number: int | None, kind: str, **found: Any) -> None:
        text = json.dumps({"id": number, "type": kind, **found}, allow_nan=False)
        await self._send(text)


def in_words(error: Exception) -> str:
    """Say what went wrong: our own errors say it themselves, others are faults of ours.

    Example:
        >>> in_words(ZeroDivisionError("division by zero"))
        'The explorer failed at this, which is a fault of pullback: ZeroDivisionError, division ...'
    """
    if isinstance(error, PullbackError):
        return str(error)
    told = f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no message'}"
    return f"The explorer failed at this, which is a fault of pullback: {told[:200]}"
