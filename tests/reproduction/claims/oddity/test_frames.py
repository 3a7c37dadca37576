"""The step is the paper's, and what is said of walks is true where it is known."""

import pytest
import torch
from torch.distributions import Normal

from pullback.manifolds import Manifold
from pullback.metrics.composite import ScaledMetric
from pullback.reproduction import CLAIMS
from pullback.reproduction.claims.oddity.frames import (
    in_the_long_run,
    paper_step,
    share_sure,
    steps_near,
)
from pullback.reproduction.claims.oddity.walks import drift
from pullback.reproduction.lab import Lab
from pullback.sampling import VolumeSampler, excursions

CODES = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).double()


def bent(z):
    """Map the plane to a surface that is steep to the right: sqrt det M varies by z."""
    return torch.stack([3 * z[..., 0], z[..., 1], z[..., 0].exp()], -1)


@pytest.mark.slow
def test_the_step_is_that_of_the_rescaled_metric():
    """The walk is the one in beta^(2/d) M, whose largest volume at a code is 1."""
    space = Manifold(bent, dim=2)
    largest = torch.linalg.det(space.metric_matrix(CODES)).max()
    rescaled = Manifold(ScaledMetric(space.metric, float(largest) ** -0.5), dim=2)
    assert torch.linalg.det(rescaled.metric_matrix(CODES)).max().item() == pytest.approx(1)
    ours, theirs = (
        drift(one, CODES[:4], CODES, step_size=step, n_steps=50, seed=3)[0].points
        for one, step in ((space, paper_step(space, CODES, 0.1)), (rescaled, 0.1))
    )
    torch.testing.assert_close(ours, theirs)
    assert (ours[:, -1] - ours[:, 0]).norm(dim=-1).min() > 0.01  # they went somewhere


def test_a_walk_stays_until_it_is_first_half_a_spread_away():
    codes = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    spread = float(codes.std(0).mean())
    away = torch.tensor([[0.0, 0.49, 0.51, 0.0], [0.0, 0.1, 0.2, 0.49], [0.0, 2.0, 0.0, 0.0]])
    walks = torch.stack([1 + away * spread, torch.zeros(3, 4)], -1).double()
    assert steps_near(walks, codes).tolist() == [1, 3, 0]


@pytest.mark.slow
def test_in_the_long_run_a_walk_is_where_the_volume_is():
    """Compared with draws that are uniform by volume, made by other means."""
    low, high = CODES.amin(0), CODES.amax(0)
    box = torch.stack([low - 0.5 * (high - low), high + 0.5 * (high - low)])
    space = Manifold(bent, dim=2)
    draws = VolumeSampler(space, box).sample(4000, random_state=0).points
    away = excursions(draws.unsqueeze(1), CODES)
    error = float(away.std()) / len(draws) ** 0.5
    found = in_the_long_run(space, CODES, 100)
    assert abs(found - float(away.mean())) < 4 * error
    flat = in_the_long_run(Manifold(lambda z: z, dim=2), CODES, 100)
    assert abs(found - flat) > 8 * error  # it can tell


class Wall(torch.nn.Module):
    """A decoder whose sigma grows to the right."""

    def forward(self, z):
        return Normal(torch.zeros(len(z), 3), z[:, :1].exp().expand(-1, 3))


def test_the_model_is_sure_where_sigma_is_as_at_the_codes():
    edge = float(CODES[:, 0].quantile(0.99))
    right = torch.linspace(edge - 1, edge + 3, 2001).double()  # the second half is beyond the edge
    points = torch.stack([right, torch.zeros(2001)], -1).unsqueeze(0)
    assert share_sure(Wall(), points, CODES) == 0
    assert share_sure(Wall(), points.flip(1), CODES) == pytest.approx(0.5, abs=0.01)
    assert share_sure(Wall(), points - 4, CODES) == 1


@pytest.mark.slow
def test_each_row_walks_as_it_says(tmp_path):
    claim = CLAIMS["random-walks-frames"]
    settings = claim.settings_of(quick=True)
    found = claim.measure(Lab(tmp_path), 1, **settings)
    assert list(found) == [
        "Riemannian",
        "Euclidean",
        "Euclidean, as far at a code",
        "Riemannian, s = 0.1",
        "Euclidean, s = 0.1",
        "Riemannian, zeta = 4",
        "Riemannian, K = 8",
        "uniform by volume",
    ]
    moved = {name: row.get("step at a code") for name, row in found.items()}
    assert moved["Euclidean"] == pytest.approx(0.05)
    assert moved["Euclidean, s = 0.1"] == pytest.approx(0.1)
    assert moved["Euclidean, as far at a code"] == pytest.approx(moved["Riemannian"])
    assert moved["Riemannian, s = 0.1"] == pytest.approx(2 * moved["Riemannian"])
    assert moved["Riemannian"] > 0.05  # the median code has less volume than the one of most
    assert len({moved["Riemannian, zeta = 4"], moved["Riemannian, K = 8"]}) == 2
