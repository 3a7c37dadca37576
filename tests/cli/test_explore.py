"""A user's way: the command, the address, the page, a path, and the end by Ctrl-C; or one file."""

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have put aside
runpy.run_module("pullback", run_name="__main__")
"""


@pytest.fixture
def command(run):
    """The command, running on a free port, and the address that it printed."""
    words = ["explore", str(run), "--no-browser", "--port", "0"]
    words = [sys.executable, "-c", INTERRUPTIBLE, *words]
    environment = os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:pullback"}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        ready, _, _ = select.select([process.stdout], [], [], 600)
        assert ready, "nothing was printed for ten minutes"
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.thorough
def test_a_user_opens_a_run_asks_and_stops(command, run):
    from websockets.sync.client import connect

    from pullback.runs import Run, RunFolder

    process, url = command
    base, token = url.split("/?token=")
    with urllib.request.urlopen(url, timeout=60) as page:
        assert b"<html" in page.read()
    scene = {"waits": {}}  # the address is there before what is explored
    end = time.monotonic() + 600
    while "waits" in scene and time.monotonic() < end:
        with urllib.request.urlopen(f"{base}/scene?token={token}", timeout=60) as answer:
            scene = json.load(answer)
        time.sleep(0.1)
    assert (scene["title"], scene["n"], scene["d"]) == ("arcs", 60, 2)
    with urllib.request.urlopen(f"{base}/codes?token={token}", timeout=60) as answer:
        codes = np.frombuffer(answer.read(), "<f4").reshape(-1, 2)
    read = Run(RunFolder(run))
    np.testing.assert_allclose(codes, read.encode(read.data.X), atol=1e-6)
    with connect(f"{base.replace('http', 'ws')}/live?token={token}") as socket:
        a, b = codes[0].tolist(), codes[1].tolist()
        seconds = []
        for number in range(20):
            begin = time.perf_counter()
            socket.send(json.dumps({"id": number, "type": "path", "a": a, "b": b}))
            found = json.loads(socket.recv(timeout=60))
            seconds.append(time.perf_counter() - begin)
    truth = read.manifold.geodesic(a, b)
    np.testing.assert_allclose(found["geodesic"]["points"], truth.points(65), atol=1e-9)
    print(f"request to answer: median {1000 * np.median(seconds):.1f} ms")  # noqa: T201
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said + told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "`DIR` must be a folder that"),
        (["nowhere", "--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_what_cannot_be_is_said_in_a_paragraph(pullback, words, said):
    code, _, err = pullback("explore", *words, "--no-browser")
    assert code == 2
    assert said in err
    assert "Traceback" not in err


@pytest.mark.thorough
def test_a_user_exports_a_run_as_one_file(run, tmp_path):
    from pullback.runs import Run, RunFolder

    out = tmp_path / "page.html"
    words = [sys.executable, "-m", "pullback", "export", str(run), "--out", str(out)]
    process = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)\n"
    assert list(tmp_path.iterdir()) == [out]
    html = out.read_text(encoding="utf-8")
    content = json.loads(html.split('id="content">')[1].split("</script>")[0])
    assert (content["scene"]["title"], content["scene"]["n"]) == ("arcs", 60)
    read = Run(RunFolder(run))
    codes = np.frombuffer(base64.b64decode(content["codes"]), "<f4").reshape(-1, 2)
    np.testing.assert_allclose(codes, read.encode(read.data.X), atol=1e-6)
    np.testing.assert_array_equal(content["table"]["low"], read.manifold.metric.low)
    assert content["model"]["family"]["name"] == "normal"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--out", "page.html"], "`DIR` must be a folder that"),
        (["nowhere", "--out", "page.txt"], "`--out` must be a file that ends with .html"),
        (["nowhere", "--out", "nowhere/page.html"], "`--out` must be a file in a folder that is"),
        (["nowhere"], "Missing option '--out'"),
    ],
)
def test_an_export_that_cannot_be_is_told_in_a_paragraph(
    pullback, words, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = pullback("export", *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
