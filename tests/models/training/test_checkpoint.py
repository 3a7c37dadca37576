"""A run that is killed at any moment and resumed ends at the bits of an undisturbed one."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from pullback import files
from pullback.errors import StorageError
from pullback.models import VAE, Trainer
from pullback.models.training import checkpoint as checkpoints
from pullback.models.training.checkpoint import Checkpoint, TrainingState

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


@pytest.mark.exhaustive
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


class Clock:
    """A time of our own, in which each write takes a while."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_checkpoints_are_written_no_more_often_than_a_tenth_of_the_time_allows(
    tmp_path, monkeypatch
):
    clock, writes = Clock(), []

    def write(path, content):
        writes.append(clock.now)
        clock.now += 0.25

    monkeypatch.setattr(checkpoints, "time", clock)
    monkeypatch.setattr(files, "atomic_write", write)
    model, checkpoint = torch.nn.Linear(2, 3), Checkpoint(tmp_path / "run.safetensors", "0a")
    while clock.now < 100:
        checkpoint.write(TrainingState(), model, None, None, force=False)
        clock.now += 0.125
    # One at once, and others whenever 0.25 s are no more than a tenth of what went by.
    gaps = [after - before for before, after in pairwise(writes)]
    assert writes[0] == 0
    assert min(gaps) >= 2.5
    assert max(gaps) <= 3.0


def test_only_forced_checkpoints_are_written_when_none_is_due(tmp_path):
    path, model = tmp_path / "run.safetensors", torch.nn.Linear(2, 3)
    checkpoint = Checkpoint(path, "0a")
    checkpoint.write(TrainingState(epoch=1), model, None, None)
    checkpoint._due = time.monotonic() + 1000
    checkpoint.write(TrainingState(epoch=2), model, None, None, force=False)
    assert checkpoint.read()[0].epoch == 1
    checkpoint.write(TrainingState(epoch=3), model, None, None)
    assert checkpoint.read()[0].epoch == 3


@pytest.fixture
def path(tmp_path):
    """A checkpoint of the run 0a."""
    path = tmp_path / "run.safetensors"
    Checkpoint(path, "0a").write(TrainingState(epoch=3), torch.nn.Linear(2, 3), None, None)
    return path


def rewrite(path, change):
    """Change the document in the metadata."""
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["pullback"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(document)
    path.write_bytes(save(tensors, {"pullback": json.dumps(document)}))


def test_a_changed_tensor_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not those that were written"):
        Checkpoint(path, "0a").read()


@pytest.mark.parametrize("key", ["format", "fingerprint", "sha256", "state"])
def test_a_document_that_lacks_a_part_is_refused(path, key):
    rewrite(path, lambda document: document.pop(key))
    with pytest.raises(StorageError, match=rf"no checkpoint that can be read \('{key}'\)"):
        Checkpoint(path, "0a").read()


def test_a_document_with_other_parts_is_refused(path):
    rewrite(path, lambda document: document["state"].update(surprise=1))
    with pytest.raises(StorageError, match="no checkpoint that can be read .*surprise"):
        Checkpoint(path, "0a").read()
    rewrite(path, lambda document: document.update(format=2))
    with pytest.raises(StorageError, match="format 2, but this version reads format 1"):
        Checkpoint(path, "0a").read()


def test_a_folder_is_never_to_be_deleted(tmp_path):
    with pytest.raises(StorageError, match="must be a file, but .* is a folder") as caught:
        Checkpoint(tmp_path, "0a").read()
    assert "Delete" not in str(caught.value)


def test_a_run_from_other_weights_is_another_run(tmp_path):
    X, path = torch.rand(30, 3, generator=torch.Generator().manual_seed(0)), tmp_path / "run"
    options = {"epochs": 2, "progress": False, "checkpoint": path}
    VAE(3, 1, n_centers=2).fit(X, **options)
    other = VAE(3, 1, n_centers=2)
    with torch.no_grad():
        next(other.parameters()).add_(0.1)
    with pytest.raises(StorageError, match="from other initial weights"):
        other.fit(X, **options)


@pytest.mark.slow
def test_the_model_that_was_interrupted_goes_on(tmp_path, monkeypatch):
    X, path = torch.rand(30, 3, generator=torch.Generator().manual_seed(0)) - 0.5, tmp_path / "run"
    # Of no validation set there is a best epoch, so that the last weights count; and each epoch is
    # kept, with the moments of Adam.
    options = {"epochs": 4, "validation_fraction": 0.0, "progress": False}
    monkeypatch.setattr(checkpoints, "_COST", torch.inf)
    expected = VAE(3, 1, n_centers=2).fit(X, **options).state_dict()
    vae, judge = VAE(3, 1, n_centers=2), Trainer._judge

    def interrupt(trainer, stage, row):
        judge(trainer, stage, row)
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_judge", interrupt)
        with pytest.raises(KeyboardInterrupt):
            vae.fit(X, checkpoint=path, **options)
    vae.fit(X, checkpoint=path, **options)
    assert all(torch.equal(value, expected[name]) for name, value in vae.state_dict().items())
