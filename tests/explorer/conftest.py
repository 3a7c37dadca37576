"""What the tests of the explorer explore: a paraboloid, with codes, labels and features."""

import json
import urllib.request

import pytest


@pytest.fixture(scope="session")
def scene():
    """Codes on a paraboloid over the plane, whose three features are what is decoded."""
    import numpy as np
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
    import numpy as np
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
