import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SOURCE = Path(__file__).parents[2] / "src"


SIGNALLED = """
import os, runpy, signal, sys
from pullback.models.training.checkpoint import Checkpoint

count, number = int(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have put aside
write = Checkpoint.write

def counted(*args, **options):
    global count
    write(*args, **options)
    count -= 1
    if count == 0:
        os.kill(os.getpid(), number)

Checkpoint.write = counted
sys.argv[1:] = sys.argv[3:]
runpy.run_module("pullback", run_name="__main__")
"""
"""A program that signals itself: another process may be late on a busy machine."""


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

    def popen(*words, signal_at=None, **options):
        """Start `pullback WORDS`; `signal_at=(n, number)` sends it a signal after n checkpoints."""
        path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
        how = ["-m", "pullback"]
        if signal_at is not None:
            how = ["-c", SIGNALLED, *map(str, map(int, signal_at))]
        process = subprocess.Popen(
            [sys.executable, *how, *map(str, words)],
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
