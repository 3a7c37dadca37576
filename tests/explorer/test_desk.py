import asyncio
import json
import threading

import pytest

from pullback.explorer import desk as module
from pullback.explorer.desk import Benches, Desk


class Page:
    """An open page: what it was sent, and a geometry that works only when it is let."""

    def __init__(self, monkeypatch):
        self.got = []
        self.worked = []
        self.begun = threading.Event()
        self.let = threading.Event()
        monkeypatch.setattr(module, "answer", self.answer)

    def answer(self, scene, view, request):
        self.begun.set()
        assert self.let.wait(60)
        self.worked.append((type(request).__name__, getattr(request, "n_images", None)))
        return {}

    async def send(self, text):
        self.got.append(json.loads(text))

    async def until(self, n):
        for _ in range(6000):
            if len(self.got) >= n:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{len(self.got)} answers came, of {n}")


@pytest.fixture
def page(monkeypatch):
    return Page(monkeypatch)


def path(number, n_images=9):
    message = {"id": number, "type": "path", "a": [0, 0], "b": [0, 0], "n_images": n_images}
    return json.dumps(message)


def test_of_a_drag_the_first_and_the_newest_are_worked_on_and_none_is_queued(scene, page):
    async def drag():
        with Benches() as benches:
            async with Desk(scene, benches, page.send) as desk:
                await desk.take(path(0, 2))
                await asyncio.to_thread(page.begun.wait, 60)  # it is at work, and cannot be dropped
                for k in range(1, 50):
                    await desk.take(path(k, 2 + k))
                assert [answer["id"] for answer in page.got] == list(range(1, 49))
                assert all(answer["dropped"] for answer in page.got)
                page.let.set()
                await page.until(50)

    asyncio.run(drag())
    assert page.worked == [("Path", 2), ("Path", 51)]
    assert [answer["id"] for answer in page.got[48:]] == [0, 49]
    assert not any("dropped" in answer for answer in page.got[48:])


def test_other_types_are_not_dropped_and_each_has_its_turn(scene, page):
    async def work():
        with Benches() as benches:
            async with Desk(scene, benches, page.send) as desk:
                await desk.take(path(0))
                await asyncio.to_thread(page.begun.wait, 60)
                await desk.take('{"id": 1, "type": "sample", "index": 0}')
                await desk.take(path(2))
                await desk.take(path(3))
                page.let.set()
                await page.until(4)

    asyncio.run(work())
    assert [name for name, _ in page.worked] == ["Path", "Sample", "Path"]
    assert {a["id"] for a in page.got if "dropped" in a} == {2}


def test_a_slow_map_does_not_hold_up_a_drag(scene, monkeypatch):
    let, got = threading.Event(), []

    def answer(scene, view, request):
        if type(request).__name__ == "Layer":
            assert let.wait(60)
        return {}

    async def send(text):
        got.append(json.loads(text)["type"])
        if got[-1] == "path":
            let.set()

    async def work():
        with Benches() as benches:
            async with Desk(scene, benches, send) as desk:
                await desk.take('{"id": 1, "type": "layer", "name": "curvature"}')
                await desk.take(path(2))
                while len(got) < 2:
                    await asyncio.sleep(0.01)

    monkeypatch.setattr(module, "answer", answer)
    asyncio.run(asyncio.wait_for(work(), 60))
    assert got == ["path", "layer"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("no\nmore"), "a fault of pullback: ZeroDivisionError, no"),
        (RuntimeError(), "RuntimeError, no message"),
    ],
)
def test_a_fault_is_told_in_a_line_and_the_page_goes_on(scene, monkeypatch, error, said):
    got = []

    def fail(*_):
        raise error

    async def send(text):
        got.append(json.loads(text))

    async def work():
        with Benches() as benches:
            async with Desk(scene, benches, send) as desk:
                for number in (1, 2):
                    await desk.take(path(number))
                    while len(got) < number:
                        await asyncio.sleep(0.01)

    monkeypatch.setattr(module, "answer", fail)
    asyncio.run(asyncio.wait_for(work(), 60))
    assert [(a["id"], a["type"], a["of"]) for a in got] == [
        (1, "error", "path"),
        (2, "error", "path"),
    ]
    assert got[0]["message"].endswith(said)


def test_a_plane_holds_for_what_comes_after_and_not_for_what_came_before(solid):
    got = []

    async def send(text):
        got.append(json.loads(text))

    async def work():
        with Benches() as benches:
            async with Desk(solid, benches, send) as desk:
                await desk.take('{"id": 1, "type": "path", "a": [0, 0.5, 0], "b": [0, 0, 0.5]}')
                await desk.take('{"id": 2, "type": "plane", "axes": [2, 1]}')
                while len(got) < 2:
                    await asyncio.sleep(0.01)
                await desk.take('{"id": 3, "type": "path", "a": [0, 0.5, 0], "b": [0, 0, 0.5]}')
                while len(got) < 3:
                    await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), 120))
    ends = {a["id"]: a["geodesic"]["points"][-1] for a in got if a["type"] == "path"}
    assert ends[1] == pytest.approx([0, 0], abs=1e-9)
    assert ends[3] == pytest.approx([0.5, 0], abs=1e-9)
