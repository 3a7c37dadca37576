"""The explorer in a cell of a notebook: a widget whose points Python reads and moves."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pullback.errors import (
    InvalidParameterError,
    MissingExtraError,
    PullbackError,
    check_choice,
    check_number,
)
from pullback.explorer.alone.bundle import bundled
from pullback.explorer.alone.page import PAGE
from pullback.explorer.answers.readings import Readings
from pullback.explorer.desk import Benches, Desk
from pullback.explorer.scene import Scene, scene_of
from pullback.geodesics import GeodesicResult
from pullback.progress import shown_as_bars

__all__ = ["NotebookExplorer", "explore_in_notebook"]

_ENDS = ("point_a", "point_b")


class NotebookExplorer:
    """A scene that is explored in a cell of a notebook: show it by letting it be the last line.

    What moves in the cell moves here, and the other way round.

    Args:
        scene: what is explored.

    Attributes:
        scene: what is explored.
        widget: the widget, with the traits `point_a` and `point_b`, for `ipywidgets.link` and the
            like.

    Raises:
        MissingExtraError: the packages of the extra `notebook` are not installed.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> explorer = NotebookExplorer(scene)  # doctest: +SKIP
        >>> explorer.point_a, explorer.point_b = [0, 0], [3, 4]  # doctest: +SKIP
        >>> float(explorer.path.length)  # doctest: +SKIP
        10.0
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.widget = _widget(scene.d)
        self._views = _Views(scene, self.widget.send)
        self._known: Any = None  # the points as the pages have them
        self._found: tuple[Any, GeodesicResult] | None = None
        self.widget.on_msg(self._hear)
        self.widget.observe(lambda change: self._move_pages(), _ENDS)

    @property
    def point_a(self) -> tuple[float, ...] | None:
        """Where the point A is, with all d coordinates; None before it is shown or set.

        A page that shows it moves it to where it can be shown: to its foot on the plane, in more
        than two dimensions, and to the nearest point of the region that the page shows.

        Raises:
            InvalidParameterError: it is set to something else than d finite numbers.
        """
        return self._point("point_a")

    @point_a.setter
    def point_a(self, point: Any) -> None:
        self.widget.point_a = point

    @property
    def point_b(self) -> tuple[float, ...] | None:
        """Where the point B is, as `point_a`."""
        return self._point("point_b")

    @point_b.setter
    def point_b(self, point: Any) -> None:
        self.widget.point_b = point

    @property
    def path(self) -> GeodesicResult:
        """The geodesic from A to B as they are now, with its certificate.

        Raises:
            InvalidParameterError: the points are not known: nothing was shown, and none was set.
        """
        ends = self.point_a, self.point_b
        for name, end in zip(_ENDS, ends, strict=True):
            if end is None:
                raise InvalidParameterError(name, "set, or shown in a cell first", None)
        if self._found is None or self._found[0] != ends:
            a, b = (self.scene.Z.new_tensor(end) for end in ends)
            self._found = ends, self.scene.manifold.geodesic(a, b)
        return self._found[1]

    def observe(self, heard: Callable[["NotebookExplorer"], Any]) -> None:
        """Have a function called whenever a point has moved, here or in the cell.

        Args:
            heard: takes this explorer.
        """
        self.widget.observe(lambda change: heard(self), _ENDS)

    def close(self) -> None:
        """Take the page out of the cells, and end what answers it."""
        self._views.close()
        self.widget.close()

    def _point(self, name: str) -> tuple[float, ...] | None:
        point: tuple[float, ...] | None = getattr(self.widget, name)
        return point

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"NotebookExplorer({self.scene.title!r}, {self.scene.n} codes)"

    def _hear(self, widget: Any, message: dict[str, Any], buffers: Any) -> None:
        """Hear a message of a page."""
        view = str(message.get("view"))
        if "ready" in message:
            self._move_pages(view)
        elif "at" in message:
            a, b = (tuple(message["at"][name]) for name in "ab")
            self._known = a, b
            with widget.hold_trait_notifications():
                self.point_a, self.point_b = a, b
        else:
            self._views.hear(view, message)

    def _move_pages(self, view: str | None = None) -> None:
        """Tell one page, or all, where the points are."""
        points = self.point_a, self.point_b
        if view is None and points == self._known:
            return
        self._known = points
        self.widget.send({"view": view, "moved": dict(zip("ab", points, strict=True))})


def explore_in_notebook(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    columns: Mapping[str, Any] | None = None,
    image_shape: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
) -> NotebookExplorer:
    """Return an explorer that a cell of a notebook shows, where points are dragged as in `explore`.

    Its `path` is the geodesic between the two points as they are now, and to set `point_a` or
    `point_b` moves them in the cell.

    Args:
        model: a `VAE`; or a `Manifold`, with codes for `X`; or the folder of a run, which needs
            nothing else.
        X: the samples, shape `(n, D)`.
        y: their labels, shape `(n,)`.
        columns: more to colour by, each of shape `(n,)`, by name.
        image_shape: (height, width) if a sample is an image.
        feature_names: the names of the D features.

    Raises:
        MissingExtraError: the packages of the extra `notebook` are not installed.
        InvalidParameterError: nothing can be explored of what was given.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> flat = Manifold(lambda z: 2 * z, dim=2)
        >>> explore_in_notebook(flat, [[0.0, 0.0], [1.0, 1.0]], ["a", "b"])  # doctest: +SKIP
        NotebookExplorer('Manifold', 2 codes)
    """
    _refuse_missing()
    with shown_as_bars():
        scene = scene_of(
            model, X, y, columns=columns, image_shape=image_shape, feature_names=feature_names
        )
    scene.prepare()
    return NotebookExplorer(scene)


class _Views:
    """What answers the pages of one explorer, one for each cell that shows it, in a thread."""

    def __init__(self, scene: Scene, send: Callable[..., None]) -> None:
        self._scene = scene
        self._readings = Readings(scene)
        self._send = send
        self._benches = Benches()
        self._desks: dict[str, Desk] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pullback-notebook", daemon=True)
        self._thread.start()

    def hear(self, view: str, message: dict[str, Any]) -> None:
        """Take a message of a page; the answer is sent from the thread."""
        if "path" in message:
            self._read(view, message)
        elif not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._take(view, message), self._loop)

    def close(self) -> None:
        """End all work."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        """Work until it is stopped."""
        with self._benches:
            self._loop.run_forever()
            self._loop.run_until_complete(_stop_others())
        self._loop.close()

    def _read(self, view: str, message: dict[str, Any]) -> None:
        """Answer what a page reads at its beginning."""
        told = {"view": view, "read": message["read"]}
        try:
            body = self._body(str(message["path"]))
        except PullbackError as error:
            self._send({**told, "trouble": str(error)})
            return
        self._send(told, [body])

    def _body(self, path: str) -> bytes:
        parts = urlsplit(path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        what = check_choice("path", parts.path, ("scene", "codes", "column"))
        if what == "codes":
            return self._readings.codes(given.get("axes", "0,1"))
        found = self._readings.description
        if what == "column":
            found = self._readings.column(given.get("name", ""))
        return json.dumps(found, allow_nan=False).encode()

    async def _take(self, view: str, message: dict[str, Any]) -> None:
        if "closed" in message:
            if desk := self._desks.pop(view, None):
                await desk.__aexit__()
            return
        if view not in self._desks:

            async def send(answer: str) -> None:
                self._send({"view": view, "answer": answer})

            self._desks[view] = await Desk(self._scene, self._benches, send).__aenter__()
        await self._desks[view].take(str(message.get("request")))


async def _stop_others() -> None:
    """End whatever else runs in this loop: desks, and messages that are being taken in."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _refuse_missing() -> None:
    try:
        import anywidget  # noqa: F401
    except ImportError:
        raise MissingExtraError("anywidget", "notebook", "the explorer in a notebook") from None


def _widget(d: int) -> Any:
    """Return the widget, whose points are None or d numbers."""
    _refuse_missing()
    import anywidget
    import traitlets

    class ExplorerWidget(anywidget.AnyWidget):
        _esm = f"export default {bundled(PAGE / 'notebook' / 'main.js')}"
        _page = traitlets.Dict(_page()).tag(sync=True)
        point_a = traitlets.Any(None, allow_none=True)
        point_b = traitlets.Any(None, allow_none=True)

        @traitlets.validate("point_a", "point_b")
        def _check(self, proposal: Any) -> tuple[float, ...] | None:
            return _coordinates(proposal["trait"].name, proposal["value"], d)

    return ExplorerWidget()


def _page() -> dict[str, str]:
    """What the page is made of, without what a document has round it."""
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    found = re.search(r"<body>(.*)</body>", index, re.S)
    assert found is not None
    return {"html": found[1], "css": (PAGE / "explorer.css").read_text(encoding="utf-8")}


def _coordinates(name: str, point: Any, d: int) -> tuple[float, ...] | None:
    if point is None:
        return None
    given = point.tolist() if hasattr(point, "tolist") else point
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != d:
        raise InvalidParameterError(name, f"{d} numbers", point)
    return tuple(check_number(f"{name}[{k}]", value) for k, value in enumerate(given))
