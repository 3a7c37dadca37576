import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus


def test_the_page_needs_the_token(served):
    status, headers, body = served.get("/")
    assert status == 200
    assert b"<html" in body
    assert "default-src 'self'" in headers["content-security-policy"]
    status, _, body = served.get("/", token="wrong")
    assert status == 403
    assert b"This page needs the token that" in body
    assert served.get("/scene", token="wrong")[0] == 403
    assert served.get("/codes", token="wrong")[0] == 403


def test_the_token_may_come_as_a_header(served):
    assert served.get("/scene", token="", X_Token=served.token)[0] == 200
    assert served.get("/scene", token="", X_Token="wrong")[0] == 403


def test_another_page_and_another_name_of_this_machine_are_refused(served):
    for headers in ({"Origin": "http://evil.org"}, {"Host": "evil.org"}):
        status, _, body = served.get("/scene", **headers)
        assert status == 403
        assert b"paraboloid" not in body


def test_files_of_the_page_are_served_and_no_others(served):
    from pullback.explorer.server import PAGE

    for path in filter(Path.is_file, PAGE.rglob("*")):
        name = path.relative_to(PAGE).as_posix()
        status, headers, body = served.get(f"/page/{name}", token="")
        assert status == 200
        assert body == path.read_bytes()
        if path.suffix == ".js":
            assert headers["content-type"].startswith("text/javascript")
    for name in ("nothing.js", "../server.py", "..%2Fserver.py", "%2Fetc%2Fpasswd", ""):
        assert served.get(f"/page/{name}", token="")[0] == 404


def test_the_scene_is_what_is_explored(served, scene):
    told = json.loads(served.get("/scene")[2])
    assert (told["title"], told["n"], told["d"]) == ("paraboloid", 30, 2)
    assert told["features"] == ["x", "y", "height"]
    assert np.allclose(told["box"], scene.box)
    side, height = told["columns"]
    assert side["kind"] == "category"
    assert [side["labels"][k] for k in side["values"]] == [
        "right" if x > 0 else "left" for x in scene.Z[:, 0]
    ]
    assert height["kind"] == "number"
    np.testing.assert_allclose(height["values"], scene.Z.square().sum(-1))
    assert json.loads(served.get("/column?name=height")[2])["values"] == height["values"]
    assert served.get("/column?name=width")[0] == 404


def test_codes_are_bytes(served, scene):
    codes = np.frombuffer(served.get("/codes")[2], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(codes, scene.Z, atol=1e-6)
    swapped = np.frombuffer(served.get("/codes?axes=1,0")[2], "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(swapped, codes[:, ::-1])
    for axes in ("0", "0,0", "0,2", "-1,0", "a,b", "0,1,2"):
        assert served.get(f"/codes?axes={axes}")[0] == 400


def test_a_path_over_the_socket_is_the_geodesic(served, scene, ask):
    a, b = [-0.9, 0.3], [0.8, -0.6]
    with served.connect() as socket:
        found = ask(socket, {"id": 5, "type": "path", "a": a, "b": b})
    truth = scene.manifold.geodesic(a, b)
    assert (found["id"], found["type"], found["status"]) == (5, "path", "converged")
    np.testing.assert_allclose(found["geodesic"]["points"], truth.points(65), rtol=0, atol=1e-12)
    assert found["geodesic"]["length"] == pytest.approx(truth.length.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("nonsense", "must be JSON"),
        (b"\x00\xff", "is binary"),
        ("x" * 100_000, "64 KiB long at most"),
        ('{"id": 1, "type": "path", "a": [NaN, 0], "b": [0, 0]}', "NaN is no number"),
        ('{"id": 1, "type": "path", "a": [1e999, 0], "b": [0, 0]}', "must be a finite number"),
        ('{"id": 1, "type": "path", "a": [50, 0], "b": [0, 0]}', "must be in the box"),
        ('{"id": 1, "type": "fly"}', "`type` must be one of"),
    ],
)
def test_bad_messages_are_answered_in_words_and_the_socket_stays_open(served, ask, message, said):
    with served.connect() as socket:
        answer = ask(socket, message)
        assert answer["type"] == "error"
        assert said in answer["message"]
        assert "Traceback" not in answer["message"]
        assert ask(socket, {"id": 2, "type": "sample", "index": 4})["id"] == 2


def test_a_flood_closes_the_socket_and_the_next_one_is_served(served, ask):
    with served.connect() as socket:
        socket.send("x" * (2**20 + 1))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd.code == 1009  # of the standard: too big
    with served.connect() as socket:
        assert ask(socket, {"id": 1, "type": "sample", "index": 0})["id"] == 1


def test_a_socket_with_a_wrong_token_is_told_so(served):
    with served.connect(token="wrong") as socket:
        assert "needs the token" in json.loads(socket.recv(timeout=60))["message"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd.code == 4401


def test_a_socket_of_another_page_is_refused(served):
    with pytest.raises(InvalidStatus) as refused, served.connect(origin="http://evil.org"):
        pass
    assert refused.value.response.status_code == 403


def test_twenty_sockets_get_each_its_own_answers(served, scene, ask):
    found = {}

    def talk(k):
        with served.connect() as socket:
            for number in range(3):
                answer = ask(socket, {"id": number, "type": "sample", "index": k})
                found[k, number] = answer["id"], answer["point"]

    threads = [threading.Thread(target=talk, args=(k,)) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 60
    for (k, number), (answered, code) in found.items():
        assert answered == number
        np.testing.assert_allclose(code, scene.Z[k], rtol=1e-5)


def test_what_was_open_too_often_is_told_so(served, ask, monkeypatch):
    from pullback.explorer import server

    monkeypatch.setattr(server, "_SOCKETS", 1)
    with served.connect() as first:
        assert ask(first, {"id": 1, "type": "sample", "index": 0})["id"] == 1
        with served.connect() as second:
            assert "close one of them" in json.loads(second.recv(timeout=60))["message"]
        assert ask(first, {"id": 2, "type": "sample", "index": 0})["id"] == 2


def test_a_dropped_socket_leaves_the_server_as_it_was(served, ask):
    message = json.dumps({"id": 1, "type": "path", "a": [0, 0], "b": [0.5, 0.5]}).encode()
    for _ in range(3):  # no farewell: the line is cut in the middle of a request
        raw = served.connect()
        with raw as client:
            client.send(message.decode())
            client.socket.shutdown(socket.SHUT_RDWR)
    with served.connect() as again:
        assert ask(again, {"id": 9, "type": "sample", "index": 2})["id"] == 9
