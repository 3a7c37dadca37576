"""What a support contains, and draws that stay on it."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from pullback.errors import ConvergenceError, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric
from pullback.models import Decoder
from pullback.sampling import Support, SupportSampler


def normal_codes(n=400, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def flat(d=2):
    return Manifold(PullbackMetric(lambda z: z, dim=d))


def walled():
    """A decoder that is sure of itself near the origin."""
    network = nn.Linear(2, 3).double()

    class Normal(nn.Module):
        latent_dim = 2

        def forward(self, z):
            spread = 0.1 + z.square().sum(-1, keepdim=True)
            return torch.distributions.Normal(network(z), spread.expand(*z.shape[:-1], 3))

    return Manifold(Decoder(Normal()))


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["log_volume", "neighbors", "std"])
def test_the_level_is_the_share_of_the_codes(criterion):
    codes = normal_codes()
    support = Support(walled(), codes, criterion=criterion, level=0.9)
    assert float((support.scores <= support.threshold).double().mean()) == pytest.approx(
        0.9, abs=0.01
    )
    if criterion != "neighbors":  # whose codes are scored without themselves, as new ones are not
        assert support.share(codes) == pytest.approx(0.9, abs=0.01)
    # New codes of the same law: 400 of them, five standard errors on both sides.
    assert support.share(normal_codes(seed=1)) == pytest.approx(0.9, abs=5 * 0.3 / 20 * 1.5)
    assert support.contains([[0.1, 0.1], [50.0, 0.0]]).tolist() == [True, False]
    assert support.contains([0.1, 0.1]).shape == ()
    assert repr(support).startswith(f"Support(400 codes, '{criterion}', level=0.9, threshold=")


@pytest.mark.slow
def test_the_scores_are_what_they_say():
    codes = normal_codes(50)
    gaps = torch.cdist(codes, codes).sort(1).values
    support = Support(flat(), codes, n_neighbors=3, level=1.0)
    assert torch.allclose(support.scores, gaps[:, 3])
    assert torch.allclose(support.gaps(), gaps[:, 1])
    z = normal_codes(7, seed=2)
    assert torch.allclose(support.score(z), torch.cdist(z, codes).sort(1).values[:, 2])
    assert support.share(codes) == 1
    plane = Manifold(HalfPlane())
    high = codes + torch.tensor([0.0, 10.0])
    measured = Support(plane, high, criterion="log_volume")
    assert torch.allclose(measured.scores, -2 * high[:, 1].log())
    assert torch.allclose(
        Support(walled(), codes, criterion="std").scores,
        (0.1 + codes.square().sum(-1)).log(),
    )


def test_a_straight_line_through_a_wall_is_long():
    # Two clusters with a wall between: its middle is near both in coordinates, and in neither.
    def wall(z):
        return torch.cat([z, 30 * torch.exp(-20 * z[..., :1].square())], -1)

    side = torch.where(torch.arange(300) % 2 == 0, 1.0, -1.0).unsqueeze(-1)
    codes = 0.25 * normal_codes(300) + side * torch.tensor([1.0, 0.0])
    support = Support(Manifold(wall, dim=2), codes)
    assert support.contains([[1.0, 0.0], [-1.0, 0.0], [0.1, 0.0]]).tolist() == [True, True, False]


def test_outside_the_domain_is_outside():
    codes = normal_codes() + torch.tensor([0.0, 10.0])
    for criterion in ("neighbors", "log_volume"):
        support = Support(Manifold(HalfPlane()), codes, criterion=criterion)
        assert support.contains([[0.0, -1.0], [0.0, 10.0]]).tolist() == [False, True]


@pytest.mark.slow
def test_draws_stay_on_the_support_and_say_their_density():
    codes = normal_codes()
    support = Support(flat(), codes, level=0.9)
    sampler = SupportSampler(support, spread=0.3)
    samples = sampler.sample(4000, random_state=0)
    assert samples.points.shape == (4000, 2)
    assert support.share(samples.points) == 1
    assert torch.equal(samples.points, sampler.sample(4000, random_state=0).points)
    share = float(samples.acceptance)
    assert 0.5 < share < 1
    # The density at the draws is that of the mixture over the share.
    part = stats.multivariate_normal
    truth = sum(part.pdf(samples.points[:5].numpy(), c, 0.09) for c in codes.numpy()) / 400 / share
    assert torch.allclose(samples.log_density[:5].exp(), torch.tensor(truth))
    # E 1 / p is the area of the support: compared with a count in a box, 4.5 standard errors.
    box = 12 * torch.rand(20000, 2, generator=torch.Generator().manual_seed(1)).double() - 6
    inside = support.share(box)
    area, error = 144 * inside, 144 * math.sqrt(inside * (1 - inside) / 20000)
    weight = (-samples.log_density).exp()
    error = math.hypot(error, float(weight.std()) / math.sqrt(4000))
    assert abs(float(weight.mean()) - area) < 4.5 * error


def test_the_blur_is_in_the_unit_of_the_metric():
    stretched = Manifold(PullbackMetric(lambda z: z * torch.tensor([10.0, 1.0]).to(z), dim=2))
    codes = normal_codes(2) * 0 + torch.tensor([[0.0, 0.0], [1e-9, 0.0]])
    everywhere = Support(stretched, codes, criterion="log_volume", level=1.0)
    z = SupportSampler(everywhere, spread=2.0).sample(2000, random_state=0).points
    assert stats.kstest(z[:, 0], stats.norm(scale=0.2).cdf).pvalue > 1e-5  # one false alarm in 1e5
    assert stats.kstest(z[:, 1], stats.norm(scale=2).cdf).pvalue > 1e-5


@pytest.mark.slow
def test_hostile_supports():
    with pytest.raises(InvalidParameterError, match="`criterion` must be one of"):
        Support(flat(), normal_codes(), criterion="volume")
    with pytest.raises(InvalidParameterError, match="`criterion` must be 'neighbors' or"):
        Support(flat(), normal_codes(), criterion="std")
    with pytest.raises(InvalidDataError, match="at least 6 samples, but got 3"):
        Support(flat(), normal_codes(3))
    with pytest.raises(InvalidDataError, match="`codes` must be finite"):
        Support(flat(), normal_codes() * math.nan)
    with pytest.raises(InvalidParameterError, match="`level`"):
        Support(flat(), normal_codes(), level=0.0)
    with pytest.raises(InvalidDataError, match="`points` must have shape"):
        Support(flat(), normal_codes()).contains(torch.zeros(3))
    with pytest.raises(InvalidParameterError, match="`support` must be a Support"):
        SupportSampler(flat())
    same = Support(flat(), torch.zeros(20, 2).double())
    with pytest.raises(InvalidDataError, match="Most codes coincide"):
        SupportSampler(same)
    with pytest.raises(ConvergenceError, match="Only 0 of .* make `spread` = 1 smaller"):
        SupportSampler(same, spread=1.0).sample(10, random_state=0)
    collapsed = Manifold(PullbackMetric(lambda z: z * torch.tensor([1.0, 0.0]).to(z), dim=2))
    with pytest.raises(InvalidDataError, match="singular at every code"):
        SupportSampler(Support(collapsed, normal_codes()))
