"""The laws of metrics: every metric of the package obeys them, and what is broken fails by name."""

import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic
from pullback.metrics import (
    ConformalMetric,
    ConstantMatrix,
    CostField,
    FieldMetric,
    LocalVarianceMetric,
    MatrixField,
    Metric,
    PullbackMetric,
    RestrictedMetric,
    RHVAEMetric,
    ScaledMetric,
    SumMetric,
    TabulatedMetric,
    WeightField,
    Weights,
    with_ambient,
)
from pullback.models import mlp
from pullback.testing import check_metric

GENERATOR = torch.Generator().manual_seed(0)
CODES = torch.randn(40, 2, generator=GENERATOR, dtype=torch.float64)
FACTORS = torch.randn(10, 2, 2, generator=GENERATOR, dtype=torch.float64).tril()
A = torch.randn(2, 5, generator=GENERATOR, dtype=torch.float64)
PARABOLOID = PullbackMetric(paraboloid, 2)
TANH = PullbackMetric(lambda z: torch.tanh(z @ A.to(z)), 2)
BOTH = (torch.float32, torch.float64)


def points(d=2, n=4):
    draws = torch.rand(n, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return draws + 0.5


POINTS = points()


def enriched(ambient):
    return with_ambient(TANH, ambient, points()[0])


def matrices(x):
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return (1 + x.square().sum(-1))[..., None, None] * eye + x.unsqueeze(-1) * x.unsqueeze(-2)


METRICS = {
    "paraboloid": PARABOLOID,
    "half-plane": HalfPlane(),
    "field": FieldMetric(TANH.immersion, MatrixField(matrices), 2),
    "weights": enriched(Weights(torch.arange(5.0))),
    "constant matrix": enriched(ConstantMatrix(torch.eye(5) + 0.3)),
    "cost field": enriched(CostField(lambda x: 1 + x.square().sum(-1))),
    "weight field": enriched(WeightField(lambda x: 1 + x.square())),
    "conformal": ConformalMetric(lambda z: z[..., 1] ** -2, 2),
    "density": ConformalMetric.from_density(lambda z: torch.exp(-z.square().sum(-1))),
    "local variance": LocalVarianceMetric(CODES, 0.5, 0.1),
    "RHVAE": RHVAEMetric(CODES[:10], FACTORS, 1.5, 0.1),
    "sum": SumMetric([PARABOLOID, HalfPlane()], weights=[2.0, 0.5]),
    "scaled": ScaledMetric(PARABOLOID, 3.0),
    "restricted": RestrictedMetric(
        PullbackMetric(stereographic, 3), [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], [0.0, 0.0, 0.1]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_obeys_the_laws(name):
    check_metric(METRICS[name], points(), dtypes=BOTH)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 3, 5])
def test_in_other_dimensions(d):
    check_metric(PullbackMetric(stereographic), points(d))
    check_metric(ConformalMetric(lambda z: 1 + z.square().sum(-1)), points(d))


@pytest.mark.slow
def test_a_module_in_double_precision():
    check_metric(PullbackMetric.from_decoder(mlp([2, 8, 6]), dim=2), points())


@pytest.mark.slow
def test_a_table():
    corners = torch.tensor([[-1.0, -1.0], [2.0, 2.0]], dtype=torch.float64)
    check_metric(TabulatedMetric.build(PARABOLOID, corners, rtol=1e-5), points(), scale=0.1)


@pytest.mark.slow
def test_a_singular_metric_where_that_is_allowed():
    line = PullbackMetric(lambda z: z[..., :1].sin(), 2)
    check_metric(line, points(), definite=False)
    with pytest.raises(AssertionError, match="positivity: broken at 4 of 4 points"):
        check_metric(line, points())


@pytest.mark.slow
def test_the_unit_of_the_latent_space_is_told():
    fine = PullbackMetric(lambda z: torch.tanh(1e3 * z @ A), 2)
    check_metric(fine, 1e-3 * points(), scale=1e-3)


class Broken(Metric):
    """The half-plane, with one method replaced."""

    def __init__(self, **methods):
        super().__init__(2)
        for name, method in methods.items():
            setattr(self, name, lambda *a, method=method: method(self, *a))

    def metric_matrix(self, z):
        return HalfPlane().metric_matrix(z)


def skewed(self, z):
    return HalfPlane().metric_matrix(z) + torch.tensor([[0.0, 0.01], [0.0, 0.0]]).to(z)


def negative(self, z):
    return HalfPlane().metric_matrix(z) * torch.tensor([1.0, -1.0]).to(z)


def kinked(self, z):
    kink = 1 + 0.5 * (z[..., :1, None] - POINTS[0, 0]).abs()
    return HalfPlane().metric_matrix(z) * kink


def mixing(self, z):
    M = HalfPlane().metric_matrix(z)
    return M * (1 + z[..., 0].mean()) if z.ndim > 1 else M * (1 + z[..., 0])


BROKEN = {
    "domain": {"contains": lambda self, z: z[..., 1] < 0},
    "shape": {"metric_matrix": lambda self, z: HalfPlane().metric_matrix(z)[..., :1]},
    "finite": {"metric_matrix": lambda self, z: HalfPlane().metric_matrix(z) * torch.nan},
    "symmetry": {"metric_matrix": skewed},
    "positivity": {"metric_matrix": negative},
    "dtype": {"norm": lambda self, z, v: Metric.norm(self, z, v).double()},
    "batch: metric_matrix": {"metric_matrix": mixing},
    "inner product": {"inner_product": lambda self, z, u, v: (u * v).sum(-1)},
    "norm": {"norm": lambda self, z, v: v.norm(dim=-1)},
    "log-volume": {"log_volume": lambda self, z: 2 * Metric.log_volume(self, z)},
    "smoothness": {"metric_matrix": kinked},
    "chords": {"chords": lambda self, points: 1.01 * Metric.chords(self, points)},
    "chords by step": {
        "chords_by_step": lambda self, points, steps=(1, 2): (self.chords(points),) * 2
    },
    "chords between": {"chords_between": lambda self, points, pairs: 0 * pairs[:, 0].double()},
    "chord sum": {"squared_chord_sum": lambda self, nodes: self.chords(nodes).sum(-1)},
    "chord floor": {"chord_floor": lambda self, a, b: 1.01 * self.norm(a, b - a)},
    "lower bounds": {"lower_bounds": lambda self, a, b: (a[:, None] - b).norm(dim=-1) + 1},
    "chord gradient": {
        "chord_gradient": lambda self, nodes: (
            self.squared_chord_sum(nodes),
            0.9 * Metric.chord_gradient(self, nodes)[1],
        )
    },
    "energy gradient": {
        "energy_gradient": lambda self, nodes: (
            self.squared_chord_sum(nodes),
            2 * Metric.energy_gradient(self, nodes)[1],
        )
    },
    "chord expansion: Hessian": {
        "expand_chords": lambda self, nodes: Metric.expand_chords(self, nodes)._replace(
            off_diagonal=0.9 * Metric.expand_chords(self, nodes).off_diagonal
        )
    },
    "acceleration": {"acceleration": lambda self, z, v: -Metric.acceleration(self, z, v)},
}


@pytest.mark.parametrize("law", BROKEN)
def test_what_is_broken_fails_by_name(law):
    with pytest.raises(AssertionError) as error:
        check_metric(Broken(**BROKEN[law]), points(), dtypes=BOTH)
    assert str(error.value).startswith(law), str(error.value)


def test_the_message_says_where_and_by_how_much():
    with pytest.raises(AssertionError, match=r"first at point 0, \(.*\): off by 0.01 where"):
        check_metric(Broken(metric_matrix=skewed), points())


def test_it_wants_double_precision():
    with pytest.raises(InvalidDataError, match="`points` must be of float64"):
        check_metric(HalfPlane(), points().float())
