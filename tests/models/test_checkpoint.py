"""A run that is killed at any moment and resumed ends at the bits of an undisturbed one."""

import hashlib
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from pullback.models.checkpoint import Checkpoint, TrainingState

RUN = """
import sys
import numpy as np
from pullback.models import VAE

rng = np.random.default_rng(0)
X = rng.normal(size=(256, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(256, 8))
checkpoint, out = sys.argv[1:]
vae = VAE(8, 2, n_centers=16)
vae.fit(X, epochs=300, batch_size=32, patience=None, precision_fit="regression",
        checkpoint=checkpoint, progress=False)
vae.save(out)
"""


def start(tmp_path, name):
    command = [sys.executable, "-c", RUN, tmp_path / f"{name}.safetensors", tmp_path / name]
    return subprocess.Popen(command)


def digest(folder):
    (weights,) = folder.glob("weights-*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.slow
def test_five_kills_at_random_moments_change_nothing(tmp_path):
    undisturbed = start(tmp_path, "undisturbed")
    begun, path = None, tmp_path / "undisturbed.safetensors"
    while undisturbed.poll() is None:
        if begun is None and path.exists():
            begun = time.monotonic()
        time.sleep(0.01)
    assert undisturbed.returncode == 0
    duration = time.monotonic() - begun
    moments, path = random.Random(0), tmp_path / "killed.safetensors"
    for _ in range(5):
        process, before = start(tmp_path, "killed"), path.stat().st_mtime if path.exists() else 0.0
        while process.poll() is None and not (path.exists() and path.stat().st_mtime > before):
            time.sleep(0.005)  # until it trains
        time.sleep(moments.uniform(0, duration / 5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    last = start(tmp_path, "killed")
    assert last.wait() == 0
    assert digest(tmp_path / "killed") == digest(tmp_path / "undisturbed")


def test_checkpoint_returns_what_it_was_given(tmp_path):
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    state = TrainingState(1, 2, 1, -0.5, [{"stage": "mean", "elbo": 0.1}])
    checkpoint = Checkpoint(tmp_path / "run.safetensors", "0a")
    assert checkpoint.read() is None
    checkpoint.write(state, model, {"weight": torch.ones(3)}, optimizer)
    again, tensors = checkpoint.read()
    assert again == state
    assert torch.equal(tensors["model/weight"], model.weight)
    assert torch.equal(tensors["best/weight"], torch.ones(3))
    moments = optimizer.state_dict()["state"][1]
    assert torch.equal(tensors["optimizer/1/exp_avg"], moments["exp_avg"])


def test_checkpoints_are_written_no_more_often_than_a_tenth_of_the_time_allows(tmp_path):
    model, checkpoint = torch.nn.Linear(300, 300), Checkpoint(tmp_path / "run.safetensors", "0a")
    writes, spent, begun = 0, 0.0, time.monotonic()
    while time.monotonic() - begun < 1.0:
        before = checkpoint.path.stat().st_mtime_ns if checkpoint.path.exists() else 0
        start_of_write = time.monotonic()
        checkpoint.write(TrainingState(), model, None, None, force=False)
        took = time.monotonic() - start_of_write
        if checkpoint.path.stat().st_mtime_ns != before:
            writes, spent = writes + 1, spent + took
        time.sleep(0.001)
    assert writes >= 2
    assert spent < 0.2


def test_only_forced_checkpoints_are_written_when_none_is_due(tmp_path):
    path, model = tmp_path / "run.safetensors", torch.nn.Linear(2, 3)
    checkpoint = Checkpoint(path, "0a")
    checkpoint.write(TrainingState(epoch=1), model, None, None)
    checkpoint._due = time.monotonic() + 1000
    checkpoint.write(TrainingState(epoch=2), model, None, None, force=False)
    assert checkpoint.read()[0].epoch == 1
    checkpoint.write(TrainingState(epoch=3), model, None, None)
    assert checkpoint.read()[0].epoch == 3
