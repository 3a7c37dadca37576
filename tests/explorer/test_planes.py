import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.explorer import Scene
from pullback.explorer.answers import View, answer
from pullback.explorer.messages import Layer, Path, Plane, Principal, PythonCode, open_message
from pullback.explorer.planes import plane_of_axes, principal_plane


@pytest.fixture(scope="module")
def ellipsoid():
    """An ellipsoidal Gaussian in four dimensions and a linear decoder into seven."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    codes = 2 + rng.normal(size=(50, 4)) * [3.0, 1.5, 0.5, 0.2] @ turn
    weights = torch.as_tensor(
        np.linalg.qr(rng.normal(size=(7, 7)))[0][:, :4] * [1.0, 1.2, 0.8, 1.1]
    )
    manifold = Manifold(lambda z: z @ weights.T.to(z), dim=4)
    return Scene("ellipsoid", manifold, torch.as_tensor(codes)), weights.numpy()


def read(scene, **message):
    return open_message(json.dumps({"id": 1, **message})).read(scene, (0, 1))


def test_of_a_linear_decoder_the_principal_plane_is_that_of_principal_components(ellipsoid):
    from sklearn.decomposition import PCA

    scene, weights = ellipsoid
    images = scene.Z.numpy() @ weights.T
    truth = PCA(2).fit(images)
    plane = scene.principal
    np.testing.assert_allclose(plane.origin, scene.Z.mean(0), atol=1e-6)
    turns = plane.basis.numpy() @ weights.T @ truth.components_.T
    np.testing.assert_allclose(np.abs(turns), np.eye(2), atol=1e-5)
    signs = np.sign(np.diag(turns))
    shown = plane.coordinates(scene.Z).numpy()
    np.testing.assert_allclose(shown * signs, truth.transform(images), atol=1e-4)
    shares = [f"{100 * share:.0f} %" for share in truth.explained_variance_ratio_]
    assert f"{shares[0]} of the variance along g1 and {shares[1]} along g2" in plane.words[0]


def test_coordinates_are_those_of_the_point_that_was_lifted(ellipsoid):
    plane = ellipsoid[0].principal
    points = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(plane.coordinates(plane.lift(points)), points)


def test_the_outline_is_where_the_plane_leaves_the_box(ellipsoid):
    scene, _ = ellipsoid
    plane = scene.principal
    corners = torch.tensor(plane.outline, dtype=torch.float64)
    assert bool(plane.covers(corners).all())
    reach = (plane.lift(corners) - scene.box.mean(0)).abs() / (scene.box[1] - scene.box[0])
    torch.testing.assert_close(reach.amax(-1), torch.full((len(corners),), 0.5).double())
    middles = (corners + corners.roll(-1, 0)) / 2
    assert not bool(plane.covers(1.001 * middles).any())
    low, high = np.array(plane.box)
    grid = torch.as_tensor(np.random.default_rng(0).uniform(low, high, (500, 2)))
    hull = np.array([_turns(p.numpy(), corners.numpy()) for p in grid])
    np.testing.assert_array_equal(plane.covers(grid).numpy(), hull)


def _turns(point, corners):
    """Whether a point lies to the left of every edge."""
    ahead, there = np.roll(corners, -1, 0) - corners, point - corners
    return bool((ahead[:, 0] * there[:, 1] - ahead[:, 1] * there[:, 0] >= 0).all())


def test_a_path_in_the_principal_plane_is_searched_in_all_dimensions(solid):
    scene, view = Scene("solid", solid.manifold, solid.Z), View()
    answer(scene, view, Principal())
    answer(scene, view, read(scene, type="plane", axes="principal"))
    ask = open_message('{"id": 1, "type": "path", "a": [0.3, 0.1], "b": [-0.2, -0.4]}')
    path = ask.read(scene, view.axes)
    assert isinstance(path, Path)
    found = answer(scene, view, path)
    np.testing.assert_allclose(found["a"], scene.principal.lift(torch.tensor([0.3, 0.1]).double()))
    np.testing.assert_allclose(
        found["geodesic"]["points"], np.linspace([0.3, 0.1], [-0.2, -0.4], 65), atol=1e-9
    )
    length = scene.manifold.dist(path.a, path.b)
    assert found["geodesic"]["length"] == pytest.approx(float(length))


def test_a_layer_of_the_principal_plane_is_empty_beyond_what_was_measured(solid):
    import base64

    scene = Scene("solid", solid.manifold, solid.Z)
    answer(scene, View(), Principal())
    for name in ("log_volume", "curvature"):
        found = answer(scene, View("principal"), Layer(name, 24))
        values = np.frombuffer(base64.b64decode(found["data"]), "<f4")
        truth = {"log_volume": np.log(6), "curvature": 0}[name]  # of the map (x, 2 y, 3 z)
        (left, bottom), (right, top) = found["box"]
        x, y = np.meshgrid(np.linspace(left, right, 24), np.linspace(bottom, top, 24))
        inside = scene.principal.covers(torch.as_tensor(np.stack([x, y], -1))).numpy()
        np.testing.assert_array_equal(np.isfinite(values).reshape(24, 24), inside)
        np.testing.assert_allclose(values[np.isfinite(values)], truth, atol=1e-5)
        assert 0.2 < inside.mean() < 1


def test_it_is_shown_only_after_it_was_found_and_found_once(solid):
    scene = Scene("solid", solid.manifold, solid.Z)
    for message in (
        {"type": "plane", "axes": "principal"},
        {"type": "python", "paths": [{"a": [0, 0], "b": [0, 0.5]}], "plane": "principal"},
    ):
        with pytest.raises(InvalidParameterError, match="until the principal geodesics were asked"):
            read(scene, **message)
    first = answer(scene, View(), Principal())
    plane = scene.principal
    assert answer(scene, View(), Principal()) == first
    assert scene.principal is plane
    assert isinstance(read(scene, type="plane", axes="principal"), Plane)


def test_two_dimensions_are_shown_whole(scene):
    with pytest.raises(InvalidParameterError, match="is shown whole"):
        read(scene, type="principal")


def test_codes_that_coincide_have_no_principal_geodesics(solid):
    scene = Scene("point", solid.manifold, solid.Z[:1].expand(5, 3))
    with pytest.raises(InvalidDataError, match="all coincide"):
        answer(scene, View(), Principal())
    assert not scene.knows_principal


def test_of_many_codes_some_are_drawn_and_it_is_told(solid):
    codes = solid.Z.repeat(100, 1) + 0.01 * torch.randn(3000, 3, generator=_seeded()).double()
    found = principal_plane(solid.manifold, codes, Scene("", solid.manifold, codes).box)
    assert "64 of the 3000 codes (seed 0)" in found.words[0]
    again = principal_plane(solid.manifold, codes, Scene("", solid.manifold, codes).box)
    torch.testing.assert_close(found.basis, again.basis, rtol=0, atol=0)


def _seeded():
    return torch.Generator().manual_seed(0)


def test_axes_are_read_off_exactly():
    z = torch.randn(20, 3, generator=_seeded()).double() * 1e3
    plane = plane_of_axes((2, 0), z.mean(0), torch.stack([z.amin(0), z.amax(0)]))
    assert plane.coordinates(z).tolist() == z[:, [2, 0]].tolist()
    assert plane.outline is None


def test_the_code_of_paths_of_the_principal_plane_shows_them_in_it(solid):
    scene = Scene("solid", solid.manifold, solid.Z)
    plane = scene.principal
    ends = plane.lift(torch.tensor([[0.3, 0.1], [-0.2, -0.4]]).double())
    code = answer(scene, View(), PythonCode((tuple(ends),), in_principal=True))["code"]
    names = {"M": scene.manifold}
    with redirect_stdout(io.StringIO()):
        exec(code.removeprefix(scene.setup), names)
    shown = names["coordinates"][0]
    np.testing.assert_allclose(shown[[0, -1]], [[0.3, 0.1], [-0.2, -0.4]], atol=1e-9)
    assert "Fréchet mean" in code
