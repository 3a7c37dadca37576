"""The metric of a likelihood by name, its default for each family, and what is refused."""

import pytest
import torch
from torch import nn
from torch.distributions import (
    Beta,
    Categorical,
    FisherSnedecor,
    Gamma,
    Independent,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Normal,
    Poisson,
)

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import (
    EnsembleMetric,
    FieldMetric,
    FisherRaoMetric,
    KLMetric,
    PullbackMetric,
    Weights,
    metric_of,
)
from pullback.models import Decoder, EnsembleDecoder

Z = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)


def normal(z):
    return Independent(Normal(z, 1 + z.square()), 1)


def counts(z, *, learnt=False):
    theta = (1 + z.square()) if learnt else torch.full_like(z, 2.0)
    return Independent(NegativeBinomial(theta, logits=z), 1)


DEFAULTS = {
    "tensor": (lambda z: z, PullbackMetric),
    "normal": (normal, PullbackMetric),
    "log-normal": (lambda z: Independent(LogNormal(z, z.exp()), 1), PullbackMetric),
    "poisson": (lambda z: Independent(Poisson(z.exp()), 1), PullbackMetric),
    "categorical": (lambda z: Categorical(logits=torch.cat([z, 2 * z], -1)), PullbackMetric),
    "counts": (counts, PullbackMetric),
    "counts, learnt": (lambda z: counts(z, learnt=True), FisherRaoMetric),
    "gamma": (lambda z: Independent(Gamma(z.exp(), z.exp() + 1), 1), FisherRaoMetric),
    "a product": (
        lambda z: {"x": normal(z), "n": counts(z, learnt=True)},
        FisherRaoMetric,
    ),
    "beta": (lambda z: Independent(Beta(z.exp(), 2 * z.exp()), 1), FisherRaoMetric),
    "laplace": (lambda z: Independent(Laplace(z, z.exp()), 1), KLMetric),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFAULTS)
def test_each_family_has_its_default(name):
    decoder, kind = DEFAULTS[name]
    metric = metric_of(decoder, dim=2)
    assert type(metric) is kind
    M = Manifold(decoder, dim=2)
    torch.testing.assert_close(M.metric_matrix(Z), metric.metric_matrix(Z))
    result = M.geodesic(Z[0], Z[1])
    assert bool(result.converged)
    assert result.length <= result.straight_length * (1 + 1e-4)  # the search's own `rtol`


@pytest.mark.slow
def test_the_normal_has_three_metrics():
    expected, fisher, kl = (
        metric_of(normal, name, dim=2) for name in ("expected", "fisher_rao", "kl")
    )
    variance, slope = (1 + Z.square()).square(), 2 * Z
    torch.testing.assert_close(expected.metric_matrix(Z), torch.diag_embed(1 + slope.square()))
    information = torch.diag_embed((1 + 2 * slope.square()) / variance)
    torch.testing.assert_close(fisher.metric_matrix(Z), information)
    torch.testing.assert_close(kl.metric_matrix(Z), information, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_a_dispersion_that_changes_is_measured_too():
    fixed = metric_of(counts, dim=2)
    as_curved = FisherRaoMetric.from_decoder(counts, dim=2)
    torch.testing.assert_close(fixed.metric_matrix(Z), as_curved.metric_matrix(Z))
    learnt = metric_of(lambda z: counts(z, learnt=True), dim=2)
    assert bool(learnt.metric_matrix(Z).diagonal(dim1=-2, dim2=-1).sum() > 0)
    kl = metric_of(lambda z: counts(z, learnt=False), "fisher_rao", dim=2)
    assert type(kl) is PullbackMetric


@pytest.mark.slow
def test_the_data_space_may_have_a_metric_of_its_own():
    weighted = metric_of(normal, ambient=Weights([1.0, 4.0]), dim=2)
    plain = metric_of(normal, dim=2).metric_matrix(Z)
    expected = plain * torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(weighted.metric_matrix(Z), expected)
    M = Manifold(normal, dim=2, ambient=Weights([1.0, 4.0]))
    torch.testing.assert_close(M.metric_matrix(Z), expected)
    assert isinstance(
        Manifold(normal, dim=2, ambient=Weights([1.0, 4.0]), metric="fisher_rao").metric,
        FieldMetric,
    )


@pytest.mark.slow
def test_an_ensemble_takes_the_mean_over_its_members():
    torch.manual_seed(0)
    members = [nn.Sequential(nn.Linear(2, 4), nn.Tanh()) for _ in range(3)]
    M = Manifold(members, dim=2)
    assert isinstance(M.metric, EnsembleMetric)
    each = torch.stack([Manifold(part, dim=2).metric_matrix(Z) for part in members])
    torch.testing.assert_close(M.metric_matrix(Z), each.mean(0))
    weighted = Manifold(members, dim=2, ambient=Weights([1.0, 1.0, 0.0, 0.0]))
    assert bool((weighted.norm(Z, Z) < M.norm(Z, Z)).all())


@pytest.mark.parametrize(
    ("decoder", "name", "message"),
    [
        (counts, "expected", "'fisher_rao', 'kl' or None.*'expected' for NegativeBinomial"),
        (normal, "euclidean", "`metric` must be one of"),
        (lambda z: FisherSnedecor(z.exp(), z.exp()), None, "FisherSnedecor"),
        (lambda z: FisherSnedecor(z.exp(), z.exp()), "fisher_rao", "FisherSnedecor"),
        (lambda z: z, "kl", "distribution"),
    ],
)
def test_what_is_not_defined_is_refused(decoder, name, message):
    with pytest.raises(InvalidParameterError, match=message):
        metric_of(decoder, name, dim=2)


def test_a_metric_given_itself_leaves_no_choice():
    metric = PullbackMetric(lambda z: z, dim=2)
    for options in ({"metric": "expected"}, {"ambient": Weights([1.0, 1.0])}):
        with pytest.raises(InvalidParameterError, match="None where a metric is given itself"):
            Manifold(metric, **options)


def test_a_broken_decoder_is_refused():
    with pytest.raises(InvalidDataError, match="cannot be evaluated"):
        metric_of(lambda z: z @ torch.ones(3, 4).double(), dim=2)


@pytest.mark.slow
def test_members_in_different_units_are_refused():
    members = [Decoder(nn.Linear(2, 4), name) for name in ("normal", "bernoulli")]
    with pytest.raises(InvalidParameterError, match="expected and fisher_rao.*different units"):
        Manifold(members)
    assert Manifold(members, metric="fisher_rao").dist(Z[0], Z[1]) > 0


def test_a_metric_is_no_name():
    with pytest.raises(InvalidParameterError, match=r"in place of the decoder"):
        metric_of(normal, PullbackMetric(lambda z: z), dim=2)


@pytest.mark.slow
def test_ensembles_decode_what_their_members_return():
    for likelihood, size in (
        (lambda x: Categorical(logits=x), 6),
        (lambda x: (x[..., :2], x[..., 2:]), 6),
        (lambda x: {"a": x, "b": Normal(x, 1.0)}, 12),
    ):
        members = [Decoder(nn.Linear(2, 6), likelihood) for _ in range(3)]
        decoded = Manifold(members).decode(Z)
        each = torch.stack([Manifold(part).decode(Z) for part in members])
        assert decoded.shape == (2, size)
        torch.testing.assert_close(decoded, each.mean(0))
    mixed = EnsembleDecoder([lambda z: z, lambda z: Normal(z, 1.0)], latent_dim=2)
    with pytest.raises(InvalidDataError, match="same kind of output.*Normal, Tensor"):
        mixed(Z)
