import math

import numpy as np
import pytest
import torch
from torch.func import jacfwd, jvp, vmap

from pullback.errors import InvalidParameterError
from pullback.models import ConstantStd, NetworkStd, RBFPrecision, mlp


def random_rbf(K=5, d=2, D=3, zeta=0.1):
    generator = torch.Generator().manual_seed(1)
    centers = torch.randn(K, d, generator=generator, dtype=torch.float64)
    bandwidths = torch.rand(K, generator=generator, dtype=torch.float64) + 0.5
    weights = 10 * torch.rand(D, K, generator=generator, dtype=torch.float64) + 0.1
    return RBFPrecision(centers, bandwidths, weights, zeta)


def test_rbf_agrees_with_its_formula():
    rbf = random_rbf()
    z = torch.randn(4, 2, dtype=torch.float64)
    for point, sigma in zip(z, rbf(z), strict=True):
        for j in range(3):
            beta = 0.1 + sum(
                float(rbf.weights[j, k])
                * math.exp(-float(rbf.bandwidths[k]) * float((point - rbf.centers[k]).pow(2).sum()))
                for k in range(5)
            )
            assert float(sigma[j]) == pytest.approx(beta**-0.5, rel=1e-12)


def test_rbf_is_zeta_away_from_the_centres_and_nothing_is_lost_on_the_way():
    rbf = random_rbf(zeta=1e-4)
    rays = torch.randn(50, 2, dtype=torch.float64)
    rays = rays / rays.norm(dim=-1, keepdim=True)
    assert torch.allclose(rbf(40 * rays), torch.full((50, 3), 100.0, dtype=torch.float64))
    radii = torch.linspace(5, 40, 200, dtype=torch.float64)
    along = rbf(radii[:, None] * rays[0])
    assert (along.diff(dim=0) >= 0).all()
    assert (rbf(torch.randn(200, 2, dtype=torch.float64)) <= 100).all()


def test_rbf_jacobian_agrees_with_the_closed_form():
    """d sigma / dz = -1/2 beta^(-3/2) W dv/dz with dv_k/dz = -2 lambda_k (z - c_k) v_k."""
    rbf, z = random_rbf(), torch.tensor([0.3, -0.2], dtype=torch.float64)
    difference = z - rbf.centers
    v = torch.exp(-rbf.bandwidths * (difference**2).sum(-1))
    dv = -2 * rbf.bandwidths[:, None] * difference * v[:, None]
    beta = rbf.weights @ v + 0.1
    expected = -0.5 * beta[:, None] ** -1.5 * (rbf.weights @ dv)
    assert torch.allclose(jacfwd(rbf)(z), expected, rtol=1e-12)


def test_rbf_second_derivative_agrees_with_differences():
    rbf, z = random_rbf(), torch.tensor([0.3, -0.2], dtype=torch.float64)
    u = torch.tensor([0.6, 0.8], dtype=torch.float64)

    def first(point):
        return jvp(rbf, (point,), (u,))[1]

    second, step = jvp(first, (z,), (u,))[1], 1e-5
    differences = (first(z + step * u) - first(z - step * u)) / (2 * step)
    assert torch.allclose(second, differences, rtol=1e-6, atol=1e-9)


def test_rbf_holds_no_denormal_numbers():
    """They would make matrix products a hundred times slower."""
    rbf = RBFPrecision(torch.zeros(1, 1), torch.ones(1), torch.ones(1, 1), 1e-4)
    v = rbf.kernels(torch.linspace(0, 20, 4001)[:, None])
    assert ((v == 0) | (v > torch.finfo(torch.float32).tiny)).all()
    assert (v[:1000] > 0).all()


def test_single_precision_is_accurate_near_a_centre_far_from_the_origin():
    center = torch.tensor([[1000.0, -1000.0]], dtype=torch.float64)
    weights = torch.full((1, 1), 100.0, dtype=torch.float64)
    double = RBFPrecision(center, torch.ones(1, dtype=torch.float64), weights, 1e-4)
    single = RBFPrecision(center.float(), torch.ones(1), weights.float(), 1e-4)
    z = (center + 0.25).float()
    assert torch.allclose(single(z).double(), double(z.double()), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("centers", {"centers": torch.zeros(2)}),
        ("bandwidths", {"bandwidths": torch.ones(3)}),
        ("bandwidths", {"bandwidths": torch.tensor([1.0, 0.0])}),
        ("weights", {"weights": torch.ones(3, 1)}),
        ("weights", {"weights": -torch.ones(3, 2)}),
        ("zeta", {"zeta": 0.0}),
    ],
)
def test_rbf_refuses_bad_values(name, change):
    good = {
        "centers": torch.zeros(2, 1),
        "bandwidths": torch.ones(2),
        "weights": torch.ones(3, 2),
        "zeta": 1e-4,
    }
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        RBFPrecision(**good | change)


def test_flat_rbf_knows_nothing():
    assert torch.allclose(RBFPrecision.flat(4, 2, 3, 0.2)(torch.randn(10, 2)), torch.tensor(0.2))


def test_network_std_stays_above_its_floor_and_starts_at_its_level():
    std = NetworkStd(mlp([2, 16, 5]), min_std=0.05)
    z = 100 * torch.randn(1000, 2)
    assert (std(z) >= 0.05).all()
    std.set_level(0.3)
    last = std.network[-1]
    with torch.no_grad():
        last.weight.zero_()
    assert torch.allclose(std(z), torch.tensor(0.3))


def test_constant_std_is_learned_only_if_asked():
    assert not list(ConstantStd(3, 0.5).parameters())
    learned = ConstantStd(3, 0.5, learned=True)
    learned(torch.zeros(4, 2)).sum().backward()
    assert float(learned.log_std.grad) == pytest.approx(4 * 3 * 0.5)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_constant_std_refuses_bad_values(std):
    with pytest.raises(InvalidParameterError, match="`std` must be a finite number in"):
        ConstantStd(3, std)


@pytest.mark.parametrize(
    "std",
    [ConstantStd(3, 0.5), NetworkStd(mlp([2, 8, 3])), RBFPrecision.flat(4, 2, 3, 0.5)],
    ids=["constant", "network", "rbf"],
)
def test_batch_equals_loop_and_vmap(std):
    std, z = std.double(), torch.randn(4, 5, 2, dtype=torch.float64)
    loop = torch.stack([torch.stack([std(point) for point in row]) for row in z])
    assert torch.allclose(std(z), loop)
    assert torch.allclose(vmap(vmap(std))(z), loop)
    assert np.isfinite(loop.detach().numpy()).all()
