"""The explorer in a cell of a notebook: the messages of its page, and the points in Python."""

import json
import queue
import sys
import threading

import numpy as np
import pytest


@pytest.fixture
def sent(monkeypatch):
    """What the widget sends to its pages, in a queue of messages with their buffers."""
    anywidget = pytest.importorskip("anywidget", reason="needs `pip install 'pullback[notebook]'`")
    messages = queue.Queue()
    monkeypatch.setattr(
        anywidget.AnyWidget,
        "send",
        lambda self, content, buffers=None: messages.put((content, buffers)),
    )
    return messages


@pytest.fixture
def explorer(scene, sent):
    from pullback.explorer import NotebookExplorer

    made = NotebookExplorer(scene)
    yield made
    made.close()


def tell(explorer, **message):
    """Say to the widget what a page says."""
    explorer.widget._handle_custom_msg({"view": "one", **message}, [])


def read(explorer, sent, path):
    tell(explorer, read=1, path=path)
    return sent.get(timeout=60)


def test_without_the_extra_the_cure_is_told(monkeypatch, scene):
    from pullback.errors import MissingExtraError
    from pullback.explorer import NotebookExplorer, explore_in_notebook

    monkeypatch.setitem(sys.modules, "anywidget", None)
    for make in (
        lambda: NotebookExplorer(scene),
        lambda: explore_in_notebook(scene.manifold, scene.Z),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[notebook\]'"):
            make()


def test_a_page_reads_the_scene_the_codes_and_the_columns(explorer, sent, scene):
    told, (body,) = read(explorer, sent, "scene")
    assert told == {"view": "one", "read": 1}
    assert json.loads(body)["n"] == scene.n
    _, (body,) = read(explorer, sent, "codes?axes=1,0")
    codes = np.frombuffer(body, "<f4").reshape(-1, 2)
    np.testing.assert_allclose(codes, scene.Z.numpy()[:, ::-1], rtol=1e-6)
    _, (body,) = read(explorer, sent, "column?name=height")
    assert json.loads(body)["values"] == scene.columns[1].numbers()


@pytest.mark.parametrize("path", ["codes?axes=0,0", "codes?axes=7,1", "column?name=no", "../x", ""])
def test_what_is_not_there_is_refused_in_words(explorer, sent, path):
    told, buffers = read(explorer, sent, path)
    assert buffers is None
    assert "must be" in told["trouble"]


def test_a_request_is_answered_to_the_view_that_asked(explorer, sent, scene):
    ask = {"id": 5, "type": "path", "a": [-0.5, 0.0], "b": [0.5, 0.5]}
    tell(explorer, view="other", request=json.dumps(ask))
    told, _ = sent.get(timeout=60)
    assert told["view"] == "other"
    answer = json.loads(told["answer"])
    assert answer["id"] == 5
    truth = float(scene.manifold.geodesic(ask["a"], ask["b"]).length)
    assert answer["geodesic"]["length"] == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("request_", ["", "[]", '{"id": 1, "type": "no"}', "\0", 3, None])
def test_a_request_that_is_none_is_answered_by_an_error(explorer, sent, request_):
    tell(explorer, request=request_)
    told, _ = sent.get(timeout=60)
    assert json.loads(told["answer"])["type"] == "error"


def test_points_that_are_dragged_are_known_in_python(explorer, sent, scene):
    heard = []
    explorer.observe(lambda moved: heard.append((moved.point_a, moved.point_b)))
    tell(explorer, at={"a": [-0.5, 0.0], "b": [0.5, 0.5]})
    assert (explorer.point_a, explorer.point_b) == ((-0.5, 0.0), (0.5, 0.5))
    assert heard[-1] == (explorer.point_a, explorer.point_b)
    assert sent.empty()  # the page knows it already
    path = explorer.path
    assert path is explorer.path
    assert path.length == scene.manifold.geodesic([-0.5, 0.0], [0.5, 0.5]).length
    tell(explorer, at={"a": [-0.5, 0.0], "b": [0.5, 0.25]})
    assert explorer.path.length < path.length


def test_points_that_are_set_are_told_to_all_pages_and_to_those_that_come_later(explorer, sent):
    explorer.point_a = np.array([0.25, -0.5])
    assert sent.get(timeout=60)[0] == {"view": None, "moved": {"a": (0.25, -0.5), "b": None}}
    explorer.point_a = (0.25, -0.5)  # where it is
    assert sent.empty()
    tell(explorer, ready=True)
    assert sent.get(timeout=60)[0] == {"view": "one", "moved": {"a": (0.25, -0.5), "b": None}}


@pytest.mark.parametrize(
    "point", [[1], [1, 2, 3], "ab", 3, [0.1, float("nan")], [[0, 1]], ["0", 1]]
)
def test_a_point_that_is_none_is_refused_and_the_one_before_stays(explorer, point):
    from pullback.errors import InvalidParameterError

    explorer.point_b = [0.5, 0.5]
    with pytest.raises(InvalidParameterError, match="point_b"):
        explorer.point_b = point
    assert explorer.point_b == (0.5, 0.5)


def test_a_path_needs_both_points(explorer):
    from pullback.errors import InvalidParameterError

    explorer.point_a = [0.5, 0.5]
    with pytest.raises(InvalidParameterError, match="`point_b` must be set, or shown"):
        explorer.path  # noqa: B018


def test_a_view_that_closed_may_be_opened_again(explorer, sent):
    ask = json.dumps({"id": 1, "type": "sample", "index": 0})
    for _ in range(2):
        tell(explorer, request=ask)
        assert json.loads(sent.get(timeout=60)[0]["answer"])["id"] == 1
        tell(explorer, closed=True)


def test_the_widget_is_what_a_cell_shows(explorer):
    shown = explorer._repr_mimebundle_()
    data = shown[0] if isinstance(shown, tuple) else shown
    assert "application/vnd.jupyter.widget-view+json" in data
    assert repr(explorer) == "NotebookExplorer('paraboloid', 30 codes)"
    page = explorer.widget._page
    assert "<script" not in page["html"]
    assert ":host" in page["css"]


def test_what_is_closed_leaves_no_thread_and_hears_nothing(scene, sent):
    from pullback.explorer import NotebookExplorer

    before = set(threading.enumerate())
    explorer = NotebookExplorer(scene)
    begun = set(threading.enumerate()) - before
    assert begun
    for _ in range(2):
        explorer.close()
    assert not any(thread.is_alive() for thread in begun)
    explorer._views.hear("one", {"request": "{}"})
    assert sent.empty()


def test_what_an_observer_sets_is_told_to_the_page(explorer, sent):
    def snap(moved):
        moved.point_b = [round(x) for x in moved.point_b]

    explorer.observe(snap)
    tell(explorer, at={"a": [0.0, 0.0], "b": [0.9, 0.2]})
    assert explorer.point_b == (1.0, 0.0)
    told = {"view": None, "moved": {"a": (0.0, 0.0), "b": (1.0, 0.0)}}
    assert sent.get(timeout=60)[0] == told
    tell(explorer, at={"a": [0.0, 0.0], "b": [1.0, 0.0]})  # where the page has moved it
    assert sent.empty()
    explorer.point_a = [0.5, 0.5]
    assert sent.get(timeout=60)[0]["moved"]["a"] == (0.5, 0.5)
    explorer.point_a = [0.0, 0.0]  # where it was before
    assert sent.get(timeout=60)[0]["moved"]["a"] == (0.0, 0.0)
