"""Ambient metrics of the user's own, by themselves and under decoders of several kinds."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Gamma, Independent, Normal

from pullback import Manifold
from pullback.autodiff import jacobian
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import paraboloid
from pullback.metrics import (
    ConformalMetric,
    ConstantMatrix,
    CostField,
    FieldMetric,
    FisherRaoMetric,
    MatrixField,
    PullbackMetric,
    WeightField,
    Weights,
    with_ambient,
)
from pullback.metrics.ambient.base import check_function
from pullback.metrics.enriched import check_kinds

ORIGIN = torch.zeros(2, dtype=torch.float64)
D = 5


@pytest.fixture
def weights_of_nets():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, D, generator=generator, dtype=torch.float64)


@pytest.fixture
def z():
    return torch.randn(4, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def spd(seed=3):
    B = torch.randn(D, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return B @ B.T + torch.eye(D)


def cost(x):
    return 1 + x.square().sum(-1)


def matrices(x):
    return spd() + x.unsqueeze(-1) * x.unsqueeze(-2)


AMBIENTS = {
    "weights": (Weights(torch.arange(5.0)), lambda x: torch.arange(5.0).double().diag()),
    "matrix": (ConstantMatrix(spd()), lambda x: spd()),
    "cost": (CostField(cost), lambda x: cost(x) * torch.eye(D)),
    "weight field": (WeightField(lambda x: 1 + x.square()), lambda x: (1 + x.square()).diag()),
    "matrix field": (MatrixField(matrices), matrices),
}


@pytest.mark.parametrize("name", AMBIENTS)
def test_they_multiply_by_their_matrix(name):
    ambient, matrix = AMBIENTS[name]
    x, v = torch.randn(2, 3, D, dtype=torch.float64)
    expected = torch.stack([matrix(a).double() @ b for a, b in zip(x, v, strict=True)])
    torch.testing.assert_close(ambient.apply(x, v), expected)
    once = ambient.apply(x[:1], v)
    torch.testing.assert_close(once, torch.stack([matrix(x[0]).double() @ b for b in v]))
    if name != "matrix field":  # whose function is of double precision
        assert ambient.apply(x.float(), v.float()).dtype == torch.float32


@pytest.mark.parametrize("name", ["weights", "matrix"])
def test_constant_ones_are_flat_after_a_linear_map(name):
    ambient, _ = AMBIENTS[name]
    v = torch.randn(3, D, dtype=torch.float64)
    squared = (v * ambient.apply(torch.zeros_like(v), v)).sum(-1)
    torch.testing.assert_close(ambient.flatten(v).square().sum(-1), squared)


@pytest.mark.parametrize("name", AMBIENTS)
def test_they_act_on_mean_and_standard_deviation_of_a_gaussian(name, weights_of_nets, z):
    ambient, matrix = AMBIENTS[name]
    A, B, _ = weights_of_nets

    def mean(z):
        return torch.tanh(z @ A)

    def std(z):
        return nn.functional.softplus(z @ B)

    def decoder(z):
        return Independent(Normal(mean(z), std(z)), 1)

    metric = with_ambient(PullbackMetric.from_decoder(decoder, dim=2), ambient, ORIGIN)
    assert isinstance(metric, FieldMetric) == (name not in ("weights", "matrix"))
    assert metric.decoder is not None
    mu, J_mu = jacobian(mean, z)
    _, J_sigma = jacobian(std, z)
    G = torch.stack([matrix(x).double() for x in mu])
    truth = J_mu.mT @ G @ J_mu + J_sigma.mT @ G @ J_sigma
    torch.testing.assert_close(metric.metric_matrix(z), truth)


@pytest.mark.parametrize("name", AMBIENTS)
def test_they_are_taken_at_the_mean_of_any_decoder(name, weights_of_nets, z):
    ambient, matrix = AMBIENTS[name]
    A = weights_of_nets[0]
    flat = PullbackMetric.from_decoder(lambda z: Independent(Bernoulli(logits=z @ A), 1), dim=2)
    metric = with_ambient(flat, ambient, ORIGIN)
    _, J = jacobian(flat.immersion, z)
    G = torch.stack([matrix(p).double() for p in torch.sigmoid(z @ A)])
    torch.testing.assert_close(metric.metric_matrix(z), J.mT @ G @ J)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights", "cost", "weight field"])
def test_diagonal_ones_weigh_the_information_of_each_feature(name, weights_of_nets, z):
    ambient, matrix = AMBIENTS[name]
    A, B, _ = weights_of_nets

    def decoder(z, features=slice(None)):
        parameters = (z @ A).exp()[..., features], (z @ B).exp()[..., features]
        return Independent(Gamma(*parameters), 1)

    metric = with_ambient(FisherRaoMetric.from_decoder(decoder, dim=2), ambient, ORIGIN)
    mean = decoder(z).mean
    w = torch.stack([matrix(x).double().diagonal() for x in mean])
    truth = torch.zeros(4, 2, 2, dtype=torch.float64)
    for j in range(D):
        one = FisherRaoMetric.from_decoder(lambda z, j=j: decoder(z, slice(j, j + 1)), dim=2)
        truth += w[:, j, None, None] * one.metric_matrix(z)
    torch.testing.assert_close(metric.metric_matrix(z), truth)


@pytest.mark.slow
def test_weights_of_positions_of_sequences(weights_of_nets, z):
    A = torch.cat(list(weights_of_nets), -1)  # D positions of three letters

    def decoder(z, positions=slice(None)):
        return Independent(Categorical(logits=(z @ A).unflatten(-1, (D, 3))[..., positions, :]), 1)

    metric = with_ambient(
        PullbackMetric.from_decoder(decoder, dim=2), Weights(torch.arange(D) + 1.0), ORIGIN
    )
    truth = sum(
        (j + 1)
        * PullbackMetric.from_decoder(
            lambda z, j=j: decoder(z, slice(j, j + 1)), dim=2
        ).metric_matrix(z)
        for j in range(D)
    )
    torch.testing.assert_close(metric.metric_matrix(z), truth)


def test_a_mask_leaves_features_out(weights_of_nets, z):
    A = weights_of_nets[0]
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    masked = with_ambient(PullbackMetric(lambda z: torch.tanh(z @ A), 2), Weights(mask), ORIGIN)
    kept = PullbackMetric(lambda z: torch.tanh(z @ A[:, mask > 0]), 2)
    torch.testing.assert_close(masked.metric_matrix(z), kept.metric_matrix(z))
    torch.testing.assert_close(masked.chord_floor(z[:2], z[2:]), kept.chord_floor(z[:2], z[2:]))


def test_a_flat_one_keeps_the_rough_copy_in_single_precision(z):
    flat = PullbackMetric.from_decoder(nn.Linear(2, D), dim=2)
    metric = with_ambient(flat, Weights(torch.arange(5.0)), ORIGIN)
    rough = metric.single.metric_matrix(z.float())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.double(), metric.metric_matrix(z), rtol=1e-4, atol=1e-5)
    assert metric.single is metric.single


def test_a_cost_on_the_identity_is_a_conformal_metric(z):
    metric = with_ambient(PullbackMetric(lambda z: z, 2), CostField(cost), ORIGIN)
    conformal = ConformalMetric(cost, 2)
    torch.testing.assert_close(metric.metric_matrix(z), conformal.metric_matrix(z))
    torch.testing.assert_close(metric.acceleration(z, z + 1), conformal.acceleration(z, z + 1))
    ours, theirs = metric.expand_chords(z[None]), conformal.expand_chords(z[None])
    for part, other in zip(ours[:4], theirs[:4], strict=True):
        torch.testing.assert_close(part, other)


@pytest.mark.slow
def test_geodesics_go_around_what_is_dear():
    hill = CostField(lambda x: 1 + 20 * torch.exp(-4 * x[..., :2].square().sum(-1)))
    plane = with_ambient(PullbackMetric(paraboloid, 2), hill, ORIGIN)
    a, b = torch.tensor([[-1.0, 0.02], [1.0, 0.0]], dtype=torch.float64)
    path = Manifold(plane).geodesic(a, b)
    assert bool(path.converged)
    assert float(path.points(65).norm(dim=-1).min()) > 0.5
    assert float(path.length) < float(plane.chords(torch.lerp(a, b, LINE)).sum())


LINE = torch.linspace(0, 1, 1001, dtype=torch.float64).unsqueeze(-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Weights([1.0, -1.0]), "`weights` must be >= 0, .*got values from -1 to 1"),
        (lambda: Weights([0.0, 0.0]), "not all of them zero"),
        (lambda: Weights([[1.0]]), "`weights` must be a vector, .*got shape"),
        (lambda: Weights([1.0, float("nan")]), "`weights` must be finite"),
        (lambda: ConstantMatrix([[1.0, 2.0]]), "`matrix` must be square"),
        (lambda: ConstantMatrix([[1.0, 2.0], [0.0, 1.0]]), "`matrix` must be symmetric, .*A\\^T"),
        (lambda: ConstantMatrix([[1.0, 2.0], [2.0, 1.0]]), "positive definite, .*eigenvalue of -1"),
        (lambda: ConstantMatrix([[float("inf")]]), "`matrix` must be finite"),
        (lambda: check_function("cost", 3.0), "`cost` must be a function of points, but got a flo"),
    ],
)
def test_bad_ambient_metrics_are_refused(make, message):
    with pytest.raises((InvalidParameterError, InvalidDataError), match=message):
        make()


@pytest.mark.parametrize(
    ("ambient", "message"),
    [
        (Weights([1.0, 2.0]), "of a dimension that fits: 3.*dimension 2, where images have 3"),
        (CostField(lambda x: x.sum(-1) * torch.nan), "CostField returned NaN"),
        (CostField(lambda x: x), r"`cost` must return a tensor of shape \(4,"),
        (CostField(lambda x: -1 - x[..., 0].square()), "CostField is not positive .*eigenvalue"),
        (MatrixField(lambda x: x.unsqueeze(-1) + torch.eye(3) * 9), "MatrixField is not symmetric"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(ambient, message):
    metric = PullbackMetric(paraboloid, 2)
    with pytest.raises((InvalidParameterError, InvalidDataError), match=message):
        with_ambient(metric, ambient, ORIGIN)


def test_what_is_no_ambient_metric_is_refused():
    with pytest.raises(InvalidParameterError, match="`ambient` must be an ambient metric, .*list"):
        check_kinds(PullbackMetric(paraboloid, 2), [1.0, 2.0])


@pytest.mark.slow
def test_it_is_not_guessed_what_belongs_together():
    def decoder(z):  # two rows of two numbers: mean and deviation alternate row by row
        x = (z @ torch.ones(2, 4, dtype=z.dtype)).unflatten(-1, (2, 2))
        return Independent(Normal(x * torch.arange(4).reshape(2, 2), 1 + x.square()), 2)

    metric = PullbackMetric.from_decoder(decoder, dim=2)
    with pytest.raises(InvalidParameterError, match="events flattened"):
        with_ambient(metric, Weights([1.0, 2.0, 3.0, 4.0]), ORIGIN)
    matrix = FisherRaoMetric.from_decoder(lambda z: Gamma(z.exp(), 1 + z.square()), dim=2)
    with pytest.raises(InvalidParameterError, match="`ambient` must be diagonal"):
        with_ambient(matrix, ConstantMatrix(torch.eye(2)), ORIGIN)
    with pytest.raises(InvalidParameterError, match="`metric` must be pulled back"):
        with_ambient(ConformalMetric(cost, 2), Weights([1.0, 1.0]), ORIGIN)
