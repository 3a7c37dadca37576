"""What tests of pages that stand alone share: a plane with a decoder, and node, which runs them.

What runs is not the modules themselves but what the exporter makes of them: one script.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def plane():
    """Codes over a small network with tanh, its metric in a table."""
    import numpy as np
    import torch
    from torch import nn

    from pullback.explorer import Column, Scene
    from pullback.manifolds import Manifold

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())
    network.append(nn.Linear(16, 12))
    for layer in network[::2]:
        layer.weight.data *= 2  # curved, so that ways part
    codes = torch.randn(200, 2).double()
    side = np.where(codes[:, 0] > 0, "right", "</script><b>left")
    height = codes[:, 1].numpy().copy()
    height[3] = np.nan
    columns = (Column.of("side", side), Column.of("height", height))
    manifold = Manifold(network, dim=2).tabulated(codes, margin=0.5, rtol=1e-3)
    samples = manifold.decode(codes).numpy().astype(np.float32)
    return Scene("plane", manifold, codes, samples, columns)


@pytest.fixture(scope="session")
def page(plane, tmp_path_factory):
    """The page of the plane."""
    from pullback.explorer.alone import write_page

    return write_page(plane, tmp_path_factory.mktemp("alone") / "plane.html")


@pytest.fixture(scope="session")
def node():
    """Run a script by node, with files of JSON for its arguments; return what it prints, read."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("node is not installed: pages are run by it")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"node {version.strip()} is too old: pages are run by 20")

    def run(script, folder, *arguments):
        file = folder / "script.cjs"
        file.write_text(script, encoding="utf-8")
        files = [folder / f"argument{k}.json" for k in range(len(arguments))]
        for name, argument in zip(files, arguments, strict=True):
            name.write_text(json.dumps(argument), encoding="utf-8")
        ran = subprocess.run(
            [path, file, *files], capture_output=True, text=True, check=False, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


@pytest.fixture(scope="session")
def ask(node, tmp_path_factory):
    """Ask the worker of a page; return its answers, and how long each took, in milliseconds."""

    def run(page, requests):
        html = page.read_text(encoding="utf-8")
        worker, content = (held(html, name) for name in ("worker", "content"))
        script = f"{BEFORE}\n{worker}\n{AFTER}"
        folder = tmp_path_factory.mktemp("asked")
        numbered = [{"id": k, **request} for k, request in enumerate(requests)]
        found = node(script, folder, content, numbered)
        assert [answer["id"] for answer in found["answers"]] == list(range(len(requests)))
        return found["answers"], found["milliseconds"]

    return run


@pytest.fixture(scope="session")
def decode(node, tmp_path_factory):
    """Evaluate decoders as pages hold them at points; return means and images of each."""
    from pullback.explorer.alone.bundle import bundled

    script = bundled(HERE / "decode.js")
    return lambda models, z: node(script, tmp_path_factory.mktemp("decoded"), models, z)


def held(html, name):
    """The text of a script of a page."""
    return re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', html, re.S)[1]


# A worker's surroundings, and what asks it.
BEFORE = """
const read = (k) => JSON.parse(require("node:fs").readFileSync(process.argv[2 + k], "utf8"));
const answers = [], milliseconds = [];
globalThis.self = { postMessage: (text) => answers.push(JSON.parse(text)) };
"""
AFTER = """
self.onmessage({ data: read(0) });
for (const request of read(1)) {
  const begin = performance.now();
  self.onmessage({ data: JSON.stringify(request) });
  milliseconds.push(performance.now() - begin);
}
process.stdout.write(JSON.stringify({ answers, milliseconds }));
"""
