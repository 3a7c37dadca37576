"""Every family obeys the laws of likelihoods, its edges included, and a wrong one is found."""

import math

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Dirichlet,
    Exponential,
    Gamma,
    Independent,
    Laplace,
    LogNormal,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
    VonMises,
)

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import (
    BlockInformation,
    PullbackMetric,
    StatisticalModel,
    immersion,
    statistical_model,
)
from pullback.models import ZeroInflatedNegativeBinomial
from pullback.testing import check_likelihood
from pullback.testing.likelihoods import _check_information


def multivariate_normal(t):
    """Mean t_0, t_1, and a scale with logarithms t_2, t_3 on the diagonal and t_4 below it."""
    below = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).to(t)
    scale_tril = torch.diag_embed(t[..., 2:4].exp()) + t[..., 4, None, None] * below
    return MultivariateNormal(t[..., :2], scale_tril=scale_tril)


# name: (family, number of parameters, values that parameters take at the edges, whether the
# immersion is an isometry of the Fisher-Rao metric)
FAMILIES = {
    "Normal": (lambda t: Normal(t[:, :1], t[:, 1:].exp()), 2, (-15, 0, 15), False),
    "LogNormal": (lambda t: LogNormal(t[:, :1], t[:, 1:].exp()), 2, (-15, 0, 15), False),
    "Normal with fixed scale": (lambda t: Normal(t, 1.0), 2, (-1e6, 0, 1e6), True),
    "Bernoulli": (lambda t: Bernoulli(logits=t), 2, (-80, 0, 80), True),
    "Categorical": (lambda t: Categorical(logits=t), 3, (-80, 0, 80), True),
    "OneHotCategorical": (lambda t: OneHotCategorical(logits=t), 3, (-80, 0, 80), True),
    "Poisson": (lambda t: Poisson(t.exp()), 1, (-200, -80, 0, 30), True),
    "Exponential": (lambda t: Exponential(t.exp()), 1, (-80, 0, 80), True),
    "NegativeBinomial, fixed dispersion": (
        lambda t: NegativeBinomial(2.5, logits=t),
        1,
        (-150, -80, 0, 30),
        True,
    ),
    "NegativeBinomial": (
        lambda t: NegativeBinomial(t[:, :1].exp(), logits=t[:, 1:]),
        2,
        (-12, 0, 12),
        False,
    ),
    "ZeroInflatedNegativeBinomial": (
        lambda t: ZeroInflatedNegativeBinomial(t[:, :1].exp(), t[:, 1:2].exp(), t[:, 2:]),
        3,
        (-12, 0, 12),
        False,
    ),
    "Gamma": (lambda t: Gamma(t[:, :1].exp(), t[:, 1:].exp()), 2, (-15, 0, 15), False),
    "Beta": (lambda t: Beta(t[:, :1].exp(), t[:, 1:].exp()), 2, (-15, 0, 8), False),
    "Dirichlet": (lambda t: Dirichlet(t.exp()), 3, (-15, 0, 8), False),
    "VonMises": (lambda t: VonMises(t[:, :1], t[:, 1:].exp()), 2, (-15, 0, 3, 15), False),
    "MultivariateNormal": (multivariate_normal, 5, (-3, 0, 3), False),
    "ContinuousBernoulli": (lambda t: ContinuousBernoulli(logits=t), 1, (-80, 0, 80), False),
    "Independent": (
        lambda t: Independent(Poisson(t.exp().unsqueeze(-1).expand(-1, -1, 2)), 2),
        2,
        (-80, 0, 10),
        True,
    ),
    "Independent Dirichlet": (
        lambda t: Independent(Dirichlet(t.exp().unflatten(-1, (2, 2))), 1),
        4,
        (-15, 0, 5),
        False,
    ),
    "tuple": (
        lambda t: (Bernoulli(logits=t[:, :1]), Gamma(t[:, 1:2].exp(), t[:, 2:].exp())),
        3,
        (-15, 0, 15),
        False,
    ),
    "dict": (
        lambda t: {"x": OneHotCategorical(logits=t[:, :2]), "y": [Poisson(t[:, 2:].exp())]},
        3,
        (-80, 0, 10),
        True,
    ),
}


def edges_of(k, values):
    """Every parameter at each of its extreme values, and all of them at once."""
    values = torch.tensor(values, dtype=torch.float64)
    if k <= 3:
        return torch.cartesian_prod(*[values] * k).reshape(-1, k)
    alone = torch.cat([torch.diag(value.expand(k)) for value in values])
    return torch.cat([alone, values[:, None].expand(-1, k)])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_obeys_the_laws(name):
    make, k, values, isometric = FAMILIES[name]
    generator = torch.Generator().manual_seed(1)
    inner = 0.7 * torch.randn(4, k, generator=generator, dtype=torch.float64)
    check_likelihood(make, inner, edges=edges_of(k, values), isometric=isometric)


@pytest.mark.gpu
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_obeys_the_laws_on_a_gpu(name):
    make, k, values, isometric = FAMILIES[name]
    inner = torch.zeros(2, k, device="cuda", dtype=torch.float64) + 0.3
    edges = edges_of(k, values).cuda()
    check_likelihood(make, inner, edges=edges, isometric=isometric)


class Counts(Poisson):
    """A family of one's own, whose immersion is wrong."""


@immersion.register
def _without_the_two(distribution: Counts) -> torch.Tensor:
    return distribution.rate.sqrt()


class Halved(Laplace):
    """A family of one's own, whose information is wrong."""


@statistical_model.register
def _halved(distribution: Halved) -> StatisticalModel:
    field = BlockInformation(lambda x, v: v * torch.exp(-2 * x) / 2, 1)
    return StatisticalModel(distribution.scale.log(), field)


class Gain(Normal):
    """A family of one's own, whose information may be off by one part in a thousand."""


@statistical_model.register
def _gain(distribution: Gain) -> StatisticalModel:
    def information(x, v):
        return v * (2 + bend["error"] * x)

    return StatisticalModel(distribution.scale.log(), BlockInformation(information, 1))


bend = {"error": 0.0}


def test_a_wrong_immersion_is_found_by_draws_and_by_name():
    with pytest.raises(
        AssertionError, match="'Monte-Carlo information' is broken by the immersion"
    ):
        check_likelihood(lambda t: Counts(t.exp()), torch.zeros(1, 1))


def test_a_wrong_information_is_found_by_name():
    with pytest.raises(AssertionError, match="'Monte-Carlo.*' is broken by the Fisher information"):
        check_likelihood(lambda t: Halved(0.0, t.exp()), torch.ones(1, 1))


@pytest.mark.slow
def test_a_small_error_is_found_by_the_divergence():
    bend["error"] = 1e-3
    try:
        with pytest.raises(AssertionError, match="'divergence'.*\n.*metric: .*\n.*twice_kl: "):
            check_likelihood(lambda t: Gain(0.0, t.exp()), torch.ones(1, 1), isometric=False)
    finally:
        bend["error"] = 0.0
    check_likelihood(lambda t: Gain(0.0, t.exp()), torch.ones(1, 1), isometric=False)


@pytest.mark.slow
def test_what_breaks_at_the_edges_is_found_by_name():
    class Bare(Poisson):
        pass

    @immersion.register
    def _(distribution: Bare) -> torch.Tensor:
        return 2 * distribution.rate.sqrt()  # without a derivative at 0

    with pytest.raises(
        AssertionError, match="'(positive|batch)' is broken by the immersion at .*-800"
    ):
        check_likelihood(
            lambda t: Bare(t.exp()), torch.zeros(1, 1), edges=torch.tensor([[1.0], [-800.0]])
        )


@pytest.mark.slow
def test_a_metric_with_negative_directions_is_found():
    class Saddle(Poisson):
        pass

    @statistical_model.register
    def _(distribution: Saddle) -> StatisticalModel:
        field = BlockInformation(lambda x, v: v * torch.cos(x), 1)
        return StatisticalModel(distribution.rate.log(), field)

    with pytest.raises(AssertionError, match="'positive' is broken by the Fisher information"):
        check_likelihood(
            lambda t: Saddle(t.exp()),
            torch.zeros(1, 1),
            edges=torch.tensor([[3.0], [3.1]]),
            isometric=False,
        )


def test_rows_that_look_at_each_other_are_refused():
    with pytest.raises(InvalidDataError, match="each point on its own"):
        check_likelihood(lambda t: Poisson((t - t.mean(0)).exp()), torch.zeros(2, 1))


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_stated():
    """200 right answers at a rate of 5 %: more than 22 alarms come by chance once in 5000 times."""
    z = torch.full((1, 1), 0.5, dtype=torch.float64)

    def make(t):
        return Bernoulli(logits=t)

    metric = PullbackMetric.from_decoder(make, dim=1)
    alarms = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        try:
            _check_information("immersion", metric, make, z, 5000, 0.05, generator)
        except AssertionError:
            alarms += 1
    assert 0 < alarms <= 22


def test_a_family_that_nobody_knows_is_refused():
    with pytest.raises(InvalidParameterError, match="an output of type Laplace"):
        check_likelihood(lambda t: Laplace(t, 1.0), torch.zeros(1, 1))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_draws": 1}, "n_draws"),
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"edges": torch.zeros(2, 3)}, "edges"),
    ],
)
def test_hostile_options_are_refused(option, message):
    with pytest.raises((InvalidParameterError, InvalidDataError), match=message):
        check_likelihood(lambda t: Poisson(t.exp()), torch.zeros(1, 1), **option)


def test_points_of_nan_are_refused():
    with pytest.raises(InvalidDataError, match="parameters"):
        check_likelihood(lambda t: Poisson(t.exp()), torch.tensor([[math.nan]]))
