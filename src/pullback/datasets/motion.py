"""Real motion of people, captured as poses of a skeleton, that comes inside a dependency."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.datasets.packaged import packaged_file
from pullback.errors import InvalidParameterError

__all__ = ["CLIPS", "motion_capture"]

CLIPS = (
    "backflip", "cartwheel", "crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup",
    "jump", "kick", "punch", "roll", "run", "spin", "spinkick", "turn_left0", "turn_left1",
    "turn_right0", "turn_right1", "walk", "walk_forward",
)  # fmt: skip
"""The names of the clips."""

_IN_A_FOLDER = {"walk_forward": "0walk_forward"}
# Where the joints of a frame begin, after its duration and the root's place and direction.
_BALLS, _HINGES = (8, 12, 16, 21, 25, 30, 35, 39), (20, 29, 34, 43)


def motion_capture(
    clips: Iterable[str] | None = None,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return poses of people who walk, run, dance, jump, fall and get up: 1810 frames of 20 clips.

    A pose is 36 numbers: the rotations of eight ball joints against the bone before them (chest,
    neck, and of either side hip, ankle and shoulder) as unit quaternions (w, x, y, z) with w >= 0,
    and the angles of the four hinges (knees and elbows) in radians. Where the person stands and
    looks is left out. The order of the frames, 17 to 60 milliseconds apart, is kept.

    Args:
        clips: which of `CLIPS`, in this order; all if None.

    Returns:
        The poses X, float32 `(n, 36)`, and the names of their clips y, str `(n,)`.

    Raises:
        InvalidParameterError: `clips` holds something else than different names of `CLIPS`.
        MissingExtraError: pybullet is not installed.
        StorageError: the installed pybullet has no such file.

    Source: Peng, Abbeel, Levine, van de Panne, "DeepMimic", 2018; the files are in the package
    pybullet (Coumans, Bai, 2016).

    Example:
        >>> import pullback as pb
        >>> X, y = pb.datasets.motion_capture(("walk", "run"))  # doctest: +SKIP
        >>> X.shape  # doctest: +SKIP
        (64, 36)
    """
    names = _check_clips(clips)
    folder = packaged_file(
        "pybullet_data", "data", "motions", extra="motion", purpose="The data set `motion_capture`"
    )
    frames = [_read(folder, name) for name in names]
    X = _poses(np.concatenate(frames))
    return X, np.repeat(np.array(names), [len(part) for part in frames])


def _check_clips(clips: Any) -> list[str]:
    if clips is None:
        return list(CLIPS)
    allowed = f"a collection of different names out of {', '.join(CLIPS)}"
    if isinstance(clips, str) or not isinstance(clips, Iterable):
        raise InvalidParameterError("clips", allowed, repr(clips))
    names = list(clips)
    if not names or len(set(names)) < len(names) or not set(names) <= set(CLIPS):
        raise InvalidParameterError("clips", allowed, tuple(names))
    return names


def _read(folder: Path, name: str) -> NDArray[Any]:
    walker = name.startswith("turn") or name in _IN_A_FOLDER
    path = folder / (
        f"walker/{_IN_A_FOLDER.get(name, name)}.txt" if walker else f"humanoid3d_{name}.txt"
    )
    return np.array(json.loads(path.read_text(encoding="utf-8"))["Frames"])


def _poses(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return the joints of frames `(n, 44)`, each quaternion of length 1 and with w >= 0."""
    columns = np.sort(np.concatenate([np.add.outer(_BALLS, range(4)).ravel(), _HINGES]))
    poses = frames.copy()
    for start in _BALLS:
        ball = frames[:, start : start + 4]
        length = np.linalg.norm(ball, axis=1, keepdims=True)
        poses[:, start : start + 4] = ball / np.where(ball[:, :1] < 0, -length, length)
    return poses[:, columns].astype(np.float32)
