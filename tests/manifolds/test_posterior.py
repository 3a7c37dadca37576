"""The posterior over geometry: each member's answer, warm started, and intervals of them."""

import numpy as np
import pytest
import torch
from torch import nn

from pullback.curves import straight_line
from pullback.errors import InvalidParameterError
from pullback.manifolds import Manifold, decorrelated_geodesic, interval
from pullback.models import VAE, DecoderSampler, EnsembleDecoder, mc_dropout, mlp


def curved(scale):
    def decode(z):
        return scale * torch.cat([z, z.square().sum(-1, keepdim=True)], -1)

    return decode


SCALES = (1.0, 2.0, 4.0)


@pytest.fixture(name="M", scope="module")
def scaled_paraboloids():
    return Manifold([curved(scale) for scale in SCALES], dim=2)


@pytest.fixture(name="points", scope="module")
def some_points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64)


@pytest.mark.slow
def test_distances_of_scaled_members_are_scaled(M, points):
    a, b = points
    samples = M.dist(a, b, samples=True)
    assert samples.shape == (3, 3, 4)
    alone = Manifold(curved(1.0), dim=2).dist(a, b)
    scales = torch.tensor(SCALES, dtype=torch.float64).reshape(3, 1, 1)
    torch.testing.assert_close(samples, scales * alone, rtol=2e-4, atol=0)
    mean_square = torch.tensor(SCALES).square().mean()
    torch.testing.assert_close(M.dist(a, b), alone * mean_square**0.5, rtol=2e-4, atol=0)


@pytest.mark.thorough
def test_every_member_answers_as_it_would_alone(points):
    torch.manual_seed(1)
    nets = [mlp([2, 16, 6]).double() for _ in range(3)]
    for net in nets:
        for part in net.parameters():
            part.data.mul_(2)
    M = Manifold(EnsembleDecoder(nets, latent_dim=2))
    a, b = (p.flatten(0, 1) for p in points)
    alone = torch.stack([Manifold(net, dim=2).dist(a, b) for net in nets])
    samples = M.posterior().dist(a, b)
    assert (samples <= alone * 1.001).all()  # not worse than a search without a warm start
    assert ((samples / alone - 1).abs() < 1e-3).double().mean() > 0.9
    z = a
    volumes = torch.stack([Manifold(net, dim=2).log_volume(z) for net in nets])
    torch.testing.assert_close(M.posterior().log_volume(z), volumes)
    results = M.posterior().geodesics(a, b)
    assert len(results) == 3
    torch.testing.assert_close(torch.stack([r.length for r in results]), samples)
    assert results[0].starts == ("straight", "given")
    assert results[0].points(10).shape == (12, 10, 2)


@pytest.mark.slow
def test_energies_of_a_curve_average_to_the_expected_one(M, points):
    """The law E_M[c] = mean_s E_s[c], and lengths by the triangle inequality below."""
    curve = straight_line(points[0, 0], points[1, 0], 200)
    members = M.posterior().members
    energies = torch.stack([member.energy(curve) for member in members])
    torch.testing.assert_close(M.energy(curve), energies.mean(0))
    lengths = M.posterior().length(curve)
    assert lengths.shape == (3, 4)
    assert (lengths.mean(0) <= M.length(curve) * (1 + 1e-12)).all()


@pytest.mark.slow
def test_samples_have_derivatives(M):
    a = torch.tensor([0.2, -0.1], dtype=torch.float64, requires_grad=True)
    samples = M.dist(a, [1.0, 0.5], samples=True)
    slopes = [torch.autograd.grad(s, a, retain_graph=True)[0] for s in samples]
    torch.testing.assert_close(slopes[1], 2 * slopes[0], rtol=1e-3, atol=0)
    assert float(slopes[0].norm()) > 0.5


def test_intervals_are_quantiles():
    samples = torch.randn(9, 4, 5, dtype=torch.float64)
    found = interval(samples, level=0.5)
    expected = np.quantile(samples.numpy(), [0.25, 0.5, 0.75], axis=0)
    for part, quantile in zip(found, expected, strict=True):
        torch.testing.assert_close(part, torch.tensor(quantile))
    everything = interval(samples, level=1.0)
    assert torch.equal(everything.low, samples.amin(0))
    assert torch.equal(everything.high, samples.amax(0))
    for level in (0.0, 1.5, -1.0):
        with pytest.raises(InvalidParameterError, match="`level`"):
            interval(samples, level=level)


@pytest.mark.thorough
def test_intervals_of_sampled_decoders_hold_the_truth():
    """Scales exp(0.2 n) with n ~ N(0, 1): distances are log-normal, their quantiles known."""

    def draw(generator):
        noise = torch.randn((), generator=generator, dtype=torch.float64)
        return curved(float((0.2 * noise).exp()))

    sampler = DecoderSampler(draw, n_samples=30, latent_dim=2)
    M = Manifold(sampler, dim=2)
    alone = Manifold(curved(1.0), dim=2).dist([0.0, 0.0], [1.0, 0.0])
    found = interval(M.dist([0.0, 0.0], [1.0, 0.0], samples=True), level=0.8)
    # Standard errors of the quantiles of log d: 0.2 * 1.71 / sqrt(30) at 10 %, 1.25 in the middle.
    for quantile, normal, error in zip(
        found, (-1.2816, 0, 1.2816), (1.71, 1.25, 1.71), strict=True
    ):
        off = float((quantile / alone).log()) - 0.2 * normal
        assert abs(off) < 4 * 0.2 * error / 30**0.5


@pytest.mark.slow
def test_a_table_of_the_expected_metric_has_a_posterior_too(M, points):
    a, b = (p.flatten(0, 1) for p in points)
    fast = M.tabulated(torch.cat([a, b]))
    torch.testing.assert_close(
        fast.dist(a, b, samples=True), M.dist(a, b, samples=True), rtol=1e-3, atol=0
    )


def test_one_decoder_has_no_posterior():
    M = Manifold(nn.Linear(2, 3), dim=2)
    with pytest.raises(InvalidParameterError, match=r"one of several decoders.*n_decoders=k"):
        M.posterior()
    with pytest.raises(InvalidParameterError, match="one of several decoders"):
        M.dist([0.0, 0.0], [1.0, 0.0], samples=True)
    with pytest.raises(InvalidParameterError, match="one of several decoders"):
        decorrelated_geodesic(M, [0.0, 0.0], [1.0, 0.0])


@pytest.mark.slow
def test_an_ensemble_vae_is_a_manifold():
    vae = VAE(6, 4, n_decoders=3, hidden=(8,))
    M = Manifold(vae)
    z = torch.randn(2, 5, 4, dtype=torch.float64)
    assert M.dim == 4
    torch.testing.assert_close(M.decode(z), vae.decode(z).double())
    assert M.dist(z[0], z[1], samples=True).shape == (3, 5)
    assert "dim=4" in repr(M)


@pytest.mark.slow
def test_dropout_gives_a_manifold_with_error_bars():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Dropout(0.2), nn.Linear(32, 6))
    M = Manifold(mc_dropout(network, 5))
    samples = M.dist([0.0, 0.0], [1.0, 1.0], samples=True)
    found = interval(samples, level=1.0)
    assert found.low < found.median < found.high
    assert torch.equal(samples, M.dist([0.0, 0.0], [1.0, 1.0], samples=True))


# --- the decorrelated energy


def unsure_in_the_middle(sign):
    """Two members that agree but for a bump at the origin, which lifts them to either side."""

    def decode(z):
        bump = 0.4 * sign * torch.exp(-4 * z.square().sum(-1, keepdim=True))
        return torch.cat([z, bump], -1)

    return decode


@pytest.mark.slow
def test_more_segments_avoid_more_what_is_not_known():
    M = Manifold([unsure_in_the_middle(sign) for sign in (-1.0, 1.0)], dim=2)
    a, b = [-1.0, 0.15], [1.0, 0.15]
    geodesic = M.geodesic(a, b)
    heights, lengths = [], []
    for n in (4, 8, 16):
        found = decorrelated_geodesic(M, a, b, n_segments=n)
        assert bool(found.converged)
        assert float(found.energy) >= float(geodesic.length) ** 2 / 2 * (1 - 0.2)
        heights.append(float(found.curve.nodes[:, 1].max()))
        lengths.append(float(found.length))
    assert heights == sorted(heights)
    assert heights[-1] > 1.5 * float(geodesic.points(65)[:, 1].max())
    assert min(lengths) > float(geodesic.length) * (1 - 1e-3)
    assert lengths == sorted(lengths)


@pytest.mark.slow
def test_decorrelated_batches_are_loops():
    M = Manifold([unsure_in_the_middle(sign) for sign in (-1.0, 1.0)], dim=2)
    a, b = torch.randn(2, 2, 3, 2, dtype=torch.float64)
    whole = decorrelated_geodesic(M, a, b, n_segments=8)
    assert whole.length.shape == whole.energy.shape == whole.converged.shape == (2, 3)
    one = decorrelated_geodesic(M, a[1, 2], b[1, 2], n_segments=8)
    torch.testing.assert_close(whole.energy[1, 2], one.energy, rtol=1e-6, atol=0)
    torch.testing.assert_close(whole.curve.nodes[..., 0, :], a)
    torch.testing.assert_close(whole.curve.nodes[..., -1, :], b)
