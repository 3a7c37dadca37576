"""The benchmark of curvature runs to its end, and its estimates are those of the exact numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.thorough
def test_curvature_is_measured():
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    tiny = ["--resolution", "4", "--dims", "4", "40", "--planes", "64"]
    output = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "benchmarks" / "curvature.py", *tiny],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=3600,
        check=True,
    ).stdout
    rows = [line.strip("| ").split(" | ") for line in output.splitlines() if line[:2] == "| "]
    field, few, many = rows[1], rows[3], rows[4]
    assert field[0] == "4 x 4"
    assert int(field[4]) == 0
    value, error, _, exact = (float(cell) for cell in few[1:5])
    assert error > 0
    assert exact == pytest.approx(value, abs=6 * error + 1e-3)
    assert float(many[2]) > 0
