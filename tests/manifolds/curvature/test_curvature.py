import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pullback import Manifold
from pullback.manifolds.curvature import jet
from pullback.manifolds.curvature.curvature import ricci, riemann, scalar_curvature
from pullback.manifolds.curvature.sectional_curvature import sectional_curvature
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    paraboloid,
    stereographic,
    torus,
)
from pullback.metrics import (
    ConformalMetric,
    EnsembleMetric,
    FisherRaoMetric,
    KLMetric,
    Metric,
    PullbackMetric,
    RestrictedMetric,
    ScaledMetric,
    SumMetric,
    TabulatedMetric,
    Weights,
)
from pullback.models import Decoder, NormalLikelihood, RBFPrecision


class Bare(Metric):
    """A metric of which nothing is known but its matrix."""

    def __init__(self, metric):
        super().__init__(metric.dim)
        self._matrix = metric.metric_matrix

    def metric_matrix(self, z):
        return self._matrix(z)


def draw(n, d, *, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=generator, dtype=torch.float64)


def network(d, m, *, seed=0, width=8):
    torch.manual_seed(seed)
    layers = nn.Linear(d, width), nn.Tanh(), nn.Linear(width, m)
    return nn.Sequential(*layers).double().requires_grad_(False)


def helicoid(z, pitch=0.7):
    u, v = z.unbind(-1)
    return torch.stack([v * u.cos(), v * u.sin(), pitch * u], -1)


def catenoid(z):
    u, v = z.unbind(-1)
    return torch.stack([v.cosh() * u.cos(), v.cosh() * u.sin(), v], -1)


def cylinder(z):
    return torch.cat([z[..., :1].cos(), z[..., :1].sin(), z[..., 1:]], -1)


SURFACES = {
    "sphere": (PullbackMetric(stereographic), lambda u, v: torch.ones_like(u)),
    "half-plane": (HalfPlane(), lambda u, v: -torch.ones_like(u)),
    "torus": (PullbackMetric(torus), lambda u, v: v.cos() / (2 + v.cos())),
    "paraboloid": (PullbackMetric(paraboloid), lambda u, v: 4 / (1 + 4 * (u**2 + v**2)) ** 2),
    "helicoid": (PullbackMetric(helicoid), lambda u, v: -0.49 / (v**2 + 0.49) ** 2),
    "catenoid": (PullbackMetric(catenoid), lambda u, v: -(v.cosh() ** -4)),
    "conformal": (
        # K = -laplacian(log c) / (2 c), here with log c = |z|^2
        ConformalMetric(lambda z: z.square().sum(-1).exp(), dim=2),
        lambda u, v: -2 * torch.exp(-(u**2) - v**2),
    ),
    "normal distributions": (
        FisherRaoMetric.from_decoder(
            lambda z: torch.distributions.Normal(z[..., :1], z[..., 1:].exp()), dim=2
        ),
        lambda u, v: -torch.ones_like(u) / 2,
    ),
}


def points_on(name):
    z = draw(20, 2)
    return torch.stack([z[:, 0], z[:, 1].abs() + 0.3], -1) if name == "half-plane" else z


@pytest.mark.slow
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_have_the_gaussian_curvature_of_their_closed_form(name, bare):
    metric, expected = SURFACES[name]
    metric = Bare(metric) if bare else metric
    z, u, v = points_on(name), *draw(40, 2, seed=1).split(20)
    K = expected(*z.unbind(-1))
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(scalar_curvature(metric, z), 2 * K, **close)
    torch.testing.assert_close(sectional_curvature(metric, z, u, v), K, **close)
    M = metric.metric_matrix(z)
    torch.testing.assert_close(ricci(metric, z), K[:, None, None] * M, **close)
    R = riemann(metric, z)
    torch.testing.assert_close(R[:, 0, 1, 0, 1], K * M.det(), **close)


@pytest.mark.slow
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_a_sphere_is_curved_alike_in_all_planes(d, bare):
    r = 1.7
    metric = PullbackMetric(lambda z: r * stereographic(z), dim=d)
    metric = Bare(metric) if bare else metric
    z, u, v = draw(6, d), draw(6, d, seed=1), draw(6, d, seed=2)
    M = metric.metric_matrix(z)
    planes = torch.einsum("nik,njl->nijkl", M, M) - torch.einsum("nil,njk->nijkl", M, M)
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(riemann(metric, z), planes / r**2, **close)
    torch.testing.assert_close(ricci(metric, z), (d - 1) / r**2 * M, **close)
    scalar = torch.full((6,), d * (d - 1) / r**2, dtype=torch.float64)
    torch.testing.assert_close(scalar_curvature(metric, z), scalar, **close)
    torch.testing.assert_close(sectional_curvature(metric, z, u, v), scalar / (d * (d - 1)))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    ("immersion", "d"),
    [
        (curved_plane, 2),
        (cylinder, 3),
        (lambda z: z @ torch.arange(6.0, dtype=z.dtype).reshape(2, 3), 2),
        (lambda z: torch.cat([z.sin(), z.cos(), z], -1), 3),
    ],
    ids=["curved plane", "cylinder", "linear", "product of curves"],
)
def test_flat_spaces_have_no_curvature(immersion, d, bare):
    metric = PullbackMetric(immersion, d)
    metric = Bare(metric) if bare else metric
    z = draw(9, d)
    zero = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(riemann(metric, z), torch.zeros(9, d, d, d, d).double(), **zero)
    torch.testing.assert_close(scalar_curvature(metric, z), torch.zeros(9).double(), **zero)
    K = sectional_curvature(metric, z, *draw(18, d, seed=3).split(9))
    torch.testing.assert_close(K, torch.zeros(9).double(), **zero)


def test_a_hyperbolic_space_of_more_dimensions():
    metric = ConformalMetric(lambda z: z[..., -1] ** -2, dim=4)
    z = draw(5, 4).abs() + 0.2
    torch.testing.assert_close(scalar_curvature(metric, z), torch.full((5,), -12.0).double())


def test_the_curvature_of_a_product_is_that_of_its_parts():
    def spheres(z):
        return torch.cat([2 * stereographic(z[..., :2]), 3 * stereographic(z[..., 2:])], -1)

    metric, z = PullbackMetric(spheres), draw(7, 4)
    expected = torch.full((7,), 2 / 4 + 2 / 9, dtype=torch.float64)
    torch.testing.assert_close(scalar_curvature(metric, z), expected)
    first, second = torch.eye(4, dtype=torch.float64)[[0, 2]].unsqueeze(1).expand(2, 7, 4)
    K = sectional_curvature(metric, z, first, second)
    torch.testing.assert_close(K, torch.zeros(7).double(), rtol=0, atol=1e-14)


def test_the_total_curvature_of_a_torus_is_zero_whatever_its_shape():
    def bumpy(z):
        u, v = z.unbind(-1)
        bump = 0.1 * torch.stack([(3 * u).sin() * v.cos(), (u + v).sin(), (2 * v).cos()], -1)
        return torus(z) + bump

    steps = torch.arange(96, dtype=torch.float64) * (2 * math.pi / 96)
    z = torch.cartesian_prod(steps, steps)
    metric = PullbackMetric(bumpy)
    share = scalar_curvature(metric, z) / 2 * metric.log_volume(z).exp() * (2 * math.pi / 96) ** 2
    assert share.abs().sum() > 4 * math.pi
    assert abs(share.sum()) < 1e-9


@pytest.mark.slow
@settings(max_examples=25)
@given(
    d=st.integers(2, 4),
    m=st.integers(2, 7),
    seed=st.integers(0, 10_000),
    size=st.sampled_from([0.1, 1.0, 3.0]),
)
def test_the_symmetries_of_the_riemann_tensor_and_both_ways_to_it(d, m, seed, size):
    metric = PullbackMetric(network(d, d + m, seed=seed), d)
    z = draw(3, d, seed=seed, scale=size)
    R, other = riemann(metric, z), riemann(Bare(metric), z)
    scale = max(float(R.abs().max()), 1e-3)
    same = {"rtol": 0, "atol": 1e-10 * scale}
    torch.testing.assert_close(R, other, **same)
    for tensor in (R, other):
        torch.testing.assert_close(tensor, -tensor.transpose(1, 2), **same)
        torch.testing.assert_close(tensor, -tensor.transpose(3, 4), **same)
        torch.testing.assert_close(tensor, tensor.permute(0, 3, 4, 1, 2), **same)
        cyclic = tensor + tensor.permute(0, 1, 4, 2, 3) + tensor.permute(0, 1, 3, 4, 2)
        torch.testing.assert_close(cyclic, torch.zeros_like(R), **same)


@pytest.mark.slow
@settings(max_examples=10)
@given(d=st.integers(2, 5), seed=st.integers(0, 10_000))
def test_contractions_are_those_of_the_riemann_tensor(d, seed):
    metric = PullbackMetric(network(d, d + 3, seed=seed), d)
    z, u, v = draw(4, d, seed=seed), draw(4, d, seed=seed + 1), draw(4, d, seed=seed + 2)
    R, M = riemann(metric, z), metric.metric_matrix(z)
    inverse = M.inverse()
    Ric = torch.einsum("nik,nijkl->njl", inverse, R)
    torch.testing.assert_close(ricci(metric, z), Ric, rtol=1e-6, atol=1e-8)
    scalar = torch.einsum("njl,njl->n", inverse, Ric)
    torch.testing.assert_close(scalar_curvature(metric, z), scalar, rtol=1e-6, atol=1e-8)
    inner = metric.inner_product
    area = inner(z, u, u) * inner(z, v, v) - inner(z, u, v).square()
    K = torch.einsum("nijkl,ni,nj,nk,nl->n", R, u, v, u, v) / area
    for space in (metric, Bare(metric)):
        found = sectional_curvature(space, z, u, v)
        torch.testing.assert_close(found, K, rtol=1e-6, atol=1e-8)


def test_lengths_scale_curvature():
    metric, z = PullbackMetric(network(3, 5)), draw(4, 3)
    scaled = ScaledMetric(metric, 9.0)
    torch.testing.assert_close(riemann(scaled, z), 9 * riemann(metric, z))
    torch.testing.assert_close(ricci(scaled, z), ricci(metric, z))
    torch.testing.assert_close(scalar_curvature(scaled, z), scalar_curvature(metric, z) / 9)


@pytest.mark.slow
@pytest.mark.parametrize("bare", [False, True])
def test_curvature_does_not_depend_on_the_coordinates(bare):
    def change(w):
        return torch.stack([w[..., 0] + 0.3 * w[..., 1].sin(), w[..., 1], w.sum(-1).tanh()], -1)

    phi, w = network(3, 6), draw(5, 3)
    metric, other = PullbackMetric(phi, 3), PullbackMetric(lambda w: phi(change(w)), 3)
    metric, other = (Bare(metric), Bare(other)) if bare else (metric, other)
    z, J = change(w), torch.func.vmap(torch.func.jacfwd(change))(w)
    close = {"rtol": 1e-8, "atol": 1e-10}
    torch.testing.assert_close(scalar_curvature(other, w), scalar_curvature(metric, z), **close)
    R = torch.einsum("nijkl,nia,njb,nkc,nle->nabce", riemann(metric, z), J, J, J, J)
    torch.testing.assert_close(riemann(other, w), R, **close)
    u, v = draw(10, 3, seed=4).split(5)
    there = ((J @ x.unsqueeze(-1)).squeeze(-1) for x in (u, v))
    K = sectional_curvature(metric, z, *there)
    torch.testing.assert_close(sectional_curvature(other, w, u, v), K, **close)


@pytest.mark.slow
def test_ensembles_sums_and_subspaces_are_pulled_back_too():
    members = [PullbackMetric(network(3, 6, seed=seed), 3) for seed in range(3)]
    origin, basis = draw(1, 3, seed=7)[0], draw(3, 2, seed=8)
    spaces = [
        (EnsembleMetric(members), 3),
        (SumMetric([EnsembleMetric(members), members[0]], weights=[2.0, 0.5]), 3),
        (RestrictedMetric(EnsembleMetric(members), basis, origin), 2),
    ]
    for metric, d in spaces:
        z = draw(4, d, seed=9)
        R = riemann(Bare(metric), z)
        # Entries that vanish by symmetry are sums of others, rounded.
        torch.testing.assert_close(
            riemann(metric, z), R, rtol=1e-8, atol=1e-12 * float(R.abs().max())
        )
    field = FisherRaoMetric.from_decoder(
        lambda z: torch.distributions.Gamma(z[..., :1].exp(), z[..., 1:].exp()), dim=2
    )
    flat = PullbackMetric(curved_plane, 2)
    mixed, z = SumMetric([field, flat]), draw(4, 2)
    torch.testing.assert_close(riemann(mixed, z), riemann(Bare(mixed), z))


def test_a_great_sphere_through_a_sphere():
    basis = draw(4, 2, seed=5)
    metric = RestrictedMetric(PullbackMetric(stereographic), basis)
    torch.testing.assert_close(scalar_curvature(metric, draw(6, 2)), torch.full((6,), 2.0).double())


def test_an_ambient_metric_is_counted():
    weights = Weights([1.0, 1.0, 4.0])  # the paraboloid (x, y, 2 r^2), K = 16 / (1 + 16 r^2)^2
    M, z = Manifold(paraboloid, dim=2, ambient=weights), draw(5, 2)
    K = 16 / (1 + 16 * z.square().sum(-1)).square()
    torch.testing.assert_close(M.scalar_curvature(z), 2 * K, rtol=1e-9, atol=0)


@pytest.mark.slow
def test_the_curvature_of_a_table_is_exact():
    metric = PullbackMetric(torus, 2)
    table = TabulatedMetric.build(metric, draw(50, 2), rtol=0.05)
    z = draw(5, 2, scale=0.5)
    assert torch.equal(scalar_curvature(table, z), scalar_curvature(metric, z))
    u, v = draw(10, 2, seed=1).split(5)
    assert torch.equal(sectional_curvature(table, z, u, v), sectional_curvature(metric, z, u, v))


@pytest.mark.slow
def test_a_divergence_has_the_curvature_of_its_metric():
    def decoder(z):
        return torch.distributions.Normal(z[..., :1], z[..., 1:].exp())

    K = scalar_curvature(KLMetric.from_decoder(decoder, dim=2), draw(5, 2, scale=0.3)) / 2
    torch.testing.assert_close(K, torch.full((5,), -0.5).double(), rtol=1e-4, atol=0)


def brioschi(matrix, z, step):
    """The Gaussian curvature by Brioschi's formula, with central differences of M."""
    e, f = step * torch.eye(2, dtype=z.dtype)

    def at(shift):
        return matrix(z + shift).reshape(-1, 4)[:, [0, 1, 3]].T  # E, F, G

    here = at(0 * e)
    E, F, G = here
    Eu, Fu, Gu = (at(e) - at(-e)) / (2 * step)
    Ev, Fv, Gv = (at(f) - at(-f)) / (2 * step)
    Evv = (at(f) - 2 * here + at(-f))[0] / step**2
    Guu = (at(e) - 2 * here + at(-e))[2] / step**2
    Fuv = (at(e + f) - at(e - f) - at(f - e) + at(-e - f))[1] / (4 * step**2)
    zero = torch.zeros_like(E)

    def determinant(*rows):
        return torch.stack([torch.stack(row, -1) for row in rows], -2).det()

    first = determinant(
        (-Evv / 2 + Fuv - Guu / 2, Eu / 2, Fu - Ev / 2), (Fv - Gu / 2, E, F), (Gv / 2, F, G)
    )
    second = determinant((zero, Ev / 2, Gu / 2), (Ev / 2, E, F), (Gu / 2, F, G))
    return (first - second) / (E * G - F**2) ** 2


def variance_decoder():
    generator = torch.Generator().manual_seed(3)
    centers = torch.randn(12, 2, generator=generator)
    weights = 50 * torch.rand(30, 12, generator=generator) + 1
    std = RBFPrecision(centers, torch.full((12,), 1.5), weights, 0.5)
    mean = nn.Sequential(network(2, 16, width=12), nn.Tanh(), network(16, 30), nn.Sigmoid())
    return Decoder(mean, NormalLikelihood(std.double())).double().eval()


@pytest.mark.slow
def test_a_decoder_with_a_variance_against_finite_differences():
    M, z = Manifold(variance_decoder()), draw(12, 2, scale=0.8)
    coarse, fine, finest = (brioschi(M.metric_matrix, z, h) for h in (2e-2, 1e-2, 5e-3))
    first, second = fine + (fine - coarse) / 3, finest + (finest - fine) / 3
    expected = second + (second - first) / 15
    K = M.scalar_curvature(z) / 2
    assert K.abs().median() > 1e-2
    torch.testing.assert_close(K, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_points_in_any_batch_are_measured_as_alone(monkeypatch):
    metric, z = PullbackMetric(network(3, 5)), draw(6, 3)
    together = riemann(metric, z.reshape(2, 3, 3))
    alone = torch.stack([riemann(metric, point) for point in z])
    torch.testing.assert_close(together.reshape(6, 3, 3, 3, 3), alone, rtol=1e-9, atol=1e-14)
    monkeypatch.setattr(jet, "_CPU_BYTES", 1)  # one point a block
    torch.testing.assert_close(riemann(metric, z), alone)
    for space in (metric, Bare(metric)):
        assert scalar_curvature(space, z[:0]).shape == (0,)
        assert sectional_curvature(space, z[:0], z[:0], z[:0]).shape == (0,)


@pytest.mark.parametrize("bare", [False, True])
def test_single_precision_is_near_double(bare):
    phi = network(2, 6)
    double, single = PullbackMetric(phi), PullbackMetric(network(2, 6).float())
    double, single = (Bare(double), Bare(single)) if bare else (double, single)
    z, u, v = draw(5, 2), *draw(10, 2, seed=1).split(5)
    K = sectional_curvature(single, z.float(), u.float(), v.float())
    scalar = scalar_curvature(single, z.float())
    assert K.dtype == scalar.dtype == torch.float32
    expected = sectional_curvature(double, z, u, v)
    size = float(expected.abs().max())
    torch.testing.assert_close(K.double(), expected, rtol=1e-3, atol=1e-3 * size)
    torch.testing.assert_close(scalar.double(), 2 * expected, rtol=1e-3, atol=1e-3 * size)


def test_curvature_has_derivatives():
    z = torch.tensor([[0.3, -0.2]], dtype=torch.float64, requires_grad=True)
    for metric in (PullbackMetric(paraboloid), Bare(PullbackMetric(paraboloid))):
        (found,) = torch.autograd.grad(scalar_curvature(metric, z).sum(), z)
        expected = -128 * z / (1 + 4 * z.square().sum()) ** 3  # of 8 / (1 + 4 r^2)^2
        torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("bare", [False, True])
def test_where_the_metric_is_singular_there_is_no_curvature(bare):
    cusp = PullbackMetric(lambda z: torch.stack([z[..., 0] ** 3, z[..., 1], z[..., 1] ** 2], -1))
    cusp = Bare(cusp) if bare else cusp
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    u, v = torch.eye(2, dtype=torch.float64).unsqueeze(1).expand(2, 2, 2)
    for found in (scalar_curvature(cusp, z), sectional_curvature(cusp, z, u, v)):
        assert found.isnan().tolist() == [True, False]
        assert abs(found[1]) < 1e-12
    assert bool(riemann(cusp, z)[0].isnan().all())
    assert bool(ricci(cusp, z)[0].isnan().all())


def test_outside_the_space_there_is_no_curvature():
    z = torch.tensor([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert scalar_curvature(HalfPlane(), z).isnan().tolist() == [True, True, False]
    overflow = PullbackMetric(lambda z: torch.cat([z, z.exp()], -1))
    far = torch.tensor([[1000.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert scalar_curvature(overflow, far).isnan().tolist() == [True, False]


def test_a_curve_has_no_curvature():
    metric, z = PullbackMetric(lambda z: torch.cat([z.sin(), z.exp()], -1)), draw(4, 1)
    for space in (metric, Bare(metric)):
        assert scalar_curvature(space, z).tolist() == [0.0] * 4
        assert ricci(space, z).flatten().tolist() == [0.0] * 4


@pytest.mark.slow
def test_the_manifold_s_methods_take_what_others_take():
    M = Manifold(torus, dim=2)
    assert M.scalar_curvature([0.0, 0.0]).item() == pytest.approx(2 / 3)
    assert M.sectional_curvature([[0, 0], [0, 1]], [1, 0], [1, 1]).shape == (2,)
    assert M.riemann([0.0, 0.0])[0, 1, 0, 1].item() == pytest.approx(3)  # K = 1/3, area 9
    assert M.ricci([0.0, 0.0]).diagonal().tolist() == pytest.approx([3, 1 / 3])
    assert M.christoffels([[0.0, 1.0]]).shape == (1, 2, 2, 2)
    both = Manifold([torus, torus], dim=2)
    assert both.scalar_curvature([0.0, 0.0]).item() == pytest.approx(2 / 3)


@pytest.mark.gpu
def test_a_gpu_finds_the_same_curvature():
    M, z = Manifold(variance_decoder()), draw(20, 2, scale=0.8)
    on_gpu = Manifold(variance_decoder().cuda())
    found = on_gpu.scalar_curvature(z)
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), M.scalar_curvature(z), rtol=1e-8, atol=1e-10)
    bare = scalar_curvature(Bare(on_gpu.metric), z.cuda())
    torch.testing.assert_close(bare, found, rtol=1e-6, atol=1e-8)
    estimate = on_gpu.estimate_scalar_curvature(z, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(estimate.value, found, rtol=1e-6, atol=1e-8)  # one plane is all
