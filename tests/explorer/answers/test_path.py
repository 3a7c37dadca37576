import math

import numpy as np
import pytest
import torch

from pullback.explorer.answers.path import answer_path, certificate
from pullback.explorer.answers.plain import View
from pullback.explorer.messages import Path
from pullback.geodesics.base import Status


def find(scene, a, b, n_images=5):
    ends = (torch.tensor(end, dtype=torch.float64) for end in (a, b))
    return answer_path(scene, View(), Path(*ends, n_images))


def test_it_is_the_geodesic_of_the_manifold(scene):
    a, b = [-0.7, 0.5], [0.9, 0.4]
    found, truth = find(scene, a, b), scene.manifold.geodesic(a, b)
    np.testing.assert_allclose(found["geodesic"]["points"], truth.points(65), rtol=0, atol=1e-12)
    assert found["geodesic"]["length"] == pytest.approx(truth.length.item(), rel=1e-12)
    assert found["geodesic"]["length"] < 0.99 * found["straight"]["length"]
    assert found["certified"]
    assert (found["a"], found["b"]) == (a, b)
    assert found["words"][0].startswith(("Certified", "A geodesic"))


def test_up_the_paraboloid_both_ways_are_one_of_known_length(scene):
    found = find(scene, [0.0, 0.0], [1.0, 0.0])
    truth = math.sqrt(5) / 2 + math.asinh(2) / 4
    assert found["geodesic"]["length"] == pytest.approx(truth, rel=1e-5)
    assert found["straight"]["length"] == pytest.approx(truth, rel=1e-5)
    assert "as long as" in found["words"][1]


def test_what_is_decoded_lies_on_the_paraboloid_and_the_same_features_are_shown(scene):
    images = find(scene, [-0.7, 0.5], [0.9, 0.4])["images"]
    truth = scene.manifold.geodesic([-0.7, 0.5], [0.9, 0.4]).points(5)
    for name, points in (("geodesic", truth), ("straight", None)):
        strip = dict(zip(images[name]["names"], np.transpose(images[name]["values"]), strict=True))
        assert set(strip) == {"x", "y", "height"}
        np.testing.assert_allclose(strip["height"], strip["x"] ** 2 + strip["y"] ** 2, atol=1e-5)
        if points is not None:
            np.testing.assert_allclose(strip["x"], points[:, 0], atol=1e-5)
    assert images["geodesic"]["names"] == images["straight"]["names"]


def test_steps_of_the_geodesic_are_even_and_those_of_the_line_are_not(scene):
    steps = find(scene, [-1.0, 0.0], [1.0, 0.1])["steps"]
    spread = {name: np.std(sizes) / np.mean(sizes) for name, sizes in steps.items()}
    assert spread["geodesic"] < 1e-3
    assert spread["straight"] > 0.1


def test_from_a_point_to_itself_is_no_way(scene):
    found = find(scene, [0.2, 0.3], [0.2, 0.3])
    assert found["geodesic"]["length"] == 0
    assert found["straight"]["length"] == 0
    assert found["geodesic"]["points"] == [[pytest.approx(0.2), pytest.approx(0.3)]] * 65


@pytest.mark.parametrize("status", [s for s in Status if s != Status.CONVERGED])
def test_what_did_not_converge_is_not_certified(scene, status):
    found = scene.manifold.geodesic([0.0, 0.0], [1.0, 0.0])
    failed = found.replace(status=torch.tensor(int(status)))
    assert certificate(failed, 1.5)[0] == f"Not certified: {status.reason}."
    assert not set("`_") & set(certificate(failed, 1.5)[0])  # no names of Python's parameters


def test_how_well_the_length_is_known_is_told_in_parts(scene):
    found = scene.manifold.geodesic([0.0, 0.0], [1.0, 0.0])
    known = certificate(found.replace(refinement=torch.tensor(2.1e-7).double()), 1.5)
    assert "Its length is known to about one part in 5,000,000." in known


def test_a_rival_and_a_conjugate_point_are_told(scene):
    found = scene.manifold.geodesic([0.0, 0.0], [1.0, 0.0])
    rival = found.replace(rival_length=1.01 * found.length)
    assert "another way is nearly as short" in certificate(rival, 1.5)[0]
    conjugate = found.replace(second_variation=torch.zeros(()).double())
    assert "another may be as short" in certificate(conjugate, 1.5)[0]


def test_a_path_that_was_not_found_is_told_in_nulls():
    from pullback import Manifold
    from pullback.explorer import Scene

    def torn(z):
        return torch.where((z[..., :1] - 6).abs() < 0.1, torch.nan, z)

    scene = Scene("torn", Manifold(torn, dim=2), torch.tensor([[5.0, 0], [7.0, 0]]).double())
    found = find(scene, [5.0, 0.0], [7.0, 0.0])
    assert not found["certified"]
    assert found["words"][0].startswith("Not certified")
    assert found["straight"]["length"] is None
