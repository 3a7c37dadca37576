import math

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidParameterError
from pullback.explorer import Scene
from pullback.explorer.answers.around import answer_ball, answer_fan
from pullback.explorer.answers.plain import View
from pullback.explorer.messages import Ball, Fan


@pytest.fixture(scope="module")
def stretched():
    """A plane that is flat: (x, 2 y), over a table."""
    codes = torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=torch.float64)
    scale = torch.tensor([1.0, 2.0], dtype=torch.float64)
    return Scene("flat", Manifold(lambda z: z * scale.to(z), dim=2).tabulated(codes), codes)


@pytest.mark.slow
def test_balls_over_a_table_are_level_sets_of_the_distance(stretched):
    ask = Ball(torch.tensor([0.5, 0.0]).double(), (0.5, 1.0))
    curves = answer_ball(stretched, View(), ask)["curves"]
    for radius, rings in zip(ask.radii, curves, strict=True):
        (ring,) = (np.asarray(ring) for ring in rings)
        assert ring[0].tolist() == ring[-1].tolist()
        distance = np.hypot(ring[:, 0] - 0.5, 2 * ring[:, 1])
        np.testing.assert_allclose(distance, radius, rtol=0.01)


@pytest.mark.slow
def test_a_ball_that_leaves_the_table_is_drawn_as_far_as_it_goes(stretched):
    ask = Ball(torch.tensor([1.5, 0.0]).double(), (2.0,))
    (rings,) = answer_ball(stretched, View(), ask)["curves"]
    for ring in map(np.asarray, rings):
        np.testing.assert_allclose(np.hypot(ring[:, 0] - 1.5, 2 * ring[:, 1]), 2.0, rtol=0.01)
    assert sum(map(len, rings)) > 20


@pytest.mark.slow
def test_balls_in_space_are_cut_by_the_plane_through_the_mean():
    stretch = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    codes = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.4]], dtype=torch.float64)
    manifold = Manifold(lambda z: z * stretch.to(z), dim=3).tabulated(codes)
    point = torch.tensor([0.1, 0.0, 0.0]).double()
    found = answer_ball(Scene("solid", manifold, codes), View((1, 0)), Ball(point, (0.9,)))
    ((ring,),) = found["curves"]
    y, x = np.transpose(ring)
    distance = np.sqrt((x - 0.1) ** 2 + (2 * y) ** 2 + (3 * 0.2) ** 2)  # the mean has z = 0.2
    np.testing.assert_allclose(distance, 0.9, rtol=0.02)


def test_balls_without_a_table_are_ends_of_geodesics(scene):
    ask = Ball(torch.zeros(2).double(), (1.4789428575,))
    ((ring,),) = answer_ball(scene, View(), ask)["curves"]
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1, rtol=1e-5)


def test_balls_in_space_need_a_table(solid):
    with pytest.raises(InvalidParameterError, match="`point` must be in two dimensions"):
        answer_ball(solid, View(), Ball(torch.zeros(3).double(), (1.0,)))


@pytest.mark.slow
def test_a_fan_is_geodesics_of_the_length_that_was_asked(scene):
    point = [0.3, -0.2]
    ask = Fan(torch.tensor(point).double(), 6, 0.8)
    curves = answer_fan(scene, View(), ask)["curves"]
    assert len(curves) == 6
    ends = torch.tensor([curve[0][-1] for curve in curves]).double()
    lengths = scene.manifold.geodesic(point, ends).length
    np.testing.assert_allclose(lengths, 0.8, rtol=1e-3)


@pytest.mark.slow
def test_a_fan_in_space_stays_in_a_flat_plane_and_is_drawn_in_it(solid):
    ask = Fan(torch.zeros(3).double(), 4, 1.0)
    curves = answer_fan(solid, View((2, 0)), ask)["curves"]
    ends = [curve[0][-1] for curve in curves]
    truth = [[1 / 3, 0], [0, 1], [-1 / 3, 0], [0, -1]]
    np.testing.assert_allclose(ends, truth, atol=1e-6)


@pytest.mark.slow
def test_rays_that_cannot_be_followed_are_told():
    def bounded(z):
        return torch.where(z.norm(dim=-1, keepdim=True) > 6, torch.nan, z)

    scene = Scene("disc", Manifold(bounded, dim=2), 6 * torch.eye(2).double())
    found = answer_fan(scene, View(), Fan(torch.zeros(2).double(), 4, 9.0))
    assert found["words"] == ["4 of 4 could not be followed to their end."]
    reached = [math.hypot(*point) for pieces in found["curves"] for point in pieces[0]]
    assert 3 < max(reached) <= 6
