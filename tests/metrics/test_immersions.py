"""Immersions and means of what decoders return."""

import torch
from torch.distributions import Bernoulli, Independent, Normal

from pullback.metrics import immersion, output_mean


def test_normal_is_mean_and_standard_deviation():
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    for p in (Normal(mean, std), Independent(Normal(mean, std), 1)):
        assert torch.equal(immersion(p), torch.cat([mean, std], -1))
        assert torch.equal(output_mean(p), mean)


def test_bernoulli_is_the_same_by_probabilities_and_by_logits():
    p = torch.rand(4, 3, dtype=torch.float64)
    truth = 2 * torch.asin(p.sqrt())
    torch.testing.assert_close(immersion(Bernoulli(probs=p)), truth)
    torch.testing.assert_close(immersion(Independent(Bernoulli(logits=p.logit()), 1)), truth)


def test_events_of_several_dimensions_become_one():
    p = Independent(Normal(torch.randn(5, 2, 3, 4), 1.0), 3)
    assert immersion(p).shape == (5, 48)
    assert torch.equal(output_mean(p), p.mean.reshape(5, 24))
    point = torch.randn(5, 2)
    assert immersion(point) is point
    assert output_mean(point) is point


def test_a_new_kind_of_output_can_be_registered():
    class Phases:
        def __init__(self, angle):
            self.angle = angle

    @immersion.register
    def _(output: Phases) -> torch.Tensor:
        return torch.cat([output.angle.cos(), output.angle.sin()], -1)

    assert immersion(Phases(torch.zeros(2))).tolist() == [1, 1, 0, 0]
