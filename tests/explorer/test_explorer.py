import json
import socket

import pytest

from pullback.errors import InvalidParameterError, MissingExtraError


def test_what_is_missing_is_named_with_its_cure(monkeypatch):
    from pullback.explorer import explorer as module

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[explore\]'"):
        module.explore("run")


def test_a_port_that_is_taken_is_named(scene):
    from pullback.explorer import Explorer

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidParameterError, match=f"`port` must be a free port .* {port}"):
            Explorer(scene, port=port)


def test_it_listens_to_this_machine_only(served):
    assert served.explorer._socket.getsockname()[0] == "127.0.0.1"


def test_closed_it_is_gone(scene):
    from pullback.explorer import Explorer

    with Explorer(scene, port=0) as explorer:
        port = explorer.port
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port)):
        pass


def test_what_cannot_be_explored_is_refused():
    from pullback import Manifold, explore

    with pytest.raises(InvalidParameterError, match="`X` must be given"):
        explore(Manifold(lambda z: z, dim=2), open_browser=False)
    with pytest.raises(InvalidParameterError, match="`model` must be a `VAE`, a `Manifold`"):
        explore(lambda z: z, [[0.0, 0.0]], open_browser=False)
    with pytest.raises(InvalidParameterError, match="`latent_dim` must be 2 or more"):
        explore(Manifold(lambda z: z, dim=1), [[0.0], [1.0]], open_browser=False)
    with pytest.raises(InvalidParameterError, match="`DIR` must be a folder"):
        explore("nowhere", open_browser=False)


def test_the_browser_is_opened_at_the_address(monkeypatch):
    from pullback import Manifold, explore
    from pullback.explorer import explorer as module

    opened = []
    monkeypatch.setattr(module.webbrowser, "open", opened.append)
    with explore(Manifold(lambda z: z, dim=2), [[0.0, 0.0], [1.0, 1.0]], port=0) as explorer:
        assert opened == [explorer.url]
        assert explorer.url in explorer._repr_html_()


def test_a_page_is_told_how_far_it_is_until_there_is_a_scene(scene):
    import urllib.error

    from websockets.sync.client import connect

    def get(what):
        with urllib.request.urlopen(explorer.url.replace("/?", f"/{what}?"), timeout=60) as told:
            return json.load(told)

    from pullback.explorer import Explorer

    with Explorer(port=0) as explorer:
        assert "not ready" in repr(explorer)
        assert get("scene")["waits"] == {"what": "reading the run", "done": 0, "total": 0}
        explorer.stage.tell("table", 3, 10)
        assert get("scene")["waits"] == {"what": "table", "done": 3, "total": 10}
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get("column")
        address = explorer.url.replace("http", "ws").replace("/?", "/live?")
        with connect(address) as socket:
            assert "not ready yet" in json.loads(socket.recv(timeout=60))["message"]
        with pytest.raises(InvalidParameterError, match="shown first"):
            _ = explorer.scene
        explorer.show(scene)
        assert get("scene")["title"] == "paraboloid"
