"""Journeys: from a file to a report, interrupted or not."""

import json
import re
import signal

import numpy as np
import pytest


def finish(process):
    out, err = process.communicate(timeout=3600)  # which only keeps a hung one from hanging us
    return process.returncode, out, err


def contents(run):
    """What is in the files of a run, without how long anything took."""
    files = (path for path in run.rglob("*") if path.is_file() and path.name != "timings.json")
    return {path.relative_to(run): path.read_bytes() for path in files}


@pytest.mark.thorough
def test_from_a_file_to_a_report_and_again(start, pullback, table, tmp_path):
    run = tmp_path / "run"
    words = ("train", table, "--label", "kind", "--epochs", "100", "--out", run)
    code, out, err = finish(start(*words))
    assert code == 0, err
    assert f"Report: {run / 'report.html'}" in out
    assert re.search(r"\d\.\d s  training", err)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["learning"]["classes"] == ["one", "two"]
    assert (run / "report.html").stat().st_size > 100_000
    assert not list(run.glob("checkpoint*"))

    (run / "report.html").unlink()
    code, _, err = finish(start("report", run))
    assert code == 0, err
    assert (run / "report.html").exists()
    again = json.loads((run / "metrics.json").read_text())
    for key in ("triplets", "clustering", "interpolation", "generation", "likelihood", "solver"):
        assert again[key] == metrics[key]

    code, _, err = pullback(*words, "--seed", "1")
    assert code == 2
    assert "which holds another run (seed 0, not 1)" in err


@pytest.mark.thorough
def test_interrupted_and_gone_on_with(start, tmp_path):
    X = np.random.default_rng(0).normal(size=(120, 3)) @ np.random.default_rng(1).normal(
        size=(3, 12)
    )
    np.save(tmp_path / "data.npy", X)
    run = tmp_path / "run"
    words = ("train", tmp_path / "data.npy", "--epochs", "300", "--out", run)
    code, _, err = finish(start(*words, signal_at=(2, signal.SIGINT)))
    assert code == 1
    assert "Traceback" not in err
    command = re.search(r"To go on, run: pullback (.*)", err)[1]
    assert command == " ".join(
        map(str, (*words[:2], "--out", run, "--latent-dim 2 --epochs 300 --seed 0"))
    )
    assert (run / "checkpoint.safetensors").exists()
    assert not (run / "model").exists()

    code, _, err = finish(start("report", run))
    assert code == 2
    assert "a run whose training has ended" in err

    code, _, _ = finish(start(*command.split(), signal_at=(3, signal.SIGKILL)))
    assert code == -signal.SIGKILL

    code, _, err = finish(start(*command.split()))
    assert code == 0, err
    assert "Going on with the run" in err
    history = json.loads((run / "model" / "model.json").read_text())["history"]
    epochs = [row["epoch"] for row in history if row["stage"] == "mean"]
    assert epochs == list(range(1, len(epochs) + 1))

    undisturbed = tmp_path / "undisturbed"
    code, _, err = finish(start(*words[:-1], undisturbed))
    assert code == 0, err
    assert contents(run) == contents(undisturbed)


@pytest.mark.thorough
def test_the_demo_from_end_to_end(start, tmp_path):
    run = tmp_path / "run"
    words = ("--digits", "0,1", "--epochs", "200")
    code, _, err = finish(start("demo", *words, "--out", run))
    assert code == 0, err
    page = (run / "report.html").read_text()
    assert "The geometry of digits 0, 1" in page
    assert "http" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", page)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["learning"]["n_test"] == 200
    assert metrics["triplets"]["riemannian"] > 0.5
    assert metrics["solver"]["pairs_planned"] == 100
    assert (run / "figures" / "interpolation-1.png").exists()
