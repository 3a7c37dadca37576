"""Pull-back metrics against finite differences, reverse mode, Monte Carlo and exact information."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Gumbel, Independent, Normal

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics import PullbackMetric, immersion
from pullback.models import (
    BernoulliLikelihood,
    ConstantStd,
    ConvolutionalDecoder,
    Decoder,
    NetworkStd,
    NormalLikelihood,
    RBFPrecision,
    mlp,
)

SHAPE = (1, 6, 7)
D = math.prod(SHAPE)


def rbf(d):
    generator = torch.Generator().manual_seed(1)
    centers = torch.randn(5, d, generator=generator)
    weights = torch.rand(D, 5, generator=generator) * 20 + 1
    return RBFPrecision(centers, torch.full((5,), 0.5 / d), weights, 0.01)


LIKELIHOODS = {
    "constant": lambda d: NormalLikelihood(ConstantStd(D, 0.2)),
    "network": lambda d: NormalLikelihood(NetworkStd(mlp([d, 6, D], activation="softplus"))),
    "rbf": lambda d: NormalLikelihood(rbf(d)),
    "bernoulli": lambda d: BernoulliLikelihood(),
}
NETWORKS = {
    "mlp": lambda d: mlp([d, 12, D]),
    "convolutional": lambda d: ConvolutionalDecoder(d, SHAPE, channels=(4, 3), activation="gelu"),
}


def build(network, likelihood, d):
    torch.manual_seed(3)
    mean = NETWORKS[network](d)
    decoder = Decoder(mean, LIKELIHOODS[likelihood](d), latent_dim=d).double().eval()
    return decoder.requires_grad_(False)


def image(decoder, z):
    """The immersion, written out again."""
    p = decoder(z)
    if isinstance(p.base_dist, Normal):
        return torch.cat([p.mean, p.stddev], -1)
    return 2 * torch.asin(p.mean.sqrt())  # another form of the variance-stabilising map


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_rough_matrix_is_that_of_derivatives_in_single_precision(likelihood):
    metric = PullbackMetric.from_decoder(build("mlp", likelihood, 2))
    z = torch.randn(3, 4, 2, dtype=torch.float64)
    rough, exact = metric.rough_matrix(z), metric.metric_matrix(z)
    assert rough.dtype == torch.float64
    assert 0 < (rough - exact).abs().max() < 1e-5 * exact.abs().max()


def test_a_function_has_no_rougher_matrix_than_its_own():
    metric = PullbackMetric(lambda z: torch.cat([z, z.square()], -1))
    z = torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(metric.rough_matrix(z), metric.metric_matrix(z))


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 8, 64])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("network", NETWORKS)
def test_metric_agrees_with_finite_differences_and_autograd(network, likelihood, d):
    decoder = build(network, likelihood, d)
    z = torch.randn(2, d, dtype=torch.float64)
    M = PullbackMetric.from_decoder(decoder).metric_matrix(z)
    h = 1e-5 * torch.eye(d, dtype=torch.float64)
    for i in range(len(z)):
        J = torch.autograd.functional.jacobian(partial(image, decoder), z[i])
        slopes = [(image(decoder, z[i] + e) - image(decoder, z[i] - e)) / 2e-5 for e in h]
        finite = torch.stack(slopes, -1)
        scale = M[i].abs().max()
        assert (M[i] - J.T @ J).abs().max() < 1e-12 * scale
        assert (M[i] - finite.T @ finite).abs().max() < 1e-6 * scale


@pytest.mark.slow
def test_the_normal_metric_is_the_expected_one_of_the_stochastic_generator():
    decoder = build("mlp", "rbf", 2)
    z = torch.tensor([0.3, -0.4], dtype=torch.float64)
    M = PullbackMetric.from_decoder(decoder).metric_matrix(z)
    J_mean = torch.autograd.functional.jacobian(lambda z: decoder(z).mean, z)
    J_std = torch.autograd.functional.jacobian(lambda z: decoder(z).stddev, z)
    noise = torch.randn(20000, D, dtype=torch.float64)  # f(z) = mu(z) + sigma(z) * noise
    J = J_mean + noise.unsqueeze(-1) * J_std
    samples = J.mT @ J
    error = samples.std(0) / math.sqrt(len(noise))
    assert bool(((samples.mean(0) - M).abs() < 4 * error).all())
    assert bool((error < 0.02 * M.diagonal().max()).all())


@pytest.mark.slow
def test_the_bernoulli_metric_is_the_fisher_information():
    decoder = build("convolutional", "bernoulli", 3)
    z = torch.randn(3, dtype=torch.float64)
    p = decoder(z).mean
    J = torch.autograd.functional.jacobian(lambda z: decoder(z).mean, z)
    information = J.T @ (J / (p * (1 - p)).unsqueeze(-1))
    torch.testing.assert_close(PullbackMetric.from_decoder(decoder).metric_matrix(z), information)


@pytest.mark.parametrize("logit", [-800.0, -50.0, 0.0, 50.0, 800.0])
def test_saturated_pixels_stay_finite(logit):
    def decoder(z):
        return Independent(Bernoulli(logits=logit + z), 1)

    metric = PullbackMetric.from_decoder(lambda z: torch.cat([z, 0 * z + logit], -1), dim=1)
    assert metric.metric_matrix(torch.zeros(1).double()).isfinite().all()
    pulled = PullbackMetric(lambda z: immersion(decoder(z)), dim=1)
    nodes = torch.linspace(0, 1, 5, dtype=torch.float64).reshape(1, 5, 1)
    expansion = pulled.expand_chords(nodes)
    assert all(part.isfinite().all() for part in expansion)


@pytest.mark.slow
def test_chords_expand_as_autograd_says():
    decoder = build("mlp", "rbf", 2)
    metric, nodes = PullbackMetric.from_decoder(decoder), torch.randn(1, 5, 2).double()

    def squared_sum(inner):
        chain = torch.cat([nodes[0, :1], inner, nodes[0, -1:]])
        return image(decoder, chain).diff(dim=0).square().sum()

    found, inner = metric.expand_chords(nodes), nodes[0, 1:-1]
    gradient = torch.func.grad(squared_sum)(inner)
    hessian = torch.func.hessian(squared_sum)(inner)
    torch.testing.assert_close(found.value[0], squared_sum(inner))
    torch.testing.assert_close(found.gradient[0], gradient)
    for i in range(3):
        torch.testing.assert_close(found.diagonal[0, i], hessian[i, :, i])
    for i in range(2):
        torch.testing.assert_close(found.off_diagonal[0, i], hessian[i, :, i + 1])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,), (2, 0, 3)])
def test_leading_dimensions_are_a_loop(batch):
    metric = PullbackMetric.from_decoder(build("mlp", "rbf", 2))
    z, v = torch.randn(2, *batch, 2, dtype=torch.float64)
    M = metric.metric_matrix(z)
    assert M.shape == (*batch, 2, 2)
    assert metric.norm(z, v).shape == metric.log_volume(z).shape == batch
    for at in itertools.product(*map(range, batch)):
        torch.testing.assert_close(M[at], metric.metric_matrix(z[at]))
        torch.testing.assert_close(metric.norm(z, v)[at] ** 2, v[at] @ M[at] @ v[at])
        torch.testing.assert_close(metric.inner_product(z, v, z)[at], v[at] @ M[at] @ z[at])
        torch.testing.assert_close(metric.log_volume(z)[at], torch.logdet(M[at]) / 2)


@pytest.mark.slow
def test_many_points_are_split_and_put_together(monkeypatch):
    import pullback.metrics.pullback as module

    metric = PullbackMetric.from_decoder(build("mlp", "network", 2))
    z = torch.randn(3, 7, 2, dtype=torch.float64)
    pairs = torch.randint(21, (40, 2))
    between = metric.chords_between(z.reshape(21, 2), pairs)
    before = metric.metric_matrix(z), metric.chords(z), metric.expand_chords(z)
    torch.testing.assert_close(metric.chords_by_step(z)[0], before[1])
    torch.testing.assert_close(metric.chords_by_step(z)[1], metric.chords(z[:, ::2]))
    monkeypatch.setattr(module, "_IMAGE_BYTES", 1)
    torch.testing.assert_close(metric.chords_between(z.reshape(21, 2), pairs), between)
    torch.testing.assert_close(metric.chords(z.reshape(21, 2)[pairs]).squeeze(-1), between)
    torch.testing.assert_close(metric.metric_matrix(z), before[0])
    torch.testing.assert_close(metric.chords(z), before[1])
    torch.testing.assert_close(tuple(metric.expand_chords(z)), tuple(before[2]))


@pytest.mark.slow
def test_an_empty_batch_teaches_nothing_wrong():
    metric = PullbackMetric.from_decoder(build("mlp", "constant", 2))
    assert metric.metric_matrix(torch.zeros(0, 2).double()).shape == (0, 2, 2)
    assert metric.chords(torch.zeros(0, 4, 2).double()).shape == (0, 3)
    metric.metric_matrix(torch.zeros(1, 2).double())
    assert metric._ambient_dim == 2 * D


def test_images_of_any_event_shape_are_flattened():
    def decoder(z):
        mean = torch.stack([z, 2 * z], -1).unsqueeze(-3)  # (*batch, 1, d, 2)
        return Independent(Normal(mean, 1 + mean**2), 3)

    M = PullbackMetric.from_decoder(decoder, dim=2).metric_matrix(torch.zeros(2).double())
    torch.testing.assert_close(M, 5 * torch.eye(2, dtype=torch.float64))


def test_the_model_of_the_caller_stays_as_it_is():
    model = nn.Linear(2, 3)
    model.train()
    PullbackMetric.from_decoder(model, dim=2)
    assert model.training
    assert model.weight.dtype == torch.float32
    assert model.weight.requires_grad


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (lambda z: z * torch.nan, "NaN or infinity"),
        (lambda z: Normal(z * torch.nan, 1 + z**2), "NaN or infinity"),
        (lambda z: z.abs().sqrt() * 0 + (z - z).sqrt(), "derivative"),
        (lambda z: z + torch.rand_like(z), "deterministic"),
        (lambda z: Normal(z, 1.0).sample(), "deterministic"),
        (lambda z: torch.ones_like(z), "does not depend on z"),
        (lambda z: z.sum(0), "one row for each"),
        (lambda z: z.sum(-1), "one row for each"),
    ],
)
def test_a_broken_decoder_is_refused(decoder, message):
    with pytest.raises(InvalidDataError, match=message):
        PullbackMetric.from_decoder(decoder, dim=2)


def test_weights_that_are_nan_are_refused():
    model = mlp([2, 4, 5])
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(InvalidDataError, match=r"`decoder` returned NaN.*training diverged"):
        PullbackMetric.from_decoder(model, dim=2)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(3)])
def test_training_mode_is_refused_where_it_matters(layer):
    model = nn.Sequential(nn.Linear(2, 3), layer)
    with pytest.raises(InvalidParameterError, match=r"evaluation mode.*layer `1`.*eval\(\)"):
        PullbackMetric.from_decoder(model, dim=2)
    assert PullbackMetric.from_decoder(model.eval(), dim=2).dim == 2


def test_what_has_no_immersion_is_refused():
    with pytest.raises(InvalidParameterError, match="Gumbel.*register an immersion"):
        PullbackMetric.from_decoder(lambda z: Gumbel(z, z.exp()), dim=2)
    with pytest.raises(InvalidParameterError, match="str"):
        immersion("an image")


@pytest.mark.parametrize("dim", [None, 0, True])
def test_a_missing_dimension_is_refused(dim):
    with pytest.raises(InvalidParameterError, match="`dim` must be an integer >= 1"):
        PullbackMetric.from_decoder(lambda z: z, dim=dim)
