import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def pullback(monkeypatch, capsys):
    """Run the command line in this process; return exit code, stdout and stderr."""
    from pullback.cli import failures
    from pullback.cli.app import main

    def run(*words):
        monkeypatch.setattr(failures, "_debug", False)
        monkeypatch.setattr(sys, "argv", ["pullback", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def start():
    """Start the command line in a process of its own."""
    started = []

    def popen(*words, **options):
        path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-m", "pullback", *map(str, words)],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def table(tmp_path):
    """A file of two classes with labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[20:] += 3
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["kind"] = ["one"] * 20 + ["two"] * 20
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path
