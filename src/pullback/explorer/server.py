"""The web server of the explorer: the page, what is explored, and the socket that answers."""

import mimetypes
from contextlib import suppress
from functools import cached_property
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from pullback.errors import InvalidParameterError
from pullback.explorer.alone.page import PAGE
from pullback.explorer.answers.readings import Readings
from pullback.explorer.desk import Benches, Desk
from pullback.explorer.doors import Doors
from pullback.explorer.scene import Scene
from pullback.explorer.stage import Stage

__all__ = ["make_app"]

# The most sockets at once. By judgement: far more than anyone has tabs, and few enough that a page
# gone wild does not eat the machine.
_SOCKETS = 64
# Codes by which a socket is closed: for a wrong token, one of our own, and for too many, that of
# the standard for "try again later".
_WRONG_TOKEN, _TRY_LATER = 4401, 1013


def make_app(stage: Stage, *, token: str, port: int) -> Doors:
    """Return what serves a scene, in the terms of ASGI, behind its doors.

    Args:
        stage: what is explored, once it is ready.
        token: what every request must bring along.
        port: the port that is served, which `Host` and `Origin` name.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: z, dim=2), torch.eye(2).double())
        >>> type(make_app(Stage(scene), token="secret", port=8700)).__name__
        'Doors'
    """
    rooms = _Rooms(stage)
    routes = [
        Route("/", rooms.index),
        Route("/scene", rooms.scene),
        Route("/codes", rooms.codes),
        Route("/column", rooms.column),
        Route("/page/{name:path}", rooms.page),
        WebSocketRoute("/live", rooms.live),
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: _failed})
    return Doors(app, token=token, port=port)


class _Rooms:
    """What lies behind each address."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._benches = Benches()
        self._n_open = 0

    @property
    def _scene(self) -> Scene:
        if self._stage.scene is None:
            raise HTTPException(503, "What is explored is not ready yet.")
        return self._stage.scene

    @cached_property
    def _readings(self) -> Readings:
        return Readings(self._scene)

    async def index(self, request: Request) -> Response:
        """The page itself."""
        del request
        return HTMLResponse((PAGE / "index.html").read_text(encoding="utf-8"))

    async def page(self, request: Request) -> Response:
        """A file of the page."""
        path = (PAGE / request.path_params["name"]).resolve()
        if not path.is_relative_to(PAGE.resolve()) or not path.is_file():
            return PlainTextResponse("There is no such file of the page.", 404)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if path.suffix in (".js", ".mjs"):  # some systems' tables say text/plain
            kind = "text/javascript"
        return Response(path.read_bytes(), media_type=kind)

    async def scene(self, request: Request) -> Response:
        """What is explored, or what there is to wait for."""
        del request
        waits = self._stage.waits()
        return JSONResponse(self._readings.description if waits is None else {"waits": waits})

    async def codes(self, request: Request) -> Response:
        """Two coordinates of all codes, as bytes."""
        try:
            body = self._readings.codes(request.query_params.get("axes", "0,1"))
        except InvalidParameterError as error:
            return PlainTextResponse(str(error), 400)
        return Response(body, media_type="application/octet-stream")

    async def column(self, request: Request) -> Response:
        """The values of one column."""
        try:
            return JSONResponse(self._readings.column(request.query_params.get("name", "")))
        except InvalidParameterError as error:
            return PlainTextResponse(str(error), 404)

    async def live(self, socket: WebSocket) -> None:
        """The socket that requests come by."""
        await socket.accept()
        refusal = socket.scope["pullback.refusal"]
        if refusal is not None or self._n_open >= _SOCKETS or self._stage.scene is None:
            await self._turn_away(socket, refusal)
            return
        self._n_open += 1
        try:
            async with Desk(self._scene, self._benches, _sender(socket)) as desk:
                await _listen(socket, desk)
        finally:
            self._n_open -= 1

    async def _turn_away(self, socket: WebSocket, refusal: Any) -> None:
        code, words = _TRY_LATER, f"{_SOCKETS} pages are open: close one of them first."
        if self._stage.scene is None:
            words = "What is explored is not ready yet."
        if refusal is not None:
            code, words = _WRONG_TOKEN, refusal.words
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json({"id": None, "type": "error", "of": None, "message": words})
            await socket.close(code, words[:100])


async def _listen(socket: WebSocket, desk: Desk) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # it was dropped
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            await desk.take(message.get("bytes") or b"" if text is None else text)


def _sender(socket: WebSocket) -> Any:
    async def send(text: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it was dropped in the meantime
            await socket.send_text(text)

    return send


async def _failed(request: Request, error: Exception) -> Response:
    del request
    told = f"{type(error).__name__}: {error}"[:200]
    return PlainTextResponse(f"The explorer failed, which is a fault of pullback: {told}", 500)
