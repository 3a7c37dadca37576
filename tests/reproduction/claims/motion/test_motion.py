"""The arm reaches its tips, images turn with the pendulum, and ways are measured truly."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from pullback.models import VAE, ConstantStd, Decoder, NormalLikelihood
from pullback.reproduction.claims.motion.arm import forward, inverse, joint_angles
from pullback.reproduction.claims.motion.pendulum import pendulum_images
from pullback.reproduction.claims.motion.ways import MEAN, compare_ways, draw_gaps

PHASES = np.linspace(0, 2 * math.pi, 1000)


# --- the arm


def test_the_tip_draws_the_circle_with_the_tool_ahead():
    angles = joint_angles(PHASES)
    tip, tool = forward(angles)
    offset = tip - np.array([0.7, 0.0, 0.3])
    np.testing.assert_allclose(offset[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(offset[:, 1], 0.4 * np.cos(PHASES), atol=1e-12)
    np.testing.assert_allclose(offset[:, 2], 0.4 * np.sin(PHASES), atol=1e-12)
    np.testing.assert_allclose(tool, np.broadcast_to(np.eye(3), tool.shape), atol=1e-12)


def test_its_joints_all_move_smoothly_and_come_back():
    angles = joint_angles(PHASES)
    assert (np.ptp(angles, axis=0) > 0.1).all()
    assert np.abs(np.diff(angles, axis=0)).max() < 0.02  # no jump from one solution to another
    np.testing.assert_allclose(angles[0], angles[-1], atol=1e-12)


def test_the_inverse_reaches_any_posture_within_reach():
    rng = np.random.default_rng(0)
    tip = np.array([0.6, 0.0, 0.4]) + rng.uniform(-0.3, 0.3, (50, 3))
    tool = Rotation.random(50, random_state=0).as_matrix()
    reached, turned = forward(inverse(tip, tool))
    np.testing.assert_allclose(reached, tip, atol=1e-9)
    np.testing.assert_allclose(turned, tool, atol=1e-9)


def test_forward_turns_about_the_axes_that_it_names():
    angles = np.random.default_rng(1).uniform(-3, 3, (20, 6))
    truth = Rotation.from_euler("ZY", angles[:, :2]) * Rotation.from_euler("Y", angles[:, 2:3])
    truth = truth * Rotation.from_euler("XYX", angles[:, 3:])
    np.testing.assert_allclose(forward(angles)[1], truth.as_matrix(), atol=1e-12)


# --- the pendulum


def test_a_quarter_turn_turns_the_image():
    angles = np.linspace(0, 2 * math.pi, 9)
    images = pendulum_images(angles).reshape(-1, 16, 16)
    turned = pendulum_images(angles + math.pi / 2).reshape(-1, 16, 16)
    np.testing.assert_allclose(turned, np.rot90(images, axes=(1, 2)), atol=1e-12)
    assert images.min() >= 0
    assert images.max() <= 1


def test_an_image_changes_at_nearly_the_same_speed_at_all_angles():
    steps = np.linalg.norm(np.diff(pendulum_images(PHASES), axis=0), axis=1)
    assert steps.std() < 0.02 * steps.mean()


# --- the ways


class _FirstTwo(nn.Module):
    """An encoder whose codes are the first two features."""

    def forward(self, x):
        return torch.distributions.Independent(
            torch.distributions.Normal(x[..., :2], torch.ones_like(x[..., :2])), 1
        )


def test_ways_in_a_flat_space_are_chords_and_arcs():
    linear = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(3 * torch.eye(3, 2))
    likelihood = NormalLikelihood(ConstantStd(3, 0.1))
    vae = VAE.from_modules(_FirstTwo(), Decoder(linear, likelihood)).eval()

    def motion(phases):
        return np.stack([np.cos(phases), np.sin(phases), 0 * phases], -1)

    found = compare_ways(vae, motion, n_pairs=6, seed=0)
    gap = np.diff(draw_gaps(6, np.random.default_rng(0)), axis=1)
    for row in found.values():
        assert row["straight"] == pytest.approx(float(3 * 2 * np.sin(gap / 2).mean()), rel=1e-5)
        assert row["geodesic"] == pytest.approx(row["straight"], rel=1e-5)
        assert row["along"] == pytest.approx(float(3 * gap.mean()), rel=1e-3)
        assert row["converged"] == 1
    assert found[MEAN]["correlation, geodesic"] == pytest.approx(
        float(np.corrcoef(gap.ravel(), np.sin(gap.ravel() / 2))[0, 1]), rel=1e-4
    )
