"""Of a likelihood and what is registered, that of the most specific class answers."""

import pytest
import torch
from torch.distributions import Distribution, Gamma, Laplace, Normal, Poisson

from pullback.metrics import FisherRaoMetric, immersion, metric_of, statistical_model
from pullback.metrics.families import ByFamily
from pullback.metrics.information.fisher_information import StatisticalModel

RATES = torch.tensor([1.0, 4.0], dtype=torch.float64)


class MyPoisson(Poisson):
    """A class of the user's below one that a likelihood describes."""


@pytest.fixture
def registered():
    """Register for the length of a test, by kind: function. There is no way to take it back."""
    kept = {}

    def register(generic, kind, function):
        held = generic._registered
        if generic not in kept:
            kept[generic] = held
            fresh = ByFamily(held.dispatch(object), generic._of_likelihood)
            for known, answer in held.registry.items():
                fresh.register(known)(answer)
            generic._registered = fresh._registered
        generic.register(kind)(function)

    yield register
    for generic, held in kept.items():
        generic._registered = held


def test_one_for_all_distributions_leaves_likelihoods_theirs(registered):
    registered(immersion, Distribution, lambda p: p.mean)
    torch.testing.assert_close(immersion(Poisson(RATES)), 2 * RATES.sqrt())
    torch.testing.assert_close(immersion(Normal(RATES, 2.0)), torch.tensor([1.0, 4, 2, 2]).double())
    assert torch.equal(immersion(Laplace(RATES, 1.0)), RATES)  # which had none
    decoder = metric_of(lambda z: Poisson(z.exp(), validate_args=False), dim=1)
    torch.testing.assert_close(
        decoder.metric_matrix(RATES[:1]), RATES[:1].exp().unsqueeze(0)
    )  # the Fisher information of log rate


def test_one_for_the_very_class_or_one_below_takes_the_place(registered):
    registered(immersion, MyPoisson, lambda p: 7 * p.rate)
    assert torch.equal(immersion(MyPoisson(RATES)), 7 * RATES)
    torch.testing.assert_close(immersion(Poisson(RATES)), 2 * RATES.sqrt())
    registered(immersion, Poisson, lambda p: 3 * p.rate)
    assert torch.equal(immersion(Poisson(RATES)), 3 * RATES)
    assert torch.equal(immersion(MyPoisson(RATES)), 7 * RATES)


def test_information_is_chosen_alike(registered):
    flat = statistical_model(Poisson(RATES)).field

    def wrong(p):
        return StatisticalModel(100 * p.mean, flat)

    expected = FisherRaoMetric.from_decoder(lambda z: Normal(z, z.exp()), dim=1)
    registered(statistical_model, Distribution, wrong)
    again = FisherRaoMetric.from_decoder(lambda z: Normal(z, z.exp()), dim=1)
    assert torch.equal(again.metric_matrix(RATES[:1]), expected.metric_matrix(RATES[:1]))
    assert torch.equal(statistical_model(Poisson(RATES)).parameters, 2 * RATES.sqrt())
    assert statistical_model(Gamma(RATES, 1.0)).parameters.shape == (4,)  # registered for Gamma
    assert torch.equal(statistical_model(Laplace(RATES, 1.0)).parameters, 100 * RATES)
