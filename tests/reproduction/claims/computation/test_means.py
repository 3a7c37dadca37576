"""GEORCE-FM and Adam find means that are known."""

import pytest
import torch

from pullback.manifolds.reference import great_circle_dist, stereographic
from pullback.metrics import PullbackMetric
from pullback.reproduction.claims.computation.means import adam_mean, georce_fm

SPHERE = PullbackMetric(stereographic, dim=2)
# As far from the pole to either side, on two great circles: it is their mean, by symmetry.
AROUND = torch.tensor([[-0.3, 0.0], [0.3, 0.0], [0.0, 0.5], [0.0, -0.5]]).double()


@pytest.mark.parametrize("find", [georce_fm, adam_mean])
def test_the_mean_of_points_around_the_pole_is_the_pole(find):
    mean = find(SPHERE, AROUND, n_segments=10, max_steps=20)
    torch.testing.assert_close(mean, torch.zeros(2).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("find", "n_segments", "max_steps", "atol"),
    [
        (georce_fm, 100, 100, 0.01),
        pytest.param(adam_mean, 10, 100, 0.05, marks=pytest.mark.slow),
    ],
)
def test_the_mean_of_two_points_is_halfway(find, n_segments, max_steps, atol):
    """z = tan(angle / 2), so it is not halfway in the plane; chains are off by O(1 / segments)."""
    Z = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double()
    mean = find(SPHERE, Z, n_segments=n_segments, max_steps=max_steps)
    halfway = torch.tensor([torch.pi / 8, 0.0]).double().tan()
    torch.testing.assert_close(mean, halfway, rtol=0, atol=atol)
    sums = [great_circle_dist(Z, c.expand_as(Z)).square().sum() for c in (mean, Z.mean(0))]
    assert sums[0] < sums[1]


def test_no_steps_leave_the_euclidean_mean():
    for find in (adam_mean, georce_fm):
        mean = find(SPHERE, AROUND + 0.1, n_segments=4, max_steps=0)
        assert mean.tolist() == pytest.approx([0.1, 0.1])
