"""Immersions and means of what decoders return."""

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Exponential,
    Gamma,
    Independent,
    LogNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
)

from pullback.autodiff import second_order
from pullback.errors import InvalidParameterError
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


def test_categorical_is_twice_the_root_of_its_probabilities():
    logits = torch.randn(4, 5, 3, dtype=torch.float64)
    truth = 2 * logits.softmax(-1).sqrt()
    for family in (Categorical, OneHotCategorical):
        torch.testing.assert_close(immersion(family(logits=logits)), truth)
        joined = immersion(Independent(family(logits=logits), 1))
        torch.testing.assert_close(joined, truth.flatten(-2))
    assert immersion(Categorical(probs=torch.tensor([[0.25, 0.75]]))).square().sum().item() == 4


def test_categorical_lengths_are_great_circles_on_a_sphere_of_radius_2():
    p, q = immersion(Categorical(logits=torch.randn(2, 7, dtype=torch.float64)))
    angle = torch.arccos((p.square() / 4 * (q.square() / 4)).sqrt().sum())
    torch.testing.assert_close((p - q).norm(), 4 * torch.sin(angle / 2))


def test_counts_and_times_have_their_variance_stabilising_maps():
    rate = torch.tensor([[0.3, 7.0]], dtype=torch.float64)
    torch.testing.assert_close(immersion(Poisson(rate)), 2 * rate.sqrt())
    torch.testing.assert_close(immersion(Exponential(rate)), rate.log())
    theta = torch.tensor([0.5, 4.0], dtype=torch.float64)
    counts = NegativeBinomial(theta, logits=(rate / theta).log())
    truth = 2 * theta.sqrt() * torch.asinh((rate / theta).sqrt())
    torch.testing.assert_close(immersion(counts), truth)
    by_odds = NegativeBinomial(theta, probs=rate / (rate + theta))
    torch.testing.assert_close(immersion(by_odds), truth)


def test_many_counts_of_large_dispersion_are_poisson():
    rate = torch.tensor([3.0], dtype=torch.float64)
    counts = NegativeBinomial(1e9, logits=(rate / 1e9).log())
    torch.testing.assert_close(immersion(counts), immersion(Poisson(rate)))


def test_log_normal_is_the_normal_of_its_logarithm():
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    assert torch.equal(immersion(LogNormal(mean, std)), immersion(Normal(mean, std)))


def test_products_are_images_one_after_the_other():
    parts = Normal(torch.zeros(5, 2), 1.0), Poisson(torch.ones(5, 3))
    truth = torch.cat([immersion(part) for part in parts], -1)
    for product in (parts, list(parts), dict(zip("ab", parts, strict=True))):
        assert torch.equal(immersion(product), truth)
    nested = {"x": parts, "y": torch.ones(5, 1)}
    assert immersion(nested).shape == (5, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("family", "value", "edge"),
    [
        (lambda t: Bernoulli(logits=t), [-torch.inf, torch.inf], [0, torch.pi]),
        (lambda t: Categorical(logits=torch.stack([t, 0 * t], -1)), [-1e4], [0, 2]),
        (lambda t: Poisson(t.exp()), [-1e4], [0]),
        (lambda t: NegativeBinomial(4.0, logits=t), [-1e4], [0]),
    ],
)
def test_edges_have_values_and_two_derivatives(family, value, edge, dtype):
    t = torch.tensor(value, dtype=dtype).unsqueeze(-1)

    def image(t):
        return immersion(family(t)).flatten(1)

    torch.testing.assert_close(
        image(t).flatten(), torch.tensor(edge, dtype=dtype), rtol=1e-6, atol=1e-9
    )
    t = t.clamp(-1e4, 1e4)
    assert all(part.isfinite().all() for part in second_order(image, t, torch.ones_like(image(t))))


def test_large_odds_do_not_overflow():
    counts = NegativeBinomial(1.0, logits=torch.tensor([3000.0]))
    truth = 2 * (torch.tensor(1500.0) + torch.tensor(2.0).log())
    torch.testing.assert_close(immersion(counts), truth.reshape(1))


def test_an_unknown_family_says_what_to_do():
    with pytest.raises(
        InvalidParameterError, match=r"Bernoulli, .*Gamma.*FisherRaoMetric.*register"
    ):
        immersion(Gamma(torch.ones(1), 1.0))
