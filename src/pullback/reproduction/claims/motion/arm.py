"""A robot arm of six joints that draws a circle: geodesics are shorter than straight lines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.motion.ways import MEAN, TELLS_MORE, compare_ways
from pullback.reproduction.lab import Lab

__all__ = ["ARM", "forward", "inverse", "joint_angles"]

# The arm in metres: the height of the shoulder, the upper arm, the forearm up to the wrist, and the
# tool. Those of an industrial arm of middle size; the source does not give them.
_SHOULDER, _UPPER, _FOREARM, _TOOL = 0.4, 0.6, 0.6, 0.1
# The circle that the tip draws upright in front of the arm, in metres.
# A little below the shoulder, so that the elbow moves too, and out of reach of the singular posture
# in which forearm and tool are on a line.
_CENTRE, _RADIUS = (0.7, 0.0, 0.3), 0.4


def measure(
    lab: Lab,
    seed: int,
    *,
    n_steps: int,
    noise: float,
    n_pairs: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Train a model on noisy joint angles along a circle, and measure three ways between them.

    Args:
        lab: models.
        seed: of everything random.
        n_steps: how many steps the circle has.
        noise: the standard deviation of the noise of a joint angle, in radians.
        n_pairs: how many pairs.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        Lengths, correlations and how far off decoded points are, by metric.
    """
    rng = np.random.default_rng(seed)
    angles = joint_angles(np.linspace(0, 2 * np.pi, n_steps, endpoint=False))
    X = (angles + noise * rng.standard_normal(angles.shape)).astype(np.float32)
    vae = lab.vae(X, model, training, seed=seed)
    return compare_ways(vae, joint_angles, n_pairs=n_pairs, seed=seed)


def joint_angles(phases: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the joint angles while the tip is at phases of the circle, the tool pointing ahead.

    Args:
        phases: in radians, `(n,)`.

    Returns:
        Six angles in radians, `(n, 6)`.

    Example:
        >>> tip, _ = forward(joint_angles(np.zeros(1)))
        >>> tip.round(9).tolist()
        [[0.7, 0.4, 0.3]]
    """
    circle = np.stack([np.zeros_like(phases), np.cos(phases), np.sin(phases)], -1)
    return inverse(np.array(_CENTRE) + _RADIUS * circle, np.eye(3))


def forward(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the tip is, and how the tool is turned.

    The joints turn, in order, about z (the base), y (shoulder, elbow), and x, y, x (the wrist, in
    one point); links and tool lie along x where all angles are 0.

    Args:
        angles: in radians, `(n, 6)`.

    Returns:
        The tip in metres, `(n, 3)`, and the rotation of the tool, `(n, 3, 3)`.

    Example:
        >>> forward(np.zeros((1, 6)))[0].round(9).tolist()
        [[1.3, 0.0, 0.4]]
    """
    base, shoulder, elbow, *wrist = angles.T
    upper = _about(2, base) @ _about(1, shoulder)
    forearm = upper @ _about(1, elbow)
    tool = forearm @ _about(0, wrist[0]) @ _about(1, wrist[1]) @ _about(0, wrist[2])
    reach = _UPPER * upper[..., 0] + _FOREARM * forearm[..., 0] + _TOOL * tool[..., 0]
    return reach + np.array([0, 0, _SHOULDER]), tool


def inverse(tip: NDArray[np.float64], tool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return joint angles in closed form, with the elbow up.

    The tool says where the wrist is, the law of cosines how shoulder and elbow bend, and what is
    left of the rotation are the three angles of the wrist.

    Args:
        tip: in metres, `(n, 3)`, within reach.
        tool: the rotation of the tool, `(3, 3)` or `(n, 3, 3)`.

    Returns:
        Six angles in radians, `(n, 6)`.

    Source:
        Pieper, The kinematics of manipulators under computer control (1968).

    Example:
        >>> inverse(np.array([[1.3, 0.0, 0.4]]), _about(1, np.zeros(1))).round(6)[0, :3].tolist()
        [0.0, -0.0, 0.0]
    """
    x, y, z = (tip - _TOOL * tool[..., 0] - np.array([0, 0, _SHOULDER])).T
    ahead = np.hypot(x, y)
    bend = (ahead**2 + z**2 - _UPPER**2 - _FOREARM**2) / (2 * _UPPER * _FOREARM)
    base, elbow = np.arctan2(y, x), np.arccos(bend.clip(-1, 1))
    inner = np.arctan2(_FOREARM * np.sin(elbow), _UPPER + _FOREARM * np.cos(elbow))
    shoulder = -np.arctan2(z, ahead) - inner
    forearm = _about(2, base) @ _about(1, shoulder + elbow)
    rest = np.swapaxes(forearm, -1, -2) @ tool
    # Of Rx(a) Ry(b) Rx(c): the first column is (cos b, sin a sin b, -cos a sin b), the first row
    # (cos b, sin b sin c, sin b cos c). Of the two solutions b < 0 turns the wrist less, where the
    # forearm points downwards and the tool ahead.
    turn = np.arctan2(-rest[..., 1, 0], rest[..., 2, 0])
    tilt = -np.arctan2(np.hypot(rest[..., 1, 0], rest[..., 2, 0]), rest[..., 0, 0])
    roll = np.arctan2(-rest[..., 0, 1], -rest[..., 0, 2])
    return np.stack([base, shoulder, elbow, turn, tilt, roll], -1)


def _about(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations about the axis x, y or z (0, 1, 2) by angles `(n,)`: `(n, 3, 3)`."""
    cos, sin, one, none = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    cycle = np.roll(np.arange(3), -axis)  # the axis itself, and the two that it turns
    rows = [[one, none, none], [none, cos, -sin], [none, sin, cos]]
    turned = np.moveaxis(np.array(rows), -1, 0)
    back = np.argsort(cycle)
    return np.asarray(turned[:, back][:, :, back])


ARM = Claim(
    "robot-arm",
    "Geodesics between postures of a robot arm that draws a circle are much shorter than straight "
    "lines in the latent space.",
    "Chen, Klushyn, Kurle, Jiang, Bayer, van der Smagt, Metrics for deep generative models (2018), "
    "the experiment with a robot arm",
    "The joint angles of an arm of 6 degrees of freedom whose tip draws a circle of radius 0.4 m "
    "in 6284 steps, with noise of 0.03; an importance-weighted autoencoder with two dimensions; "
    "lengths of geodesics and of straight lines under the metric J^T J of the mean.",
    "The arm is not theirs: its links are 0.6, 0.6 and 0.1 m, with a spherical wrist, its circle "
    "is upright with the tool pointing ahead, and its angles are in radians. So only the ratio can "
    "be compared, which is here that of the means over 100 pairs up to half the circle apart. A "
    "VAE in place of the importance-weighted one, with networks of 64 and 32 units. No smoothing "
    "of the metric, which is nearly singular where the codes lie on a curve: there many geodesics "
    "do not converge, and their lengths are upper bounds. Ends are the codes of noiseless angles. "
    "The correlation of lengths with those in data space, and the distance of decoded points to "
    "the motion, are new. The second row adds the term of sigma, which the source does not have.",
    measure,
    [
        Criterion(
            "Geodesics are shorter than straight lines.",
            lambda found: found[MEAN]["geodesic / straight"],
            at_most=1.0,
            surely=True,
            published="0.365",
        ),
        Criterion(
            "They are shorter by as much as in the paper.",
            lambda found: found[MEAN]["geodesic / straight"],
            at_most=0.365,
            published="0.365",
        ),
        TELLS_MORE,
    ],
    settings={
        "n_steps": 6284,
        "noise": 0.03,
        "n_pairs": 100,
        "model": {"hidden": (64, 32)},
        "training": {"epochs": 100},
    },
    quick={
        "n_steps": 400,
        "n_pairs": 5,
        "model": {"hidden": (64, 32), "n_centers": 16},
        "training": {"epochs": 10},
    },
    published={MEAN: {"geodesic": 0.54, "straight": 1.48}},
)
