"""The widget in a browser: its page talks to Python as it does in a cell of a notebook."""

import base64
import json
import queue

import pytest

pytestmark = pytest.mark.thorough

# A widget as its views see it, whose messages go to Python and come from there.
CELL = """async ({ page, esm }) => {
  const listeners = [];
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const model = {
    get: () => page,
    send: (message) => void window.toPython(JSON.stringify(message)),
    on: (name, heard) => void listeners.push(heard),
    off: () => {},
  };
  setInterval(async () => {
    for (const [message, buffers] of JSON.parse(await window.fromPython())) {
      const views = buffers.map((text) => new DataView(bytes(text).buffer));
      for (const heard of listeners) heard(message, views);
    }
  }, 10);
  const address = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const { default: widget } = await import(address);
  widget.render({ model, el: document.querySelector("#cell") });
}"""


@pytest.fixture(params=[1100, 420], ids=["wide", "narrow"])
def cell(chromium, scene, request, monkeypatch):
    """The page of an explorer, as a cell of some width shows it."""
    anywidget = pytest.importorskip("anywidget", reason="needs `pip install 'pullback[notebook]'`")
    from pullback.explorer import NotebookExplorer

    messages = queue.Queue()
    monkeypatch.setattr(
        anywidget.AnyWidget, "send", lambda self, told, given=None: messages.put((told, given))
    )
    explorer = NotebookExplorer(scene)

    def from_python():
        taken = []
        while not messages.empty():
            told, buffers = messages.get()
            taken.append((told, [base64.b64encode(body).decode() for body in buffers or []]))
        return json.dumps(taken)

    page = chromium.new_context(viewport={"width": 1200, "height": 900}).new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.expose_function(
        "toPython", lambda m: explorer.widget._handle_custom_msg(json.loads(m), [])
    )
    page.expose_function("fromPython", from_python)
    page.set_content(f"<title>mine</title><div id='cell' style='width:{request.param}px'></div>")
    page.evaluate(CELL, {"page": explorer.widget._page, "esm": explorer.widget._esm})
    page.wait_for_selector('[data-part="badge"]:not(:empty)')
    yield page, explorer
    page.context.close()
    explorer.close()
    assert errors == []


def await_points(page, explorer, moved):
    """Wait until Python knows of points that fulfil a condition."""
    for _ in range(600):
        if explorer.point_a is not None and moved(explorer):
            return
        page.wait_for_timeout(50)
    raise AssertionError((explorer.point_a, explorer.point_b))


def test_what_is_dragged_is_known_in_python_and_what_is_set_is_shown(cell):
    page, explorer = cell
    await_points(page, explorer, lambda e: True)
    before = explorer.point_b
    box = page.locator("#handle-b").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(10):
        page.mouse.move(x - 4 * k, y + 2 * k)
    page.mouse.up()
    await_points(page, explorer, lambda e: e.point_b[0] < before[0] and e.point_b[1] < before[1])
    page.wait_for_timeout(500)  # the last of the drag
    told = float(page.locator('[data-part="geodesic-length"]').inner_text())
    assert told == pytest.approx(float(explorer.path.length), rel=2e-3)
    explorer.point_a, explorer.point_b = (0.25, 0.5), (-0.75, 0.5)
    shown = page.locator("#handle-b[aria-valuetext='minus 0.75, 0.50']")
    shown.wait_for(timeout=30_000)
    page.wait_for_timeout(500)
    told = float(page.locator('[data-part="geodesic-length"]').inner_text())
    assert told == pytest.approx(float(explorer.path.length), rel=2e-3)
    assert (explorer.point_a, explorer.point_b) == ((0.25, 0.5), (-0.75, 0.5))


def test_the_cell_fits_its_width_and_leaves_the_notebook_as_it_was(cell):
    page, _ = cell
    assert page.title() == "mine"
    assert page.evaluate("() => document.documentElement.dataset.theme ?? ''") == ""
    outer = page.locator("#cell").bounding_box()
    for part in ("#plane", "#along", "#path"):
        inner = page.locator(part).bounding_box()
        assert inner["x"] >= outer["x"] - 1
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
    stacked = page.locator("#path").bounding_box()["y"] > page.locator("#along").bounding_box()["y"]
    assert stacked == (outer["width"] < 800)
    before = page.evaluate("() => document.querySelector('#cell').firstChild.dataset.theme")
    page.locator("#theme").click()
    after = page.evaluate("() => document.querySelector('#cell').firstChild.dataset.theme")
    assert {before, after} == {"light", "dark"}
