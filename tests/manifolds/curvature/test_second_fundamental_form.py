import torch

from pullback.manifolds.curvature.second_fundamental_form import (
    flat_immersion,
    second_fundamental_form,
)
from pullback.manifolds.reference import HalfPlane, stereographic
from pullback.metrics import PullbackMetric, SumMetric


def mean_curvature(form):
    """The vector M^ij II(e_i, e_j)."""
    return torch.einsum("...ij,...ijm->...m", torch.cholesky_inverse(form.cholesky), form.normal)


def draw(n, d):
    return torch.randn(n, d, dtype=torch.float64)


def test_minimal_surfaces_have_no_mean_curvature():
    def helicoid(z):
        u, v = z.unbind(-1)
        return torch.stack([v * u.cos(), v * u.sin(), u], -1)

    def catenoid(z):
        u, v = z.unbind(-1)
        return torch.stack([v.cosh() * u.cos(), v.cosh() * u.sin(), v], -1)

    for surface in (helicoid, catenoid):
        form = second_fundamental_form(surface, draw(8, 2))
        assert bool(form.positive.all())
        assert form.normal.abs().max() > 0.1
        assert mean_curvature(form).abs().max() < 1e-12


def test_a_sphere_bends_inwards_all_over():
    z = draw(4, 3).reshape(2, 2, 3)
    form = second_fundamental_form(stereographic, z)
    torch.testing.assert_close(mean_curvature(form), -3 * stereographic(z))
    M = form.cholesky @ form.cholesky.mT
    expected = -M.unsqueeze(-1) * stereographic(z)[..., None, None, :]
    torch.testing.assert_close(form.normal, expected)


def test_what_bends_within_the_image_is_left_out():
    form = second_fundamental_form(lambda z: z**3, draw(5, 2))
    assert form.normal.abs().max() < 1e-12


def test_only_metrics_of_flat_spaces_have_an_immersion():
    assert flat_immersion(HalfPlane()) is None
    plane = PullbackMetric(lambda z: z)
    assert flat_immersion(SumMetric([HalfPlane(), plane])) is None
    image = flat_immersion(SumMetric([plane, plane], weights=[4.0, 9.0]))
    assert image(torch.ones(1)).tolist() == [2.0, 3.0]
