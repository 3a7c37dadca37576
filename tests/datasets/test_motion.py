import json
from importlib.util import find_spec

import numpy as np
import pytest

from pullback.datasets import CLIPS, motion_capture, packaged
from pullback.errors import InvalidParameterError, MissingExtraError, StorageError


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A package with two clips in the format of pybullet's: frames of 44 numbers."""
    folder = tmp_path / "pybullet_data" / "data" / "motions"
    (folder / "walker").mkdir(parents=True)
    (tmp_path / "pybullet_data" / "__init__.py").touch()
    rng = np.random.default_rng(0)
    clips = {
        "humanoid3d_run": rng.normal(size=(5, 44)),
        "walker/turn_left0": rng.normal(size=(3, 44)),
    }
    for name, frames in clips.items():
        text = json.dumps({"Loop": "wrap", "Frames": frames.tolist()})
        (folder / f"{name}.txt").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return clips


def test_a_pose_is_unit_quaternions_and_angles(made_up):
    X, y = motion_capture(("turn_left0", "run"))
    assert X.shape == (8, 36)
    assert X.dtype == np.float32
    assert y.tolist() == ["turn_left0"] * 3 + ["run"] * 5
    frames = np.concatenate([made_up["walker/turn_left0"], made_up["humanoid3d_run"]])
    assert np.allclose(X[:, 12], frames[:, 20])  # the knee, after three ball joints
    assert np.allclose(X[:, -1], frames[:, 43])
    for start, column in zip(
        (0, 4, 8, 13, 17, 22, 27, 31), (8, 12, 16, 21, 25, 30, 35, 39), strict=True
    ):
        ball, given = X[:, start : start + 4], frames[:, column : column + 4]
        assert np.allclose(np.linalg.norm(ball, axis=1), 1, atol=1e-6)
        assert (ball[:, 0] >= 0).all()
        cosine = (ball * given).sum(1) / np.linalg.norm(given, axis=1)
        assert np.allclose(np.abs(cosine), 1, atol=1e-6)  # the same rotation


@pytest.mark.parametrize("clips", ["walk", (), ("walk", "walk"), ("swim",)])
def test_unknown_clips_are_refused_with_those_there_are(clips):
    with pytest.raises(InvalidParameterError, match=r"`clips` must be .*backflip.*walk_forward"):
        motion_capture(clips)


def test_without_pybullet_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pybullet.*pip install 'pullback\[motion\]'"):
        motion_capture()


def test_a_pybullet_without_its_data_is_named(tmp_path, monkeypatch):
    (tmp_path / "pybullet_data").mkdir()
    (tmp_path / "pybullet_data" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StorageError, match="reinstall"):
        motion_capture()


@pytest.mark.skipif(find_spec("pybullet_data") is None, reason="needs pip install '.[motion]'")
def test_the_real_clips_are_all_there():
    X, y = motion_capture()
    assert X.shape == (1810, 36)
    assert set(y.tolist()) == set(CLIPS)
    run = X[y == "run"]
    # A stride of 25 frames, evenly sampled: no two neighbouring frames are far apart.
    assert float(np.abs(np.diff(run, axis=0)).max()) < 0.8
    assert (run.std(0) > 0.01).any()
