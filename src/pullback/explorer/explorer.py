"""Opens the explorer: a server on this machine, and the page in the browser."""

import importlib.util
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import Mapping, Sequence
from typing import Any

from pullback.errors import InvalidParameterError, MissingExtraError, StorageError, check_integer
from pullback.explorer.scene import Scene, scene_of
from pullback.explorer.stage import Stage
from pullback.progress import shown_as_bars

__all__ = ["Explorer", "explore"]

# What the server is made of, which `pip install 'pullback[explore]'` brings.
_NEEDED = ("starlette", "uvicorn", "websockets")
# The ports that are tried first, so that an address stays the same from one time to the next. By
# judgement, none of them is another program's by custom.
_FIRST_PORT, _N_PORTS = 8780, 20
_LOCALHOST = "127.0.0.1"
# Seconds that the server has to begin, and to end: it does both in a tenth of one.
_PATIENCE = 20.0
# The longest message that is read at all, in bytes: one that is longer than allowed is told so by
# an answer, and one that is far longer by closing the socket.
_READ = 2**20


class Explorer:
    """A server that shows a scene on this machine, in a thread of its own, until it is closed.

    Args:
        scene: what is explored; None to serve a page that shows how far it is, until `show`.
        port: the port; the first free one from 8780 on if None.

    Attributes:
        stage: what is served: the scene, or how far it is.
        url: the address of the page, with its token.
        port: the port.

    Raises:
        MissingExtraError: the packages of the extra `explore` are not installed.
        InvalidParameterError: the port is taken, or out of range.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> with Explorer(scene) as explorer:
        ...     explorer.url.startswith(f"http://127.0.0.1:{explorer.port}/?token=")
        True
    """

    def __init__(self, scene: Scene | None = None, *, port: int | None = None) -> None:
        refuse_missing()
        import uvicorn

        from pullback.explorer.server import make_app

        self.stage = Stage(scene)
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.url = f"http://{_LOCALHOST}:{self.port}/?token={token}"
        config = uvicorn.Config(
            make_app(self.stage, token=token, port=self.port),
            ws="websockets-sansio",
            ws_max_size=_READ,
            lifespan="off",
            log_config=None,
            log_level="critical",  # an error is told where it was made, and no traceback shown
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="pullback-explorer", daemon=True
        )
        self._thread.start()
        self._await_begin()

    def _await_begin(self) -> None:
        end = time.monotonic() + _PATIENCE
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        if not self._server.started:
            self.close()
            raise StorageError("The explorer could not begin to serve. Try another `port`.")

    @property
    def scene(self) -> Scene:
        """What is explored.

        Raises:
            InvalidParameterError: nothing is shown yet.
        """
        if self.stage.scene is None:
            raise InvalidParameterError("scene", "shown first", None)
        return self.stage.scene

    def show(self, scene: Scene) -> None:
        """Show a scene from now on, in the pages that wait for it too.

        Args:
            scene: what is explored.
        """
        self.stage.scene = scene

    def open(self) -> None:
        """Open the page in the browser of this machine."""
        webbrowser.open(self.url)

    def wait(self) -> None:
        """Serve until the process is interrupted, by Ctrl-C, or `close` is called elsewhere."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)  # a join without end cannot be interrupted everywhere
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving; what the page keeps stays in the browser."""
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
        self._socket.close()

    def __enter__(self) -> "Explorer":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.close()

    def __repr__(self) -> str:
        title = "not ready" if self.stage.scene is None else self.scene.title
        return f"Explorer({title!r}, {self.url})"

    def _repr_html_(self) -> str:
        n = "" if self.stage.scene is None else f" {self.scene.n}"
        return f'<a href="{self.url}" target="_blank">Explore{n} codes</a>'


def explore(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    columns: Mapping[str, Any] | None = None,
    image_shape: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
    port: int | None = None,
    open_browser: bool = True,
) -> Explorer:
    """Open a page in which points are dragged and the geodesic and its images follow.

    It is served to this machine only, in a thread of its own, while the process lives: in a script
    let `explore(...).wait()` be the last line.
    In a cell of a notebook `explore_in_notebook` shows the same.

    Args:
        model: a `VAE`; or a `Manifold`, with codes for `X`; or the folder of a run, which needs
            nothing else.
        X: the samples, shape `(n, D)`.
        y: their labels, shape `(n,)`.
        columns: more to colour by, each of shape `(n,)`, by name.
        image_shape: (height, width) if a sample is an image.
        feature_names: the names of the D features.
        port: the port; the first free one from 8780 on if None.
        open_browser: open the page at once; else go to the explorer's `url`.

    Returns:
        The server, which can be closed; in a notebook it shows its address.

    Raises:
        MissingExtraError: the packages of the extra `explore` are not installed.
        InvalidParameterError: nothing can be explored of what was given, or the port is taken.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> flat = Manifold(lambda z: 2 * z, dim=2)
        >>> explorer = explore(flat, [[0.0, 0.0], [1.0, 1.0]], ["a", "b"], open_browser=False)
        >>> explorer.scene.columns[0].labels
        ('a', 'b')
        >>> explorer.close()
    """
    refuse_missing()
    with shown_as_bars():
        scene = scene_of(
            model, X, y, columns=columns, image_shape=image_shape, feature_names=feature_names
        )
    scene.prepare()
    explorer = Explorer(scene, port=port)
    if open_browser:
        explorer.open()
    return explorer


def refuse_missing() -> None:
    """Raise if a package that the server needs is not installed.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "explore", "the explorer")


def _listening(port: int | None) -> socket.socket:
    """Return a socket that listens on this machine: on a port, or on the first free one."""
    if port is not None:
        check_integer("port", port, 0, 65535)
        try:
            return _bound(port)
        except OSError as error:
            allowed = "a free port of this machine"
            cure = "Leave it out to take the next free one."
            raise InvalidParameterError(
                "port", allowed, f"{port} ({error.strerror})", cure
            ) from None
    for candidate in (*range(_FIRST_PORT, _FIRST_PORT + _N_PORTS), 0):
        try:
            return _bound(candidate)
        except OSError:
            continue
    raise StorageError("No port of this machine is free to listen on.")


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.bind((_LOCALHOST, port))
        made.listen()
    except OSError:
        made.close()
        raise
    return made
