"""Every script of `examples/` runs: as a reader would run it, or in a short form where it trains.

A script with an argument `out` trains on real data for a minute or more: its `run` is called with
few epochs and few points, and what it returns and draws is looked at.
"""

import importlib.util
import inspect
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pullback.errors import ConvergenceWarning, MissingExtraError

ROOT = Path(__file__).parents[1]
TORCH_S_OWN = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
LONG = [path for path in SCRIPTS if "out: str | None" in path.read_text(encoding="utf-8")]
SHORT = [path for path in SCRIPTS if path not in LONG]


@pytest.mark.thorough
@pytest.mark.skipif(not SHORT, reason="examples/ holds no script yet")
@pytest.mark.parametrize("script", SHORT, ids=lambda path: path.stem)
def test_the_example_runs(script, tmp_path):
    assert "def run(" in script.read_text(encoding="utf-8"), "what an example does is its run()"
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", TORCH_S_OWN, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip(), f"{script.name} shows nothing"


@pytest.mark.thorough
@pytest.mark.parametrize("script", LONG, ids=lambda path: path.stem)
def test_the_long_example_runs_in_a_short_form(script, tmp_path, capsys):
    run = load(script).run
    assert list(inspect.signature(run).parameters) == ["epochs", "n", "out"]
    figure = tmp_path / "figure.png"
    with warnings.catch_warnings():
        # So short a training leaves sharp walls, at which a few of the geodesics may fail.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            found = run(epochs=40, n=20, out=str(figure))
        except MissingExtraError as error:
            pytest.skip(str(error))
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert found.pop("converged") >= 0.75
    assert {"Euclidean", "Riemannian"} <= set(found)
    assert all(math.isfinite(share) and 0 < share < 1 for share in found.values())
    assert "of triplets right" in capsys.readouterr().out


@pytest.mark.parametrize("script", LONG, ids=lambda path: path.stem)
def test_what_the_examples_found_is_written_down(script):
    table = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert script.name in table


def load(script):
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
