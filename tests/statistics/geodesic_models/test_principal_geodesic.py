"""Principal geodesics against scikit-learn where the space is flat, and closed forms elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from pullback.errors import ConvergenceWarning, InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, great_circle_exp
from pullback.metrics import Metric, PullbackMetric
from pullback.statistics import PrincipalGeodesicAnalysis

METHODS = ["tangent", "exact"]
FLAT = Manifold(PullbackMetric(lambda z: z))
HALF_PLANE = Manifold(HalfPlane())


class Sphere(Metric):
    """The sphere in stereographic coordinates, by its closed form."""

    def metric_matrix(self, z):
        scale = 4 / (1 + z.square().sum(-1)) ** 2
        return scale[..., None, None] * torch.eye(z.shape[-1]).to(z)


SPHERE = Manifold(Sphere(2))
# Arc lengths from the pole and angles there; with their opposites, their mean is the pole.
ARCS = torch.tensor([[1.4, 0.5], [1.3, 0.1], [0.9, -0.5], [0.5, 1.2]]).double()


def on_sphere(arcs):
    s, angle = arcs.unbind(-1)
    return torch.tan(s / 2).unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)


def balanced():
    half = on_sphere(ARCS)
    return torch.cat([half, -half])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [1, 3])
def test_in_a_flat_space_it_is_principal_component_analysis(method, k):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(9, 3)) @ rng.normal(size=(3, 3)) + 5
    ours, theirs = PrincipalGeodesicAnalysis(FLAT, k, method=method).fit(Z), PCA(k).fit(Z)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, atol=1e-9)
    np.testing.assert_allclose(ours.components_, theirs.components_, atol=1e-9)
    variance = theirs.explained_variance_ * 8 / 9
    np.testing.assert_allclose(ours.explained_variance_, variance, rtol=1e-9)
    ratio = theirs.explained_variance_ratio_
    np.testing.assert_allclose(ours.explained_variance_ratio_, ratio, rtol=1e-9)
    a = ours.transform(Z)
    np.testing.assert_allclose(a, theirs.transform(Z), atol=1e-9)
    np.testing.assert_allclose(
        ours.inverse_transform(a), theirs.inverse_transform(theirs.transform(Z)), atol=1e-9
    )
    assert ours.score(Z) == pytest.approx(ratio.sum(), rel=1e-9)
    assert ours.converged_
    assert ours.n_failed_ == 0


@pytest.mark.slow
def test_a_linear_decoder_is_whitened():
    A = torch.tensor([[2.0, 0.3], [0.0, 0.5], [1.0, 1.0]]).double()
    Z = np.random.default_rng(1).normal(size=(10, 2))
    ours = PrincipalGeodesicAnalysis(Manifold(PullbackMetric(lambda z: z @ A.T), dim=2)).fit(Z)
    theirs = PCA(2).fit(Z @ A.T.numpy())
    image = ours.components_.numpy() @ A.T.numpy()
    np.testing.assert_allclose(np.abs((image * theirs.components_).sum(-1)), 1, rtol=1e-9)
    np.testing.assert_allclose(image @ image.T, np.eye(2), atol=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("method", METHODS)
def test_a_great_circle_is_recovered(method):
    p, v = torch.tensor([0.3, -0.2]).double(), torch.tensor([0.4, 0.3]).double()
    t = torch.tensor([-1.0, -0.3, 0.0, 0.2, 1.1]).double()
    t = t - t.mean()
    pga = PrincipalGeodesicAnalysis(SPHERE, 1, method=method)
    Z = great_circle_exp(p.expand(5, 2), t[:, None] * v)
    pga.fit(Z)
    speed = SPHERE.norm(p, v)
    torch.testing.assert_close(pga.mean_, p, rtol=0, atol=1e-4)
    torch.testing.assert_close(pga.components_[0], v / speed, rtol=0, atol=1e-4)
    assert pga.explained_variance_ratio_[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(pga.transform(Z)[:, 0], t * speed, atol=1e-4)
    assert pga.score(Z) == pytest.approx(1, abs=1e-6)


@pytest.mark.thorough
def test_exact_geodesics_lie_nearer_to_curved_data_than_those_of_the_tangent_space():
    Z = balanced()
    # Of a great circle through the pole at an angle theta, each point is asin(sin s sin(..)) off.
    theta = torch.linspace(0, torch.pi, 20001).double()
    off = torch.asin(ARCS[:, 0].sin() * (ARCS[:, 1] - theta[:, None]).sin()).square().mean(-1)
    best = theta[off.argmin()]
    exact, tangent = (
        PrincipalGeodesicAnalysis(SPHERE, 1, method=m, tol=1e-4).fit(Z)
        for m in ("exact", "tangent")
    )
    angle = torch.atan2(*exact.components_[0].flip(0)) % torch.pi
    assert float(angle) == pytest.approx(float(best), abs=1e-3)
    variance = ARCS[:, 0].square().mean()
    assert exact.variance_ == pytest.approx(float(variance), rel=1e-6)
    assert exact.explained_variance_[0] == pytest.approx(float(variance - off.min()), rel=1e-5)
    assert exact.score(Z) == pytest.approx(float(1 - off.min() / variance), rel=1e-4)
    # The tangent space draws far points apart, turns the axis, and reports another share.
    tangent_angle = torch.atan2(*tangent.components_[0].flip(0)) % torch.pi
    assert abs(float(tangent_angle - best)) > 0.02
    assert tangent.score(Z) < exact.score(Z) - 1e-3
    assert tangent.explained_variance_ratio_[0] < exact.explained_variance_ratio_[0] - 0.01


@pytest.mark.thorough
def test_projections_are_the_nearest_points_of_the_great_circle():
    Z = balanced()
    pga = PrincipalGeodesicAnalysis(SPHERE, 1, method="exact", tol=1e-5).fit(Z)
    angle = torch.atan2(*pga.components_[0].flip(0))
    truth = torch.atan(ARCS[:, 0].tan() * (ARCS[:, 1] - angle).cos())
    np.testing.assert_allclose(pga.transform(Z)[:4, 0], truth, atol=1e-4)
    foot = torch.as_tensor(pga.inverse_transform(pga.transform(Z)))
    off = torch.asin(ARCS[:, 0].sin() * (ARCS[:, 1] - angle).sin()).abs()
    torch.testing.assert_close(great_circle_dist(foot[:4], Z[:4]), off, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_vertical_lines_of_the_half_plane(method):
    height = torch.tensor([-1.0, 0.5, 1.2, 0.1]).double()
    Z = torch.stack([torch.full_like(height, 3.0), height.exp()], -1)
    pga = PrincipalGeodesicAnalysis(HALF_PLANE, method=method).fit(Z)
    middle = height.mean()
    torch.testing.assert_close(pga.mean_, torch.stack([Z[0, 0], middle.exp()]), rtol=0, atol=1e-4)
    assert pga.explained_variance_ == pytest.approx([float(height.var(correction=0)), 0], abs=1e-6)
    np.testing.assert_allclose(pga.transform(Z)[:, 0], height - middle, atol=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "method",
    [
        pytest.param("tangent", marks=pytest.mark.slow),
        pytest.param("exact", marks=pytest.mark.exhaustive),
    ],
)
def test_isometries_weights_and_repetition(method):
    Z = balanced()[[0, 1, 2, 3, 4, 6]]
    pga = PrincipalGeodesicAnalysis(SPHERE, 1, method=method)
    once = clone(pga).fit(Z)
    again = clone(pga).fit(Z)
    assert torch.equal(once.components_, again.components_)
    assert np.array_equal(once.transform(Z), again.transform(Z))
    angle = torch.tensor(0.7).double()
    R = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    turned = clone(pga).fit(Z @ R.T)
    np.testing.assert_allclose(turned.explained_variance_, once.explained_variance_, rtol=1e-4)
    cosine = SPHERE.inner_product(turned.mean_, turned.components_[0], R @ once.components_[0])
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-4)
    twice = clone(pga).fit(torch.cat([Z, Z[:2]]))
    weighed = clone(pga).fit(Z, sample_weight=[2, 2, 1, 1, 1, 1])
    torch.testing.assert_close(weighed.components_, twice.components_, rtol=0, atol=1e-3)
    np.testing.assert_allclose(weighed.explained_variance_, twice.explained_variance_, rtol=1e-3)


@pytest.mark.thorough
def test_it_is_saved_and_read_in_a_new_process(tmp_path):
    Z = np.random.default_rng(0).normal(size=(6, 2))
    pga = PrincipalGeodesicAnalysis(FLAT, 1, method="exact").fit(Z)
    pga.save(tmp_path / "pga")
    np.save(tmp_path / "Z.npy", Z)
    code = (
        "import sys, numpy as np; from pullback.manifolds import Manifold;"
        "from pullback.metrics import PullbackMetric;"
        "from pullback.statistics import PrincipalGeodesicAnalysis as P; f = sys.argv[1];"
        "p = P.load(f + '/pga', Manifold(PullbackMetric(lambda z: z)));"
        "Z = np.load(f + '/Z.npy'); np.save(f + '/a.npy', p.transform(Z)); print(p.score(Z))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert np.array_equal(np.load(tmp_path / "a.npy"), pga.transform(Z))
    assert float(out.stdout) == pga.score(Z)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_components": 3}, "n_components"),
        ({"n_components": 0}, "n_components"),
        ({"method": "kernel"}, "method"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": 0.0}, "tol"),
    ],
)
def test_bad_settings_are_refused(options, name):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        PrincipalGeodesicAnalysis(SPHERE, **options).fit(balanced())


@pytest.mark.cpu_seconds(30)
def test_hostile_data_are_refused_at_once():
    pga = PrincipalGeodesicAnalysis(SPHERE)
    with pytest.raises(ValueError, match="1 sample"):
        pga.fit(np.zeros((1, 2)))
    with pytest.raises(InvalidDataError, match="all coincide"):
        pga.fit(np.full((5, 2), 0.3))
    with pytest.raises(InvalidDataError, match="finite"):
        pga.fit([[0.0, np.nan], [1.0, 1.0]])
    with pytest.raises(InvalidDataError, match="2 features"):
        pga.fit(np.zeros((4, 3)))
    with pytest.raises(InvalidParameterError, match="a `Manifold`"):
        PrincipalGeodesicAnalysis(SPHERE).set_params(manifold="sphere").fit(np.zeros((4, 2)))
    with pytest.raises(NotFittedError):
        PrincipalGeodesicAnalysis(SPHERE).transform(balanced())


@pytest.mark.thorough
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.cpu_seconds(120)
def test_data_that_no_geodesic_reaches_are_left_out_and_counted(method):
    Z = torch.tensor([[0.0, 1.0], [0.5, 2.0], [-0.3, 1.5], [0.1, 3.0], [0.2, -1.0]]).double()
    pga = PrincipalGeodesicAnalysis(HALF_PLANE, 1, method=method)
    with pytest.warns(ConvergenceWarning):
        found = clone(pga).fit(Z)
    assert found.n_failed_ == 1
    without = clone(pga).fit(Z[:4])
    torch.testing.assert_close(found.components_, without.components_, rtol=0, atol=1e-3)
    with pytest.warns(ConvergenceWarning):
        a = found.transform(Z)
    assert np.isnan(a[4]).all()
    assert np.isfinite(a[:4]).all()
