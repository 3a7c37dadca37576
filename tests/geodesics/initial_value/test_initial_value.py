"""Geodesics from their start: closed forms, SciPy's integrator, conserved quantities, failures."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from pullback.autodiff import jvp
from pullback.errors import ConvergenceError, InvalidDataError, InvalidParameterError
from pullback.geodesics import Status, shoot
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    curved_plane_inverse,
    great_circle_exp,
    meridian_length,
    paraboloid,
    stereographic,
    torus,
)
from pullback.metrics import Metric, PullbackMetric
from pullback.models import mlp


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def network(d):
    with torch.random.fork_rng():
        torch.manual_seed(d)
        return PullbackMetric.from_decoder(mlp([d, 16, 20]), dim=d)


def curved_exp(a, v):
    return curved_plane_inverse(sum(jvp(curved_plane, a, v)))


def relative(error, v):
    return (error.norm(dim=-1) / v.norm(dim=-1)).max().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "d"),
    [(network(2), 2), (network(5), 5), (PullbackMetric(torus), 2), (PullbackMetric(paraboloid), 3)],
    ids=["network", "network, d = 5", "torus", "paraboloid"],
)
def test_the_end_is_that_of_scipys_integrator(metric, d):
    z, v = torch.randn(2, 3, d, dtype=torch.float64) * doubles(0.4, 0.5)[:, None, None]

    def slope(_, y):
        z, v = torch.from_numpy(y).reshape(3, 2 * d).chunk(2, -1)
        return torch.cat([v, metric.acceleration(z, v)], -1).flatten().numpy()

    path = shoot(metric, z, v)
    start = torch.cat([z, v], -1).flatten().numpy()  # all three as one system
    truth = solve_ivp(slope, (0, 1), start, "DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    end, end_velocity = torch.from_numpy(truth).reshape(3, 2 * d).chunk(2, -1)
    assert path.converged.all()
    fastest = path.velocities.nan_to_num().norm(dim=-1, keepdim=True).amax(1)
    assert relative(path.end - end, fastest) < 1e-8
    assert relative(path.end_velocity - end_velocity, fastest) < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "exp", "d"),
    [
        (PullbackMetric(stereographic), great_circle_exp, 3),
        (HalfPlane(), HalfPlane().exp, 2),
        (PullbackMetric(curved_plane), curved_exp, 2),
    ],
    ids=["sphere", "half-plane", "curved plane"],
)
def test_the_end_is_the_closed_form(metric, exp, d):
    z = torch.randn(10, d, dtype=torch.float64) / 2 + torch.eye(d)[-1] * 2
    v = torch.randn(10, d, dtype=torch.float64)
    v = 2 * v / metric.norm(z, v).unsqueeze(-1)
    path = shoot(metric, z, v)
    assert path.converged.all()
    assert relative(path.end - exp(z, v), v) < 1e-8
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    along = exp(z.unsqueeze(1).expand(-1, 7, -1), t[:, None] * v.unsqueeze(1))
    assert relative(path.at(t) - along, v.unsqueeze(1)) < 1e-7
    assert bool((path.speed_variation < 1e-8).all())


@pytest.mark.thorough
def test_a_smaller_tolerance_gives_a_smaller_error():
    a, v = doubles(0.3, -0.2), doubles(0.9, 0.6)
    truth = great_circle_exp(a, v)
    paths = [shoot(PullbackMetric(stereographic), a, v, rtol=r, atol=0) for r in (1e-3, 1e-6, 1e-9)]
    errors = [(path.end - truth).norm().item() / v.norm().item() for path in paths]
    assert all(error < r for error, r in zip(errors, (1e-3, 1e-6, 1e-9), strict=True))
    assert errors[0] > errors[1] > errors[2]
    assert paths[0].n_evaluations < paths[1].n_evaluations < paths[2].n_evaluations


@pytest.mark.thorough
def test_what_an_axis_of_symmetry_conserves_stays():
    """Clairaut: the squared distance to the axis times the angular velocity about it."""
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = shoot(PullbackMetric(torus), torch.randn(5, 2).double(), 3 * torch.randn(5, 2).double())
    distance = 2 + path.at(t)[..., 1].cos()
    momentum = distance.square() * path.velocity(t)[..., 0]
    torch.testing.assert_close(momentum, momentum[:, :1].expand(5, 9), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_one_dimension_is_run_through_at_constant_speed():
    v = doubles(0.5, 3.0, -2.0).unsqueeze(-1)
    path = shoot(PullbackMetric(paraboloid), doubles(0.0), v)
    torch.testing.assert_close(meridian_length(path.end.abs()), v.abs())


@pytest.mark.thorough
def test_there_and_back_again():
    metric = network(2)
    z, v = torch.randn(2, 4, 2, dtype=torch.float64)
    there = shoot(metric, z, v)
    back = shoot(metric, there.end, -there.end_velocity)
    torch.testing.assert_close(back.end, z, rtol=0, atol=1e-7)


@pytest.mark.thorough
def test_the_unit_of_the_coordinates_does_not_matter():
    scale = 1e6
    z, v = torch.randn(2, 4, 2, dtype=torch.float64)
    scaled = PullbackMetric(lambda z: torus(z / scale - 1000))
    path, same = shoot(PullbackMetric(torus), z, v), shoot(scaled, scale * (z + 1000), scale * v)
    assert same.n_evaluations.tolist() == path.n_evaluations.tolist()
    torch.testing.assert_close(same.end / scale - 1000, path.end, rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape_a", "shape_v"), [((2,), (2,)), ((3, 2), (2,)), ((2, 1, 2), (2, 2))]
)
def test_a_batch_is_a_loop(shape_a, shape_v):
    metric = network(2)
    a, v = torch.randn(shape_a).double(), torch.randn(shape_v).double()
    path = shoot(metric, a, v)
    a, v = torch.broadcast_tensors(a, v)
    batch = a.shape[:-1]
    t = doubles(0.0, 0.3, 1.0)
    assert path.status.shape == path.reached.shape == path.speed_variation.shape == batch
    for at in itertools.product(*map(range, batch)):
        one = shoot(metric, a[at], v[at])
        assert one.n_steps == path.n_steps[at]
        assert one.n_evaluations == path.n_evaluations[at]
        torch.testing.assert_close(one.end, path.end[at], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(one.at(t), path.at(t)[at], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(one.velocity(t), path.velocity(t)[at], rtol=1e-8, atol=1e-10)


def test_a_batch_may_be_empty():
    path = shoot(HalfPlane(), torch.zeros(0, 2), torch.zeros(0, 2))
    assert path.end.shape == (0, 2)
    assert path.points(3).shape == (0, 3, 2)
    assert path.differential().shape == (0, 2, 2)
    assert "0 of 0" in str(path)


@pytest.mark.thorough
def test_single_precision_is_near_double():
    metric = PullbackMetric(stereographic)
    z, v = torch.randn(2, 10, 2) / 2
    single, double = shoot(metric, z, v), shoot(metric, z.double(), v.double())
    assert single.converged.all()
    assert single.end.dtype == single.at(torch.ones(1)).dtype == torch.float32
    torch.testing.assert_close(single.end.double(), double.end, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_smooth_decoder_costs_few_evaluations():
    metric = network(2)
    z, v = torch.randn(2, 50, 2, dtype=torch.float64)
    path = shoot(metric, z / 2, v / 2)
    assert path.n_evaluations.double().mean() < 100
    assert bool((path.n_evaluations >= 1 + 12 * path.n_steps).all())


@pytest.mark.slow
def test_no_velocity_goes_nowhere():
    path = shoot(HalfPlane(), doubles(1.0, 2.0), torch.zeros(2))
    assert path.converged
    assert torch.equal(path.points(5), doubles(1.0, 2.0).expand(5, 2))
    assert torch.equal(path.end_velocity, doubles(0.0, 0.0))
    assert path.speed_variation == 0


class Disc(Metric):
    """Flat, and said to be so within the unit circle only."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape, 2)

    def contains(self, z):
        return z.norm(dim=-1) < 1


class Conformal(Metric):
    """The sphere in stereographic coordinates."""

    def metric_matrix(self, z):
        eye = torch.eye(2, dtype=z.dtype)
        return eye * (2 / (1 + z.square().sum(-1)))[..., None, None].square()


def undefined_beyond_half(z):
    return z * torch.where(z[..., :1] > 0.5, torch.nan, 1)


def folded(z):
    return torch.stack([z[..., 0] ** 2, z[..., 1]], -1)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("metric", "point", "vector", "status", "reached"),
    [
        (Disc(), (0.0, 0.0), (4.0, 0.0), Status.LEFT_DOMAIN, 0.25),
        (Disc(), (2.0, 0.0), (4.0, 0.0), Status.LEFT_DOMAIN, 0.0),
        (HalfPlane(), (2.0, -1.0), (4.0, 0.0), Status.LEFT_DOMAIN, 0.0),
        # Past the north pole, which is at infinity: pi / 2 of a length of 2 pi.
        (Conformal(), (1.0, 0.0), (6.283185307, 0.0), Status.LEFT_DOMAIN, 0.25),
        (PullbackMetric(undefined_beyond_half), (0.0, 0.0), (1.0, 1.0), Status.NOT_FINITE, 0.5),
        # Straight lines in (z_0^2, z_1), the fold at z_0 = 0.
        (PullbackMetric(folded), (1.0, 0.0), (-1.0, 0.3), Status.DEGENERATE, 0.5),
        (PullbackMetric(folded), (0.0, 0.0), (0.0, 1.0), Status.DEGENERATE, 0.0),
    ],
)
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)]
)
def test_a_curve_ends_where_the_space_does(metric, point, vector, status, reached, dtype):
    path = shoot(metric, torch.tensor(point, dtype=dtype), torch.tensor(vector, dtype=dtype))
    assert Status(path.status.item()) == status
    assert path.reached.item() == pytest.approx(reached, abs=1e-4)
    assert torch.cat([path.end, path.end_velocity]).isnan().all()
    assert path.differential().isnan().all()
    t = torch.linspace(0, 1, 21, dtype=dtype)
    known = t <= path.reached
    for values in (path.at(t), path.velocity(t)):
        assert values[known].isfinite().all()
        assert values[~known].isnan().all()
    assert torch.equal(path.at(t)[0], path.start)
    assert torch.equal(path.velocity(t)[0], torch.tensor(vector, dtype=dtype))


@pytest.mark.slow
def test_one_that_fails_leaves_the_others_alone():
    z, v = doubles(0.0, 0.0), doubles([0.4, 0.0], [4.0, 0.0], [0.0, 0.9])
    path = shoot(Disc(), z, v)
    assert path.converged.tolist() == [True, False, True]
    torch.testing.assert_close(path.end[[0, 2]], v[[0, 2]])
    assert path.n_evaluations[0] < path.n_evaluations[1]


@pytest.mark.slow
def test_too_few_steps_are_said_to_be():
    path = shoot(HalfPlane(), doubles(0.0, 1.0), doubles(3.0, 0.0), max_steps=4)
    assert path.status == Status.MAX_STEPS
    assert 0 < path.reached < 1
    assert path.end.isnan().all()
    assert path.at(path.reached.reshape(1) * 0.999).isfinite().all()


@pytest.mark.slow
def test_creases_of_a_decoder_are_noticed():
    decoder = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 20))
    metric = PullbackMetric.from_decoder(decoder, dim=2)
    path = shoot(metric, torch.zeros(5, 2).double(), torch.randn(5, 2))
    assert set(path.status.tolist()) == {int(Status.SPEED_CHANGED)}
    assert path.end.isnan().all()
    assert bool((path.speed_variation > 1e-3).all())


@pytest.mark.slow
def test_a_failure_is_raised_on_request():
    v = doubles([0.4, 0.0], [4.0, 0.0], [0.0, 4.0])
    with pytest.raises(ConvergenceError, match="2 of 3 geodesics could not .* left the region"):
        shoot(Disc(), doubles(0.0, 0.0), v, throw=True)
    assert shoot(Disc(), doubles(0.0, 0.0), v[:1], throw=True).converged.all()


@pytest.mark.parametrize(
    ("options", "name"),
    [({"rtol": 0.0}, "rtol"), ({"atol": -1.0}, "atol"), ({"max_steps": 0}, "max_steps")],
)
def test_bad_settings_are_refused(options, name):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        shoot(HalfPlane(), [0.0, 1.0], [0.0, 1.0], **options)


@pytest.mark.parametrize(
    ("point", "vector", "message"),
    [
        ([0.0, 1.0, 0.0], [0.0, 1.0], "`point` must have shape"),
        ([0.0, 1.0], [0.0, 1.0, 0.0], "`tangent_vector` must have shape"),
        ([0.0, np.nan], [0.0, 1.0], "`point` must be finite"),
        ([0.0, 1.0], [0.0, np.inf], "`tangent_vector` must be finite"),
        (np.ones((3, 2)), np.ones((2, 2)), "shapes that broadcast"),
    ],
)
def test_bad_data_are_refused(point, vector, message):
    with pytest.raises(InvalidDataError, match=message):
        shoot(HalfPlane(), point, vector)


@pytest.mark.parametrize(
    ("metric", "d"),
    [(network(2), 2), (HalfPlane(), 2), (PullbackMetric(stereographic), 3), (network(1), 1)],
)
def test_the_acceleration_is_that_of_the_christoffel_symbols(metric, d):
    z, v = torch.rand(2, 5, d, dtype=torch.float64) + 0.3
    step = 1e-5 * torch.eye(d, dtype=torch.float64)
    # dM[b, k, i, j] = d_k M_ij
    dM = torch.stack(
        [(metric.metric_matrix(z + e) - metric.metric_matrix(z - e)) / 2e-5 for e in step], 1
    )
    lowered = (dM.permute(0, 3, 1, 2) + dM.permute(0, 3, 2, 1) - dM) / 2
    bend = torch.einsum("bkij,bi,bj->bk", lowered, v, v)
    truth = -torch.linalg.solve(metric.metric_matrix(z), bend)
    torch.testing.assert_close(metric.acceleration(z, v), truth, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(Metric.acceleration(metric, z, v), truth, rtol=1e-7, atol=1e-8)
