"""The expected metric and the decorrelated energy, against what they stand for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pullback.autodiff import jacobian
from pullback.errors import InvalidParameterError
from pullback.geodesics import LBFGS, Newton, connect
from pullback.metrics import AmbientMetric, EnsembleMetric, FieldMetric, PullbackMetric, metric_of
from pullback.models import EnsembleDecoder, mlp


def networks(k=3, dim=2, seed=0):
    torch.manual_seed(seed)
    nets = [mlp([dim, 12, 5]).double().requires_grad_(False) for _ in range(k)]
    for net in nets:
        for part in net.parameters():
            part.mul_(2)
    return nets


def concatenated(nets):
    return PullbackMetric(lambda z: torch.cat([f(z) for f in nets], -1) / len(nets) ** 0.5)


@pytest.fixture(name="nets", scope="module")
def three_networks():
    return networks()


@pytest.mark.slow
def test_it_is_the_pull_back_by_all_immersions_at_once(nets):
    ensemble = EnsembleMetric([PullbackMetric(f) for f in nets])
    whole = concatenated(nets)
    z, v = torch.randn(2, 4, 6, 2, dtype=torch.float64)
    same = torch.testing.assert_close
    same(ensemble.metric_matrix(z), whole.metric_matrix(z))
    same(ensemble.norm(z, v), whole.norm(z, v))
    same(ensemble.log_volume(z), whole.log_volume(z))
    same(ensemble.chords(z), whole.chords(z))
    same(ensemble.acceleration(z, v), whole.acceleration(z, v))
    same(ensemble.chord_floor(z, v), whole.chord_floor(z, v))
    for one, other in zip(ensemble.expand_chords(z), whole.expand_chords(z), strict=True):
        same(one, other)


@pytest.mark.slow
def test_it_is_the_metric_of_the_mean_and_the_covariance_of_the_jacobians(nets):
    metric = metric_of(EnsembleDecoder(nets, latent_dim=2))
    z = torch.randn(7, 2, dtype=torch.float64)
    J = torch.stack([jacobian(f, z)[1] for f in nets])
    off = J - J.mean(0)
    covariance = torch.einsum("snma,snmb->nab", off, off) / len(nets)
    expected = J.mean(0).mT @ J.mean(0) + covariance
    torch.testing.assert_close(metric.metric_matrix(z), expected)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 10])
def test_the_solvers_find_the_geodesics_of_the_concatenated_immersion(dim):
    nets = networks(dim=dim)
    a, b = torch.randn(2, 5, dim, dtype=torch.float64)
    found = connect(EnsembleMetric([PullbackMetric(f, dim) for f in nets]), a, b)
    expected = connect(concatenated(nets), a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length, expected.length, rtol=2e-4, atol=0)


def test_members_of_one_metric_are_that_metric(nets):
    metric = PullbackMetric(nets[0])
    z = torch.randn(5, 2, dtype=torch.float64)
    twice = EnsembleMetric([metric, metric])
    torch.testing.assert_close(twice.metric_matrix(z), metric.metric_matrix(z))
    assert twice.exact is twice


@pytest.mark.slow
def test_single_precision_is_there_where_all_members_have_it(nets):
    modules = metric_of(EnsembleDecoder(nets, latent_dim=2))
    z = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(
        modules.single.metric_matrix(z.float()).double(),
        modules.metric_matrix(z),
        rtol=1e-4,
        atol=0,
    )
    assert metric_of(EnsembleDecoder([nets[0], torch.tanh], latent_dim=2)).single is None


def test_no_members_and_unlike_members_are_refused():
    with pytest.raises(InvalidParameterError):
        EnsembleMetric([])
    with pytest.raises(InvalidParameterError, match=r"of the same dimension.*\[2, 3\]"):
        EnsembleMetric([PullbackMetric(torch.sin, dim) for dim in (2, 3)])


# --- the decorrelated energy


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4), n=st.integers(2, 6))
def test_chords_are_the_mean_over_all_pairs_of_members(seed, k, n):
    nets = networks(k, seed=seed)
    energy = EnsembleMetric([PullbackMetric(f) for f in nets]).decorrelated()
    chain = torch.randn(n, 2, dtype=torch.float64)
    images = torch.stack([f(chain) for f in nets])
    pairs = images[:, None, 1:] - images[None, :, :-1]
    expected = pairs.square().sum(-1).mean((0, 1))
    torch.testing.assert_close(energy.chords(chain).square(), expected)
    torch.testing.assert_close(energy.squared_chord_sum(chain), expected.sum())


def test_derivatives_are_those_of_autograd(nets):
    energy = EnsembleMetric([PullbackMetric(f) for f in nets]).decorrelated()
    nodes = torch.randn(2, 5, 2, dtype=torch.float64)
    at = energy.expand_chords(nodes)
    for row in range(2):

        def total(inner, row=row):
            return energy.squared_chord_sum(torch.cat([nodes[row, :1], inner, nodes[row, -1:]]))

        inner = nodes[row, 1:-1]
        slope = torch.autograd.functional.jacobian(total, inner)
        hessian = torch.autograd.functional.hessian(total, inner)
        torch.testing.assert_close(at.value[row], total(inner))
        torch.testing.assert_close(at.gradient[row], slope)
        for i in range(3):
            torch.testing.assert_close(at.diagonal[row, i], hessian[i, :, i])
        for i in range(2):
            torch.testing.assert_close(at.off_diagonal[row, i], hessian[i, :, i + 1])
    value, slope = energy.chord_gradient(nodes)
    torch.testing.assert_close(value, at.value)
    torch.testing.assert_close(slope, at.gradient)


def test_energy_tends_to_that_of_a_particle_in_the_potential_of_the_variance(nets):
    """N S / 2 = 1/2 int |m'|^2 + N^2 int V dt, both by the trapezoidal rule on many nodes."""
    energy = EnsembleMetric([PullbackMetric(f) for f in nets]).decorrelated()
    N = 4000
    t = torch.linspace(0, 1, N + 1, dtype=torch.float64).unsqueeze(-1)
    curve = torch.cat([t, (2 * t).sin()], -1)
    kinetic = energy.mean.squared_chord_sum(curve) * N / 2
    potential = torch.trapezoid(energy.variance(curve), t.squeeze(-1))
    total = energy.squared_chord_sum(curve) * N / 2
    torch.testing.assert_close(total, kinetic + N**2 * potential, rtol=1e-10, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [Newton(), LBFGS(max_steps=300)])
def test_solvers_minimise_it(nets, solver):
    energy = EnsembleMetric([PullbackMetric(f) for f in nets]).decorrelated()
    a, b = torch.randn(2, 4, 1, 2, dtype=torch.float64)
    line = torch.lerp(a, b, torch.linspace(0, 1, 17, dtype=torch.float64).unsqueeze(-1))
    found = solver.relax(energy, line)
    assert (found.status == 0).all()
    value, slope = energy.chord_gradient(found.nodes)
    assert (value < energy.squared_chord_sum(line)).all()
    assert float(slope.abs().max()) < 1e-3 * float(energy.chord_gradient(line)[1].abs().max())
    moved = found.nodes.clone()
    moved[:, 1:-1] += 1e-2 * torch.randn_like(moved[:, 1:-1])
    assert (energy.squared_chord_sum(moved) > value).all()


def test_without_disagreement_it_is_the_energy_of_the_metric(nets):
    metric = PullbackMetric(nets[0])
    energy = EnsembleMetric([metric, metric]).decorrelated()
    chain = torch.randn(3, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(energy.chords(chain), metric.chords(chain))


def test_members_without_a_flat_image_are_refused():
    class Doubled(AmbientMetric):
        def apply(self, x, v):
            return 2 * v

    field = FieldMetric(nn.Identity(), Doubled())
    with pytest.raises(InvalidParameterError, match="pulled back from a flat space.*FieldMetric"):
        EnsembleMetric([field, field]).decorrelated()
