"""The integrator behind Hamiltonian chains: reversible, of second order, its volume known."""

import pytest
import torch

from pullback.errors import InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import Metric
from pullback.sampling import Hamiltonian
from pullback.sampling.chains.hamiltonian import _log_joint


class Bumpy(Metric):
    """A metric of three dimensions with no symmetry."""

    def metric_matrix(self, z):
        x, y, w = z.unbind(-1)
        J = torch.stack(
            [
                torch.stack([1 + x.square(), y.sin(), 0 * x], -1),
                torch.stack([0.3 * w, 1 + 0.5 * x.cos(), y * w], -1),
                torch.stack([0.2 * y, 0.1 * x, (0.3 * x).exp()], -1),
            ],
            -2,
        )
        return J.mT @ J + 0.1 * torch.eye(3, dtype=z.dtype)


def quartic(z):
    return -z.pow(4).sum(-1) / 4 - z[:, 0] * z[:, 1]


@pytest.fixture
def flight():
    """A sampler, and a function that flies from (z, v)."""

    def build(n_leapfrog, metric=None, log_density=quartic):
        chains = Hamiltonian(Manifold(metric or Bumpy(dim=3)), log_density, n_leapfrog=n_leapfrog)

        def fly(z, v, step):
            return chains._fly(z, chains.target.at(z), v, torch.full_like(z[:, 0], step))

        return chains, fly

    return build


def states(n=20, d=3):
    generator = torch.Generator().manual_seed(0)
    z = 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    return z, 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)


@pytest.mark.slow
def test_a_flight_backwards_undoes_it(flight):
    _, fly = flight(20)
    z, v = states()
    end, _, velocity, change, whole = fly(z, v, 0.05)
    assert bool(whole.all())
    back, _, turned, undone, _ = fly(end, -velocity, 0.05)
    assert torch.allclose(back, z, atol=1e-11)
    assert torch.allclose(turned, -v, atol=1e-11)
    assert torch.allclose(undone, -change, atol=1e-10)


@pytest.mark.slow
def test_the_change_of_volume_is_that_of_the_jacobian(flight):
    _, fly = flight(4)
    z, v = states(5)
    change = fly(z, v, 0.1)[3]
    assert float(change.abs().min()) > 1e-4  # there is something to see

    def end(state):  # (points, d + d)
        z, _, v, *_ = fly(state[:, :3], state[:, 3:], 0.1)
        return torch.cat([z, v], -1)

    h, state = 1e-5, torch.cat([z, v], -1)
    shifts = h * torch.eye(6, dtype=torch.float64).repeat_interleave(5, 0)  # directions first
    ahead, behind = (end(state.repeat(6, 1) + sign * shifts) for sign in (1, -1))
    jacobian = ((ahead - behind) / (2 * h)).reshape(6, 5, 6).movedim(0, -1)
    assert torch.allclose(torch.linalg.slogdet(jacobian)[1], change, atol=1e-7)


@pytest.mark.slow
def test_the_energy_error_falls_with_the_square_of_the_step(flight):
    z, v = states()
    errors = []
    for n, step in ((10, 0.1), (20, 0.05), (40, 0.025)):
        chains, fly = flight(n)
        here = chains.target.at(z)
        _, there, velocity, change, _ = fly(z, v, step)
        errors.append((_log_joint(there, velocity) - _log_joint(here, v) + change).abs().median())
    assert float(errors[0] / errors[1]) == pytest.approx(4, rel=0.25)
    assert float(errors[1] / errors[2]) == pytest.approx(4, rel=0.15)


@pytest.mark.slow
def test_a_flight_without_a_force_is_a_geodesic(flight):
    # On the half-plane, to second order in the step; and the energy is that of the flow.
    space = HalfPlane()
    z = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    v = torch.tensor([[0.6, 0.3], [-0.5, 1.0]], dtype=torch.float64)
    gaps = []
    for n in (20, 40):
        _, fly = flight(n, metric=space, log_density=None)
        gaps.append((fly(z, v, 1 / n)[0] - space.exp(z, v)).norm(dim=-1).max())
    assert float(gaps[1]) < 1e-3
    assert float(gaps[0] / gaps[1]) == pytest.approx(4, rel=0.15)


class Disc(Metric):
    """A flat disc, whose edge is near."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape, -1)

    def contains(self, z):
        return z.norm(dim=-1) < 1


@pytest.mark.slow
def test_a_flight_out_of_the_domain_is_counted_and_refused():
    chains = Hamiltonian(Manifold(Disc(dim=2)), step_size=0.05, n_burn_in=0)
    samples = chains.sample(torch.zeros(50, 2), 20, random_state=0)
    assert bool(samples.converged.all())
    assert bool((samples.points.norm(dim=-1) < 1).all())
    assert int(samples.divergences.sum()) > 0
    assert f"divergent steps: {int(samples.divergences.sum())}" in str(samples)


def test_a_flight_needs_a_step():
    with pytest.raises(InvalidParameterError, match="`n_leapfrog` must be an integer >= 1"):
        Hamiltonian(Manifold(HalfPlane()), n_leapfrog=0)
