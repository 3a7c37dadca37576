"""What the tests of the explorer explore: a paraboloid, with codes, labels and features."""

import json
import re
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def scene():
    """Codes on a paraboloid over the plane, whose three features are what is decoded."""
    import torch

    from pullback import Manifold
    from pullback.explorer import Column, Scene
    from pullback.manifolds.reference import paraboloid

    rng = np.random.default_rng(0)
    codes = torch.as_tensor(rng.uniform(-1, 1, (30, 2)))
    side = np.where(codes[:, 0] > 0, "right", "left")
    columns = (Column.of("side", side), Column.of("height", codes.square().sum(-1)))
    manifold = Manifold(paraboloid, dim=2, data=codes)
    rows = paraboloid(codes).numpy()
    names = ("x", "y", "height")
    return Scene("paraboloid", manifold, codes, rows, columns, feature_names=names)


@pytest.fixture(scope="session")
def solid():
    """Codes in a flat space of three dimensions, of which a plane is shown."""
    import torch

    from pullback import Manifold
    from pullback.explorer import Scene

    codes = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (30, 3)))
    stretch = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    return Scene("solid", Manifold(lambda z: z * stretch.to(z), dim=3, data=codes), codes)


@pytest.fixture(scope="session")
def served(scene):
    """The paraboloid, served on a free port."""
    from pullback.explorer import Explorer

    with Explorer(scene, port=0) as explorer:
        yield Served(explorer)


class Served:
    """A server, and how to ask it."""

    def __init__(self, explorer):
        self.explorer = explorer
        self.base, self.token = explorer.url.split("/?token=")

    def get(self, path, *, token=None, **headers):
        """Return status, headers and body of a page."""
        given = self.token if token is None else token
        joint = "&" if "?" in path else "?"
        url = f"{self.base}{path}{joint}token={given}" if given else f"{self.base}{path}"
        request = urllib.request.Request(
            url, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def connect(self, *, token=None, **options):
        """Open a socket."""
        from websockets.sync.client import connect

        address = self.base.replace("http://", "ws://")
        given = self.token if token is None else token
        return connect(f"{address}/live?token={given}", open_timeout=60, **options)


def ask(socket, message):
    """Send a message and return the answer."""
    socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return json.loads(socket.recv(timeout=120))


@pytest.fixture(scope="session", name="ask")
def asking():
    return ask


@pytest.fixture(scope="module")  # while it is open there is an event loop, which others do not bear
def chromium():
    """A headless Chromium, of Playwright or of the system."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser needs playwright")
    with api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = [own] if Path(own).exists() else [shutil.which(name) for name in BROWSERS]
        path = next(filter(None, found), None)
        if path is None:
            pytest.skip("Chromium is not installed: `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def watch(chromium):
    """Open an address in a window of its own."""
    return lambda url, **options: Watched(chromium, url, **options)


class Watched:
    """A page of the explorer, with all that it complained of and asked for."""

    def __init__(self, browser, url, **options):
        self.url = url
        self.errors, self.requests = [], []
        self.page = browser.new_context(**options).new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.await_path()

    def _hear(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def drawn(self, part):
        """The points of a curve, in the units of the plane, as they stand in the page."""
        d = self.page.get_attribute(f'[data-part="{part}"]', "d") or ""
        return np.array(re.findall(r"[ML](\S+) ([^ML]+)", d), dtype=float)

    def await_path(self):
        """Wait until the geodesic that is drawn joins the two points; return line and curve."""
        self.page.wait_for_function(
            """() => {
              const ends = (part) => (document.querySelector(`[data-part="${part}"]`)
                .getAttribute("d") ?? "").split(/[ML]/).slice(1)
                .map((point) => point.split(" ").map(Number));
              const [line, curve] = [ends("straight"), ends("geodesic")];
              if (!line.length || !curve.length) return false;
              const far = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]);
              return far(line[0], curve[0]) + far(line.at(-1), curve.at(-1)) < 1e-9;
            }""",
            timeout=60_000,
        )
        return self.drawn("straight"), self.drawn("geodesic")

    def middle(self, selector):
        """The pixel in the middle of an element."""
        box = self.page.locator(selector).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def pixel(self, point):
        """Where a point of the plane lies on the screen."""
        told = self.page.get_attribute('[data-part="plane"]', "transform")
        scale, _, _, _, x, y = map(float, re.findall(r"-?[\d.e-]+", told))
        plane = self.page.locator("#plane").bounding_box()
        return plane["x"] + x + scale * point[0], plane["y"] + y - scale * point[1]

    def picture(self):
        """The picture of the layer that is shown, as text."""
        self.page.wait_for_timeout(100)  # it is drawn in the next frame
        return self.page.evaluate("() => document.querySelector('#heat').toDataURL()")

    def await_change(self, act):
        """Do something that moves a point, and wait until the geodesic has followed."""
        straight = "[data-part=straight]"
        before = self.page.get_attribute(straight, "d")
        act()
        moved = f"d => document.querySelector('{straight}').getAttribute('d') !== d"
        self.page.wait_for_function(moved, arg=before)
        return self.await_path()

    def close(self):
        """No error, and no request but to where the page came from."""
        here = self.url.split("?")[0]
        sockets = here.replace("http", "ws")
        own = (here, sockets, "data:", "blob:")
        elsewhere = [url for url in self.requests if not url.startswith(own)]
        self.page.context.close()
        assert self.errors == []
        assert self.requests
        assert elsewhere == []
