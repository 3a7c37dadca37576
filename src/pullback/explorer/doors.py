"""Who may ask: this machine's own page with its token, and no other page that is open."""

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Doors", "Refusal"]

_NO_TOKEN = (
    "This page needs the token that `pullback explore` printed: open the address again as it "
    "stands there, with `?token=` and what follows."
)
_NO_HOST = "The explorer answers to this machine's own address only, as it was printed."
_NO_ORIGIN = "Another page asked: the explorer answers to its own page only."
_TOKENLESS = "/page/"
"""Where the code of the page lies, which holds nothing of the data and is asked without token."""


@dataclass(frozen=True)
class Refusal:
    """Why somebody is not let in, in words.

    Attributes:
        words: what is said.
        foreign: whether it is another page or host that asks, rather than a lost token.

    Example:
        >>> Refusal("no", foreign=True).foreign
        True
    """

    words: str
    foreign: bool


class Doors:
    """Looks at every request before anything else does, in the terms of ASGI.

    A page that is open elsewhere in the browser may send requests here, and a name that its owner
    points at 127.0.0.1 may even read the answers. So `Host` must be this machine's, `Origin`, where
    a browser sends it, this server's, and the token must be there.

    Args:
        app: what lies behind.
        token: the token.
        port: the port that is served.

    Example:
        >>> doors = Doors(None, token="secret", port=80)
        >>> scope = {"path": "/", "headers": [(b"host", b"evil.org")], "query_string": b""}
        >>> doors.refusal(scope).words
        "The explorer answers to this machine's own address only, as it was printed."
    """

    def __init__(self, app: Any, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        sources = " ".join(f"ws://{host}" for host in sorted(self._hosts))
        self._headers = {
            b"content-security-policy": (
                "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
                f"connect-src 'self' {sources}; object-src 'none'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'"
            ).encode(),
            b"referrer-policy": b"no-referrer",
            b"x-content-type-options": b"nosniff",
            b"cross-origin-resource-policy": b"same-origin",
            b"cache-control": b"no-store",
        }

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None or (scope["type"] == "websocket" and not refusal.foreign):
            # A socket without token is told so in words, which no browser shows of a handshake.
            scope["pullback.refusal"] = refusal
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.words})
        else:
            await _say_no(self._with_headers(send), refusal.words)

    def refusal(self, scope: dict[str, Any]) -> Refusal | None:
        """Return why a request is refused, None if it is let in."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        host = [value.decode("latin-1").lower() for value in headers.get(b"host", [])]
        if len(host) != 1 or host[0] not in self._hosts:
            return Refusal(_NO_HOST, foreign=True)
        origins = {value.decode("latin-1").lower() for value in headers.get(b"origin", [])}
        if origins - self._origins:
            return Refusal(_NO_ORIGIN, foreign=True)
        if scope["path"].startswith(_TOKENLESS):
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        given = [value.encode() for value in asked.get("token", [])] + headers.get(b"x-token", [])
        right = [hmac.compare_digest(value, self._token.encode()) for value in given]
        return None if any(right) else Refusal(_NO_TOKEN, foreign=False)

    def _with_headers(self, send: Any) -> Any:
        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers.items()]}
            await send(message)

        return sending


async def _say_no(send: Any, words: str) -> None:
    body = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>pullback</title>"
        f"<body style='font-family:sans-serif;max-width:40em;margin:4em auto'><p>{words}</p>"
    ).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
